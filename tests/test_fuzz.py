"""A small part of the fuzzing, the same files every time; `make fuzz` goes on for an hour."""

import pytest

from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.whole
COUNTS = {'config': 9, 'keras': 25, 'credentials': 20, 'dataset': 30}  # slower ones


@pytest.mark.parametrize('name', TARGETS)
def test_a_reader_takes_or_refuses_any_bytes(name):
    done, found = fuzz([name], seed=1, count=COUNTS.get(name, 60))
    assert not found, '\n'.join(found)
    assert done[name] > 5

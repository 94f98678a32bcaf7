"""Pickles of plain things: they come back as they were, and what grows or holds itself ends."""

import pickle

import numpy as np
import pytest

from dfjax.weights.arrays import plain

pytestmark = pytest.mark.whole


@pytest.mark.parametrize('protocol', range(3, 6))
def test_plain_things_come_back(protocol):
    things = {
        'list': [1, -2.5, None, True, 'text', b'bytes', (1, [2])],
        'scalar': np.float32(0.5),
        'flags': np.array([True, False]),
        **{kind: np.arange(6, dtype=kind).reshape(2, 3) for kind in ('u1', 'i4', 'i8', 'f2', 'f4', 'f8')},
        'columns': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    found = plain(pickle.dumps(things, protocol))
    assert found['list'] == [1, -2.5, None, True, 'text', b'bytes', [1, [2]]] and found['scalar'] == 0.5
    for key in things.keys() - {'list', 'scalar'}:
        np.testing.assert_array_equal(found[key], things[key])


def test_what_grows_or_holds_itself_ends():
    wide = 'x'
    for _ in range(12):
        wide = [wide] * 1000  # one list, a thousand times: 1e36 of them if each were looked at
    assert len(plain(pickle.dumps(wide))) == 1000
    ring = []
    ring.append(ring)
    assert plain(pickle.dumps(ring)) == [None]

"""Runs on batches of the caller's: a list is gone on with as if the run had never stopped, an iterator as it comes."""

import jax
import numpy as np
import pytest
import toy_system as toy

import dfjax
from dfjax.config import build
from dfjax.errors import InputError
from dfjax.inference.run import load_run
from dfjax.training import loop

pytestmark = pytest.mark.usefixtures('toy_is_a_system')

CHANGES = {'batch_size': 8, 'checkpoint_every': 2, 'log_every': 1, 'preview_every': 0}


def batches(count=3, size=8):
    rng = np.random.default_rng(0)
    return [{'a': {'image': rng.integers(0, 256, (size, toy.FEATURES), np.uint8)}} for _ in range(count)]


def trained(folder, data, steps):
    """The parameters after so many steps."""
    cfg = build(toy.default_config(), CHANGES | {'steps': steps})
    assert dfjax.train(cfg, folder, batches=data, progress=False)['steps'] == steps
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(load_run(folder).params)])


def test_a_list_is_gone_on_with_bit_for_bit(tmp_path):
    """Longer than the list: it is begun anew when it ends."""
    whole = trained(tmp_path / 'whole', batches(), 5)
    trained(tmp_path / 'halved', batches(), 2)
    assert (trained(tmp_path / 'halved', batches(), 5) == whole).all()
    assert (trained(tmp_path / 'others', batches()[::-1], 5) != whole).any()


def test_an_iterator_is_taken_as_it_comes_until_it_ends(tmp_path):
    given = iter(batches(4))
    trained(tmp_path, given, 3)
    with pytest.raises(InputError, match='batches: end'):
        trained(tmp_path, given, 6)


def test_a_run_on_batches_is_not_gone_on_with_on_other_data(tmp_path):
    trained(tmp_path, batches(), 2)
    with pytest.raises(InputError, match='batches of its caller'):
        loop.train(build(toy.default_config(), CHANGES | {'steps': 4}), tmp_path, data=toy.Stream(toy.default_config()))


@pytest.mark.parametrize(
    ('data', 'said'),
    [
        ([], 'there are none'),
        (batches(1, size=4), 'are of 4 examples; batch_size is 8'),
        ([*batches(1), {'a': {'image': np.zeros((8, 3), np.float32)}}], 'where the first holds'),
    ],
    ids=['none', 'too small', 'unlike'],
)
def test_batches_that_cannot_be(tmp_path, data, said):
    with pytest.raises(InputError, match=said):
        trained(tmp_path / 'run', data, 3)

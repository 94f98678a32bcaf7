"""Training that cannot go on: numbers that are not finite, no memory, a way that there is not."""

import jax
import jax.numpy as jnp
import pytest
import toy_system as toy
from toy_training import steps_kept, train

from dfjax.errors import InputError
from dfjax.training.restore import load_params

pytestmark = [pytest.mark.whole, pytest.mark.usefixtures('toy_is_a_system')]


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(InputError) as error:
        train(tmp_path, explode_at=26)
    line = str(error.value)
    assert 'not finite at step 26' in line
    assert 'step 20 is kept' in line
    assert '\n' not in line
    assert steps_kept(tmp_path) == {10, 20}
    assert int(load_params(tmp_path).step) == 20


def test_parameters_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    step = toy.step

    def poisoned(cfg, state, batch):
        new, metrics = step(cfg, state, batch)
        return new.replace(params=jax.tree.map(lambda x: x / (new.step != 20), new.params)), metrics

    monkeypatch.setattr(toy, 'step', poisoned)
    with pytest.raises(InputError, match='not finite at step 20'):
        train(tmp_path)
    assert steps_kept(tmp_path) == {10}


def test_a_device_without_memory_says_which_batch_size_to_try(tmp_path, monkeypatch):
    init, large = toy.init, lambda state: state.replace(aux=state.aux | {'large': jnp.zeros(10**13)})
    monkeypatch.setattr(toy, 'init', lambda cfg, key: large(init(cfg, key)))
    with pytest.raises(InputError, match=r'ran out of memory with batch_size 16; try --config.batch_size=8$'):
        train(tmp_path)


def test_another_way_is_refused_in_a_line(tmp_path):
    with pytest.raises(InputError, match="'parallel' is one of jit, pmap, not 'tpu'"):
        train(tmp_path, parallel='tpu')

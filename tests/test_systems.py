"""The contract: what the loop, and whoever knows one system, may rely on in every other. A new one is found here."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from dfjax.configs.common import build, flatten
from dfjax.data.batches import make_data
from dfjax.systems import SYSTEMS, load_system
from dfjax.systems.state import State, common_config
from dfjax.training import loop
from dfjax.training.parallel import strong

STEPS = 4  # of the runs that are compared


class Smoke:
    """A system in its smoke variant: a fixed batch, the state it starts from and its jitted step."""

    def __init__(self, name: str):
        self.module = load_system(name)
        self.cfg = smoke_config(name)
        self.data = make_data(self.cfg, self.module.BATCH)
        self.batch = jax.jit(lambda feed: self.data.sample(feed, jax.numpy.int32(0), 0))(self.data.feed(1))
        self.start = jax.jit(lambda key: strong(self.module.init(self.cfg, key)))(jax.random.key(0))
        self.traces = 0
        self.step = jax.jit(self._step)
        self.path = []  # (state, metrics) of each step on the fixed batch
        state = self.start
        for _ in range(self.cfg.steps):
            state, metrics = self.step(state, self.batch)
            self.path.append((state, jax.device_get(metrics)))

    def _step(self, state: State, batch: dict) -> tuple[State, dict]:
        self.traces += 1
        state, metrics = self.module.step(self.cfg, state, batch)
        return strong(state), metrics


def smoke_config(name: str, **changes) -> ConfigDict:
    return build(importlib.import_module(f'dfjax.configs.{name}').get_config('smoke'), changes)


@pytest.fixture(scope='module', params=SYSTEMS)
def smoke(request):
    return Smoke(request.param)


def test_the_config_has_the_keys_of_all_and_four_variants(smoke):
    configs = importlib.import_module(f'dfjax.configs.{smoke.cfg.system}')
    assert {'smoke', 'laptop', 'gpu', 'paper'} <= set(configs.VARIANTS)
    for variant in configs.VARIANTS:
        cfg = dict(flatten(configs.get_config(variant)))
        assert cfg['system'] == smoke.cfg.system
        assert set(dict(flatten(common_config()))) <= set(cfg)
        assert set(cfg) == set(dict(flatten(smoke.module.default_config())))


def test_metrics_are_finite_and_keep_their_keys(smoke):
    keys = set(smoke.path[0][1])
    assert 'total' in keys
    for _, metrics in smoke.path:
        assert set(metrics) == keys
        assert all(np.shape(value) == () and np.isfinite(value) for value in metrics.values()), metrics


def test_the_step_is_traced_once_and_counts(smoke):
    assert smoke.traces == 1
    assert [int(state.step) for state, _ in smoke.path] == list(range(1, smoke.cfg.steps + 1))


def test_every_parameter_moves(smoke):
    last = smoke.path[-1][0]
    for part in ('params', 'ema'):
        before, after = getattr(smoke.start, part), getattr(last, part)
        still = jax.tree.map(lambda a, b: bool((a == b).all()), before, after)
        named = jax.tree_util.tree_leaves_with_path(still)
        assert not [jax.tree_util.keystr(path) for path, same in named if same]
    assert jax.tree.structure(smoke.start.params) == jax.tree.structure(last.params)


def test_the_loss_falls_on_a_fixed_batch(smoke):
    totals = [float(metrics['total']) for _, metrics in smoke.path]
    assert np.mean(totals[-3:]) < 0.9 * np.mean(totals[:3]), totals


def test_the_preview_is_pictures(smoke):
    pictures = jax.jit(lambda state, batch: smoke.module.preview(smoke.cfg, state, batch))(smoke.start, smoke.batch)
    count, _, _, channels = pictures.shape
    assert channels == 3
    assert count % smoke.cfg.batch_size == 0
    assert bool(np.isfinite(pictures).all())
    assert float(abs(pictures).max()) <= 1.001


def test_a_run_that_goes_on_ends_with_the_same_bits(smoke, tmp_path):
    cfg = smoke_config(smoke.cfg.system, steps=STEPS, checkpoint_every=STEPS // 2)
    whole = loop.train(cfg, tmp_path, data=smoke.data, progress=False)
    shutil.rmtree(tmp_path / 'checkpoints' / str(STEPS))
    again = loop.train(cfg, tmp_path, data=smoke.data, progress=False)
    rows = [json.loads(line)['step'] for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
    assert rows[-1] == STEPS
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(again), strict=True):
        if jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        np.testing.assert_array_equal(one, other)


# With pmap a system sums over the devices itself; with jit the compiler does, which the toy's tests (test_multihost.py)
# check at every run.
@pytest.mark.parametrize('way', ['pmap', pytest.param('jit', marks=pytest.mark.slow)])
def test_eight_devices_give_the_numbers_of_one(smoke, way, tmp_path):
    name = smoke.cfg.system
    env = os.environ | {'PYTHONPATH': str(Path(__file__).parents[1])}
    env['XLA_FLAGS'] = f'{env["XLA_FLAGS"]} --xla_force_host_platform_device_count=8'
    done = subprocess.run([sys.executable, __file__, name, way, tmp_path], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one = loop.train(smoke_config(name, steps=STEPS, log_every=1), tmp_path / 'one', data=smoke.data, progress=False)
    totals = {}
    for run in ('one', way):
        lines = (tmp_path / run / 'metrics.jsonl').read_text().splitlines()
        totals[run] = [json.loads(line)['total'] for line in lines]
    with np.load(tmp_path / f'{way}.npz') as file:
        # Of the optimiser's state, its averaged gradients; Adam makes a full step of a tiny gradient's noise.
        opt = [file[f'opt{i}'] for i in range(len(jax.tree.leaves(one.opt)))]
        params = [file[f'params{i}'] for i in range(len(jax.tree.leaves(one.params)))]
    assert distance(opt, one.opt) < 2e-3 * distance(opt)
    assert distance(params, one.params) < 0.1 * distance(params, smoke.start.params)
    np.testing.assert_allclose(totals[way], totals['one'], rtol=1e-4)


def distance(one: list[np.ndarray], other: Any = None) -> float:
    """Between two trees as vectors; from the origin if there is one only."""
    others = [0 * leaf for leaf in one] if other is None else jax.tree.leaves(other)
    return float(np.sqrt(sum(np.sum((a - np.asarray(b)) ** 2.0) for a, b in zip(one, others, strict=True))))


def eight_devices(name: str, way: str, folder: Path) -> None:
    """Runs one way, in a process of its own."""
    assert jax.device_count() == 8
    state = loop.train(smoke_config(name, steps=STEPS, log_every=1, parallel=way), folder / way, progress=False)
    parts = {'opt': jax.tree.leaves(state.opt), 'params': jax.tree.leaves(state.params)}
    kept = {f'{name}{i}': leaf for name, leaves in parts.items() for i, leaf in enumerate(leaves)}
    np.savez(folder / f'{way}.npz', **kept)


if __name__ == '__main__':
    eight_devices(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

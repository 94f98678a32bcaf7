"""The package as a library: what `import dfjax` gives, what that costs, and loops of one's own."""

import importlib
import inspect
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import dfjax
from dfjax.systems import SYSTEMS

PICTURES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)


def test_the_front_door_is_typed_and_documented():
    source = inspect.getsource(dfjax)
    for name, (module, function) in dfjax.FUNCTIONS.items():
        assert getattr(dfjax, name) is getattr(importlib.import_module(f'dfjax.{module}'), function)
        assert inspect.getdoc(getattr(dfjax, name))
        assert re.search(rf'from dfjax\.{module} import {function} as {name}\b', source), name  # what a checker sees
    assert set(dir(dfjax)) == {*dfjax.FUNCTIONS, *dfjax.MODULES, '__version__'}
    with pytest.raises(AttributeError, match='nothing'):
        dfjax.nothing  # noqa: B018


def test_import_takes_nothing_along():
    code = 'import sys, dfjax; print([m for m in ("jax", "numpy", "cv2", "ml_collections") if m in sys.modules])'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_systems_are_there_by_name():
    assert all(getattr(dfjax.systems, name).default_config for name in SYSTEMS)
    with pytest.raises(AttributeError):
        dfjax.systems.nothing  # noqa: B018


def test_the_systems_own_step_in_a_loop_of_ones_own():
    cfg = dfjax.load_config('vae:smoke')
    state = dfjax.systems.vae.init(cfg, jax.random.key(0))
    step = jax.jit(partial(dfjax.systems.vae.step, cfg))
    losses = []
    for n in range(12):
        state, metrics = step(state, dfjax.make_batch({'image': PICTURES}, step=n))
        losses.append(float(metrics['total']))
    assert int(state.step) == 12 and np.mean(losses[-3:]) < losses[0]


def test_a_systems_nets_with_an_optimiser_of_ones_own():
    cfg = dfjax.load_config('vae:smoke')
    vae, pictures = dfjax.systems.vae, PICTURES / 127.5 - 1
    params = vae.init(cfg, jax.random.key(0)).ema
    optimiser = optax.adamw(3e-3)
    error = lambda params: ((vae.decode(cfg, params, vae.encode(cfg, params, pictures)) - pictures) ** 2).mean()

    @jax.jit
    def step(params, moments):
        loss, gradient = jax.value_and_grad(error)(params)
        changes, moments = optimiser.update(gradient, moments, params)
        return optax.apply_updates(params, changes), moments, loss

    moments, losses = optimiser.init(params), []
    for _ in range(12):
        params, moments, loss = step(params, moments)
        losses.append(float(loss))
    assert losses[-1] < losses[0]


def test_keys_differ_by_step_example_and_seed():
    batch = lambda **words: dfjax.make_batch({'a': {'image': PICTURES}, 'b': {'image': PICTURES}}, **words)
    raw = lambda made: jax.random.key_data(made['key'])
    one = raw(batch(step=3, seed=1))
    assert one.shape[0] == 8 and len(np.unique(one, axis=0)) == 8
    assert (one == raw(batch(step=3, seed=1))).all()
    assert not (one == raw(batch(step=4, seed=1))).all() and not (one == raw(batch(step=3, seed=2))).all()


WINDOWS = """
import importlib, pkgutil, sys
import av, cryptography, cv2, flax, grain, h5py, jax, optax, orbax.checkpoint, tensorboardX, tensorflow_datasets, tqdm
GONE = ('array_record', 'fcntl', 'grp', 'pwd', 'resource', 'termios')
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in GONE:
            raise ModuleNotFoundError(name)
for name in [name for name in sys.modules if name.split('.')[0] in GONE]:
    del sys.modules[name]
sys.meta_path.insert(0, Gone())
sys.platform = 'win32'
import dfjax
for module in pkgutil.walk_packages(dfjax.__path__, 'dfjax.'):
    if '.bench.torch' not in module.name:  # which needs PyTorch
        importlib.import_module(module.name)
"""


def test_on_windows_every_module_is_imported():
    """Emulated: without what only other systems have. Packed sets need array_record, which Windows has not."""
    done = subprocess.run([sys.executable, '-c', WINDOWS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    setup = (Path(dfjax.__file__).parents[1] / 'setup.py').read_text()
    assert re.search(r'"array-record>=[\d.]+; sys_platform != \'win32\'"', setup)

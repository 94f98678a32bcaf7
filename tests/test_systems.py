"""The contract: what the loop, and whoever knows one system, may rely on in every other. A new one is found here."""

import functools
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import forget
from flax.serialization import msgpack_restore, msgpack_serialize
from ml_collections import ConfigDict

from dfjax.config import build, flatten
from dfjax.data.batches import Resident, make_data
from dfjax.data.kinds import open_streams
from dfjax.ops.keys import init_key
from dfjax.systems import SYSTEMS, load_system
from dfjax.systems.state import State, common_config
from dfjax.training import loop
from dfjax.training.parallel import Devices, on_first_device, strip_weak_types
from dfjax.training.workdir import read_config

pytestmark = pytest.mark.whole

STEPS = 4  # of the runs that are compared
# Systems of many nets, whose step is compiled for most of a minute: two of their tests are left to `pytest -m slow`.
LARGE = {'saehd', 'faceswap_gan', 'landmark_swap', 'amp', 'fomm', 'wav2lip'}
LARGE_ARE_SLOW = [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in SYSTEMS]


class Smoke:
    """A system in its smoke variant: a fixed batch, the state it starts from and its jitted step."""

    def __init__(self, name: str):
        self.module = load_system(name)
        self.cfg = smoke_config(name)
        self.data = make_data(self.cfg, self.module.BATCH)
        self.batch = jax.jit(lambda feed: self.data.sample(feed, jax.numpy.int32(0), 0))(self.data.feed(1))
        start = jax.jit(lambda key: strip_weak_types(self.module.init(self.cfg, key)))(init_key(self.cfg.seed))
        frozen = self.module.frozen(self.cfg) if hasattr(self.module, 'frozen') else {}
        start = start.replace(horizon=jnp.int32(self.cfg.steps), frozen=frozen)
        if hasattr(self.module, 'begin'):
            start = self.module.begin(self.cfg, start, self.data)
        self.start = jax.tree.map(jnp.asarray, start)
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
        return strip_weak_types(state), metrics


def smoke_config(name: str, **changes) -> ConfigDict:
    return build(importlib.import_module(f'configs.{name}').get_config('smoke'), changes)


@pytest.fixture(scope='module', params=SYSTEMS)
def smoke(request):
    yield Smoke(request.param)
    forget()


def test_the_config_has_the_keys_of_all_and_four_variants(smoke):
    configs = importlib.import_module(f'configs.{smoke.cfg.system}')
    assert {'smoke', 'laptop', 'gpu', 'paper'} <= set(configs.VARIANTS)
    for variant in configs.VARIANTS:
        cfg = dict(flatten(configs.get_config(variant)))
        assert cfg['system'] == smoke.cfg.system
        assert set(dict(flatten(common_config()))) <= set(cfg)
        assert set(cfg) == set(dict(flatten(smoke.module.default_config())))


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
@pytest.mark.parametrize('system', SYSTEMS)
def test_nets_are_what_they_say(system, dtype):
    """By the names in `params`; whatever is computed in, parameters and outputs are float32."""
    cfg, module = smoke_config(system, dtype=dtype), load_system(system)
    nets, state = module.nets(cfg), jax.eval_shape(lambda key: module.init(cfg, key), jax.random.key(0))
    assert set(nets) == set(state.params)
    for name, net in nets.items():
        out, variables = jax.eval_shape(net.module.init_with_output, jax.random.key(0), *net.inputs.values())
        assert len(jax.tree.leaves(out)) == len(net.outputs), name
        found = variables if name == 'encoder' else (out, variables)  # the face swap's codes stay as they are computed
        assert {leaf.dtype.name for leaf in jax.tree.leaves(found)} == {'float32'}, name
        assert variables['params'] == state.params[name], name
        if net.multiple:  # pictures of other sides, and of other than square ones
            assert net.pictures(), name
            other = dict(net.inputs)
            for key in net.pictures():
                _, h, w, c = net.inputs[key].shape
                shape = (1, h + 2 * net.multiple, w + net.multiple, c)
                other[key] = jax.ShapeDtypeStruct(shape, 'float32')
            jax.eval_shape(net.module.init, jax.random.key(0), *other.values())


def test_metrics_are_finite_and_keep_their_keys(smoke):
    keys = set(smoke.path[0][1])
    assert 'total' in keys
    assert 'rate' in keys or any(key.startswith('rate/') for key in keys)
    for _, metrics in smoke.path:
        assert set(metrics) == keys
        assert all(np.shape(value) == () and np.isfinite(value) for value in metrics.values()), metrics


def test_the_step_is_traced_once_and_counts(smoke):
    assert smoke.traces == 1
    assert [int(state.step) for state, _ in smoke.path] == list(range(1, smoke.cfg.steps + 1))


def test_the_step_depends_on_the_number_of_steps_by_the_state_alone(smoke):
    """Else every length of a run would be compiled anew; its learning rates follow the state's horizon."""
    texts = set()
    for steps in (30, 31):
        step = functools.partial(smoke.module.step, smoke_config(smoke.cfg.system, steps=steps))
        texts.add(jax.jit(step).lower(smoke.start, smoke.batch).as_text())
    assert len(texts) == 1


@pytest.mark.parametrize('system', SYSTEMS)
def test_programs_hold_no_large_constants(system):
    """Pretrained nets, references and tables are arguments: as constants they cost compilation, memory and cache."""
    cfg, module = importlib.import_module(f'configs.{system}').get_config('laptop'), load_system(system)
    state = jax.eval_shape(lambda key: module.init(cfg, key), jax.random.key(0))
    frozen = module.frozen(cfg) if hasattr(module, 'frozen') else {}
    state, batch = state.replace(frozen=frozen), batch_shapes(cfg, module.BATCH)
    for function in (module.step, module.preview):
        text = jax.jit(functools.partial(function, cfg)).lower(state, batch).as_text()
        assert len(text) < 4 * 2**20, (function, len(text))


def batch_shapes(cfg: ConfigDict, kind: str) -> dict:
    """A batch of that kind as shapes, for the kinds that systems with a laptop variant have."""
    count, size = cfg.batch_size, cfg.data.get('size', 0)
    of = lambda dtype, *shape: jax.ShapeDtypeStruct((count, *shape), dtype)
    image = {'image': of('uint8', size, size, 3)}
    labels = {name: of('float32', len(cfg.data.get('labels', ()))) for name in ('label', 'known')}
    faces = image | {'mask': of('uint8', size, size), 'landmarks': of('float32', 68, 2)}
    two = {'faces_ab': faces, 'aligned': image, 'unpaired': image}
    batch = {'a': two[kind], 'b': two[kind]} if kind in two else image | labels
    shape = (cfg.data.windows, cfg.data.frames) if kind == 'speech' else ()
    moments = {'image': of('uint8', *shape, size, size, 3), 'landmarks': of('float32', *shape, 68, 2)}
    if kind == 'clips':
        batch = {'source': moments, 'driving': moments, 'apart': of('float32')}
    if kind == 'voices':
        moments = round(40 * cfg.data.seconds)
        batch = {'sound': of('int16', 400 * moments), 'mouth': of('float32', moments, 4)}
    if kind == 'masked':
        batch = {'face': faces, 'thing': {'rgba': of('uint8', size, size, 4)}}
    if kind == 'speech':
        sound = of('float32', shape[0], 640 * shape[1] + 8000)
        batch = {'frames': moments, 'reference': moments, 'sound': sound, 'apart': of('float32', shape[0])}
    key = jax.random.key(0).dtype
    return batch | {'key': of(key), 'step_key': jax.ShapeDtypeStruct((), key)}


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
    columns = count // smoke.cfg.batch_size  # the pictures of an example, each with its name
    names = (*getattr(smoke.module, 'COLUMNS', ()), *smoke.cfg.data.get('labels', ()))
    assert columns == 1 or len(names[:columns]) == columns
    assert bool(np.isfinite(pictures).all())
    assert float(abs(pictures).max()) <= 1.001


@pytest.fixture(scope='module')
def whole(smoke, tmp_path_factory):
    """A run of STEPS that was never stopped: (state, folder)."""
    folder = tmp_path_factory.mktemp(smoke.cfg.system)
    cfg = smoke_config(smoke.cfg.system, steps=STEPS, checkpoint_every=STEPS // 2, log_every=1)
    return loop.train(cfg, folder, data=smoke.data, progress=False), folder


def test_a_run_that_goes_on_ends_with_the_same_bits(smoke, whole, capsys):
    state, folder = whole
    shutil.rmtree(folder / 'checkpoints' / str(STEPS))
    again = loop.train(read_config(folder), folder, data=smoke.data, progress=False)
    assert f'going on from step {STEPS // 2} of {STEPS}' in capsys.readouterr().err
    assert [row['step'] for row in rows(folder)] == list(range(1, STEPS + 1))
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(again), strict=True):
        if jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        np.testing.assert_array_equal(one, other)


# Plain convolutions, loops where a CPU has none, and computing in bfloat16.
@pytest.mark.parametrize('smoke', LARGE_ARE_SLOW, indirect=True)
@pytest.mark.parametrize(
    ('dtype', 'tolerance'), [pytest.param('float32', 1e-3, marks=pytest.mark.slow), ('auto', 0.05)]
)
def test_an_accelerators_step_gives_the_same_numbers(smoke, dtype, tolerance, as_accelerated):
    cfg = smoke_config(smoke.cfg.system, dtype=dtype)
    step = jax.jit(lambda state, batch: strip_weak_types(smoke.module.step(cfg, state, batch)))
    state, path = smoke.start, []
    for _ in range(cfg.steps):
        state, metrics = step(state, smoke.batch)
        path.append(jax.device_get(metrics))
    first = smoke.path[0][1]
    assert set(path[0]) == set(first)
    for name in set(first) - {'active'}:  # a count
        assert abs(path[0][name] - first[name]) < tolerance * abs(first['total']), name
    totals = [metrics['total'] for metrics in path]
    assert np.mean(totals[-3:]) < 0.9 * np.mean(totals[:3]), totals
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state.params)} == {'float32'}


# With pmap a system sums over the devices itself; with jit the compiler does, which the toy's tests (test_multihost.py)
# check at every run.
@pytest.mark.parametrize('smoke', LARGE_ARE_SLOW, indirect=True)
@pytest.mark.parametrize('way', ['pmap', pytest.param('jit', marks=pytest.mark.slow)])
def test_eight_devices_give_the_numbers_of_one(smoke, whole, way, tmp_path):
    name, (_, folder) = smoke.cfg.system, whole
    env = os.environ | {'PYTHONPATH': str(Path(__file__).parents[1])}
    env['XLA_FLAGS'] = f'{env["XLA_FLAGS"]} --xla_force_host_platform_device_count=8'
    file = tmp_path / 'file'
    file.write_bytes(msgpack_serialize(smoke.data.arrays))
    done = subprocess.run([sys.executable, __file__, name, way, file], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = msgpack_restore(file.read_bytes())
    # After one step they differ by rounding, 1e-6; or, where an activation lies at the kink of a ReLU, by one unit's
    # share of a gradient. Later steps blow that up: Adam makes full steps of tiny gradients, and adversaries answer.
    for part, parts in by_net(smoke.path[0][0]).items():
        for net, leaves in parts.items():  # of the optimiser's state: averaged gradients
            assert distance(found[part][net], leaves) <= 0.03 * distance(leaves), (part, net)
    totals = [row['total'] for row in rows(folder)]
    assert found['totals'][0] == pytest.approx(totals[0], rel=1e-5)
    np.testing.assert_allclose(found['totals'], totals, rtol=0.01)


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]


def by_net(state: State) -> dict[str, dict[str, list[np.ndarray]]]:
    """The numbers of a state, without counts of steps."""
    numbers = lambda tree: [np.asarray(x) for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    names = 'params', 'opt', 'ema', 'aux'
    return {name: {net: numbers(tree) for net, tree in getattr(state, name).items()} for name in names}


def distance(one: list[np.ndarray], other: list[np.ndarray] | None = None) -> float:
    """Between two lists of arrays as vectors; from the origin if there is one only."""
    others = other or [0] * len(one)
    return float(np.sqrt(sum(np.sum((np.asarray(a) - np.asarray(b)) ** 2.0) for a, b in zip(one, others, strict=True))))


def eight_devices(name: str, way: str, file: Path) -> None:
    """STEPS on a file's data one way, in a process of its own; the file holds what came of it afterwards."""
    assert jax.device_count() == 8
    cfg = smoke_config(name, steps=STEPS, parallel=way)
    module, arrays = load_system(name), msgpack_restore(file.read_bytes())
    datasets = open_streams(module.BATCH, cfg.data) if module.BATCH in ('clips', 'speech', 'voices') else None
    devices = Devices(cfg, module, Resident(arrays, cfg.seed, cfg.batch_size, datasets))
    state, totals = devices.init(), []
    nothing = devices.zeros()
    for step in range(STEPS):
        state, metrics = devices.advance(state, nothing, devices.feed(1), 1)
        totals.append(devices.read(metrics)['sum']['total'])
        if step == 0:
            first = by_net(on_first_device(state))
    file.write_bytes(msgpack_serialize(first | {'totals': totals}))


if __name__ == '__main__':
    eight_devices(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

"""The PyTorch half of the bench computes what dfjax computes, or its times would mean nothing."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator

import cv2
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from dfjax.apps import bench
from dfjax.apps.bench import faceswap as bench_faceswap
from dfjax.apps.bench import sides as bench_sides
from dfjax.apps.bench import systems as bench_systems
from dfjax.config import build
from dfjax.systems import faceswap

pytestmark = pytest.mark.whole

torch = pytest.importorskip('torch', reason='the bench extra is not installed')


def small(variant: str):
    """The bench's config of a variant, its structure kept and its widths cut."""
    cfg = bench_faceswap.config(variant, 'cpu')
    m = cfg.model
    changes = {
        'batch_size': 2,
        'model.encoder.widths': [8 * (i + 1) for i in range(len(m.encoder.widths))],
        'model.encoder.latent': 16,
        'model.encoder.bottleneck_grid': [m.encoder.bottleneck_grid[0], 8],
        'model.encoder.upsample': 8 if m.encoder.upsample else 0,
        'model.decoder.widths': [4 * w for w in range(len(m.decoder.widths), 0, -1)],
    }
    return build(cfg, changes)


@pytest.fixture
def hasty(monkeypatch):
    """Programs that run a few times on tiny nets need not be fast."""
    monkeypatch.setattr(bench_sides, 'SECONDS_A_TURN', 0.01)
    jax.config.update('jax_disable_most_optimizations', True)
    yield
    jax.config.update('jax_disable_most_optimizations', False)


# dfjax's parameters in PyTorch's layout


def layers(module, cfg, params: dict) -> dict[str, list[dict]]:
    """The parameters of each net's layers, in the order in which they are called."""
    calls = []  # of nets as a whole: the paths of what they call

    def note(call, args, kwargs, context):
        if context.method_name == '__call__':
            path = context.module.path
            calls[-1].append(path) if path else calls.append([])
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(lambda: module.init(cfg, jax.random.key(0)))
    found = {}
    for name, tree in params.items():
        values = {}  # of each layer by its path
        for path, value in traverse_util.flatten_dict(tree).items():
            values.setdefault(path[:-1], {})[path[-1]] = value
        order = next(paths for paths in calls if values.keys() <= set(paths))
        found[name] = [values[path] for path in order if path in values]
    return found


def reorder(kernel: np.ndarray, r: int, axis: int) -> np.ndarray:
    """Channels from (r, r, C), dfjax's order about a pixel shuffle, to (C, r, r), PyTorch's."""
    count = kernel.shape[axis] // r**2
    order = np.arange(kernel.shape[axis]).reshape(r, r, count).transpose(2, 0, 1).ravel()
    return np.take(kernel, order, axis)


def like_torch(net, values: list[dict]) -> Iterator[np.ndarray]:
    """The values of layers, in the order and form of `net.parameters()`."""
    shuffles = (torch.nn.PixelShuffle, torch.nn.PixelUnshuffle)
    modules = [m for m in net.modules() if isinstance(m, shuffles) or list(m.parameters(recurse=False))]
    assert len([m for m in modules if not isinstance(m, shuffles)]) == len(values)
    values = iter(values)
    for i, module in enumerate(modules):
        if isinstance(module, shuffles):
            continue
        p = {name: np.asarray(value) for name, value in next(values).items()}
        kernel, bias = p.get('kernel', p.get('scale')), p.get('bias')
        if i and isinstance(modules[i - 1], torch.nn.PixelUnshuffle):
            kernel = reorder(kernel, modules[i - 1].downscale_factor, 2)
        if i + 1 < len(modules) and isinstance(modules[i + 1], torch.nn.PixelShuffle):
            r = modules[i + 1].upscale_factor
            kernel, bias = reorder(kernel, r, -1), reorder(bias, r, -1)
        if isinstance(module, torch.nn.Conv2d):
            kernel = kernel.reshape(module.kernel_size + kernel.shape[-2:]).transpose(3, 2, 0, 1)
        elif isinstance(module, torch.nn.ConvTranspose2d):
            kernel = kernel.transpose(2, 3, 0, 1)
        yield kernel.T if isinstance(module, torch.nn.Linear) else kernel
        if bias is not None:
            yield bias


def fill(net, values: list[dict]) -> None:
    for p, value in zip(net.parameters(), like_torch(net, values), strict=True):
        assert p.shape == value.shape
        p.data.copy_(torch.from_numpy(value.copy()))


# The face swap


@pytest.mark.parametrize('variant', ['laptop', 'paper'])
def test_loss_and_gradients_equal_pytorch(variant, hasty, monkeypatch):
    from dfjax.apps.bench.torch import faceswap as bench_torch
    from dfjax.apps.bench.torch import loop as bench_torch_loop
    from dfjax.apps.bench.torch import train as bench_torch_train

    cfg = small(variant)
    monkeypatch.setattr(bench_faceswap, 'FACES', 4)
    pair = bench_faceswap.augmented_pair(cfg, bench_faceswap.synthetic_faces(cfg))
    state = jax.jit(lambda: faceswap.init(cfg, jax.random.key(0)))()
    params, stats = state.params, state.ema['stats']
    loss, grads = jax.jit(
        jax.value_and_grad(lambda p: sum(faceswap.generate(cfg, p, state, stats, pair)[0].values())),
    )(params)

    net = bench_torch.Swapper(cfg)
    nets = {name: getattr(net, name) for name in ('encoder', 'decoder_a', 'decoder_b')}
    for name, values in layers(faceswap, cfg, params).items():
        fill(nets[name], values)
    tensors = bench_torch_train.to_device(jax.device_get(pair), 'cpu')
    theirs = net(tensors, {side: bench_torch_loop.init_stats(cfg.input_size, 'cpu') for side in 'ab'})
    np.testing.assert_allclose(float(loss), theirs.item(), rtol=2e-5)
    theirs.backward()
    for name, values in layers(faceswap, cfg, grads).items():
        for p, g in zip(nets[name].parameters(), like_torch(nets[name], values), strict=True):
            assert np.linalg.norm(p.grad - g) < 0.01 * np.linalg.norm(g), name


def test_no_strength_makes_the_worker_give_the_face_back():
    from dfjax.apps.bench.torch.loop import Pairs

    cfg = bench_faceswap.config('laptop', 'cpu')
    cfg = build(cfg, {'augment': {k: 0.0 for k in cfg.augment}})
    size = cfg.data.size
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (1, size, size, 3), np.uint8)[0], (0, 0), 4)[None]
    faces = {'image': image, 'mask': image[..., 0], 'landmarks': rng.uniform(0, 1, (1, 68, 2)).astype(np.float32)}
    pair = Pairs(cfg, {'a': faces, 'b': faces})[0]['a']
    np.testing.assert_allclose(pair['target'], image[0], atol=1)
    np.testing.assert_allclose(pair['mask'][..., 0], image[0, ..., 0], atol=1)
    half = cv2.resize(image[0], (cfg.input_size,) * 2)
    assert np.abs(pair['input'].astype(float) - half)[2:-2, 2:-2].mean() < 2
    np.testing.assert_allclose(pair['landmarks'], faces['landmarks'][0], atol=1e-5)


# The other systems

STEPS = 3
FIRST_ONLY = ('fomm',)  # PyTorch's own gradient of kp is 1.5 % off in float32, which grows from step to step
EPS = 1e-3  # of Adam, which else makes as much of a gradient that is a rounding error as of any
CHANGES = {  # of the smoke variants: the benches' structure and nothing by chance, as small as it goes
    'vae': {
        'model': {'latent': 32, 'residuals': 1, 'skip_size': 0, 'grid': 4},
        'loss.beta': 10.0,
        'optimizer.warmup': 1,
    },
    'diffusion': {'model': {'widths': [16, 24], 'attention': [8]}, 'optimizer.warmup': 1},
    'pix2pix': {
        'model.g': {'kind': 'unet', 'width': 4, 'depth': 3, 'norm': 'batch', 'dropout': 0.0},
        'model.d': {'layers': 1, 'norm': 'batch'},
        'loss.kind': 'vanilla',
        'data.size': 16,
        'jitter': 1.0,
    },
    'cyclegan': {
        'model.g': {'kind': 'resnet', 'norm': 'instance'},
        'model.d': {'layers': 1, 'norm': 'instance'},
        'data.size': 16,
    },
    'stargan': {'model': {'g.kind': 'resnet', 'd.layers': 2, 'size': 16}, 'data.size': 16},
    'fomm': {'optimizer.eps': 10.0},  # its gradients are as large, and known to 1 % in float32
    'wav2lip': {
        'model': {'bgr': True, 'bias': True, 'sync.relu': True, 'sync.aligned': False},
        'loss': {'kind': 'bce', 'adversarial': 'vanilla', 'gan_from': 0.0},
        'optimizer.sync.lr': 0.0,
        'ema': 0.0,
    },
    'syncnet': {'model': {'bgr': True, 'relu': True, 'aligned': False}, 'loss.kind': 'bce'},
    'saehd': {},
}
NAMED = {'total', 'nats', 'active', 'rate', 'right', 'likeness', 'weight'}  # metrics that no loss is made of


def small_system(name: str, **changes):
    cfg = importlib.import_module(f'configs.{name}').get_config('smoke')
    still = {'flip': 0.0} if 'flip' in cfg else {}
    sections = [''] if 'eps' in cfg.optimizer else [f'{group}.' for group in cfg.optimizer]
    gentle = {f'optimizer.{section}eps': EPS for section in sections}
    return build(cfg, {**still, **gentle, 'batch_size': 4, **CHANGES[name], **changes})


def drawn(cfg, batch: dict) -> dict:
    """What dfjax draws by chance for a step, as keyword of the PyTorch step."""
    split = lambda count: jax.vmap(lambda key: jax.random.split(key, count))(batch['key'])
    each = lambda draw, keys: jax.vmap(draw)(keys)
    if cfg.system == 'vae':
        draws = {'noise': each(lambda key: jax.random.normal(key, (cfg.model.latent,)), split(2)[:, 1])}
    elif cfg.system == 'diffusion':
        keys = split(5)
        told = each(lambda key: jax.random.bernoulli(key, 1 - cfg.drop.all), keys[:, 3])[:, None]
        kept = each(lambda key: jax.random.bernoulli(key, 1 - cfg.drop.each, (len(cfg.data.labels),)), keys[:, 4])
        draws = {
            't': each(lambda key: jax.random.randint(key, (), 0, cfg.times), keys[:, 1]),
            'noise': each(lambda key: jax.random.normal(key, batch['image'].shape[1:]), keys[:, 2]),
            'labels': (2 * batch['label'] - 1) * told * kept,
        }
    elif cfg.system == 'stargan':
        draws = {
            'order': jax.random.permutation(batch['step_key'], cfg.batch_size),
            'alpha': each(lambda key: jax.random.uniform(key, (1, 1, 1)), split(3)[:, 1]),
        }
    else:
        return {}
    arrays = {name: np.array(value) for name, value in draws.items()}
    arrays |= {name: value.transpose(0, 3, 1, 2) for name, value in arrays.items() if value.ndim == 4}
    return {'draws': {name: torch.from_numpy(value) for name, value in arrays.items()}}


def movement(old: Iterable[np.ndarray], new: Iterable[np.ndarray]) -> np.ndarray:
    """How far kernels went; biases may go anywhere before a normalisation."""
    return np.concatenate([(b - a).ravel() for a, b in zip(old, new, strict=True) if a.ndim > 1])


@pytest.mark.parametrize(
    'name, changes',
    [*((name, {}) for name in CHANGES), ('vae', {'model': {'residuals': 1, 'skip_size': 8, 'grid': 0}})],
)
def test_steps_and_inference_equal_pytorchs(name, changes, hasty):
    from dfjax.apps.bench.torch import SIDES
    from dfjax.apps.bench.torch.train import to_device

    cfg, rng = small_system(name, **changes), np.random.default_rng(0)
    module = importlib.import_module(f'dfjax.systems.{name}')
    side = SIDES[name].load()
    ours, trainer = bench_systems.Ours(cfg, module, bench_systems.synthetic(cfg, module.BATCH), side), side(cfg, 'cpu')
    # Some layers begin as zeros, which would hide what is behind them.
    noisy = lambda p: p + 0.03 * rng.normal(size=p.shape).astype(np.float32)
    params = {net: jax.tree.map(noisy, ours.state.params[net]) for net in trainer.nets}
    for net, values in layers(module, cfg, params).items():
        fill(trainer.nets[net], values)
    copied = lambda nets: jax.tree.map(jnp.copy, {net: params[net] for net in nets})  # for a step uses them up
    trusted = {key: jnp.float32(1) for key in ours.state.aux if key == 'trust'}
    ours.state = ours.state.replace(
        params=copied(params), ema=ours.state.ema | copied(trainer.ema), aux=ours.state.aux | trusted
    )
    batch = to_device(ours.arrays(), 'cpu')
    before = {net: [p.detach().numpy().copy() for p in trainer.nets[net].parameters()] for net in trainer.nets}
    trainer.ema = {net: [p.detach().clone() for p in trainer.nets[net].parameters()] for net in trainer.ema}

    infer = jax.jit(lambda *values: bench_systems.infer(cfg, module, *values))
    made = infer(ours.state.ema | params, ours.arrays())
    trainer.inference(batch)(1)  # prepares the nets for it
    theirs = trainer.infer(batch).numpy()
    np.testing.assert_allclose(made, theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs, atol=1e-4)
    learning = [net for names in trainer.groups.values() for net in names]
    for net in learning:
        trainer.nets[net].train()

    for i in range(1 if name in FIRST_ONLY else STEPS):
        ours.steps(1)
        theirs = trainer.step(batch, **drawn(cfg, ours.batch))
        assert theirs.keys() >= {term for term in ours.terms if term.partition('/')[0] not in NAMED}
        for term, value in theirs.items():
            np.testing.assert_allclose(ours.terms[term], value.item(), rtol=1e-5 * 30**i, atol=1e-6, err_msg=term)
    averaged = {net: ours.state.ema[net] for net in trainer.ema}
    ours_after = {'params': {net: ours.state.params[net] for net in learning}, 'ema': averaged}
    theirs_after = {'params': {net: list(trainer.nets[net].parameters()) for net in learning}, 'ema': trainer.ema}
    for kind, nets in ours_after.items():
        assert nets.keys() == theirs_after[kind].keys()
        for net, values in layers(module, cfg, nets).items():
            expected = movement(before[net], like_torch(trainer.nets[net], values))
            found = movement(before[net], (p.detach().numpy() for p in theirs_after[kind][net]))
            assert 0 < np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected), (kind, net)


@pytest.mark.parametrize('name', CHANGES)
def test_every_target_reports_every_figure(name, hasty, monkeypatch):
    looped = name == 'vae'  # the others' would take long to compile
    monkeypatch.setattr(bench_systems, 'LOOPED', 1e9 if looped else 0.0)
    changes = {'batch_size': 4, **CHANGES[name]}
    report = bench_systems.run(name, 'smoke', rounds=1, changes=changes, workers=0)
    figures = {k: v for k, v in report.items() if k not in ('system', 'variant', 'device')}
    expected = {f'{part}{figure}' for part in ('', 'inference_') for figure in ('jax_ms', 'torch_ms', 'jax_over_torch')}
    expected |= {f'{side}_{figure}' for side in ('jax', 'torch') for figure in ('step_mb', 'compile_s')}
    expected |= {'jax_loop', 'torch_loop', 'loop_ratio'} if looped else set()
    assert figures.keys() == expected | {'batch_size', 'inference_batch', 'size'}
    assert np.isfinite(list(figures.values())).all()
    assert all(figures[k] > 0 for k in expected - {'torch_step_mb', 'torch_compile_s'})
    assert bench.TARGETS[name][1]['system'] == name


@pytest.mark.slow
@pytest.mark.parametrize('name', CHANGES)
def test_pytorchs_side_compiles_as_on_a_gpu(name, monkeypatch):
    from dfjax.apps.bench.torch import SIDES
    from dfjax.apps.bench.torch.train import Trainer, to_device

    monkeypatch.setattr(Trainer, 'fast', lambda self, function: torch.compile(function))
    monkeypatch.setattr(Trainer, 'autocast', lambda self: torch.autocast('cpu', torch.bfloat16))
    cfg = small_system(name)
    module = importlib.import_module(f'dfjax.systems.{name}')
    side = SIDES[name].load()
    trainer = side(cfg, 'cpu')
    batch = to_device(bench_systems.Ours(cfg, module, bench_systems.synthetic(cfg, module.BATCH), side).arrays(), 'cpu')
    trainer.step(batch)
    with torch.compiler.set_stance('fail_on_recompile'):
        terms = trainer.step(batch)
    assert all(np.isfinite(value.item()) for value in terms.values())
    trainer.inference(batch)(1)


def test_the_loaders_pictures_are_the_sets_own():
    from dfjax.apps.bench.torch.train import Examples

    rng = np.random.default_rng(0)
    pictures = {side: {'image': rng.integers(0, 256, (2, 8, 8, 3), np.uint8)} for side in 'ab'}
    same = Examples(pictures, 1.0, 0.0, True)[1]
    np.testing.assert_array_equal(same['b']['image'], pictures['b']['image'][1])
    np.testing.assert_array_equal(
        Examples(pictures, 1.0, 1.0, True)[1]['a']['image'], pictures['a']['image'][1, :, ::-1]
    )
    pictures['b'] = pictures['a']
    moved = [Examples(pictures, 1.5, 0.5, together)[0] for together in [True] * 9 + [False] * 9]
    alike = [np.array_equal(m['a']['image'], m['b']['image']) for m in moved]
    assert all(alike[:9]) and not all(alike[9:])


@pytest.mark.slow
def test_the_verb_reports_every_figure():
    command = [sys.executable, '-m', 'dfjax.apps.cli', 'bench', 'faceswap', '--json']
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout.splitlines()[-1])
    assert {'jax_ms', 'torch_ms', 'jax_over_torch', 'loop_ratio', 'device'} <= set(report)
    assert report['jax_ms'] > 0 and report['loop_ratio'] > 0

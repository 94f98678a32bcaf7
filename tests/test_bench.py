"""The PyTorch half of the bench computes what dfjax computes, or its times would mean nothing."""

import json
import subprocess
import sys

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.apps import bench_faceswap
from dfjax.configs.common import build
from dfjax.systems import faceswap

torch = pytest.importorskip('torch', reason='the bench extra is not installed')


def small(variant: str):
    """The bench's config of a variant, its structure kept and its widths cut."""
    cfg = bench_faceswap.config(variant, 'cpu')
    m = cfg.model
    changes = {
        'batch_size': 2,
        'model.encoder.widths': [8 * (i + 1) for i in range(len(m.encoder.widths))],
        'model.encoder.code': 16,
        'model.encoder.bottom': [m.encoder.bottom[0], 8],
        'model.encoder.up': 8 if m.encoder.up else 0,
        'model.decoder.widths': [4 * w for w in range(len(m.decoder.widths), 0, -1)],
    }
    return build(cfg, changes)


def reorder(kernel: np.ndarray, r: int, axis: int) -> np.ndarray:
    """Channels from (r, r, C), dfjax's order, to (C, r, r), PyTorch's."""
    count = kernel.shape[axis] // r**2
    order = np.arange(kernel.shape[axis]).reshape(r, r, count).transpose(2, 0, 1).ravel()
    return np.take(kernel, order, axis)


def layers(params: dict) -> list[dict]:
    """The convolutions of a Flax net, or block, in their order, then its dense layers."""
    return [params[k] for kind in ('Conv', 'Dense') for k in sorted(params) if k.startswith(kind)]


def fill(net, params: list[dict], shuffled: dict[int, int], stem: int = 1) -> None:
    """Copies layers into a PyTorch net; `shuffled` are layers followed by a pixel shuffle, and its factor."""
    modules = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(modules) == len(params)
    for i, (module, p) in enumerate(zip(modules, params)):
        kernel, bias = np.asarray(p['kernel']), np.asarray(p['bias'])
        if i == 0 and stem > 1:
            kernel = reorder(kernel, stem, 2)
        if i in shuffled:
            kernel, bias = reorder(kernel, shuffled[i], -1), reorder(bias, shuffled[i], -1)
        weight = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
        assert module.weight.shape == weight.shape
        module.weight.data = torch.from_numpy(weight.copy())
        module.bias.data = torch.from_numpy(bias.copy())


def decoder_layers(params: dict, model) -> list[dict]:
    """Upscale, its residual blocks, the next Upscale, ..., the last convolution: Flax numbers them by kind."""
    found, residuals = [], model.decoder.residuals
    for i in range(len(model.decoder.widths)):
        found += layers(params[f'Upscale_{i}'])
        for j in range(residuals):
            found += layers(params[f'Residual_{i * residuals + j}'])
    return [*found, params['Conv_0']]


@pytest.mark.parametrize('variant', ['laptop', 'paper'])
def test_loss_and_gradients_equal_pytorch(variant):
    from dfjax.apps import bench_torch, bench_torch_loop

    cfg = small(variant)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_faceswap, 'FACES', 4)
        faces = bench_faceswap.synthetic_faces(cfg)
    pair = bench_faceswap.augmented_pair(cfg, faces)
    params = jax.jit(lambda: faceswap.init(cfg, jax.random.key(0)).params)()
    people = {side: faceswap.stranger(cfg) for side in 'ab'}
    loss, grads = jax.jit(
        jax.value_and_grad(lambda p: sum(faceswap.generate(cfg, p, people, pair)[0].values())),
    )(params)

    net = bench_torch.Swapper(cfg)
    m = cfg.model
    encoder = layers(params['encoder'])
    encoder += layers(params['encoder']['Upscale_0']) if m.encoder.up else []
    fill(net.encoder, encoder, {len(encoder) - 1: 2} if m.encoder.up else {}, m.encoder.stem)
    per_block = 1 + 2 * m.decoder.residuals
    shuffled = {i * per_block: 2 for i in range(len(m.decoder.widths))}
    shuffled |= {per_block * len(m.decoder.widths): m.decoder.shuffle} if m.decoder.shuffle > 1 else {}
    for side in 'ab':
        fill(getattr(net, f'decoder_{side}'), decoder_layers(params[f'decoder_{side}'], m), shuffled)

    tensors = bench_torch_loop.to_device(jax.device_get(pair), 'cpu')
    theirs = net(tensors, {side: bench_torch_loop.stranger(cfg.input_size, 'cpu') for side in 'ab'})
    np.testing.assert_allclose(float(loss), theirs.item(), rtol=2e-5)
    theirs.backward()
    norms = {k: float(jnp.sqrt(sum((g**2).sum() for g in jax.tree.leaves(grads[k])))) for k in grads}
    for name, norm in norms.items():
        other = sum(float((p.grad**2).sum()) for p in getattr(net, name).parameters()) ** 0.5
        np.testing.assert_allclose(norm, other, rtol=1e-3, err_msg=name)


def test_no_strength_makes_the_worker_give_the_face_back():
    from dfjax.apps.bench_torch_loop import Pairs

    cfg = bench_faceswap.config('laptop', 'cpu')
    cfg = build(cfg, {'augment': {k: 0.0 for k in cfg.augment}})
    size = cfg.data.size
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (1, size, size, 3), np.uint8)[0], (0, 0), 4)[None]
    faces = {'image': image, 'mask': image[..., 0], 'landmarks': rng.uniform(0, size, (1, 68, 2)).astype(np.float32)}
    pair = Pairs(cfg, {'a': faces, 'b': faces})[0]['a']
    np.testing.assert_allclose(pair['target'], image[0], atol=1)
    np.testing.assert_allclose(pair['mask'][..., 0], image[0, ..., 0], atol=1)
    half = cv2.resize(image[0], (cfg.input_size,) * 2)
    assert np.abs(pair['input'].astype(float) - half)[2:-2, 2:-2].mean() < 2
    np.testing.assert_allclose(pair['landmarks'], (faces['landmarks'][0] + 0.5) / size, atol=1e-5)


@pytest.mark.slow
def test_the_verb_reports_every_figure():
    command = [sys.executable, '-m', 'dfjax.apps.cli', 'bench', 'faceswap', '--json']
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout.splitlines()[-1])
    assert {'jax_ms', 'torch_ms', 'jax_over_torch', 'loop_ratio', 'device'} <= set(report)
    assert report['jax_ms'] > 0 and report['loop_ratio'] > 0

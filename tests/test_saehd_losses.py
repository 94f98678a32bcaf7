"""SAEHD's losses by their definitions, in NumPy."""

import functools

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from saehd_runs import pictures
from scipy.ndimage import gaussian_filter

from dfjax.losses import saehd as losses

pytestmark = pytest.mark.whole


@functools.cache
def example():
    mask = np.zeros((2, 64, 64, 1))
    mask[:, 14:50, 18:46] = 1
    landmarks = np.full((2, 68, 2), 0.5)
    landmarks[:, 36:42], landmarks[:, 42:48], landmarks[:, 48:] = (0.35, 0.4), (0.65, 0.4), (0.5, 0.7)
    pair = {'target': pictures(1), 'mask': mask, 'landmarks': landmarks}
    return pictures(0), np.full((2, 64, 64, 1), 0.3), pair


def blurred(x, sigma):
    """By SciPy, as many taps as the original has."""
    return gaussian_filter(x, (0, sigma, sigma, 0), mode='constant', radius=(0, 2 * sigma, 2 * sigma, 0))


def dssim(x, y, size):
    """Structural dissimilarity of [B, S, S, C], by definition."""
    t = np.arange(size) - (size - 1) / 2
    taps = np.exp(-0.5 * (t / 1.5) ** 2)
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    view = lambda z: np.lib.stride_tricks.sliding_window_view(z, (size, size), (1, 2))
    mean = lambda z: np.einsum('bijcuv,uv->bijc', view(z), kernel)
    mx, my = mean(x), mean(y)
    xx, yy, xy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    ssim = (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4) * (2 * xy + 9e-4) / (xx + yy + 9e-4)
    return np.mean((1 - ssim) / 2)


def test_reconstruction_has_the_originals_weights():
    made, mask, pair = example()
    w = dict(masked=True, dssim=10.0, mse=10.0, mask=10.0, features=0.0)
    got = losses.reconstruction(w, *jax.tree.map(jnp.float32, (made, mask, pair)))
    soft = np.clip(blurred(pair['mask'], 2), 0, 0.5) * 2
    x, y = made * soft, pair['target'] * soft
    want = {'dssim': 10 * dssim(x, y, 5), 'mse': 10 * np.mean((x - y) ** 2)}
    want['mask'] = 10 * np.mean((mask - pair['mask']) ** 2)
    assert set(got) == set(want)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-4)


def test_without_a_mask_all_of_the_picture_counts():
    made, mask, pair = jax.tree.map(jnp.float32, example())
    w = dict(masked=False, dssim=10.0, mse=10.0, mask=10.0, features=0.0)
    got = losses.reconstruction(w, made, mask, pair)
    np.testing.assert_allclose(got['mse'], 10 * np.mean((made - pair['target']) ** 2), rtol=1e-5)
    np.testing.assert_allclose(got['mask'], losses.reconstruction(w | {'masked': True}, made, mask, pair)['mask'])


def test_eyes_and_mouth_have_priority():
    """What is wrong there costs more; what is wrong between them does not, but for the rest of the loss."""
    _, mask, pair = jax.tree.map(jnp.float32, example())
    w = dict(masked=True, dssim=0.0, mse=0.0, mask=0.0, features=300.0)
    spot = lambda x, y: pair['target'].at[:, y - 2 : y + 2, x - 2 : x + 2].add(0.1)
    cost = lambda x, y: float(losses.reconstruction(w, spot(x, y), mask, pair)['features'])
    most = 300 * 0.1 * 16 / 64**2
    assert all(0.9 * most < cost(*at) <= 1.001 * most for at in ((22, 26), (42, 26), (32, 45)))
    assert cost(4, 60) < 0.01 * most


def test_large_pictures_are_compared_at_two_scales():
    x, y = (pictures(seed, 256)[:1, :, :, :1] for seed in (0, 1))
    want = (dssim(x, y, 22) + dssim(x, y, 11)) / 2
    np.testing.assert_allclose(losses.structure(jnp.float32(x), jnp.float32(y)), want, rtol=1e-4)


def test_styles_are_moments_of_colours():
    made, _, pair = example()
    face, like = made * pair['mask'], pair['target'] * pair['mask']
    a, b = (blurred(x, 8) for x in (face, like))
    spread = lambda x: np.sqrt(x.var((1, 2)) + 1e-5)
    want = ((a.mean((1, 2)) - b.mean((1, 2))) ** 2 + (spread(a) - spread(b)) ** 2).sum(-1).mean() * 10_000 * 0.1 / 3
    np.testing.assert_allclose(losses.face_style(0.1, jnp.float32(face), jnp.float32(like)), want, rtol=1e-3)
    off = 1 - blurred(pair['mask'], 2)
    x, y = made * off, pair['target'] * off
    want = 0.1 * (10 * dssim(x, y, 5) + 10 * np.mean((x - y) ** 2))
    w, arrays = dict(dssim=10.0, mse=10.0), (jnp.float32(z) for z in (made, pair['target'], blurred(pair['mask'], 2)))
    np.testing.assert_allclose(losses.background_style(w, 0.1, *arrays), want, rtol=1e-4)

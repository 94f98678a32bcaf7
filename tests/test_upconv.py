"""The transposed convolution against its definition, and both ways of computing it against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models.upconv import UpConv, upconv


def by_definition(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Each pixel adds its multiple of the kernel at twice its place, one pixel up and left: what PyTorch states."""
    b, h, w, _ = x.shape
    k, _, _, o = kernel.shape
    out = np.zeros((b, 2 * h + 4, 2 * w + 4, o))
    for i in range(h):
        for j in range(w):
            out[:, 2 * i : 2 * i + k, 2 * j : 2 * j + k] += np.einsum('bi,klio->bklo', x[:, i, j], kernel)
    return out[:, 1 : 2 * h + 1, 1 : 2 * w + 1]


@pytest.mark.parametrize('accelerated', [False, True])
@pytest.mark.parametrize('k', [3, 4])
@pytest.mark.parametrize('side', [(1, 1), (1, 3), (5, 2)])
@pytest.mark.parametrize('features', [1, 40])  # fewer than pixels, and more
def test_value_and_gradient(features, k, side, accelerated, request):
    if accelerated:
        request.getfixturevalue('as_accelerated')
    rng = np.random.default_rng(k)
    x, kernel = rng.normal(size=(2, *side, 3)), rng.normal(size=(k, k, 3, features))
    y, pull = jax.vjp(jax.jit(upconv), jnp.float32(x), jnp.float32(kernel))
    np.testing.assert_allclose(y, by_definition(x, kernel), atol=1e-5)
    slope = rng.normal(size=y.shape)
    dx, dk = pull(jnp.float32(slope))
    # It is linear in each: the gradient is that of the inner product with `slope`, by the definition.
    for _ in range(3):
        vx, vk = rng.normal(size=x.shape), rng.normal(size=kernel.shape)
        assert np.isclose((dx * vx).sum(), (slope * by_definition(vx, kernel)).sum(), rtol=1e-4, atol=1e-3)
        assert np.isclose((dk * vk).sum(), (slope * by_definition(x, vk)).sum(), rtol=1e-4, atol=1e-3)


def test_bias_and_types():
    net = UpConv(5, 4, dtype=jnp.bfloat16)
    x = jnp.ones((1, 4, 4, 3))
    params = net.init(jax.random.key(0), x)
    assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype('float32')}
    moved = jax.tree.map(jnp.zeros_like, params)
    moved['params']['bias'] = jnp.arange(5.0)
    y = net.apply(moved, x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y[0, 3, 7], np.arange(5))

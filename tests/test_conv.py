"""The convolution against `nn.Conv` and `lax`: numbers, gradients, parameters."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models.conv import Conv, conv

pytestmark = pytest.mark.whole

SHAPES = [  # side (or height and width), channels in, out, kernel, stride
    (16, 3, 24, 5, 2),
    (8, 16, 32, 5, 2),
    (4, 16, 32, 5, 2),
    (4, 16, 32, 5, 1),
    (16, 12, 16, 3, 1),
    (8, 16, 16, 3, 2),
    (8, 16, 16, 1, 2),
    (16, 6, 16, 7, 3),
    (15, 8, 16, 5, 2),
    (9, 8, 16, 3, 2),
    ((5, 14), 8, 16, 5, 2),
    ((2, 12), 8, 16, 3, 1),
    (16, 8, 16, 4, 2),
    (7, 8, 16, 4, 2),
    (6, 8, 16, 4, 1),
    (1, 8, 16, 3, 1),
    (2, 8, 16, 5, 2),
]


def truth(x, kernel, stride, pad):
    """XLA's own convolution, strided or not."""
    layout = ('NHWC', 'HWIO', 'NHWC')
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=layout)


def draw(count, side, channels, features, k):
    rng = np.random.default_rng(0)
    h, w = side if isinstance(side, tuple) else (side, side)
    x = jnp.asarray(rng.normal(size=(count, h, w, channels)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(k, k, channels, features)) / k / channels**0.5, jnp.float32)
    return x, kernel


def close(a, b, tolerance=1e-5):
    """Within `tolerance` of the largest value of the truth."""
    assert a.shape == b.shape and a.dtype == b.dtype
    np.testing.assert_allclose(a, b, atol=tolerance * max(float(jnp.abs(b).max()), 1e-6), rtol=0)


@pytest.mark.parametrize('twice', [False, True])
@pytest.mark.parametrize('side, channels, features, k, stride', SHAPES)
def test_value_and_gradients_equal_xla(side, channels, features, k, stride, twice):
    x, kernel = draw(3, side, channels, features, k)
    pad = (k - 1) // 2
    y, pull = jax.vjp(lambda x, w: truth(x, w, stride, pad), x, kernel)
    ours, our_pull = jax.vjp(lambda x, w: conv(x, w, stride, pad, twice), x, kernel)
    close(ours, y)
    slope = jnp.asarray(np.random.default_rng(1).normal(size=y.shape), jnp.float32)
    for a, b in zip(our_pull(slope), pull(slope)):
        close(a, b)


@pytest.mark.parametrize(
    'k, stride, side', [(3, 1, 16), (7, 1, (13, 12)), (4, 2, 14), (4, 2, 13), (3, 2, 15), (1, 1, 6)]
)
def test_without_padding(k, stride, side):
    x, kernel = draw(2, side, 6, 8, k)
    y, pull = jax.vjp(lambda x, w: truth(x, w, stride, 0), x, kernel)
    ours, our_pull = jax.vjp(lambda x, w: conv(x, w, stride), x, kernel)
    close(ours, y)
    slope = jnp.asarray(np.random.default_rng(1).normal(size=y.shape), jnp.float32)
    for a, b in zip(our_pull(slope), pull(slope)):
        close(a, b)


@pytest.mark.parametrize('k', [1, 3, 7])
def test_reflection_is_linens(k):
    x, _ = draw(2, (12, 10), 6, 8, k)
    linen, ours = nn.Conv(8, (k, k), padding='REFLECT'), Conv(8, k, pad='reflect')
    params = linen.init(jax.random.key(0), x)
    close(ours.apply(params, x), linen.apply(params, x))


@pytest.mark.parametrize('k, stride', [(3, 1), (5, 1), (5, 2), (3, 2), (4, 2), (1, 1)])
def test_drop_in_for_linen(k, stride):
    x, _ = draw(2, (12, 10), 6, 8, k)
    pad = (k - 1) // 2
    linen = nn.Conv(8, (k, k), strides=stride, padding=pad)
    ours = Conv(8, k, stride)
    params = linen.init(jax.random.key(0), x)
    same = ours.init(jax.random.key(0), x)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), params) == jax.tree.map(lambda a: (a.shape, a.dtype), same)
    jax.tree.map(np.testing.assert_array_equal, params, same)  # the same initial numbers too
    params = jax.tree.map(lambda a: a + 0.1, params)
    close(ours.apply(params, x), linen.apply(params, x))


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_parameters():
    x, _ = draw(2, 8, 4, 8, 3)
    net = Conv(8, 3, 2, dtype=jnp.bfloat16)
    params = net.init(jax.random.key(0), x)
    assert net.apply(params, x).dtype == jnp.bfloat16
    grads = jax.grad(lambda p: net.apply(p, x).astype(jnp.float32).sum())(params)
    assert all(g.dtype == jnp.float32 for g in jax.tree.leaves((params, grads)))


@pytest.mark.parametrize('twice', [False, True])
@pytest.mark.parametrize('k, stride, side', [(3, 1, 8), (4, 2, 8), (4, 2, 2), (5, 2, 9)])
def test_gradient_penalty(k, stride, side, twice):
    """The gradient, by the kernels, of the input gradient's norm: what WGAN-GP and R1 need."""
    x, kernel = draw(2, side, 4, 8, k)

    def penalty(op):
        def value(kernel):
            gradient = jax.grad(lambda x: jnp.tanh(op(x, kernel, stride, (k - 1) // 2)).sum())(x)
            return (jnp.sqrt((gradient**2).sum((1, 2, 3)) + 1e-8) - 1).var()

        return value

    ours = jax.grad(penalty(functools.partial(conv, twice=twice)))(kernel)
    close(ours, jax.grad(penalty(truth))(kernel), 3e-5)


@pytest.mark.parametrize('k, stride', [(3, 1), (5, 2)])
def test_works_under_vmap_remat_and_forward_mode(k, stride):
    x, kernel = draw(4, 8, 4, 8, k)
    pad = (k - 1) // 2
    kernels = jnp.stack([kernel, 2 * kernel])
    mapped = jax.jit(jax.vmap(jax.checkpoint(lambda w: conv(x, w, stride, pad))))(kernels)
    close(mapped[1], 2 * truth(x, kernel, stride, pad))
    grads = jax.vmap(jax.grad(lambda w: (conv(x, w, stride, pad) ** 2).sum()))(kernels)
    close(grads[0], jax.grad(lambda w: (truth(x, w, stride, pad) ** 2).sum())(kernel))
    slope = jax.jvp(lambda w: conv(x, w, stride, pad), (kernel,), (kernel,))[1]  # forward mode: the map is linear
    close(slope, truth(x, kernel, stride, pad))


@pytest.mark.parametrize('side, k, stride', [(8, 5, 2), (4, 5, 1), (6, 4, 2), (2, 3, 1), (4, 3, 2)])
def test_xla_exchanges_no_operands(side, k, stride):
    """Forwards or backwards: the reversed windows that come of it take many times as long."""
    x, kernel = draw(2, side, 4, 8, k)

    def program(op) -> str:
        step = jax.grad(lambda x, w: (op(x, w, stride, (k - 1) // 2) ** 2).sum(), (0, 1))
        with jax.default_device(jax.devices('cpu')[0]):  # accelerators have no such slow spot
            return jax.jit(step).lower(x, kernel).compile().as_text()

    assert 'reversal' not in program(conv)
    assert 'reversal' in program(truth)

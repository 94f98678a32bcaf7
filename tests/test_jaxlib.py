"""The compiler itself: jaxlib 0.10.2 adds up wrong sums on CPUs. What is compiled must be what single operations give.

Seen on 0.10.2, right on 0.10.1: off by 25 % of the largest value after a mean, 78 % after a pooling, 0.8 % in products.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxlib
import pytest


class Chain(nn.Module):
    """Two residual depthwise blocks, the second of which adds channels, and a reduction: the shape of most nets for
    phones (BlazeFace, Bazarevsky et al. 2019). Without the added channels, or the reduction, 0.10.2 is right."""

    reduction: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        normal = nn.initializers.normal(0.3)
        for channels in (24, 28):
            y = nn.Conv(24, (3, 3), feature_group_count=24, kernel_init=normal, bias_init=normal)(x)
            y = nn.Conv(channels, (1, 1))(y)
            x = nn.relu(y + jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, channels - 24))))
        return x.mean((1, 2)) if self.reduction == 'mean' else nn.max_pool(x, (2, 2), (2, 2))


def difference(function, *arguments) -> float:
    """Between a function compiled and its operations one by one, as a share of the largest value."""
    compiled = jax.jit(function)(*arguments)
    with jax.disable_jit():
        single = function(*arguments)
    return float(jnp.abs(compiled - single).max() / jnp.abs(single).max())


@pytest.mark.parametrize('reduction', ['mean', 'max_pool'])
def test_depthwise_blocks_and_a_reduction(reduction):
    x = jax.random.normal(jax.random.key(0), (1, 64, 64, 24))
    net = Chain(reduction)
    variables = jax.jit(net.init)(jax.random.key(1), x)
    assert difference(net.apply, variables, x) < 1e-4, f'jaxlib {jaxlib.__version__} is wrong; install another version'


def test_many_small_products_and_a_sum():
    """jax-ml/jax#39103."""
    points = jnp.arange(32769.0)[:, None] * jnp.array([1.0, 0, 0])
    squares = jax.vmap(lambda point: jnp.square(jnp.eye(3) @ point).sum())
    assert difference(squares, points) < 1e-4, f'jaxlib {jaxlib.__version__} is wrong; install another version'

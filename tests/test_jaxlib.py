"""The compiler itself: jaxlib 0.10.2 added up wrong sums on CPUs where depthwise convolutions meet a reduction."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxlib
import numpy as np


class _Chain(nn.Module):
    """Two residual depthwise blocks and a mean: the shape of most nets for phones."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(2):
            y = nn.Conv(x.shape[-1], (3, 3), feature_group_count=x.shape[-1])(x)
            y = nn.Conv(28, (1, 1))(y)
            x = nn.relu(y + jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 28 - x.shape[-1]))))
        return x.mean((1, 2))


def test_a_compiled_chain_of_depthwise_convolutions_gives_what_single_operations_give():
    x = jax.random.normal(jax.random.key(0), (1, 64, 64, 24))
    net = _Chain()
    variables = net.init(jax.random.key(1), x)
    compiled = jax.jit(net.apply)(variables, x)
    with jax.disable_jit():
        single = net.apply(variables, x)
    largest = float(jnp.abs(single).max())
    difference = float(np.abs(compiled - single).max()) / largest
    assert difference < 1e-4, f'jaxlib {jaxlib.__version__} computes wrong sums here; install another version'

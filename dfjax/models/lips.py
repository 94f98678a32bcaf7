"""A net that hears what a mouth does: convolutions over time that see 0.4 s."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp


class Lips(nn.Module):
    """Features [B, T, F] -> [B, T, 4]: opening, width, lips together, teeth on the lip.

    Attributes:
        width: channels.
        kernels, dilations: of each convolution over time; those after the first add to what they are given.
    """

    width: int = 96
    kernels: Sequence[int] = (5, 5, 3)
    dilations: Sequence[int] = (1, 2, 4)
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.gelu(nn.Dense(self.width, dtype=self.dtype, name='in')(x))
        for i, (kernel, dilation) in enumerate(zip(self.kernels, self.dilations, strict=True)):
            layer = nn.Conv(self.width, (kernel,), kernel_dilation=(dilation,), dtype=self.dtype, name=f'conv_{i}')
            x = x + nn.gelu(layer(x))
        return nn.Dense(4, name='out')(x.astype(jnp.float32))

"""Blocks that several systems' nets are made of. Arrays are NHWC."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.conv import Conv
from dfjax.models.recompute import block
from dfjax.ops.image import pixel_shuffle

GROUPS = 8  # groups of channels, of group normalisation
BOTTOM = 4  # H and W of the smallest map of a net whose code is of the whole picture


def widths(size: int, patch: int, width: int, max_width: int, bottom: int = BOTTOM) -> list[int]:
    """Channels of each map from the grid of patches down to `bottom`, doubling up to `max_width`.

    Raises:
        InputError: if `size` is not bottom * patch times a power of two.
    """
    depth = (size // (patch * bottom)).bit_length() - 1
    if size != patch * bottom * 2 ** max(depth, 0):
        least = patch * bottom
        raise InputError(
            f'config key data.size is {least}, {2 * least}, {4 * least}, ... with patch {patch}, not {size}'
        )
    return [min(width * 2**i, max_width) for i in range(depth + 1)]


def activation(x: jax.Array, slope: float, cosine: bool = False) -> jax.Array:
    """Leaky ReLU, or x cos(x) in its place."""
    return x * jnp.cos(x) if cosine else nn.leaky_relu(x, slope)


class Upscale(nn.Module):
    """Twice the side by pixel shuffle: conv 3x3 to 4 times the channels, activation, depth to space."""

    features: int
    dtype: jnp.dtype = jnp.float32
    cosine: bool = False

    @block
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Conv(4 * self.features, 3, dtype=self.dtype)(x)
        return pixel_shuffle(activation(x, 0.1, self.cosine), 2)  # [B, 2H, 2W, features]


class Residual(nn.Module):
    """x + conv(act(conv(x))), then the activation."""

    dtype: jnp.dtype = jnp.float32
    cosine: bool = False

    @block
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = activation(Conv(x.shape[-1], 3, dtype=self.dtype)(x), 0.2, self.cosine)
        return activation(x + Conv(x.shape[-1], 3, dtype=self.dtype)(y), 0.2, self.cosine)


class Block(nn.Module):
    """norm, act, conv, twice, with a scale and a shift by the condition [B, E] between, added to what came in."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @block
    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array) -> jax.Array:
        y = nn.silu(nn.GroupNorm(num_groups=GROUPS, dtype=self.dtype)(x))
        y = Conv(self.features, 3, dtype=self.dtype)(y)
        scale, shift = jnp.split(nn.Dense(2 * self.features, dtype=self.dtype)(condition)[:, None, None], 2, -1)
        y = nn.silu(nn.GroupNorm(num_groups=GROUPS, dtype=self.dtype)(y) * (1 + scale) + shift)
        # A block begins as the identity.
        y = Conv(self.features, 3, kernel_init=nn.initializers.zeros_init(), dtype=self.dtype)(y)
        x = x if x.shape[-1] == self.features else nn.Dense(self.features, dtype=self.dtype)(x)
        return x + y

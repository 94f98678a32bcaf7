"""The U-Net of diffusion models (Ho et al. 2020; Dhariwal & Nichol 2021). Pictures are NHWC in [-1, 1].

Pictures enter by `space_to_depth` and leave by `pixel_shuffle` (Hoogeboom et al. 2023, simple diffusion), so that the
widest grid has a few hundred places and every layer many channels.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.blocks import GROUPS, Block
from dfjax.models.conv import Conv
from dfjax.ops.image import pixel_shuffle, space_to_depth


def waves(t: jax.Array, count: int) -> jax.Array:
    """Times [B] in [0, 1] -> [B, count] sines and cosines of 1 to 1000 radians (Vaswani et al. 2017)."""
    frequency = jnp.exp(jnp.linspace(0.0, jnp.log(1000.0), count // 2))
    phase = t[:, None] * frequency
    return jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], -1)


class Attention(nn.Module):
    """Every place of [B, H, W, C] looks at every other (Vaswani et al. 2017), added to what came in."""

    heads: int = 4
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b, h, w, c = x.shape
        y = nn.GroupNorm(num_groups=GROUPS, dtype=self.dtype)(x).reshape(b, h * w, c)
        qkv = nn.Dense(3 * c, dtype=self.dtype)(y).reshape(b, h * w, 3, self.heads, c // self.heads)
        y = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])  # [B, HW, heads, C / heads]
        y = nn.Dense(c, kernel_init=nn.initializers.zeros_init(), dtype=self.dtype)(y.reshape(b, h * w, c))
        return x + y.reshape(b, h, w, c)


class Denoiser(nn.Module):
    """Noisy pictures [B, S, S, 3], times [B] in [0, 1] and conditions [B, K] -> [B, S, S, 3], unbounded.

    Attributes:
        patch: side of the squares of pixels that are read as one.
        widths: channels of each grid; each has half the side of the one before.
        blocks: on each grid, on the way down; one more on the way up.
        attention: sides of the grids that have attention after each block.
        embedding: width of the condition inside.

    Raises:
        InputError: if `widths` are not multiples of GROUPS, or S cannot be halved often enough.
    """

    patch: int
    widths: list[int]
    blocks: int
    attention: list[int]
    embedding: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, t: jax.Array, labels: jax.Array) -> jax.Array:
        if not self.widths or any(width % GROUPS for width in self.widths):
            raise InputError(f'config key model.widths is a list of multiples of {GROUPS}, not {list(self.widths)}')
        least = self.patch * 2 ** (len(self.widths) - 1)
        if x.shape[1] % least:
            raise InputError(f'config key data.size is a multiple of {least} with this model, not {x.shape[1]}')
        e = nn.Dense(self.embedding, dtype=self.dtype)(waves(t, 128))
        if labels.shape[-1]:
            e = e + nn.Dense(self.embedding, use_bias=False, dtype=self.dtype)(labels)
        e = nn.silu(nn.Dense(self.embedding, dtype=self.dtype)(nn.silu(e)))  # [B, E]

        def stage(x: jax.Array, width: int) -> jax.Array:
            x = Block(width, self.dtype)(x, e)
            return Attention(dtype=self.dtype)(x) if x.shape[1] in self.attention else x

        x = space_to_depth(x, self.patch) if self.patch > 1 else x  # [B, S/patch, S/patch, 3*patch^2]
        x = Conv(self.widths[0], 3, dtype=self.dtype)(x)
        skips = [x]
        for i, width in enumerate(self.widths):
            if i:
                x = Conv(width, 3, 2, dtype=self.dtype)(x)
                skips.append(x)
            for _ in range(self.blocks):
                x = stage(x, width)
                skips.append(x)
        x = stage(x, self.widths[-1])
        for i, width in reversed(list(enumerate(self.widths))):
            for _ in range(self.blocks + 1):
                x = stage(jnp.concatenate([x, skips.pop()], -1), width)
            if i:
                x = pixel_shuffle(Conv(4 * self.widths[i - 1], 1, dtype=self.dtype)(x), 2)
        x = nn.silu(nn.GroupNorm(num_groups=GROUPS, dtype=self.dtype)(x))
        # Zeros at the start: the first guess is the mean.
        x = Conv(3 * self.patch**2, 3, kernel_init=nn.initializers.zeros_init(), dtype=self.dtype)(x)
        x = pixel_shuffle(x, self.patch) if self.patch > 1 else x  # [B, S, S, 3]
        return x.astype(jnp.float32)

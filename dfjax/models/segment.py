"""A small U-Net that says where a bare face is seen, at half the picture's sides but for the ends."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.models.blocks import GROUPS
from dfjax.models.conv import Conv
from dfjax.ops.image import pixel_shuffle, space_to_depth


class MaskNet(nn.Module):
    """[B, H, W, 3] in [-1, 1] -> logits [B, H, W, 1], by way of H / 2^(depth + 1) (Ronneberger et al. 2015).

    Attributes:
        width: channels at half the sides; doubled at each halving, up to eight times.
        depth: halvings from there; H and W are multiples of 2^(depth + 1).
    """

    width: int = 24
    depth: int = 4
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def block(x: jax.Array, features: int) -> jax.Array:
            for _ in range(2):
                x = Conv(features, 3, use_bias=False, dtype=self.dtype)(x)
                x = nn.relu(nn.GroupNorm(num_groups=GROUPS, dtype=self.dtype)(x))
            return x

        x = space_to_depth(x, 2)  # [B, H / 2, W / 2, 12]
        skips, widths = [], [self.width * min(2**i, 8) for i in range(self.depth + 1)]
        for features in widths[:-1]:
            x = block(x, features)
            skips.append(x)
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = block(x, widths[-1])
        for features, skip in zip(widths[-2::-1], skips[::-1]):
            x = pixel_shuffle(Conv(4 * features, 1, dtype=self.dtype)(x), 2)
            x = block(jnp.concatenate([skip, x], -1), features)
        return pixel_shuffle(Conv(4, 3, dtype=self.dtype)(x), 2).astype(jnp.float32)  # [B, H, W, 1]

"""A small net that finds landmarks in an aligned face."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.models.conv import Conv
from dfjax.ops.image import space_to_depth


class LandmarkNet(nn.Module):
    """[B, S, S, 3] in [-1, 1] -> [B, points, 2] in units of the side: three convolutions and a dense layer."""

    points: int
    width: int = 40
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = space_to_depth(x, 4)  # [B, S/4, S/4, 48]
        for i in range(3):
            x = nn.leaky_relu(Conv((i + 2) * self.width, 3, 1 if i == 0 else 2, dtype=self.dtype)(x), 0.1)
        x = nn.Dense(2 * self.points, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        return 0.5 + x.astype(jnp.float32).reshape(-1, self.points, 2) * 0.1

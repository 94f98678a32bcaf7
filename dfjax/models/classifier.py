"""A small classifier of pictures: several labels at once, each for itself."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.models.conv import Conv


class Classifier(nn.Module):
    """[B, S, S, 3] in [-1, 1] -> logits [B, labels].

    Four convolutions of stride 2; what they find keeps its place, as faces are aligned.

    Attributes:
        labels: how many.
        width: channels of the first convolution; the second has twice as many, the others four times.
        dropout: share of the last features that is left out in training.
    """

    labels: int
    width: int = 32
    dropout: float = 0.3

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        for k, features in enumerate((1, 2, 4, 4)):
            x = Conv(features * self.width, 5 if k == 0 else 3, 2)(x)
            x = nn.relu(nn.GroupNorm(8)(x))  # [B, S / 2, S / 2, width], ..., [B, S / 16, S / 16, 4 width]
        x = x.reshape(x.shape[0], -1)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.relu(nn.Dense(128)(x))
        return nn.Dense(self.labels)(x).astype(jnp.float32)

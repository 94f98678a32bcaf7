"""The patch discriminator (Isola et al. 2017, appendix 6.1.2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax import ranges as r
from dfjax.errors import InputError
from dfjax.models.conv import Conv
from dfjax.models.norm import NORMS, normalise

KINDS = ('patch', 'pixel')
INIT = nn.initializers.normal(0.02)


def default_config(norm: str, width: int = 64) -> dict:
    """A config's section: arguments of `PatchGAN`."""
    return dict(
        kind=r.choice('patch', KINDS),  # logits of patches, or of each pixel alone
        width=r.size(width),  # channels of the first convolution
        layers=r.count(3),  # convolutions of stride 2: with 3 a patch is 70 pixels a side
        norm=r.choice(norm, NORMS),  # between convolutions
    )


class PatchGAN(nn.Module):
    """[B, H, W, C] -> logits [B, h, w, 1], one a patch: 70 x 70 pixels with three layers.

    Attributes:
        kind: 'patch', or 'pixel' for logits [B, H, W, 1] of each pixel alone, by three convolutions of 1x1.
        width: channels of the first convolution; doubled up to eight times.
        layers: convolutions of stride 2; two of stride 1 follow.
        norm: between them, see `normalise`.
    """

    kind: str = 'patch'
    width: int = 64
    layers: int = 3
    norm: str = 'instance'
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        if self.kind == 'pixel':
            return self._pixels(x, train)
        least = 3 * 2**self.layers  # each of the last two convolutions takes a pixel off
        if min(x.shape[1:3]) < least:
            h, w = x.shape[1:3]
            raise InputError(
                f'pictures of {w}x{h} are too small for a patch discriminator of {self.layers} layers; '
                f'it needs {least} pixels a side, or fewer layers'
            )
        bias = self.norm != 'batch'  # which has its own
        x = nn.leaky_relu(self._conv(self.width, 2, True)(x), 0.2)
        for i in range(1, self.layers + 1):
            x = self._conv(self.width * min(2**i, 8), 2 if i < self.layers else 1, bias)(x)
            x = nn.leaky_relu(normalise(x, self.norm, f'norm_{i}', train, self.dtype), 0.2)
        return self._conv(1, 1, True)(x).astype(jnp.float32)

    def _pixels(self, x: jax.Array, train: bool) -> jax.Array:
        bias = self.norm == 'instance'  # the others have their own
        x = nn.leaky_relu(self._conv(self.width, 1, True, 1)(x), 0.2)
        x = normalise(self._conv(2 * self.width, 1, bias, 1)(x), self.norm, 'norm_1', train, self.dtype)
        return self._conv(1, 1, bias, 1)(nn.leaky_relu(x, 0.2)).astype(jnp.float32)

    def _conv(self, features: int, stride: int, bias: bool, side: int = 4) -> Conv:
        return Conv(features, side, stride, use_bias=bias, dtype=self.dtype, kernel_init=INIT)

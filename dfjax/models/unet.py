"""The U-Net generator of pix2pix (Isola et al. 2017, appendix 6.1.1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.conv import Conv
from dfjax.models.norm import Dropout, normalise
from dfjax.models.upconv import doubled

INIT = nn.initializers.normal(0.02)


class UNet(nn.Module):
    """[B, H, W, C] -> pictures [B, H, W, outputs] in [-1, 1], by way of H / 2^depth, with a skip at every size.

    Attributes:
        width: channels after the first halving; doubled up to eight times.
        depth: halvings; sides are multiples of 2^depth.
        norm: see `normalise`.
        outputs: channels out.
        upsample: how sides are doubled, see `models.upconv.doubled`.
        dropout: rate in the `depth - 5` innermost doublings but the first, in training.
    """

    width: int = 64
    depth: int = 8
    norm: str = 'batch'
    outputs: int = 3
    dropout: float = 0.5
    upsample: str = 'transposed'
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        h, w = x.shape[1:3]
        if h % 2**self.depth or w % 2**self.depth:
            raise InputError(
                f'pictures of {w}x{h} do not fit a U-Net of depth {self.depth}; '
                f'their sides have to be multiples of {2**self.depth}'
            )
        bias = self.norm == 'instance'  # the others have their own
        normed = lambda x, name: normalise(x, self.norm, name, train, self.dtype)
        options = dict(dtype=self.dtype, kernel_init=INIT)
        double = lambda x, c, **more: doubled(x, self.upsample, c, 4, **more, **options)

        skips = []
        for i in range(self.depth):
            x = Conv(self.width * min(2**i, 8), 4, 2, use_bias=bias, name=f'down_{i}', **options)(x)
            if 0 < i < self.depth - 1:
                x = normed(x, f'down_{i}_norm')
            x = nn.leaky_relu(x, 0.2)
            skips.append(x)  # [B, H / 2^(i+1), W / 2^(i+1), C]
        x = nn.relu(skips.pop())
        for i in reversed(range(1, self.depth)):
            x = double(x, self.width * min(2 ** (i - 1), 8), use_bias=bias, name=f'up_{i}')
            x = normed(x, f'up_{i}_norm')
            if 4 <= i < self.depth - 1:
                x = Dropout(self.dropout)(x, train)
            x = nn.relu(jnp.concatenate([skips.pop(), x], -1))  # [B, H / 2^i, W / 2^i, 2C]
        x = double(x, self.outputs, name='up_0')
        return jnp.tanh(x.astype(jnp.float32))

"""A residual generator for two CPU cores: nearly all its work is at a quarter of the side, with many channels.

Pictures enter by space to depth and leave by pixel shuffle, for narrow convolutions at full resolution are what a CPU
is slowest at. What they lose on the way, the picture itself, at half the side, gives back before the last convolution.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.conv import Conv
from dfjax.models.norm import Dropout, normalise
from dfjax.models.recompute import block
from dfjax.ops.image import pixel_shuffle, space_to_depth

MULTIPLE = 4
INIT = nn.initializers.variance_scaling(2.0, 'fan_in', 'truncated_normal')
LAST = nn.initializers.variance_scaling(0.1, 'fan_in', 'truncated_normal')  # branches and pictures begin small


class LightBlock(nn.Module):
    """x + conv(relu(norm(conv(x)))), and labels [B, K], where given, added before the relu.

    Attributes: see `LightGenerator`.
    """

    norm: str
    dropout: float
    dtype: jnp.dtype

    @block
    @nn.compact
    def __call__(self, x: jax.Array, c: jax.Array | None, train: bool) -> jax.Array:
        width = x.shape[-1]
        bias = self.norm == 'none'  # the others take it off, or have their own
        y = Conv(width, 3, use_bias=bias, dtype=self.dtype, kernel_init=INIT)(x)
        y = normalise(y, self.norm, 'norm', train, self.dtype)
        if c is not None:  # after the norm, which would take off what is the same everywhere
            y = y + nn.Dense(width, dtype=self.dtype, name='labels')(c)[:, None, None]
        y = Dropout(self.dropout)(nn.relu(y), train)
        return x + Conv(width, 3, dtype=self.dtype, kernel_init=LAST)(y)


class LightGenerator(nn.Module):
    """[B, H, W, C] -> pictures [B, H, W, outputs] in [-1, 1]; H and W are multiples of 4.

    Attributes:
        width: channels of the blocks.
        blocks: how many.
        norm: inside them, see `normalise`.
        outputs: channels out.
        dropout: rate inside the blocks, in training.
        add: whether what is made is added to the picture (Shen & Liu 2017), which then is there from the start, and may
            leave the range a little; needs as many channels in as out.
    """

    width: int = 128
    blocks: int = 4
    norm: str = 'none'
    outputs: int = 3
    dropout: float = 0.0
    add: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, picture: jax.Array, c: jax.Array | None = None, train: bool = False) -> jax.Array:
        h, w = picture.shape[1:3]
        if h % MULTIPLE or w % MULTIPLE:
            raise InputError(f'pictures of {w}x{h} do not fit a light generator; their sides have to be multiples of 4')
        conv = lambda features, name, init=INIT: Conv(features, 3, dtype=self.dtype, kernel_init=init, name=name)

        x = nn.relu(conv(self.width, 'first')(space_to_depth(picture, 4)))  # [B, H/4, W/4, width]
        for i in range(self.blocks):
            x = LightBlock(self.norm, self.dropout, self.dtype, name=f'block_{i}')(x, c, train)
        x = pixel_shuffle(nn.relu(conv(2 * self.width, 'up')(x)), 2)  # [B, H/2, W/2, width / 2]
        x = jnp.concatenate([x, space_to_depth(picture, 2).astype(x.dtype)], -1)
        x = pixel_shuffle(conv(self.outputs * 4, 'last', LAST)(x), 2).astype(jnp.float32)  # [B, H, W, outputs]
        return picture + x if self.add else jnp.tanh(x)

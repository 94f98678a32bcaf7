"""The residual generator of style transfer and CycleGAN (Johnson et al. 2016; Zhu et al. 2017, appendix 7.2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.conv import Conv
from dfjax.models.norm import Dropout, normalise
from dfjax.models.recompute import block
from dfjax.models.upconv import doubled

INIT = nn.initializers.normal(0.02)
MULTIPLE = 4  # what sides are best divided by: others come out up to 3 pixels larger


class Block(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), the side and channels unchanged.

    Attributes: see `ResNet`.
    """

    norm: str
    pad: str
    dropout: float
    dtype: jnp.dtype = jnp.float32

    @block
    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        options = {'use_bias': self.norm == 'instance', 'pad': self.pad, 'dtype': self.dtype, 'kernel_init': INIT}
        y = x
        for i in range(2):
            y = Conv(x.shape[-1], 3, name=f'conv_{i}', **options)(y)
            y = normalise(y, self.norm, f'norm_{i}', train, self.dtype)
            if i == 0:
                y = Dropout(self.dropout)(nn.relu(y), train)
        return x + y


class ResNet(nn.Module):
    """[B, H, W, C] -> pictures [B, H, W, outputs] in [-1, 1]; H and W multiples of 4 come out as they went in.

    Attributes:
        width: channels after the first convolution; four times as many in the blocks.
        blocks: residual blocks at a quarter of the side.
        norm: see `normalise`.
        outputs: channels out.
        dropout: rate inside the blocks, in training.
        pad: 'reflect', 'replicate' or 'zeros', in the blocks.
        rim: the same of the first convolution and the last.
        resample: side of the kernels that halve and double, 3 (CycleGAN's) or 4 (StarGAN's).
        upsample: how sides are doubled, see `models.upconv.doubled`.
        last_bias: whether the last convolution has one.
    """

    width: int = 64
    blocks: int = 9
    norm: str = 'instance'
    outputs: int = 3
    dropout: float = 0.0
    pad: str = 'reflect'
    rim: str = 'reflect'
    resample: int = 3
    upsample: str = 'transposed'
    last_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        h, w = x.shape[1:3]
        if min(h, w) < 8:  # a quarter of it must have 2 pixels, to be reflected and to have a variance
            raise InputError(f'pictures of {w}x{h} are too small for a residual generator; it needs 8 pixels a side')
        options = {'dtype': self.dtype, 'kernel_init': INIT}
        inside = options | {'use_bias': self.norm == 'instance'}  # the others have their own
        after = lambda x, name: nn.relu(normalise(x, self.norm, f'{name}_norm', train, self.dtype))
        halve = lambda c, name: Conv(c, self.resample, 2, name=name, **inside)
        double = lambda x, c, name: doubled(x, self.upsample, c, self.resample, name=name, **inside)

        x = after(Conv(self.width, 7, pad=self.rim, name='first', **inside)(x), 'first')
        for i in range(2):
            x = after(halve(self.width * 2 ** (i + 1), f'down_{i}')(x), f'down_{i}')  # [B, H/4, W/4, 4 width] at last
        for i in range(self.blocks):
            x = Block(self.norm, self.pad, self.dropout, self.dtype, name=f'block_{i}')(x, train)
        for i in range(2):
            x = after(double(x, self.width * 2 ** (1 - i), f'up_{i}'), f'up_{i}')  # [B, H, W, width] at last
        x = Conv(self.outputs, 7, use_bias=self.last_bias, pad=self.rim, name='last', **options)(x)
        return jnp.tanh(x.astype(jnp.float32))

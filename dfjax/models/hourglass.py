"""The blocks of First Order Motion Model (Siarohin et al. 2019, appendix), and its hourglass (Newell et al. 2016).

Every convolution has a batch normalisation, by the whole batch's moments also where devices share it.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.conv import Conv
from dfjax.models.features import pooled
from dfjax.models.norm import normalise
from dfjax.models.recompute import block

INIT = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')  # PyTorch's default


class SameBlock(nn.Module):
    """relu(norm(conv(x))): [B, H, W, C] -> [B, H, W, features].

    Attributes:
        features: channels out.
        kernel: side of the kernel.
        resample: 'down' for means of 2x2 at the end, [B, H // 2, W // 2, features]; 'up' for every pixel four times at
            the beginning, [B, 2H, 2W, features].
        bias: whether the convolution has one, which the norm takes off again: the original's has.
    """

    features: int
    kernel: int = 3
    resample: str = ''
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @block
    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        if self.resample == 'up':
            x = x.repeat(2, 1).repeat(2, 2)
        options = {'use_bias': self.bias, 'dtype': self.dtype, 'kernel_init': INIT}
        x = Conv(self.features, self.kernel, name='conv', **options)(x)
        x = nn.relu(normalise(x, 'batch', 'norm', train, self.dtype))
        return pooled(x) if self.resample == 'down' else x


DownBlock = partial(SameBlock, resample='down')
UpBlock = partial(SameBlock, resample='up')


class ResBlock(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), the side and channels unchanged.

    Attributes: see `SameBlock`; the second convolution has a bias always.
    """

    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @block
    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        y = x
        for i in range(2):
            y = nn.relu(normalise(y, 'batch', f'norm_{i}', train, self.dtype))
            options = {'use_bias': self.bias or i == 1, 'dtype': self.dtype, 'kernel_init': INIT}
            y = Conv(x.shape[-1], 3, name=f'conv_{i}', **options)(y)
        return x + y


class Hourglass(nn.Module):
    """[B, H, W, C] -> [B, H, W, width + C]: down by blocks, and up again, what was at each side beside what comes up.

    Attributes:
        width: channels at the full side; twice as many at half of it, and so on.
        max_width: and no more than that.
        blocks: halvings; sides are multiples of 2^blocks.
        bias: see `SameBlock`.
    """

    width: int = 32
    max_width: int = 1024
    blocks: int = 5
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        h, w = x.shape[1:3]
        if h % 2**self.blocks or w % 2**self.blocks:
            raise InputError(
                f'an hourglass of {self.blocks} blocks sees {w}x{h} pixels; their sides have to be multiples of '
                f'{2**self.blocks}: give larger pictures, or fewer blocks'
            )
        options = {'bias': self.bias, 'dtype': self.dtype}
        features = [min(self.max_width, self.width * 2**i) for i in range(self.blocks + 1)]
        levels = [x.astype(self.dtype)]
        for i in range(self.blocks):
            levels.append(DownBlock(features[i + 1], name=f'down_{i}', **options)(levels[-1], train))
        x = levels.pop()  # [B, H / 2^blocks, W / 2^blocks, features[-1]]
        for i in range(self.blocks):
            x = UpBlock(features[self.blocks - 1 - i], name=f'up_{i}', **options)(x, train)
            x = jnp.concatenate([x, levels.pop()], -1)
        return x

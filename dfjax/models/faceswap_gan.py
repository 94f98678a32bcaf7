"""The nets of faceswap-GAN v2.2: convolutions with instance normalisation and self-attention (Zhang et al. 2019).

Pictures are NHWC in [-1, 1]. A decoder paints a face and says, pixel by pixel, how much of it is to be shown in place
of what the encoder saw.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax import ranges as r
from dfjax.models.conv import Conv
from dfjax.models.norm import normalise
from dfjax.ops.image import pixel_shuffle

NORMS = ('instance', 'affine', 'none')
HE = nn.initializers.he_normal()
FAINT = nn.initializers.normal(0.01)  # a picture that begins grey: places where tanh is flat learn nothing any more


def default_config() -> dict:
    """The section `model`, v2.2 for 64 px: arguments of the three nets, and what they share."""
    return dict(
        norm=r.choice('affine', NORMS),  # what follows a convolution: instance, the same with scale and shift, none
        squeeze=r.size(8),  # how many times fewer channels attention compares places by
        encoder=dict(
            widths=r.size([64, 128, 256, 512, 1024]),
            code=r.size(1024),
            up=r.size(512),  # channels of the map that decoders are given
            attend=r.size([16, 8]),  # sides of the maps that attend to themselves
        ),
        decoder=dict(
            widths=r.size([256, 128, 64]),
            attend=r.size([32, 64]),  # sides of the maps that attend to themselves
        ),
        discriminator=dict(
            widths=r.size([64, 128, 256]),
            attend=r.size([8]),  # sides of the maps that attend to themselves
        ),
    )


class SelfAttention(nn.Module):
    """[B, H, W, C] -> the same, what every place sees in all others added to it: nothing at first.

    Attributes:
        squeeze: how many times fewer channels places are compared by.
    """

    squeeze: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b, h, w, c = x.shape
        few, flat = max(c // self.squeeze, 1), x.reshape(b, h * w, c)
        dense = lambda features, name, bias=True: nn.Dense(features, bias, self.dtype, name=name)
        query, key = dense(few, 'query')(flat), dense(few, 'key', False)(flat)  # a key's bias would change nothing
        likeness = jnp.einsum('bnc,bmc->bnm', query, key).astype(jnp.float32)
        share = nn.softmax(likeness).astype(self.dtype)  # [B, HW, HW]
        seen = jnp.einsum('bnm,bmc->bnc', share, dense(c, 'value')(flat))
        scale = self.param('scale', nn.initializers.zeros_init(), ())
        return x + scale.astype(self.dtype) * seen.reshape(x.shape)


class Layers(nn.Module):
    """What the three nets are made of: convolutions without bias, normalised, and leaky ReLU."""

    norm: str
    squeeze: int
    attend: list[int]
    dtype: jnp.dtype

    def conv(
        self, x: jax.Array, name: str, features: int, size: int, stride: int = 1, normed: bool = True
    ) -> jax.Array:
        """[B, H, W, C] -> [B, H / stride, W / stride, features]."""
        normed = normed and self.norm != 'none'
        x = Conv(features, size, stride, use_bias=not normed, dtype=self.dtype, kernel_init=HE, name=name)(x)
        x = normalise(x, self.norm, f'{name}_norm', dtype=self.dtype) if normed else x
        return nn.leaky_relu(x, 0.2)

    def up(self, x: jax.Array, name: str, features: int) -> jax.Array:
        """[B, H, W, C] -> [B, 2H, 2W, features]."""
        return pixel_shuffle(self.conv(x, name, 4 * features, 3), 2)

    def attended(self, x: jax.Array, name: str) -> jax.Array:
        """With self-attention, if the side of the map is one of those."""
        return SelfAttention(self.squeeze, self.dtype, name=name)(x) if x.shape[1] in self.attend else x


class Encoder(Layers):
    """[B, S, S, 3] -> [B, 2s, 2s, up], s being S / 2^(len(widths) - 1).

    Attributes:
        widths: channels of a 5x5 convolution and of 3x3 ones that halve the side.
        code: length of the code between the last of them and a map of as many channels.
        up: channels out.
    """

    widths: list[int]
    code: int
    up_to: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.conv(x.astype(self.dtype), 'first', self.widths[0], 5, normed=False)
        for i, width in enumerate(self.widths[1:]):
            x = self.attended(self.conv(x, f'down_{i}', width, 3, 2, normed=i > 0), f'attention_{i}')
        side = x.shape[1]
        x = nn.Dense(self.code, dtype=self.dtype, name='code')(x.reshape(x.shape[0], -1))  # [B, code]
        x = nn.Dense(side * side * self.widths[-1], dtype=self.dtype, name='map')(x)
        return self.up(x.reshape(-1, side, side, self.widths[-1]), 'up', self.up_to).astype(jnp.float32)


class Decoder(Layers):
    """[B, s, s, C] -> pictures [B, S, S, 3] in [-1, 1] and masks [B, S, S, 1] in [0, 1]; and `early` pictures of the
    sides from 8 s on that come before S.

    Attributes:
        widths: channels after each doubling.
    """

    widths: list[int]

    def early(self, code: int) -> list[int]:
        """The sides of the smaller pictures, by the side of a code."""
        return [code * 2 ** (i + 1) for i in range(2, len(self.widths) - 1)]

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, ...]:
        early, x = [], x.astype(self.dtype)
        for i, width in enumerate(self.widths):
            x = self.up(x, f'up_{i}', width)
            if i == min(2, len(self.widths) - 1):
                y = self.conv(x, 'residual_0', width, 3)
                y = Conv(width, 3, use_bias=self.norm == 'none', dtype=self.dtype, kernel_init=HE, name='residual_1')(y)
                x = nn.leaky_relu(x + normalise(y, self.norm, 'residual_1_norm', dtype=self.dtype), 0.2)
            x = self.attended(x, f'attention_{i}')
            if 2 <= i < len(self.widths) - 1:
                early.append(self._picture(x, f'picture_{i}', 3))
        made = self._picture(x, 'picture', 3)
        return made, (self._picture(x, 'mask', 1) + 1) / 2, *early  # (tanh(x) + 1) / 2 is the sigmoid of 2 x

    def _picture(self, x: jax.Array, name: str, channels: int) -> jax.Array:
        x = Conv(channels, 5, dtype=self.dtype, kernel_init=FAINT, name=name)(x)
        return jnp.tanh(x.astype(jnp.float32))


class Discriminator(Layers):
    """Pictures, and what they were made from, [B, S, S, 6] -> whether they are real [B, s, s, 1], 1 being yes.

    Attributes:
        widths: channels of the 4x4 convolutions that halve the side.
    """

    widths: list[int]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i, width in enumerate(self.widths):
            x = self.attended(self.conv(x.astype(self.dtype), f'down_{i}', width, 4, 2, i > 0), f'attention_{i}')
        return Conv(1, 3, use_bias=False, dtype=self.dtype, kernel_init=HE, name='out')(x).astype(jnp.float32)

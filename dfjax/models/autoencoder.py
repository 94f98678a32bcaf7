"""The face autoencoder: one encoder for everybody, one decoder a person. Pictures are NHWC in [-1, 1].

`ORIGINAL` gives the 64-px network of the first face swapper (82,062,470 parameters for the encoder and two decoders).
`LIGHT` keeps its plan but reads and writes pictures through `space_to_depth` and `pixel_shuffle`, so that every
convolution works on at most a quarter of the side with many channels: the shape that 2 CPU cores are fastest at.

The encoder takes landmarks too, where there are any: how they differ from the person's own mean joins its code.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.conv import Conv
from dfjax.ops.image import pixel_shuffle, space_to_depth

ORIGINAL = dict(
    encoder=dict(stem=1, widths=[128, 256, 512, 1024], kernel=5, code=1024, bottom=[4, 1024], up=512),
    decoder=dict(widths=[256, 128, 64], residuals=0, shuffle=1, kernel=5, mask=False),
)
LIGHT = dict(
    encoder=dict(stem=4, widths=[96, 160, 256], kernel=3, code=128, bottom=[8, 128], up=0),
    decoder=dict(widths=[96, 48], residuals=0, shuffle=5, kernel=3, mask=False),
)


OFFSET_SCALE = 10.0  # offsets are a few hundredths of the side; codes are about 1


class Upscale(nn.Module):
    """Twice the side by pixel shuffle: conv 3x3 to 4 times the channels, leaky ReLU, depth to space."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Conv(4 * self.features, 3, dtype=self.dtype)(x)
        return pixel_shuffle(nn.leaky_relu(x, 0.1), 2)  # [B, 2H, 2W, features]


class Residual(nn.Module):
    """x + conv(act(conv(x))), then the activation."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.leaky_relu(Conv(x.shape[-1], 3, dtype=self.dtype)(x), 0.2)
        return nn.leaky_relu(x + Conv(x.shape[-1], 3, dtype=self.dtype)(y), 0.2)


class Encoder(nn.Module):
    """[B, S, S, 3] and landmark offsets [B, K, 2] or None -> [B, s, s, C], the code of pose, expression and light.

    Attributes:
        stem: space-to-depth factor before the first convolution; with a stem the first convolution keeps the side.
        widths: channels of the convolutions, each halving the side.
        kernel: their size.
        code: width of the dense bottleneck.
        bottom: side and channels of the map that the bottleneck unfolds to.
        up: channels of a shared Upscale after it; 0 for none.

    Raises:
        InputError: if S is no multiple of `stem`, or `bottom` is not two numbers.
    """

    stem: int
    widths: list[int]
    kernel: int
    code: int
    bottom: list[int]
    up: int
    dtype: jnp.dtype = jnp.float32

    def code_shape(self) -> tuple[int, int, int]:
        """(s, s, C)."""
        if len(self.bottom) != 2:
            raise InputError(
                f'config key model.encoder.bottom is a side and a number of channels, not {list(self.bottom)}'
            )
        side, channels = self.bottom
        return (2 * side, 2 * side, self.up) if self.up else (side, side, channels)

    @nn.compact
    def __call__(self, x: jax.Array, offsets: jax.Array | None = None) -> jax.Array:
        if x.shape[1] % self.stem:
            raise InputError(
                f'config key input_size is a multiple of model.encoder.stem, {self.stem}, not {x.shape[1]}'
            )
        x = space_to_depth(x, self.stem) if self.stem > 1 else x  # [B, S/stem, S/stem, 3*stem^2]
        for i, width in enumerate(self.widths):
            stride = 1 if self.stem > 1 and i == 0 else 2
            x = nn.leaky_relu(Conv(width, self.kernel, stride, dtype=self.dtype)(x), 0.1)
        side, channels = self.bottom
        x = nn.Dense(self.code, dtype=self.dtype)(x.reshape(x.shape[0], -1))  # [B, code]
        if offsets is not None:
            x = jnp.concatenate([x, OFFSET_SCALE * offsets.reshape(x.shape[0], -1).astype(self.dtype)], -1)
        x = nn.Dense(side * side * channels, dtype=self.dtype)(x)
        x = x.reshape(-1, side, side, channels)  # [B, s, s, C]
        return Upscale(self.up, self.dtype)(x) if self.up else x


class Decoder(nn.Module):
    """[B, s, s, C] -> picture and mask.

    The picture is [B, S, S, 3] in [-1, 1], the mask [B, S, S, 1] in [0, 1] (ones without a mask head).

    Attributes:
        widths: channels after each Upscale.
        residuals: residual blocks after each Upscale.
        shuffle: the last convolution writes pixels by depth to space of this factor.
        kernel: size of the last convolution.
        mask: whether a mask is predicted too.
    """

    widths: list[int]
    residuals: int
    shuffle: int
    kernel: int
    mask: bool
    dtype: jnp.dtype = jnp.float32

    def side(self, code: int) -> int:
        """S of the pictures made of codes of side `code`."""
        return code * 2 ** len(self.widths) * self.shuffle

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        for width in self.widths:
            x = Upscale(width, self.dtype)(x)
            for _ in range(self.residuals):
                x = Residual(self.dtype)(x)
        channels = 4 if self.mask else 3
        x = Conv(channels * self.shuffle**2, self.kernel, dtype=self.dtype)(x)
        x = pixel_shuffle(x, self.shuffle) if self.shuffle > 1 else x  # [B, S, S, 3 or 4]
        x = nn.sigmoid(x.astype(jnp.float32))
        mask = x[..., 3:] if self.mask else jnp.ones_like(x[..., :1])
        return 2 * x[..., :3] - 1, mask

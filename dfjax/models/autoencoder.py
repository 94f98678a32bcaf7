"""The face autoencoder: one encoder for everybody, one decoder a person. Pictures are NHWC in [-1, 1].

`ORIGINAL` gives the 64-px network of the first face swapper (82,062,470 parameters for the encoder and two decoders).
`default_config` keeps its plan but reads and writes pictures through `space_to_depth` and `pixel_shuffle`, so that
every convolution works on at most a quarter of the side with many channels: the shape that 2 CPU cores are fastest at.

The encoder takes landmarks too, where there are any: how they differ from the person's own mean joins its code.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax import ranges as r
from dfjax.errors import InputError
from dfjax.models.blocks import Residual, Upscale
from dfjax.models.conv import Conv
from dfjax.ops.image import pixel_shuffle, space_to_depth

ORIGINAL = dict(
    encoder=dict(patch=1, widths=[128, 256, 512, 1024], kernel=5, latent=1024, bottleneck_grid=[4, 1024], upsample=512),
    decoder=dict(widths=[256, 128, 64], residuals=0, shuffle=1, kernel=5, mask=False),
)

OFFSET_SCALE = 10.0  # offsets are a few hundredths of the side; codes are about 1


def default_config() -> dict:
    """The section `model`: arguments of `Encoder` and `Decoder`."""
    return dict(
        encoder=dict(
            patch=r.size(4),
            widths=r.size([96, 160, 256]),
            kernel=r.size(3),
            latent=r.size(128),
            bottleneck_grid=r.size([8, 128]),
            upsample=r.size(0, least=0),
        ),
        decoder=dict(widths=r.size([96, 48]), residuals=r.count(0), shuffle=r.size(5), kernel=r.size(3), mask=False),
    )


class Encoder(nn.Module):
    """[B, S, S, 3] and landmark offsets [B, K, 2] or None -> [B, s, s, C], the code of pose, expression and light.

    Attributes:
        patch: pixels a side that space to depth makes one place of; above 1 the first convolution keeps the side.
        widths: channels of the convolutions, each halving the side.
        kernel: their size.
        latent: width of the dense bottleneck.
        bottleneck_grid: side and channels of the map that the bottleneck unfolds to.
        upsample: channels of a shared Upscale after it; 0 for none.

    Raises:
        InputError: if S is no multiple of `patch`, or `bottleneck_grid` is not two numbers.
    """

    patch: int
    widths: list[int]
    kernel: int
    latent: int
    bottleneck_grid: list[int]
    upsample: int
    dtype: jnp.dtype = jnp.float32

    def code_shape(self) -> tuple[int, int, int]:
        """(s, s, C)."""
        if len(self.bottleneck_grid) != 2:
            raise InputError(
                f'config key model.encoder.bottleneck_grid is a side and a number of channels, not '
                f'{list(self.bottleneck_grid)}'
            )
        side, channels = self.bottleneck_grid
        return (2 * side, 2 * side, self.upsample) if self.upsample else (side, side, channels)

    @nn.compact
    def __call__(self, x: jax.Array, offsets: jax.Array | None = None) -> jax.Array:
        if x.shape[1] % self.patch:
            raise InputError(
                f'config key input_size is a multiple of model.encoder.patch, {self.patch}, not {x.shape[1]}'
            )
        x = space_to_depth(x, self.patch) if self.patch > 1 else x  # [B, S/patch, S/patch, 3*patch^2]
        for i, width in enumerate(self.widths):
            stride = 1 if self.patch > 1 and i == 0 else 2
            x = nn.leaky_relu(Conv(width, self.kernel, stride, dtype=self.dtype)(x), 0.1)
        side, channels = self.bottleneck_grid
        x = nn.Dense(self.latent, dtype=self.dtype)(x.reshape(x.shape[0], -1))  # [B, latent]
        if offsets is not None:
            x = jnp.concatenate([x, OFFSET_SCALE * offsets.reshape(x.shape[0], -1).astype(self.dtype)], -1)
        x = nn.Dense(side * side * channels, dtype=self.dtype)(x)
        x = x.reshape(-1, side, side, channels)  # [B, s, s, C]
        return Upscale(self.upsample, self.dtype)(x) if self.upsample else x


class Decoder(nn.Module):
    """[B, s, s, C] -> picture and mask, and, where there are references, how they are mixed.

    The picture is [B, S, S, 3] in [-1, 1], the mask [B, S, S, 1] in [0, 1] (ones without a mask head). With R
    references the picture is what is in none of them, to be added to their mixture, and the logits [B, S/shuffle,
    S/shuffle, R] are what is added to those of the mixture: a decoder begins with both 0. See `ops.references`.

    Attributes:
        widths: channels after each Upscale.
        residuals: residual blocks after each Upscale.
        shuffle: the last convolution writes pixels by depth to space of this factor.
        kernel: size of the last convolution.
        mask: whether a mask is predicted too.
        references: R.
    """

    widths: list[int]
    residuals: int
    shuffle: int
    kernel: int
    mask: bool
    references: int = 0
    dtype: jnp.dtype = jnp.float32

    def side(self, code: int) -> int:
        """S of the pictures made of codes of side `code`."""
        return code * 2 ** len(self.widths) * self.shuffle

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, ...]:
        for width in self.widths:
            x = Upscale(width, self.dtype)(x)
            for _ in range(self.residuals):
                x = Residual(self.dtype)(x)
        if self.references:
            init = nn.initializers.zeros
            logits = Conv(self.references, 1, dtype=self.dtype, kernel_init=init, name='mixture')(x)
            y = Conv(3 * self.shuffle**2, self.kernel, dtype=self.dtype, kernel_init=init, name='rest')(x)
            y = pixel_shuffle(y, self.shuffle).astype(jnp.float32)  # [B, S, S, 3]
            return y, jnp.ones_like(y[..., :1]), logits.astype(jnp.float32)
        channels = 4 if self.mask else 3
        x = Conv(channels * self.shuffle**2, self.kernel, dtype=self.dtype)(x)
        x = pixel_shuffle(x, self.shuffle) if self.shuffle > 1 else x  # [B, S, S, 3 or 4]
        x = nn.sigmoid(x.astype(jnp.float32))
        mask = x[..., 3:] if self.mask else jnp.ones_like(x[..., :1])
        return 2 * x[..., :3] - 1, mask

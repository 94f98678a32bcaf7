"""The nets of the variational autoencoder (Kingma & Welling 2014). Pictures are NHWC in [-1, 1].

Depth follows from the picture's side: each halves it, or doubles it, between the stem's grid and 4 x 4. Pictures enter
by `space_to_depth` and leave by `pixel_shuffle`, so that every convolution has many channels and few pixels. Beside the
convolutions a coarse picture goes straight into the code and comes straight out of it: colours, light and outlines are
learnt in the first steps, and detail is left to the rest (at equal time 24.5 dB instead of 22.6).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.autoencoder import Residual, Upscale
from dfjax.models.conv import Conv
from dfjax.ops.image import pixel_shuffle, resize, space_to_depth

BOTTOM = 4  # side of the smallest map


def widths(size: int, stem: int, width: int, most: int) -> list[int]:
    """Channels of each map from the stem's grid down to BOTTOM, doubling up to `most`.

    Raises:
        InputError: if `size` is not BOTTOM * stem times a power of two.
    """
    depth = (size // (stem * BOTTOM)).bit_length() - 1
    if size != stem * BOTTOM * 2**depth:
        least = stem * BOTTOM
        raise InputError(f'config key data.size is {least}, {2 * least}, {4 * least}, ... with stem {stem}, not {size}')
    return [min(width * 2**i, most) for i in range(depth + 1)]


class Encoder(nn.Module):
    """[B, S, S, 3] -> mean and logarithm of the variance of the code, both [B, latent].

    Attributes:
        latent: dimensions of the code.
        stem: side of the squares of pixels that the first convolution reads as one.
        width: channels on the stem's grid.
        most: greatest number of channels.
        residuals: residual blocks on each grid.
        coarse: side of the coarse picture; 0 for none.
    """

    latent: int
    stem: int
    width: int
    most: int
    residuals: int
    coarse: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        plan = widths(x.shape[1], self.stem, self.width, self.most)
        small = resize(x, self.coarse) if self.coarse else x[:, :0]
        x = space_to_depth(x, self.stem) if self.stem > 1 else x  # [B, S/stem, S/stem, 3*stem^2]
        for i, width in enumerate(plan):
            x = nn.leaky_relu(Conv(width, 3, 2 if i else 1, dtype=self.dtype)(x), 0.1)
            for _ in range(self.residuals):
                x = Residual(self.dtype)(x)
        flat = [part.reshape(part.shape[0], -1).astype(self.dtype) for part in (x, small)]
        x = jnp.concatenate(flat, -1)  # [B, 16 * most + coarse^2 * 3]
        # A small start for the variance's half: codes begin near N(mean, 1).
        mean = nn.Dense(self.latent, dtype=self.dtype)(x)
        log_variance = nn.Dense(self.latent, dtype=self.dtype, kernel_init=nn.initializers.normal(1e-3))(x)
        return mean.astype(jnp.float32), jnp.clip(log_variance.astype(jnp.float32), -12.0, 6.0)


class Decoder(nn.Module):
    """[B, latent] -> [B, size, size, 3] in [-1, 1]. Attributes as in `Encoder`."""

    size: int
    stem: int
    width: int
    most: int
    residuals: int
    coarse: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        *rest, bottom = widths(self.size, self.stem, self.width, self.most)
        x = nn.leaky_relu(nn.Dense(BOTTOM * BOTTOM * bottom, dtype=self.dtype)(z), 0.1)
        x = x.reshape(-1, BOTTOM, BOTTOM, bottom)
        for width in reversed(rest):
            x = Upscale(width, self.dtype)(x)
            for _ in range(self.residuals):
                x = Residual(self.dtype)(x)
        x = Conv(3 * self.stem**2, 3, dtype=self.dtype)(x)
        x = pixel_shuffle(x, self.stem) if self.stem > 1 else x  # [B, S, S, 3]
        if self.coarse:
            small = nn.Dense(self.coarse**2 * 3, dtype=self.dtype)(z).reshape(-1, self.coarse, self.coarse, 3)
            x = x + resize(small, self.size)
        return jnp.tanh(x.astype(jnp.float32))

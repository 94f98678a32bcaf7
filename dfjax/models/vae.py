"""The nets of the variational autoencoder (Kingma & Welling 2014). Pictures are NHWC in [-1, 1].

Depth follows from the picture's side: each halves it, or doubles it, between the stem's grid and 4 x 4. Pictures enter
by `space_to_depth` and leave by `pixel_shuffle`, so that every convolution has many channels and few pixels.

The code is of the whole picture, by dense layers: few numbers say much. Beside the convolutions a coarse picture goes
straight into it and comes straight out of it: colours, light and outlines are learnt in the first steps, and detail is
left to the rest (at equal time 24.5 dB instead of 22.6). Or the code is spread over a `grid`, every place with numbers
of its own: what is learnt of one place serves all, so detail is learnt sooner (29.2 dB after 3600 steps, where 512
numbers of the whole picture gave 26.8 after 4800).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.autoencoder import Residual, Upscale
from dfjax.models.conv import Conv
from dfjax.ops.image import pixel_shuffle, resize, space_to_depth

BOTTOM = 4  # side of the smallest map, where the code is of the whole picture


def widths(size: int, stem: int, width: int, most: int, bottom: int = BOTTOM) -> list[int]:
    """Channels of each map from the stem's grid down to `bottom`, doubling up to `most`.

    Raises:
        InputError: if `size` is not bottom * stem times a power of two.
    """
    depth = (size // (stem * bottom)).bit_length() - 1
    if size != stem * bottom * 2 ** max(depth, 0):
        least = stem * bottom
        raise InputError(f'config key data.size is {least}, {2 * least}, {4 * least}, ... with stem {stem}, not {size}')
    return [min(width * 2**i, most) for i in range(depth + 1)]


def places(latent: int, grid: int, coarse: int) -> int:
    """Numbers of the code at each place of its grid.

    Raises:
        InputError: if they are not as many everywhere, or there is a coarse picture too.
    """
    if coarse:
        raise InputError(f'config key model.coarse is 0 with grid {grid}, not {coarse}')
    if latent % grid**2:
        raise InputError(f'config key model.latent is a multiple of {grid**2} with grid {grid}, not {latent}')
    return latent // grid**2


class Encoder(nn.Module):
    """[B, S, S, 3] -> mean and logarithm of the variance of the code, both [B, latent].

    Attributes:
        latent: dimensions of the code.
        stem: side of the squares of pixels that the first convolution reads as one.
        width: channels on the stem's grid.
        most: greatest number of channels.
        residuals: residual blocks on each grid.
        coarse: side of the coarse picture; 0 for none.
        grid: side of the grid that the code is spread over, latent / grid^2 numbers at each place; 0 for a code of the
            whole picture. With a grid `coarse` is 0.
    """

    latent: int
    stem: int
    width: int
    most: int
    residuals: int
    coarse: int
    grid: int = 0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        plan = widths(x.shape[1], self.stem, self.width, self.most, self.grid or BOTTOM)
        small = resize(x, self.coarse) if self.coarse else x[:, :0]
        x = space_to_depth(x, self.stem) if self.stem > 1 else x  # [B, S/stem, S/stem, 3*stem^2]
        for i, width in enumerate(plan):
            x = nn.leaky_relu(Conv(width, 3, 2 if i else 1, dtype=self.dtype)(x), 0.1)
            for _ in range(self.residuals):
                x = Residual(self.dtype)(x)
        if self.grid:
            features = places(self.latent, self.grid, self.coarse)
        else:
            features, flat = self.latent, [part.reshape(len(part), -1).astype(self.dtype) for part in (x, small)]
            x = jnp.concatenate(flat, -1)  # [B, 16 * most + coarse^2 * 3]
        # A small start for the variance's half: codes begin near N(mean, 1).
        mean = nn.Dense(features, dtype=self.dtype)(x)  # [B, latent], or [B, grid, grid, latent / grid^2]
        log_variance = nn.Dense(features, dtype=self.dtype, kernel_init=nn.initializers.normal(1e-3))(x)
        mean, log_variance = (part.reshape(len(x), self.latent) for part in (mean, log_variance))
        return mean.astype(jnp.float32), jnp.clip(log_variance.astype(jnp.float32), -12.0, 6.0)


class Decoder(nn.Module):
    """[B, latent] -> [B, size, size, 3] in [-1, 1]. Attributes as in `Encoder`."""

    size: int
    stem: int
    width: int
    most: int
    residuals: int
    coarse: int
    grid: int = 0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        *rest, bottom = widths(self.size, self.stem, self.width, self.most, self.grid or BOTTOM)
        if self.grid:
            x = z.reshape(-1, self.grid, self.grid, places(z.shape[-1], self.grid, self.coarse))
            x = nn.leaky_relu(Conv(bottom, 3, dtype=self.dtype)(x), 0.1)
        else:
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

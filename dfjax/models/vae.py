"""The nets of the variational autoencoder (Kingma & Welling 2014). Pictures are NHWC in [-1, 1].

Depth follows from the picture's side: each halves it, or doubles it, between the grid of patches and 4 x 4. Pictures
enter by `space_to_depth` and leave by `pixel_shuffle`, so that every convolution has many channels and few pixels.

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
from dfjax.models.blocks import BOTTOM, Residual, Upscale, widths
from dfjax.models.conv import Conv
from dfjax.ops.image import pixel_shuffle, resize, space_to_depth


def places(latent: int, grid: int, skip_size: int) -> int:
    """Numbers of the code at each place of its grid.

    Raises:
        InputError: if they are not as many everywhere, or there is a coarse picture too.
    """
    if skip_size:
        raise InputError(f'config key model.skip_size is 0 with grid {grid}, not {skip_size}')
    if latent % grid**2:
        raise InputError(f'config key model.latent is a multiple of {grid**2} with grid {grid}, not {latent}')
    return latent // grid**2


class Encoder(nn.Module):
    """[B, S, S, 3] -> mean and logarithm of the variance of the code, both [B, latent].

    Attributes:
        latent: dimensions of the code.
        patch: side of the squares of pixels that the first convolution reads as one.
        width: channels on the grid of patches.
        max_width: greatest number of channels.
        residuals: residual blocks on each grid.
        skip_size: side of the coarse picture that goes past the convolutions; 0 for none.
        grid: side of the grid that the code is spread over, latent / grid^2 numbers at each place; 0 for a code of the
            whole picture. With a grid `skip_size` is 0.
    """

    latent: int
    patch: int
    width: int
    max_width: int
    residuals: int
    skip_size: int
    grid: int = 0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        plan = widths(x.shape[1], self.patch, self.width, self.max_width, self.grid or BOTTOM)
        small = resize(x, self.skip_size) if self.skip_size else x[:, :0]
        x = space_to_depth(x, self.patch) if self.patch > 1 else x  # [B, S/patch, S/patch, 3*patch^2]
        for i, width in enumerate(plan):
            x = nn.leaky_relu(Conv(width, 3, 2 if i else 1, dtype=self.dtype)(x), 0.1)
            for _ in range(self.residuals):
                x = Residual(self.dtype)(x)
        if self.grid:
            features = places(self.latent, self.grid, self.skip_size)
        else:
            features, flat = self.latent, [part.reshape(part.shape[0], -1).astype(self.dtype) for part in (x, small)]
            x = jnp.concatenate(flat, -1)  # [B, 16 * max_width + skip_size^2 * 3]
        # A small start for the variance's half: codes begin near N(mean, 1).
        mean = nn.Dense(features, dtype=self.dtype)(x)  # [B, latent], or [B, grid, grid, latent / grid^2]
        log_variance = nn.Dense(features, dtype=self.dtype, kernel_init=nn.initializers.normal(1e-3))(x)
        mean, log_variance = (part.reshape(x.shape[0], self.latent) for part in (mean, log_variance))
        return mean.astype(jnp.float32), jnp.clip(log_variance.astype(jnp.float32), -12.0, 6.0)


class Decoder(nn.Module):
    """[B, latent] -> [B, size, size, 3] in [-1, 1]. Attributes as in `Encoder`."""

    size: int
    patch: int
    width: int
    max_width: int
    residuals: int
    skip_size: int
    grid: int = 0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        *rest, bottom = widths(self.size, self.patch, self.width, self.max_width, self.grid or BOTTOM)
        if self.grid:
            x = z.reshape(-1, self.grid, self.grid, places(z.shape[-1], self.grid, self.skip_size))
            x = nn.leaky_relu(Conv(bottom, 3, dtype=self.dtype)(x), 0.1)
        else:
            x = nn.leaky_relu(nn.Dense(BOTTOM * BOTTOM * bottom, dtype=self.dtype)(z), 0.1)
            x = x.reshape(-1, BOTTOM, BOTTOM, bottom)
        for width in reversed(rest):
            x = Upscale(width, self.dtype)(x)
            for _ in range(self.residuals):
                x = Residual(self.dtype)(x)
        x = Conv(3 * self.patch**2, 3, dtype=self.dtype)(x)
        x = pixel_shuffle(x, self.patch) if self.patch > 1 else x  # [B, S, S, 3]
        if self.skip_size:
            small = nn.Dense(self.skip_size**2 * 3, dtype=self.dtype)(z).reshape(-1, self.skip_size, self.skip_size, 3)
            x = x + resize(small, self.size)
        return jnp.tanh(x.astype(jnp.float32))

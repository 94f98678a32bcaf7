"""Generators and discriminators of pictures from noise. Pictures are NHWC in [-1, 1].

`Generator` and `Discriminator` are the default: a code is mapped to a style (Karras et al. 2019) that scales and shifts
every residual block; the discriminator has no norm. Depth follows from the picture's side, as in `models.vae`.
`ClassicGenerator` and `ClassicDiscriminator` are DCGAN's (Radford et al. 2016): transposed convolutions and batch norm.

Both generators have `mapping`, noise to style, and `synthesis`, style to pictures; the classic's mapping is none.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.blocks import BOTTOM, GROUPS, Block, Residual, Upscale, widths
from dfjax.models.conv import Conv
from dfjax.ops.devices import device_axis
from dfjax.ops.image import pixel_shuffle, space_to_depth

FINE = 8  # channels of the layer at full resolution, without which the grid of patches shows


class Generator(nn.Module):
    """Noise [B, latent] -> [B, size, size, 3].

    Attributes:
        size: side of the pictures.
        latent: dimensions of noise and style.
        patch: side of the squares of pixels that are written at once; one convolution more sees across their edges.
        width: channels on that grid; doubled on every coarser one.
        max_width: greatest number of channels.

    Raises:
        InputError: if a number of channels is not a multiple of GROUPS; as `widths`.
    """

    size: int
    latent: int
    patch: int
    width: int
    max_width: int
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        *rest, bottom = plan = widths(self.size, self.patch, self.width, self.max_width)
        if any(width % GROUPS for width in plan):
            wrong = f'{self.width} and {self.max_width}'
            raise InputError(f'config keys model.width and model.max_width are multiples of {GROUPS}, not {wrong}')
        self.layers = [nn.Dense(self.latent, dtype=self.dtype) for _ in range(2)]
        # Blocks begin as the identity: from a constant, all pictures would begin alike, and could stay so.
        self.start = nn.Dense(BOTTOM * BOTTOM * bottom, dtype=self.dtype)
        self.blocks = [Block(width, self.dtype) for width in (bottom, *reversed(rest))]
        self.ups = [Upscale(width, self.dtype) for width in reversed(rest)]
        self.squares = Conv(FINE * self.patch**2, 3, dtype=self.dtype)
        self.pixels = Conv(3, 3, dtype=self.dtype)

    def mapping(self, z: jax.Array, train: bool = False) -> jax.Array:
        """[B, latent] -> styles [B, latent]; only the direction of the noise counts."""
        x = z * jax.lax.rsqrt((z**2).mean(-1, keepdims=True) + 1e-8)
        for layer in self.layers:
            x = nn.leaky_relu(layer(x), 0.2)
        return x.astype(jnp.float32)

    def synthesis(self, style: jax.Array, train: bool = False) -> jax.Array:
        """Styles [B, latent] -> [B, size, size, 3]."""
        x = self.start(style).reshape(style.shape[0], BOTTOM, BOTTOM, -1)
        for i, block in enumerate(self.blocks):
            x = block(self.ups[i - 1](x) if i else x, style)
        x = self.squares(nn.leaky_relu(x, 0.2))
        x = pixel_shuffle(x, self.patch) if self.patch > 1 else x  # [B, S, S, FINE]
        return jnp.tanh(self.pixels(nn.leaky_relu(x, 0.2)).astype(jnp.float32))

    def __call__(self, z: jax.Array, train: bool = False) -> jax.Array:
        return self.synthesis(self.mapping(z, train), train)


class Discriminator(nn.Module):
    """[B, S, S, 3] -> logits [B]. Attributes as in `Generator`."""

    patch: int
    width: int
    max_width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        plan = widths(x.shape[1], self.patch, self.width, self.max_width)
        x = nn.leaky_relu(Conv(FINE, 3, dtype=self.dtype)(x), 0.2)  # [B, S, S, FINE]
        x = space_to_depth(x, self.patch) if self.patch > 1 else x  # [B, S/patch, S/patch, FINE*patch^2]
        for i, width in enumerate(plan):
            x = nn.leaky_relu(Conv(width, 3, 2 if i else 1, dtype=self.dtype)(x), 0.2)
            x = Residual(self.dtype)(x)
        x = nn.leaky_relu(nn.Dense(plan[-1], dtype=self.dtype)(x.reshape(x.shape[0], -1)), 0.2)
        # Without a bias: relative losses do not see it.
        return nn.Dense(1, use_bias=False, dtype=self.dtype)(x)[:, 0].astype(jnp.float32)


class ClassicGenerator(nn.Module):
    """DCGAN's generator. Attributes as in `Generator`.

    Raises:
        InputError: if `size` is not a power of two, 8 or more.
    """

    size: int
    latent: int
    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def synthesis(self, z: jax.Array, train: bool = False) -> jax.Array:
        """Noise [B, latent] -> [B, size, size, 3]."""
        if self.size < 8 or self.size & (self.size - 1):
            raise InputError(f'config key data.size is 8, 16, 32, 64, ... with model.kind classic, not {self.size}')
        start = nn.initializers.normal(0.02)
        x = z[:, None, None].astype(self.dtype)  # [B, 1, 1, latent]
        plan = [self.width * 2**i for i in reversed(range((self.size // 8).bit_length()))]
        for i, width in enumerate(plan):
            how = {'padding': 'VALID'} if i == 0 else {'strides': (2, 2), 'padding': 'SAME'}
            x = nn.ConvTranspose(width, (4, 4), use_bias=False, kernel_init=start, dtype=self.dtype, **how)(x)
            x = nn.relu(_batch_norm(train, self.dtype)(x))  # [B, 4 * 2^i, 4 * 2^i, width]
        x = nn.ConvTranspose(3, (4, 4), (2, 2), padding='SAME', kernel_init=start, dtype=self.dtype)(x)
        return jnp.tanh(x.astype(jnp.float32))

    def mapping(self, z: jax.Array, train: bool = False) -> jax.Array:
        """The noise itself."""
        return z

    def __call__(self, z: jax.Array, train: bool = False) -> jax.Array:
        return self.synthesis(z, train)


class ClassicDiscriminator(nn.Module):
    """DCGAN's discriminator, [B, S, S, 3] -> logits [B]; its batch norm always uses the batch at hand."""

    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        start, depth = nn.initializers.normal(0.02), (x.shape[1] // 8).bit_length()
        for i in range(depth):
            x = Conv(self.width * 2**i, 4, 2, use_bias=i == 0, kernel_init=start, dtype=self.dtype)(x)
            x = _batch_norm(True, self.dtype)(x) if i else x
            x = nn.leaky_relu(x, 0.2)  # [B, S / 2^(i+1), ..., width * 2^i]
        return nn.Dense(1, kernel_init=start, dtype=self.dtype)(x.reshape(x.shape[0], -1))[:, 0].astype(jnp.float32)


def _batch_norm(train: bool, dtype: jnp.dtype) -> nn.BatchNorm:
    scale = lambda key, shape, dtype: 1 + 0.02 * jax.random.normal(key, shape, dtype)
    return nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, axis_name=device_axis(), scale_init=scale, dtype=dtype)

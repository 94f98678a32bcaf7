"""StarGAN's nets (Choi et al. 2018, tables 4 and 5)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.conv import Conv
from dfjax.models.light import LightGenerator
from dfjax.models.resnet import ResNet

GENERATORS = ('resnet', 'light')
INIT = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


class Generator(nn.Module):
    """Pictures [B, H, W, C] in [-1, 1] and labels [B, K] -> pictures of the same shape with those labels.

    Attributes:
        labels: K.
        width, blocks, outputs: see `ResNet`, or `LightGenerator`.
        kind: 'resnet', the original's, or 'light', which adds to the picture.
    """

    labels: int = 5
    width: int = 64
    blocks: int = 6
    outputs: int = 3
    kind: str = 'resnet'
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, c: jax.Array) -> jax.Array:
        if c.shape[-1] != self.labels:
            raise InputError(f'{c.shape[-1]} labels were given to a generator of {self.labels}')
        if self.kind == 'light':
            shape = dict(width=self.width, blocks=self.blocks, outputs=self.outputs)
            return LightGenerator(**shape, norm='instance', add=True, dtype=self.dtype, name='net')(x, c)
        maps = jnp.broadcast_to(c[:, None, None], (*x.shape[:3], self.labels))
        x = jnp.concatenate([x, maps.astype(x.dtype)], -1)  # [B, H, W, C + K]
        # Zeros, for reflection would hide the edge that tells labels from pictures; the original says the same.
        shape = dict(width=self.width, blocks=self.blocks, outputs=self.outputs, resample=4)
        zeros = dict(pad='zeros', rim='zeros', last_bias=False)
        return ResNet(norm='affine', **shape, **zeros, dtype=self.dtype, name='net')(x)


class Discriminator(nn.Module):
    """Pictures [B, size, size, C] -> 'out_src' [B, h, h, 1], real or not by patch, and 'out_cls' [B, K], both logits.

    Attributes:
        size: side of the pictures.
        labels: K.
        width: channels of the first convolution, doubled at each.
        layers: convolutions, each halving the side.
    """

    size: int = 128
    labels: int = 5
    width: int = 64
    layers: int = 6
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        h, w = x.shape[1:3]
        if self.size < 2**self.layers:
            raise InputError(
                f'pictures of {self.size} pixels are too small for {self.layers} layers that halve them; '
                f'they need {2**self.layers}, or fewer layers'
            )
        if (h, w) != (self.size, self.size):
            raise InputError(f'pictures of {w}x{h} were given to a discriminator of {self.size}x{self.size}')
        for i in range(self.layers):
            conv = Conv(self.width * 2**i, 4, 2, twice=True, dtype=self.dtype, kernel_init=INIT, name=f'down_{i}')
            x = nn.leaky_relu(conv(x), 0.01)
        source = Conv(1, 3, use_bias=False, dtype=self.dtype, kernel_init=INIT, name='source')(x)
        # Over the whole map: [h, h, C, K], as a convolution of that size has it
        classes = nn.DenseGeneral(
            self.labels, axis=(1, 2, 3), use_bias=False, dtype=self.dtype, kernel_init=INIT, name='classes'
        )(x)
        return source.astype(jnp.float32), classes.astype(jnp.float32)

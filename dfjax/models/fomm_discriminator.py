"""First Order Motion Model's discriminator of patches, at one scale or several, with keypoints beside the picture.

Spectral normalisation is PyTorch's: the largest singular value of a kernel is followed by one power iteration a step.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.conv import Conv, conv
from dfjax.models.features import pooled
from dfjax.models.hourglass import INIT
from dfjax.models.norm import normalise
from dfjax.ops.exact import matmul
from dfjax.ops.motion import gaussians

KERNEL = 4


class SpectralConv(nn.Module):
    """Convolution without zeros around, its kernel divided by its largest singular value (Miyato et al. 2018).

    'u' [features] and 'v' [I * k * k], the singular vectors, lie in 'batch_stats'; training improves them.

    Attributes:
        features: channels out.
        kernel_size: side of the kernel.
    """

    features: int
    kernel_size: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        k = self.kernel_size
        kernel = self.param('kernel', INIT, (k, k, x.shape[-1], self.features))
        bias = self.param('bias', nn.initializers.zeros_init(), (self.features,))
        matrix = kernel.transpose(3, 2, 0, 1).reshape(self.features, -1)
        started = self.has_variable('batch_stats', 'u')
        start = lambda name, n: self.variable(
            'batch_stats', name, lambda: _unit(jax.random.normal(self.make_rng('params'), (n,)))
        )
        u, v = (start(name, n) for name, n in zip('uv', matrix.shape))
        if train and started:
            fixed = jax.lax.stop_gradient(matrix)
            v.value = _unit(matmul(fixed.T, u.value))
            u.value = _unit(matmul(fixed, v.value))
        sigma = matmul(u.value, matmul(matrix, v.value))
        return conv(x.astype(self.dtype), (kernel / sigma).astype(self.dtype)) + bias.astype(self.dtype)


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)


class Discriminator(nn.Module):
    """Pictures [B, H, W, C], and keypoints if it is shown them -> what `MultiScaleDiscriminator` has of one scale.

    Attributes: see `MultiScaleDiscriminator`.
    """

    width: int = 32
    max_width: int = 512
    blocks: int = 4
    spectral: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, points: jax.Array | None = None, train: bool = False) -> tuple[jax.Array, ...]:
        h, w = x.shape[1:3]
        if min(h, w) < least(self.blocks):
            raise InputError(
                f'pictures of {w}x{h} are too small for a discriminator of {self.blocks} blocks; it needs '
                f'{least(self.blocks)} pixels a side, or fewer blocks'
            )
        if points is not None:
            x = jnp.concatenate([x, gaussians(points, h, w)], -1)
        maps = []
        for i in range(self.blocks):
            x = self._conv(x, min(self.max_width, self.width * 2 ** (i + 1)), KERNEL, f'conv_{i}', train)
            if i:
                x = normalise(x, 'affine', f'norm_{i}', train, self.dtype)
            x = nn.leaky_relu(x, 0.2)
            x = pooled(x) if i < self.blocks - 1 else x
            maps.append(x.astype(jnp.float32))
        return self._conv(x, 1, 1, 'last', train).astype(jnp.float32), *maps

    def _conv(self, x: jax.Array, features: int, side: int, name: str, train: bool) -> jax.Array:
        if self.spectral:
            return SpectralConv(features, side, self.dtype, name=name)(x, train)
        return Conv(features, side, pad='none', dtype=self.dtype, kernel_init=INIT, name=name)(x)


class MultiScaleDiscriminator(nn.Module):
    """Pictures [B, H, W, C] in [0, 1] at each scale, and keypoints [B, K, 2] if it is shown them -> for each scale
    logits [B, h, w, 1] and the `blocks` feature maps below them [B, h, w, C], one after another.

    Attributes:
        scales: of pictures, each with a net of its own.
        width: half the channels of the first convolution; doubled from each to the next.
        max_width: the most there are.
        blocks: convolutions 4x4, each but the last followed by means of 2x2.
        points: whether it is shown keypoints.
        spectral: whether kernels are normalised by their largest singular value.
    """

    scales: Sequence[float] = (1,)
    width: int = 32
    max_width: int = 512
    blocks: int = 4
    points: bool = False
    spectral: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, *inputs: jax.Array, train: bool = False) -> tuple[jax.Array, ...]:
        points = inputs[len(self.scales)] if self.points else None
        found = []
        for scale, picture in zip(self.scales, inputs):
            shape = (self.width, self.max_width, self.blocks, self.spectral, self.dtype)
            found += Discriminator(*shape, name=f'scale_{scale_name(scale)}')(picture, points, train)
        return tuple(found)


def scale_name(scale: float) -> str:
    """As the original calls it: '1', '0-5'."""
    return f'{scale:g}'.replace('.', '-')


def least(blocks: int) -> int:
    """The side of the smallest picture of which something is left."""
    side = KERNEL
    for _ in range(blocks - 1):
        side = 2 * side + KERNEL - 1
    return side

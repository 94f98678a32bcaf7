"""Transposed convolution of stride 2: `UpConv`, with PyTorch's numbers, and fast on a CPU.

XLA's CPU backend differentiates a dilated convolution by a plain loop, some 50 times slower than the same work as dense
ones. So there the even and odd pixels of either axis are a convolution each, interleaved at the end:

    4x4    out[2m] = x[m-1] w[3] + x[m] w[1]     out[2m+1] = x[m] w[2] + x[m+1] w[0]
    3x3    out[2m] = x[m] w[1]                   out[2m+1] = x[m] w[2] + x[m+1] w[0]

That slices the kernel, which takes longer than the products where there are fewer pixels than channels. There every
tap of the kernel is a product with the whole picture, the kernel as it lies in memory, and the sixteen pictures are
added up, each spread and shifted to its place (8x8 from 1024 channels to 512: 9 ms instead of 24; 2x2: 1.4 instead of
16).

Accelerators get the plain one. The choice is made when a function is lowered, so a program that a CPU exports for them
holds plain ones too.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from dfjax.models.conv import Conv

UPSAMPLES = ('transposed', 'bilinear', 'nearest')  # kinds of `doubled`
_LAYOUT = ('NHWC', 'HWIO', 'NHWC')
# Even and odd pixels: rows of the kernel, and zeros before and after the picture. Slices, because the gradient of an
# index array is a scatter.
_PARITIES = {
    4: ((slice(3, None, -2), (1, 0)), (slice(2, None, -2), (0, 1))),
    3: ((slice(1, 2), (0, 0)), (slice(2, None, -2), (0, 1))),
}


def doubled(x: jax.Array, kind: str, features: int, kernel_size: int, **options) -> jax.Array:
    """Inside a module's `__call__`: x [B, H, W, I] -> [B, 2H, 2W, features], by a new submodule.

    Args:
        kind: 'transposed' for `UpConv`; 'bilinear' or 'nearest' enlarges x so and convolves it by 3x3, with its
            reflection around it (Odena et al. 2016: no checkerboards).
        options: `name` and others that both modules take.
    """
    if kind == 'transposed':
        return UpConv(features, kernel_size, **options)(x)
    _, h, w, c = x.shape
    x = jax.vmap(lambda one: jax.image.resize(one, (2 * h, 2 * w, c), kind))(x)  # an export leaves B open
    return Conv(features, 3, pad='reflect', **options)(x)


class UpConv(nn.Module):
    """[B, H, W, I] -> [B, 2H, 2W, features]: ConvTranspose2d with stride 2 and padding 1, output_padding 1 for 3x3.

    Parameters: 'kernel' [k, k, I, features] in PyTorch's orientation, 'bias' [features].

    Attributes:
        features: channels out.
        kernel_size: 3 or 4.
        use_bias: whether a bias is added.
        dtype: computation type; parameters stay float32.
    """

    features: int
    kernel_size: int
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        k = self.kernel_size
        kernel = self.param('kernel', self.kernel_init, (k, k, x.shape[-1], self.features))
        y = upconv(x.astype(self.dtype), kernel.astype(self.dtype))
        if self.use_bias:
            y = y + self.param('bias', nn.initializers.zeros_init(), (self.features,)).astype(self.dtype)
        return y


def upconv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """[B, H, W, I] by kernel [3 or 4, ., I, O]: [B, 2H, 2W, O]."""
    b, h, w, _ = x.shape
    few = (b if isinstance(b, int) else 1) * h * w < kernel.shape[-1]  # an export leaves b open
    return lax.platform_dependent(x, kernel, cpu=_by_taps if few else _by_parity, default=_dilated)


def _dilated(x: jax.Array, kernel: jax.Array) -> jax.Array:
    edge = (kernel.shape[0] - 2, 2)
    return lax.conv_general_dilated(
        x, kernel[::-1, ::-1], (1, 1), [edge, edge], lhs_dilation=(2, 2), dimension_numbers=_LAYOUT
    )


def _by_taps(x: jax.Array, kernel: jax.Array) -> jax.Array:
    k, (b, h, w, _), o = kernel.shape[0], x.shape, kernel.shape[-1]
    pixels = jnp.broadcast_to(x.reshape(1, b * h * w, -1), (k * k, b * h * w, x.shape[-1]))
    taps = (pixels @ kernel.reshape(k * k, -1, o)).reshape(k, k, b, h, w, o)  # out[2m + i - 1] has x[m] w[i]
    spread = [[(0, 0, 0), (i - 1, 2 - i, 1), (j - 1, 2 - j, 1), (0, 0, 0)] for i in range(k) for j in range(k)]
    zero = jnp.zeros((), x.dtype)
    return sum(lax.pad(tap, zero, places) for tap, places in zip(taps.reshape(-1, b, h, w, o), spread))


def _by_parity(x: jax.Array, kernel: jax.Array) -> jax.Array:
    (b, h, w, _), o = x.shape, kernel.shape[-1]
    rows = []
    for i, above in _PARITIES[kernel.shape[0]]:
        row = []
        for j, left in _PARITIES[kernel.shape[0]]:
            taps = kernel[i, j]  # [1 or 2, 1 or 2, I, O]
            if taps.shape[:2] == (1, 1):
                row.append(x @ taps[0, 0])
            else:
                row.append(lax.conv_general_dilated(x, taps, (1, 1), [above, left], dimension_numbers=_LAYOUT))
        rows.append(jnp.stack(row, 3))  # [B, H, W, 2, O]
    return jnp.stack(rows, 2).reshape(b, 2 * h, 2 * w, o)

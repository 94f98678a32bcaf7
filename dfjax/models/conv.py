"""Convolution: `Conv`, a drop-in for `nn.Conv` with the same parameters and numbers, without XLA's slow spots on a CPU.

The first: where a kernel is larger than the picture, in height or width, XLA exchanges the two, which leaves a reversed
window, and its CPU backend computes that by a plain loop, 30 to 60 times slower than its neighbours. The input gradient
of a convolution is a convolution of what came out: so this strikes backwards wherever an *output* is smaller than the
kernel, and 5x5 with stride 2 from 8x8 to 4x4 takes most of a training step. The second derivative of any convolution
with a stride, as in a gradient penalty, has windows as large as the picture, and is 5 times slower than need be.

There the pixels under the kernel are put side by side, and one product of matrices does it: its derivatives of any
order are products of matrices too (5x5, 8x8 to 4x4, 128 to 256 channels, 16 pictures: 15 ms with its gradients instead
of 107; with those of a gradient penalty 33 ms instead of 333).

The second: without any zeros around, a convolution of large pictures takes 3 to 20 times as long (3x3 on 66x66 with 256
channels: 77 ms instead of 24; 7x7 on 262x262 from 64 channels to 3: 270 ms instead of 12). So it gets a row of them,
and the row that comes of it is dropped. 1x1 is a product of matrices, at twice the speed.

The choice is made by shape when a function is traced, and by platform when it is lowered: accelerators get the plain
convolution, also from a program that a CPU exports. Only differentiable JAX operations are used, so derivatives of any
order and mode exist.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')
FRAMES = {'reflect': 'reflect', 'replicate': 'edge'}  # what `jnp.pad` calls them


class Conv(nn.Module):
    """2-D convolution of [B, H, W, I] -> [B, ceil(H / strides), ceil(W / strides), features] for odd kernels.

    Zeros are padded symmetrically, (kernel_size - 1) // 2 on every side, as PyTorch and DeepFaceLab do (JAX's 'SAME'
    differs at stride 2); an even kernel so takes one pixel off, as PatchGAN's 4x4 do. Parameters are those of
    `nn.Conv`: 'kernel' [k, k, I, features] and 'bias' [features].

    Attributes:
        features: channels out.
        kernel_size: side of the kernel.
        strides: step of the kernel, of both axes or of each.
        use_bias: whether a bias is added.
        pad: 'zeros', 'reflect' for the picture's reflection instead of them, 'replicate' for its outermost pixels, or
            'none', where the picture shrinks by kernel_size - 1.
        twice: whether it is differentiated twice, which decides what is fast.
        dtype: computation type; parameters stay float32.
    """

    features: int
    kernel_size: int
    strides: int | tuple[int, int] = 1
    use_bias: bool = True
    pad: str = 'zeros'
    twice: bool = False
    dtype: jnp.dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        k = self.kernel_size
        kernel = self.param('kernel', self.kernel_init, (k, k, x.shape[-1], self.features))
        x, edge = x.astype(self.dtype), (k - 1) // 2
        if self.pad in FRAMES:
            x, edge = jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode=FRAMES[self.pad]), 0
        edge = 0 if self.pad == 'none' else edge
        y = conv(x, kernel.astype(self.dtype), self.strides, edge, self.twice)
        if self.use_bias:
            y = y + self.param('bias', self.bias_init, (self.features,)).astype(self.dtype)
        return y


def conv(
    x: jax.Array, kernel: jax.Array, stride: int | tuple[int, int] = 1, pad: int = 0, twice: bool = False
) -> jax.Array:
    """[B, H, W, I] by kernel [k, k, I, O], `pad` zeros on every side: [B, (H + 2 pad - k) // stride + 1, ..., O].

    `stride` is of both axes, or of each.
    """
    k, steps = kernel.shape[0], (stride, stride) if isinstance(stride, int) else stride
    if k == stride == 1 and not pad:
        return x @ kernel[0, 0]
    h, w = ((n + 2 * pad - k) // step + 1 for n, step in zip(x.shape[1:3], steps))

    def plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(x, kernel, steps, [(pad, pad)] * 2, dimension_numbers=_LAYOUT)

    def patches(x: jax.Array, kernel: jax.Array) -> jax.Array:
        x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        under = lambda n, step: [slice(i, i + step * (n - 1) + 1, step) for i in range(k)]
        rows, columns = map(under, (h, w), steps)
        pixels = jnp.concatenate([x[:, row, column] for row in rows for column in columns], -1)  # [B, h, w, k*k*I]
        return pixels @ kernel.reshape(-1, kernel.shape[-1])

    def one_row_more(x: jax.Array, kernel: jax.Array) -> jax.Array:
        edges = [(0, 1), (0, 0)]
        return lax.conv_general_dilated(x, kernel, steps, edges, dimension_numbers=_LAYOUT)[:, :h]

    if min(h, w) < k or (twice and max(steps) > 1):
        return lax.platform_dependent(x, kernel, cpu=patches, default=plain)
    if not pad:
        return lax.platform_dependent(x, kernel, cpu=one_row_more, default=plain)
    return plain(x, kernel)

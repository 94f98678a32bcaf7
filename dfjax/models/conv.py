"""Convolution: `Conv`, a drop-in for `nn.Conv` with the same parameters and numbers, fast on a CPU too.

On an accelerator it is `lax.conv_general_dilated` and nothing else. XLA's CPU backend has one slow spot that a training
step cannot live with: gradients of strided convolutions, up to 25 times slower than their neighbours. There a strided
convolution is rewritten: pixels of each stride x stride block become channels (space to depth), the kernel is padded
with zeros and reshaped likewise, and a dense convolution gives the same numbers, forward and backward.

The choice is made when a function is traced, by `jax.default_backend()` (a program exported on a CPU machine for a GPU
carries the rewritten form: right, not fastest). Everything is built of differentiable JAX operations, so derivatives of
any order and mode exist.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax import lax

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


class Conv(nn.Module):
    """2-D convolution of [B, H, W, I] -> [B, ceil(H / strides), ceil(W / strides), features] for odd kernels.

    Zeros are padded symmetrically, (kernel_size - 1) // 2 on every side, as PyTorch and DeepFaceLab do (JAX's 'SAME'
    differs at stride 2); an even kernel so takes one pixel off, as PatchGAN's 4x4 do. Parameters are those of
    `nn.Conv`: 'kernel' [k, k, I, features] and 'bias' [features].

    Attributes:
        features: channels out.
        kernel_size: side of the kernel.
        strides: step of the kernel.
        use_bias: whether a bias is added.
        dtype: computation type; parameters stay float32.
    """

    features: int
    kernel_size: int
    strides: int = 1
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        k = self.kernel_size
        kernel = self.param('kernel', self.kernel_init, (k, k, x.shape[-1], self.features))
        y = conv(x.astype(self.dtype), kernel.astype(self.dtype), self.strides, (k - 1) // 2)
        if self.use_bias:
            y = y + self.param('bias', self.bias_init, (self.features,)).astype(self.dtype)
        return y


def conv(x: jax.Array, kernel: jax.Array, stride: int = 1, pad: int = 0) -> jax.Array:
    """[B, H, W, I] by kernel [k, k, I, O], `pad` zeros on every side: [B, (H + 2 pad - k) // stride + 1, ..., O]."""
    if stride > 1 and jax.default_backend() == 'cpu':
        return _strided_as_dense(x, kernel, stride, pad)
    return lax.conv_general_dilated(x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=_LAYOUT)


def _strided_as_dense(x: jax.Array, kernel: jax.Array, s: int, pad: int) -> jax.Array:
    """The same as `conv`, by space to depth and a convolution of stride 1.

    The kernel gets `front` rows of zeros before it, so that its first row meets the first row of a block, and enough
    behind it to fill whole blocks.
    """
    k = kernel.shape[0]
    front = -pad % s
    blocks = -(-(front + k) // s)
    grow = (front, blocks * s - front - k)
    kernel = jnp.pad(kernel, (grow, grow, (0, 0), (0, 0)))
    kernel = rearrange(kernel, '(h i) (w j) c o -> h w (i j c) o', i=s, j=s)

    lead = (pad + front) // s  # blocks of zeros before the picture
    sides = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), *((0, -n % s) for n in sides), (0, 0)))
    x = rearrange(x, 'b (h i) (w j) c -> b h w (i j c)', i=s, j=s)
    out = [(n + 2 * pad - k) // s + 1 for n in sides]
    padding = [(lead, o + blocks - 1 - lead - n) for o, n in zip(out, x.shape[1:3])]  # negative: not all is read
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=_LAYOUT)

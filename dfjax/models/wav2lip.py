"""The nets of Wav2Lip (Prajwal et al. 2020): a generator that repaints mouths, and who calls them real.

Faces are [B, S, S, C] in [0, 1], spectrograms [B, 80, T, 1] (`ops.mel`). Every convolution but the discriminator's has
a batch normalisation.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.conv import Conv
from dfjax.models.hourglass import INIT
from dfjax.models.norm import normalise
from dfjax.models.recompute import block
from dfjax.models.upconv import UpConv

AUDIO_STRIDES = ((1, 1), (3, 1), (3, 3), (3, 2))  # frequency, time: 80x16 becomes 3x3


class Block(nn.Module):
    """relu(norm(conv(x)) [+ x]).

    Attributes:
        features: channels out.
        kernel: side of the kernel.
        strides: step of the kernel, of both axes or of each.
        pad: 'zeros' or 'none', see `Conv`.
        residual: whether x is added.
        relu: whether what is below 0 is cut off.
        bias: whether the convolution has one, which the norm takes off again: the original's has.
    """

    features: int
    kernel: int = 3
    strides: int | tuple[int, int] = 1
    pad: str = 'zeros'
    residual: bool = False
    relu: bool = True
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @block
    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        options = {'use_bias': self.bias, 'pad': self.pad, 'dtype': self.dtype, 'kernel_init': INIT}
        y = Conv(self.features, self.kernel, self.strides, name='conv', **options)(x)
        y = normalise(y, 'batch', 'norm', train, self.dtype)
        y = y + x if self.residual else y
        return nn.relu(y) if self.relu else y


class UpBlock(nn.Module):
    """relu(norm(upconv(x))): [B, H, W, C] -> [B, 2H, 2W, features], or [B, 1, 1, C] -> [B, k, k, features].

    Attributes:
        features: channels out.
        kernel: 3, or k where there is one pixel.
        bias: see `Block`.
    """

    features: int
    kernel: int = 3
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @block
    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        if x.shape[1:3] == (1, 1):
            y = Spread(self.features, self.kernel, self.bias, self.dtype, name='conv')(x)
        else:
            options = {'use_bias': self.bias, 'dtype': self.dtype, 'kernel_init': INIT}
            y = UpConv(self.features, 3, name='conv', **options)(x)
        return nn.relu(normalise(y, 'batch', 'norm', train, self.dtype))


class Spread(nn.Module):
    """A transposed convolution of one pixel: [B, 1, 1, I] by 'kernel' [k, k, I, features] -> [B, k, k, features]."""

    features: int
    kernel_size: int
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        k = self.kernel_size
        kernel = self.param('kernel', INIT, (k, k, x.shape[-1], self.features))
        y = jnp.einsum('bi,klio->bklo', x[:, 0, 0].astype(self.dtype), kernel.astype(self.dtype))
        if self.use_bias:
            y = y + self.param('bias', nn.initializers.zeros_init(), (self.features,)).astype(self.dtype)
        return y


class AudioEncoder(nn.Module):
    """Spectrograms [B, 80, T, 1] -> one code [B, 1, (T + 5) // 6 - 2, code]; of 16 columns one.

    Attributes:
        widths: channels of the four sizes, and after them.
        blocks: residual blocks at each.
        code: channels out.
        relu: whether codes are never negative.
        bias: see `Block`.
    """

    widths: Sequence[int] = (32, 64, 128, 256, 512)
    blocks: Sequence[int] = (2, 2, 2, 1)
    code: int = 512
    relu: bool = True
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        options = {'bias': self.bias, 'dtype': self.dtype}
        for i, (width, count, strides) in enumerate(zip(self.widths, self.blocks, AUDIO_STRIDES)):
            x = Block(width, strides=strides, name=f'down_{i}', **options)(x, train)
            for j in range(count):
                x = Block(width, residual=True, name=f'block_{i}_{j}', **options)(x, train)
        x = Block(self.widths[-1], pad='none', name='whole', **options)(x, train)
        return Block(self.code, 1, relu=self.relu, name='code', **options)(x, train)


class Generator(nn.Module):
    """Speech [B, 80, 16, 1] and faces [B, S, S, 6], what is to be repainted and what it looks like -> [B, S, S, 3].

    Attributes:
        encoder: channels at each halving of the face, the full side first, and then of a single pixel.
        encoder_blocks: residual blocks at each but that.
        decoder: channels of a single pixel, and then at the same sides, the smallest first.
        decoder_blocks: residual blocks at each but that.
        last: channels before the picture.
        outputs: channels of the picture.
        audio: `AudioEncoder`'s attributes.
        bias: see `Block`.
    """

    encoder: Sequence[int] = (16, 32, 64, 128, 256, 512, 512)
    encoder_blocks: Sequence[int] = (0, 2, 3, 2, 2, 1)
    decoder: Sequence[int] = (512, 512, 512, 384, 256, 128, 64)
    decoder_blocks: Sequence[int] = (1, 2, 2, 2, 2, 2)
    last: int = 32
    outputs: int = 3
    audio: dict | None = None
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, mel: jax.Array, face: jax.Array, train: bool = False) -> jax.Array:
        side, halvings = face.shape[1], len(self.encoder) - 2
        if face.shape[2] != side or side % 2**halvings or side // 2**halvings < 2:
            raise InputError(
                f'faces of {face.shape[2]}x{side} do not fit a generator of {halvings} halvings; they are square, and '
                f'their side is {2**halvings} times 2 at least'
            )
        options = {'bias': self.bias, 'dtype': self.dtype}
        x, sizes = face, []
        for i, (width, count) in enumerate(zip(self.encoder, self.encoder_blocks)):
            x = Block(width, 3 if i else 7, 2 if i else 1, name=f'down_{i}', **options)(x, train)
            for j in range(count):
                x = Block(width, residual=True, name=f'block_{i}_{j}', **options)(x, train)
            sizes.append(x)
        least = x.shape[1]  # 3 where S is 96
        x = Block(self.encoder[-1], least, pad='none', name='whole', **options)(x, train)
        sizes.append(Block(self.encoder[-1], 1, name='code', **options)(x, train))

        x = AudioEncoder(**(self.audio or {}), name='audio', **options)(mel, train)
        x = Block(self.decoder[0], 1, name='up_0', **options)(x, train)
        x = jnp.concatenate([x, sizes.pop()], -1)
        for i, (width, count) in enumerate(zip(self.decoder[1:], self.decoder_blocks), 1):
            x = UpBlock(width, least if i == 1 else 3, name=f'up_{i}', **options)(x, train)
            for j in range(count):
                x = Block(width, residual=True, name=f'up_{i}_{j}', **options)(x, train)
            x = jnp.concatenate([x, sizes.pop()], -1)
        x = Block(self.last, name='last', **options)(x, train)
        x = Conv(self.outputs, 1, dtype=self.dtype, kernel_init=INIT, name='picture')(x)
        return nn.sigmoid(x.astype(jnp.float32))


class Discriminator(nn.Module):
    """Faces [B, S, S, 3], or of T frames [B, T, S, S, 3], time before examples -> whether their lower halves are real,
    [B, 1] or [T * B, 1].

    Attributes:
        widths: channels at each halving of the side, the first of which halves the width alone; the last is one pixel.
        logits: whether logits are given instead of probabilities.
    """

    widths: Sequence[int] = (32, 64, 128, 256, 512, 512, 512)
    logits: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, face: jax.Array, train: bool = False) -> jax.Array:
        if face.ndim == 5:
            face = face.swapaxes(0, 1).reshape(-1, *face.shape[2:])
        x = face[:, face.shape[1] // 2 :].astype(self.dtype)
        for i, width in enumerate(self.widths[:-1]):
            kernel = (7, 5, 5, 5)[i] if i < 4 else 3
            x = self._layer(x, width, kernel, (1, (1, 2), 2)[min(i, 2)], 'zeros', f'down_{i}')
            if i:
                x = self._layer(x, width, kernel, 1, 'zeros', f'block_{i}')
        if min(x.shape[1:3]) < 3:
            raise InputError(
                f'faces of {face.shape[2]}x{face.shape[1]} are too small for a discriminator of {len(self.widths)} '
                f'sizes; it needs {3 * 2 ** (len(self.widths) - 2)} pixels a side, or fewer sizes'
            )
        x = self._layer(x, self.widths[-1], 3, 1, 'none', 'whole')
        x = self._layer(x, self.widths[-1], 1, 1, 'zeros', 'code')
        x = Conv(1, 1, dtype=self.dtype, kernel_init=INIT, name='logit')(x).astype(jnp.float32).mean((1, 2))
        return x if self.logits else nn.sigmoid(x)

    def _layer(
        self, x: jax.Array, features: int, kernel: int, strides: int | tuple[int, int], pad: str, name: str
    ) -> jax.Array:
        conv = Conv(features, kernel, strides, pad=pad, dtype=self.dtype, kernel_init=INIT, name=name)
        return nn.leaky_relu(conv(x), 0.01)

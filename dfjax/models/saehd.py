"""DeepFaceLab's SAEHD: an encoder, one or two inters, decoders of a picture and its mask, and a U-Net discriminator.

Pictures are NHWC in [-1, 1]. `options` are letters of OPTIONS, as in the names of DeepFaceLab's architectures:

    u   codes are divided by their root mean square (Karras et al. 2018)
    d   dense layers of half the side; the decoder's last maps are half a picture, its channels of four pixels each
    t   a fifth halving and more residual blocks, which keep a face's own shape better
    c   x cos(x) is the activation

A map is padded by zeros on both sides and lies channel after channel in a row; pixels are shuffled as (row, column,
channel).
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax import ranges as r
from dfjax.errors import InputError
from dfjax.models.blocks import Residual, Upscale, activation
from dfjax.models.conv import Conv
from dfjax.models.upconv import UpConv
from dfjax.ops.image import pixel_shuffle

KINDS = ('df', 'liae')
OPTIONS = 'udtc'
SMALLEST, LARGEST = 64, 640  # pixels
MOST_LAYERS = 9  # of the discriminator's encoder
WIDEST = 512  # channels of the discriminator


def default_config() -> dict:
    """A config's section."""
    return dict(
        kind=r.choice('liae', KINDS),  # how codes of two people are kept apart
        options='ud',  # letters of OPTIONS
        code=r.size(256),  # length of a code
        width=r.size(64),  # channels of the encoder's first map
        decoder_width=r.size(64),  # channels of the decoder's last map
        mask_width=r.size(22),  # channels of the mask's last map
    )


def check(model: Mapping, size: int) -> None:
    """Raises InputError where options and the side of pictures do not go together."""
    options = model['options']
    if set(options) - set(OPTIONS) or len(set(options)) < len(options):
        raise InputError(f'config key model.options is letters of {OPTIONS}, each once, not {options!r}')
    step = 32 if set(options) & set('dt') else 16
    if size % step or not SMALLEST <= size <= LARGEST:
        raise InputError(
            f'config key data.size is {SMALLEST} to {LARGEST} and a multiple of {step} with options {options!r}, '
            f'not {size}'
        )


def row_length(model: Mapping, size: int) -> int:
    """N of the encoder's rows for pictures of `size` pixels."""
    return 8 * model['width'] * (size // (32 if 't' in model['options'] else 16)) ** 2


def code_shape(model: Mapping, size: int) -> tuple[int, int, int]:
    """(s, s, C) of an inter's map."""
    side = size // (32 if 'd' in model['options'] else 16) * (1 if 't' in model['options'] else 2)
    return side, side, model['code'] * (1 if model['kind'] == 'df' else 2)


def generator(model: Mapping, size: int, dtype: jnp.dtype) -> dict[str, nn.Module]:
    """Encoder, inters and decoders by name, of a section as `default_config` gives."""
    options = model['options']
    inter = Inter(model['code'], size, code_shape(model, size)[-1], options, dtype)
    decoder = Decoder(model['decoder_width'], model['mask_width'], options, dtype)
    found = {'encoder': Encoder(model['width'], options, dtype)}
    if model['kind'] == 'df':
        return found | {'inter': inter, 'decoder_a': decoder, 'decoder_b': decoder}
    return found | {'inter_ab': inter, 'inter_a': inter, 'decoder': decoder}


class Encoder(nn.Module):
    """[B, S, S, 3] -> [B, N], the map of the last convolution in a row.

    Attributes:
        width: channels of the first map, which double up to eight times as many.
        options: see the module.
    """

    width: int
    options: str
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        tall, cosine = 't' in self.options, 'c' in self.options
        x = (x + 1) / 2
        for i, times in enumerate((1, 2, 4, 8, 8) if tall else (1, 2, 4, 8)):
            x = Conv(self.width * times, 5, 2, dtype=self.dtype, name=f'down_{i}')(x)
            x = activation(x, 0.1, cosine)
            if tall and i in (0, 4):
                x = Residual(self.dtype, cosine, name=f'res_{i}')(x)
        x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1).astype(jnp.float32)  # [B, N]
        if 'u' in self.options:
            x = x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-6)
        return x


class Inter(nn.Module):
    """[B, N] -> [B, s, s, width]: a code, unfolded to a map.

    Attributes:
        code: its length.
        size: side of the pictures.
        width: channels out.
        options: see the module.
    """

    code: int
    size: int
    width: int
    options: str
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        side = self.size // (32 if 'd' in self.options else 16)
        x = nn.Dense(self.code, dtype=self.dtype, name='dense_0')(x)
        x = nn.Dense(side * side * self.width, dtype=self.dtype, name='dense_1')(x)
        x = x.reshape(-1, self.width, side, side).transpose(0, 2, 3, 1)
        if 't' not in self.options:
            x = Upscale(self.width, self.dtype, 'c' in self.options, name='up')(x)
        return x.astype(jnp.float32)


class Decoder(nn.Module):
    """[B, s, s, C] -> picture [B, S, S, 3] in [-1, 1] and mask [B, S, S, 1] in [0, 1], by separate layers.

    Attributes:
        width: channels of the last map; the first has eight times as many.
        mask_width: likewise of the mask's.
        options: see the module.
    """

    width: int
    mask_width: int
    options: str
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, code: jax.Array) -> tuple[jax.Array, jax.Array]:
        cosine, half = 'c' in self.options, 'd' in self.options
        widths = (8, 8, 4, 2) if 't' in self.options else (8, 4, 2)
        up = lambda width, name: Upscale(width, self.dtype, cosine, name=name)
        x = mask = code
        for i, times in enumerate(widths):
            x = up(times * self.width, f'up_{i}')(x)
            x = Residual(self.dtype, cosine, name=f'res_{i}')(x)
        x = [Conv(3, 3 if i else 1, dtype=self.dtype, name=f'out_{i}')(x) for i in range(4 if half else 1)]
        x = pixel_shuffle(jnp.concatenate(x, -1), 2) if half else x[0]  # [B, S, S, 3]
        for i, times in enumerate((*widths, 1) if half else widths):
            mask = up(times * self.mask_width, f'mask_up_{i}')(mask)
        mask = Conv(1, 1, dtype=self.dtype, name='mask_out')(mask)  # [B, S, S, 1]
        return 2 * nn.sigmoid(x.astype(jnp.float32)) - 1, nn.sigmoid(mask.astype(jnp.float32))


class CodeDiscriminator(nn.Module):
    """Codes [B, s, s, C] -> logits [B, h, w, 1]: whose face it is of."""

    width: int = 256
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i in range(1 + x.shape[1] // 8):
            x = Conv(self.width * min(2**i, 8), 3 if i else 4, 2, dtype=self.dtype)(x)
            x = nn.leaky_relu(x, 0.1)
        return Conv(1, 1, dtype=self.dtype)(x).astype(jnp.float32)


class UNetDiscriminator(nn.Module):
    """Pictures [B, H, W, 3] -> logits of patches [B, h, w, 1] and, with all that is around, of pixels [B, H, W, 1].

    As Schönfeld et al. 2020, with patches instead of whole pictures.

    Attributes:
        patch: pixels, the side of what a logit of the first sees, as nearly as layers make it.
        width: channels of the first map, which double up to WIDEST.
    """

    patch: int
    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        strides = patch_strides(self.patch)
        widths = [min(self.width * 2**i, WIDEST) for i in range(len(strides) + 1)]
        conv = lambda width, size, stride=1: Conv(width, size, stride, dtype=self.dtype)
        residuals = lambda x: Residual(self.dtype)(Residual(self.dtype)(x))
        x, maps = nn.leaky_relu(conv(widths[0], 1)(x), 0.2), []
        for width, stride in zip(widths[1:], strides):
            maps.append(x)
            x = residuals(nn.leaky_relu(conv(width, 3, stride)(x), 0.2))
        patches = conv(1, 1)(x)
        x = nn.leaky_relu(conv(widths[-1], 1)(x), 0.2)
        for width, stride, beside in zip(widths[-2::-1], strides[::-1], maps[::-1]):
            x = UpConv(width, 3, dtype=self.dtype)(x) if stride == 2 else conv(width, 3)(x)
            x = nn.leaky_relu(x, 0.2)[:, : beside.shape[1], : beside.shape[2]]  # an odd side was rounded up
            x = residuals(jnp.concatenate([beside, x], -1))
        return patches.astype(jnp.float32), conv(1, 1)(x).astype(jnp.float32)


def patch_strides(patch: int) -> list[int]:
    """Strides of 3x3 convolutions of which one number sees nearly `patch` pixels a side.

    DeepFaceLab's choice: the first halves; of all that see as much, the fewest layers, then the most halvings; of two
    sides that are as near, the smaller.
    """
    best: dict[int, tuple] = {}
    for layers in range(1, MOST_LAYERS + 1):
        for bits in range(2 ** (layers - 1)):
            strides = [2, *(1 + (bits >> i & 1) for i in range(layers - 1))]
            seen, step = 1, 1
            for stride in strides:
                seen, step = seen + 2 * step, step * stride
            key = (-layers, sum(strides), bits)
            if seen not in best or key > best[seen][0]:
                best[seen] = key, strides
    return best[min(sorted(best), key=lambda seen: abs(seen - patch))][1]

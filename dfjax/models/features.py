"""Features of pictures that need no training: a bank of fixed filters, in two layers, over octaves.

The first layer is what the visual cortex and the scattering transform begin with: even and odd gratings in several
directions, of brightness and of two opponent colours, and the colours themselves, each split by its sign. The second
mixes neighbours of the first by random weights of a fixed seed and rectifies again: it sees corners, ends and edges
between colours, as the nets with random weights do that make good textures (Ustyuzhaninov et al. 2016; He et al. 2016).
Every octave halves the picture, so the same small filters see larger forms.

`extract` gives these features, or VGG-19's where the user has its weights.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.models import vgg
from dfjax.models.conv import conv
from dfjax.ops.exact import einsum, matmul
from dfjax.ops.image import band_matrix

TAPS, PERIOD, SIGMA = 7, 4.0, 1.6  # gratings: taps, wavelength and gaussian window, in pixels
DIRECTIONS = (6, 4, 4)  # directions in brightness, red against green, and yellow against blue
GAINS = (1.0, 2.0, 2.0)  # colours vary less than brightness
MIXED = 64  # channels of the second layer
LEAST = 16  # pixels a side of the smallest octave
COLOURS = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / np.sqrt([[3], [2], [6]])
GAIN = 3.0  # by which contrasts are raised at most, to take on others' colours


def octaves(side: int) -> int:
    """How many octaves a picture has whose shorter side is that many pixels."""
    return max(1, (side // LEAST).bit_length())


def extract(weights: vgg.Weights | None, pictures: jax.Array, count: int) -> tuple[list[jax.Array], list[jax.Array]]:
    """The layers that say what the style of pictures [B, H, W, 3] in [-1, 1] is, and those that say what they show.

    Args:
        weights: of `vgg`; none is the bank.
        count: octaves of the bank, see `octaves`.

    Returns:
        Maps [B, h, w, C] each.
    """
    if not weights:
        return bank(pictures, count)
    found = vgg.features(weights, pictures, [*vgg.STYLE, *vgg.CONTENT])
    return found[: len(vgg.STYLE)], found[len(vgg.STYLE) :]


def bank(pictures: jax.Array, count: int) -> tuple[list[jax.Array], list[jax.Array]]:
    """Both layers of every octave; and, for what is shown, the second ones but the finest, which is the style's. See
    `extract`."""
    style, content = [], []
    for _ in range(count):
        waves = mirrored_conv(pictures, gratings())
        first = jnp.concatenate([jax.nn.relu(waves), jax.nn.relu(-waves)], -1)  # [B, H, W, 62]
        second = jax.nn.relu(mirrored_conv(pooled(first), mixing()))  # [B, H/2, W/2, MIXED]
        style += [first, second]
        content.append(second)
        pictures = halved(pictures)
    return style, content[1:] or content


@lru_cache(1)
def gratings() -> np.ndarray:
    """The first layer's filters [TAPS, TAPS, 3, 31]: gratings without a mean and of norm GAINS, and blurred colours."""
    at = np.arange(TAPS) - TAPS // 2
    y, x = np.meshgrid(at, at, indexing='ij')
    window = np.exp(-0.5 * (x**2 + y**2) / SIGMA**2)
    found = []
    for colour, gain, directions in zip(COLOURS, GAINS, DIRECTIONS):
        for angle in np.arange(directions) * np.pi / directions:
            phase = 2 * np.pi / PERIOD * (x * np.cos(angle) + y * np.sin(angle))
            for wave in (np.cos(phase), np.sin(phase)):
                f = window * (wave - (window * wave).sum() / window.sum())
                found.append(gain * (f / np.sqrt((f**2).sum()))[..., None] * colour)
    blur = np.exp(-0.5 * (x**2 + y**2) / 1.2**2)
    found += [(blur / blur.sum())[..., None] * colour for colour in COLOURS]
    return np.stack(found, -1).astype(np.float32)


@lru_cache(1)
def mixing() -> np.ndarray:
    """The second layer's weights [3, 3, 62, MIXED]: normal, without a mean over inputs, of norm 1."""
    k = np.random.default_rng(1).normal(size=(3, 3, 2 * gratings().shape[-1], MIXED))
    k -= k.mean((0, 1, 2))
    return (k / np.sqrt((k**2).sum((0, 1, 2)))).astype(np.float32)


def colours(pictures: jax.Array) -> jax.Array:
    """Mean and standard deviation of the opponent colours of pictures [B, H, W, 3]: [B, 2, 3]."""
    opponent = matmul(pictures, COLOURS.T.astype(np.float32))
    return jnp.stack([opponent.mean((1, 2)), opponent.std((1, 2))], 1)


def recoloured(pictures: jax.Array, wanted: jax.Array) -> jax.Array:
    """Pictures [B, H, W, 3] in [-1, 1] with other `colours` [B or 1, 2, 3], as far as GAIN lets (Reinhard 2001)."""
    mean, spread = jnp.split(colours(pictures)[:, :, None, None], 2, 1)  # [B, 1, 1, 1, 3]
    to, width = jnp.split(wanted[:, :, None, None], 2, 1)
    gain = jnp.minimum(width / jnp.maximum(spread, 1e-3), GAIN)
    opponent = (matmul(pictures, COLOURS.T.astype(np.float32)) - mean[:, 0]) * gain[:, 0] + to[:, 0]
    return jnp.clip(matmul(opponent, COLOURS.astype(np.float32)), -1, 1)


def mirrored_conv(x: jax.Array, kernel: np.ndarray) -> jax.Array:
    """[B, H, W, I] by kernel [k, k, I, O], the picture mirrored at its edges: [B, H, W, O]."""
    edge = kernel.shape[0] // 2
    x = jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode='reflect')
    return conv(x, kernel)


def pooled(x: jax.Array) -> jax.Array:
    """Means of 2x2: [B, H, W, C] -> [B, H // 2, W // 2, C]."""
    b, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


def halved(x: jax.Array) -> jax.Array:
    """The next octave [B, H // 2, W // 2, 3]: blurred by (1, 3, 3, 1) first, so that no blocks show."""
    taps = np.array([1, 3, 3, 1]) / 8
    rows, columns = (band_matrix(n, taps, 'reflect')[1 : n // 2 * 2 : 2] for n in x.shape[1:3])
    return einsum('ih,jw,bhwc->bijc', rows, columns, x)

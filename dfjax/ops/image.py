"""Pure operations on pictures, NHWC. Coordinates are pixels, (x, y), with pixel centres at integers, as in OpenCV."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange

from dfjax.ops.exact import einsum, matmul

PIXEL_BLUR = 0.4  # standard deviation, in pixels, that keeps aliasing low: 0.5 costs detail, 0.3 leaves patterns


def to_float(x: jax.Array) -> jax.Array:
    """Pictures uint8, or bytes' values of another type, as float32 in [-1, 1]; NumPy or JAX."""
    return x.astype(np.float32) / 127.5 - 1


def to_uint8(x: jax.Array) -> jax.Array:
    """Pictures in [-1, 1] as the nearest uint8, what is outside clipped; NumPy or JAX."""
    return ((x.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)


def pixel_shuffle(x: jax.Array, r: int) -> jax.Array:
    """Depth to space: [B, H, W, r*r*C] -> [B, r*H, r*W, C] (Shi et al. 2016).

    Channels are read as (r, r, C), TensorFlow's and DeepFaceLab's order; PyTorch's PixelShuffle has (C, r, r).
    """
    return rearrange(x, 'b h w (i j c) -> b (h i) (w j) c', i=r, j=r)


def space_to_depth(x: jax.Array, r: int) -> jax.Array:
    """[B, r*H, r*W, C] -> [B, H, W, r*r*C], the inverse of `pixel_shuffle`."""
    return rearrange(x, 'b (h i) (w j) c -> b h w (i j c)', i=r, j=r)


def band_matrix(n: int, taps: np.ndarray, pad: str) -> np.ndarray:
    """Correlates a line of n values with `taps`, padding ("reflect", "edge") folded in; "valid" shortens the line.

    A separable filter is then two matrix products, eight times faster on a CPU than shifted sums, and at home on a TPU.
    """
    return _band_matrix(n, tuple(np.asarray(taps, float).tolist()), pad)


@lru_cache(16)  # one array for all that filter alike: a program holds it once
def _band_matrix(n: int, taps: tuple[float, ...], pad: str) -> np.ndarray:
    line = np.eye(n)
    if pad != 'valid':
        before = len(taps) // 2
        line = np.pad(line, ((before, len(taps) - 1 - before), (0, 0)), mode=pad)
    out = len(line) - len(taps) + 1
    return sum(t * line[i : i + out] for i, t in enumerate(taps)).astype(np.float32)


def _filter(x: jax.Array, rows: np.ndarray, columns: np.ndarray) -> jax.Array:
    """Applies one matrix along the height and one along the width of [B, H, W, C]."""
    return einsum('ih,jw,bhwc->bijc', rows, columns, x)


def sobel(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Horizontal and vertical derivatives by Sobel's operator, edges replicated: two arrays like x [B, H, W, C]."""
    h, w = x.shape[1:3]
    smooth, slope = np.array([1.0, 2.0, 1.0]), np.array([-1.0, 0.0, 1.0])
    dx = _filter(x, band_matrix(h, smooth, 'edge'), band_matrix(w, slope, 'edge'))
    dy = _filter(x, band_matrix(h, slope, 'edge'), band_matrix(w, smooth, 'edge'))
    return dx, dy


def gaussian_taps(sigma: float, size: int) -> np.ndarray:
    """A normalised gaussian of `size` taps."""
    t = np.arange(size) - (size - 1) / 2
    g = np.exp(-0.5 * (t / sigma) ** 2)
    return g / g.sum()


def gaussian_blur(x: jax.Array, sigma: float, size: int | None = None, pad: str = 'reflect') -> jax.Array:
    """Separable gaussian blur of [B, H, W, C] with `size` taps (default 3 sigma each side); pad 'valid' shrinks it."""
    taps = gaussian_taps(sigma, size or 2 * int(np.ceil(3 * sigma)) + 1)
    h, w = x.shape[1:3]
    rows = band_matrix(h, taps, pad)
    return _filter(x, rows, rows if w == h else band_matrix(w, taps, pad))  # one constant in the program, not two


def grid_sample(x: jax.Array, grid: jax.Array, cubic: bool = False, outside: str = 'edge') -> jax.Array:
    """Look-up of pictures at pixel positions, bilinear or cubic (Keys 1981, a = -0.5).

    Args:
        x: [B, H, W, C].
        grid: [B, h, w, 2] positions (x, y) in pixels.
        cubic: use 4x4 pixels, which keeps detail that 2x2 blur; may overshoot the range of x.
        outside: what lies beyond the picture: 'edge', the nearest pixel; 'zeros'; 'reflect' or 'symmetric', its mirror
            image about the centres or the outer edges of its rim's pixels, as in `numpy.pad`.

    Returns:
        [B, h, w, C].
    """
    b, h, w, c = x.shape
    gx, gy = (_inside(grid[..., axis], n, outside) for axis, n in ((0, w), (1, h)))
    x0, y0 = (_first(g, n, outside) for g, n in ((gx, w), (gy, h)))
    wx, wy = (gx - x0)[..., None], (gy - y0)[..., None]  # [B, h, w, 1]
    flat = x.reshape(b, h * w, c)

    def at(dy: int, dx: int) -> jax.Array:
        row, column = y0 + dy, x0 + dx
        index = jnp.clip(row, 0, h - 1) * w + jnp.clip(column, 0, w - 1)
        picked = jnp.take_along_axis(flat, index.reshape(b, -1, 1), axis=1, mode='promise_in_bounds')  # [B, h*w, C]
        picked = picked.reshape(*index.shape, c)
        if outside != 'zeros':
            return picked
        return jnp.where(((row >= 0) & (row < h) & (column >= 0) & (column < w))[..., None], picked, 0)

    taps, weights = ((-1, 0, 1, 2), _cubic_weights) if cubic else ((0, 1), lambda t: (1 - t, t))
    across, down = weights(wx), weights(wy)
    rows = [sum(p * at(dy, dx) for dx, p in zip(taps, across)) for dy in taps]
    return sum(p * row for p, row in zip(down, rows))


def _inside(g: jax.Array, n: int, outside: str) -> jax.Array:
    """Positions along an axis of n pixels, those beyond it brought to where they are looked up."""
    if outside == 'zeros':
        return jnp.clip(g, -3, n + 2)  # as far as taps reach; integers hold no more than some
    if outside in ('reflect', 'symmetric'):
        low, span = (0.0, max(n - 1, 1)) if outside == 'reflect' else (-0.5, n)
        g = low + span - jnp.abs(jnp.mod(g - low, 2 * span) - span)
    elif outside != 'edge':
        raise ValueError(f"outside {outside!r}: choose one of 'edge', 'zeros', 'reflect', 'symmetric'")
    return jnp.clip(g, 0, n - 1)


def _first(g: jax.Array, n: int, outside: str) -> jax.Array:
    """The pixel before each position; between the last two at most, where nothing beyond them is looked up."""
    floor = jnp.floor(g)
    return (floor if outside == 'zeros' else jnp.clip(floor, 0, max(n - 2, 0))).astype(jnp.int32)


def _cubic_weights(t: jax.Array) -> tuple[jax.Array, ...]:
    """Weights of the four pixels round a position that lies t in [0, 1] past the second."""
    return (
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    )


def sample_smaller(x: jax.Array, grid: jax.Array) -> jax.Array:
    """`grid_sample`, bilinear, of pictures [B, S, S, C] by a grid [B, s, s, 2] of fewer pixels.

    What is finer than the new pixels can show is blurred away first; else it comes out as coarse patterns, which
    flicker as a face moves by less than a pixel.
    """
    ratio = x.shape[1] / grid.shape[1]
    if ratio > 1:
        x = gaussian_blur(x, PIXEL_BLUR * np.sqrt(ratio**2 - 1))  # variances add up
    return grid_sample(x, grid)


def smaller(x: jax.Array, size: int) -> jax.Array:
    """All of pictures [B, S, S, C] by `sample_smaller`: [B, size, size, C]."""
    at = (np.arange(size, dtype=np.float32) + 0.5) * (x.shape[1] / size) - 0.5
    return sample_smaller(x, jnp.broadcast_to(jnp.stack(jnp.meshgrid(at, at), -1), (x.shape[0], size, size, 2)))


def pooled(x: jax.Array, size: int) -> jax.Array:
    """Pictures [B, n * size, n * size, C] averaged over n x n pixels: [B, size, size, C]."""
    n = x.shape[1] // size
    return x.reshape(x.shape[0], size, n, size, n, x.shape[-1]).mean((2, 4)) if n > 1 else x


def affine_grid(m: jax.Array, size: int) -> jax.Array:
    """The positions [B, size, size, 2] to which the maps m [B, 2, 3] take the pixels of a square picture."""
    i = jnp.arange(size, dtype=jnp.float32)
    x, y = jnp.meshgrid(i, i)  # [size, size]
    pixels = jnp.stack([x, y, jnp.ones_like(x)], -1)
    return einsum('bij,hwj->bhwi', m, pixels)


def resize(x: jax.Array, size: int) -> jax.Array:
    """[B, H, W, C] -> [B, size, size, C], bilinear, antialiased when it shrinks."""
    return jax.image.resize(x, (x.shape[0], size, size, x.shape[-1]), 'bilinear')


_RGB_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_WHITE_D65 = np.array([0.95047, 1.0, 1.08883])


def rgb_to_lab(rgb: jax.Array) -> jax.Array:
    """CIE L*a*b* (D65) of sRGB in [0, 1]: L in 0..100, a and b about -100..100."""
    linear = jnp.where(rgb > 0.04045, ((jnp.maximum(rgb, 0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = matmul(linear, (_RGB_TO_XYZ.T / _WHITE_D65).astype(np.float32))
    f = jnp.where(xyz > 0.008856, jnp.cbrt(jnp.maximum(xyz, 0.008856)), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def lab_to_rgb(lab: jax.Array) -> jax.Array:
    """The inverse of `rgb_to_lab`; colours that sRGB cannot show are clipped to [0, 1]."""
    y = (lab[..., 0] + 16) / 116
    f = jnp.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    xyz = jnp.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
    linear = matmul(xyz, (np.linalg.inv(_RGB_TO_XYZ) * _WHITE_D65).T.astype(np.float32))
    srgb = jnp.where(linear > 0.0031308, 1.055 * jnp.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear)
    return jnp.clip(srgb, 0, 1)

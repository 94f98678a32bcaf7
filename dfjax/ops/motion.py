"""Keypoints and motion of pictures in the coordinates of First Order Motion Model (Siarohin et al. 2019).

Points and grids are (x, y) in [-1, 1]: -1 and 1 are the centres of the first and the last pixel of a side, or of a
heatmap's. `sample` looks pictures up there, or, with `align_corners` off, where the outer edges of those pixels are -1
and 1, as PyTorch has done by default since 1.3: published weights were trained before.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import ConvexHull

from dfjax.ops.exact import einsum
from dfjax.ops.image import band_matrix, gaussian_taps, grid_sample


def coordinate_grid(h: int, w: int) -> np.ndarray:
    """The coordinates of the pixels of a picture: float32 [H, W, 2]."""
    x, y = (2 * np.arange(n, dtype=np.float32) / max(n - 1, 1) - 1 for n in (w, h))
    return np.stack(np.meshgrid(x, y), -1)


def sample(x: jax.Array, grid: jax.Array, align_corners: bool, outside: str = 'zeros') -> jax.Array:
    """Pictures [B, H, W, C] looked up at a grid [B, h, w, 2], bilinear: [B, h, w, C].

    Args:
        align_corners: whether -1 and 1 are the centres of the outermost pixels, or else their outer edges.
        outside: 'zeros', or 'reflect', the mirror image about those -1 and 1.
    """
    sides = np.float32([x.shape[2], x.shape[1]])
    pixels = (grid + 1) * (sides - 1) / 2 if align_corners else ((grid + 1) * sides - 1) / 2
    if outside == 'reflect' and not align_corners:
        outside = 'symmetric'
    return grid_sample(x, pixels, outside=outside)


def gaussians(points: jax.Array, h: int, w: int, variance: float = 0.01) -> jax.Array:
    """Points [B, K, 2] as bumps of height 1: [B, H, W, K]."""
    away = coordinate_grid(h, w)[:, :, None] - points[:, None, None]  # [B, H, W, K, 2]
    return jnp.exp(-0.5 * jnp.square(away).sum(-1) / variance)


def inverse(m: jax.Array) -> jax.Array:
    """The inverse of matrices [..., 2, 2]."""
    a, b, c, d = m[..., 0, 0], m[..., 0, 1], m[..., 1, 0], m[..., 1, 1]
    area = (a * d - b * c)[..., None, None]
    return jnp.stack([jnp.stack([d, -b], -1), jnp.stack([-c, a], -1)], -2) / area


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """The product of matrices [..., 2, 2] and [..., 2, N], as sums of elements: at full precision everywhere."""
    return (a[..., None] * b[..., None, :, :]).sum(-2)


def shrink(x: jax.Array, scale: float) -> jax.Array:
    """Every nth pixel of pictures [B, H, W, C] blurred before, n being 1 / scale: [B, H // n, W // n, C].

    The gaussian's standard deviation is (n - 1) / 2 pixels, zeros lie around, and the first pixel is kept (the
    original's `AntiAliasInterpolation2d`).
    """
    n = round(1 / scale)
    if n == 1:
        return x
    taps = shrink_taps(scale)
    rows, columns = (band_matrix(side, taps, 'constant')[: side // n * n : n] for side in x.shape[1:3])
    return einsum('ih,jw,bhwc->bijc', rows, columns, x.astype(jnp.float32))


def shrink_taps(scale: float) -> np.ndarray:
    """The window of `shrink` along an axis."""
    sigma = (1 / scale - 1) / 2
    return gaussian_taps(sigma, 2 * round(4 * sigma) + 1)


def stretch(x: jax.Array, h: int, w: int) -> jax.Array:
    """[B, h0, w0, C] -> [B, h, w, C], bilinear, never antialiased."""
    if x.shape[1:3] == (h, w):
        return x
    shape = (x.shape[0], h, w, x.shape[-1])
    return jax.image.resize(x, shape, 'bilinear', antialias=False, precision='highest')


def relative_motion(
    source: tuple[jax.Array, jax.Array],
    driving: tuple[jax.Array, jax.Array],
    initial: tuple[jax.Array, jax.Array],
    scale: float | jax.Array = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """The source's keypoints after what the driver's went through since its initial frame.

    Args:
        source, driving, initial: value [B, K, 2] and jacobian [B, K, 2, 2].
        scale: of the movement, see `movement_scale`.
    """
    value = source[0] + scale * (driving[0] - initial[0])
    return value, product(product(driving[1], inverse(initial[1])), source[1])


def movement_scale(source: np.ndarray, initial: np.ndarray) -> float:
    """How much larger the source is than the driver, by the areas that their keypoints [K, 2] span, as a length."""
    return float(np.sqrt(ConvexHull(source).volume / ConvexHull(initial).volume))  # in the plane a volume is an area

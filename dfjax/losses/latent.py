"""Losses of latent models: the KL divergence of a gaussian code, edges by Sobel's operator, textures by Gabor filters.

Pictures are [B, H, W, C] in [-1, 1]; what is compared is averaged over everything.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.image import sobel

SOBEL_FORMS = ('magnitude', 'axis', 'squared', 'complete')
EPSILON = 1e-4  # under the root: gives the magnitude of a flat picture a gradient
ANGLES, TAPS, SCALES = 4, 7, 3  # Gabor filters: directions, taps, octaves
TEXTURED = TAPS * 2 ** (SCALES - 1)  # side of the smallest picture that has all their scales


def gaussian_kl(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in nats, elementwise (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance)


def sobel_magnitude(x: jax.Array) -> jax.Array:
    """sqrt(Gx^2 + Gy^2) of each channel: [B, H, W, C]."""
    dx, dy = sobel(x)
    return jnp.sqrt(dx**2 + dy**2 + EPSILON)


def sobel_distance(x: jax.Array, y: jax.Array, form: str = 'magnitude') -> jax.Array:
    """How far the edges of two pictures are apart, a scalar.

    Args:
        form: 'magnitude', the mean of |d sqrt(Gx^2 + Gy^2)|, or one of DeepFakeLab's others: 'axis', of |dGx| + |dGy|;
            'squared', of dGx^2 + dGy^2; 'complete', of |d(Gx^2 + Gy^2)|.

    Raises:
        ValueError: if there is no such form.
    """
    if form == 'magnitude':
        return jnp.abs(sobel_magnitude(x) - sobel_magnitude(y)).mean()
    (ax, ay), (bx, by) = sobel(x), sobel(y)
    if form == 'axis':
        return (jnp.abs(ax - bx) + jnp.abs(ay - by)).mean()
    if form == 'squared':
        return ((ax - bx) ** 2 + (ay - by) ** 2).mean()
    if form == 'complete':
        return jnp.abs(ax**2 + ay**2 - bx**2 - by**2).mean()
    raise ValueError(f'sobel form {form!r}: choose one of {", ".join(SOBEL_FORMS)}')


@lru_cache(1)
def gabor_filters() -> np.ndarray:
    """[TAPS, TAPS, 1, 2 * ANGLES]: gratings of 4 px a period under a gaussian, even and odd, without a mean, norm 1."""
    at = np.arange(TAPS) - TAPS // 2
    y, x = np.meshgrid(at, at, indexing='ij')
    window = np.exp(-0.5 * (x**2 + y**2) / 1.5**2)
    filters = []
    for angle in np.arange(ANGLES) * np.pi / ANGLES:
        phase = 2 * np.pi / 4 * (x * np.cos(angle) + y * np.sin(angle))
        for wave in (np.cos(phase), np.sin(phase)):
            f = window * (wave - (window * wave).sum() / window.sum())
            filters.append(f / np.sqrt((f**2).sum()))
    return np.stack(filters, -1)[:, :, None].astype(np.float32)


def texture(x: jax.Array) -> list[jax.Array]:
    """How strong each orientation is at each place and scale, whatever its phase: SCALES maps [B, h, w, ANGLES].

    The energy of pairs of Gabor filters on the grey picture, as in the complex cells of the visual cortex (Adelson &
    Bergen 1985): a perceptual feature that needs no trained net.
    """
    maps, grey = [], x.mean(-1, keepdims=True)  # [B, H, W, 1]
    for _ in range(SCALES):
        waves = jax.lax.conv_general_dilated(
            grey, gabor_filters(), (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
        )
        even, odd = waves[..., ::2], waves[..., 1::2]
        maps.append(jnp.sqrt(even**2 + odd**2 + EPSILON))
        b, h, w, _ = grey.shape
        grey = grey.reshape(b, h // 2, 2, w // 2, 2, 1).mean((2, 4))
    return maps


def texture_distance(x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean absolute difference of `texture`, averaged over scales: a scalar. Sides: multiples of 4, from TEXTURED."""
    return sum(jnp.abs(a - b).mean() for a, b in zip(texture(x), texture(y))) / SCALES

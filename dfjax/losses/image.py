"""Losses between pictures. Arrays in, scalars out (means over everything but where said otherwise)."""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax.ops.image import gaussian_blur

# Eyes and mouth: landmarks, and width and height (standard deviations) of the gaussian about them, shares of the side.
FEATURES = ((slice(36, 42), 0.10, 0.06), (slice(42, 48), 0.10, 0.06), (slice(48, 68), 0.16, 0.12))


def ssim_map(x: jax.Array, y: jax.Array, *, size: int = 11, sigma: float = 1.5, span: float = 2.0) -> jax.Array:
    """Structural similarity of [B, H, W, C] pictures, gaussian window, no padding (Wang et al. 2004, eq. 13).

    Args:
        size: side of the window; the map shrinks by size - 1.
        span: greatest possible difference of two values; 2 for pictures in [-1, 1].

    Returns:
        [B, H - size + 1, W - size + 1, C] in [-1, 1].
    """
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    n = x.shape[-1]
    maps = jnp.concatenate([x, y, x * x + y * y, x * y], -1)
    mean = gaussian_blur(maps, sigma, size, pad='valid')  # one blur for all four
    mx, my, square, cross = (mean[..., i * n : (i + 1) * n] for i in range(4))
    luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    contrast = (2 * (cross - mx * my) + c2) / (square - mx * mx - my * my + c2)
    return luminance * contrast


def dssim(x: jax.Array, y: jax.Array, *, size: int = 11, sigma: float = 1.5, span: float = 2.0) -> jax.Array:
    """(1 - SSIM) / 2, one value a picture: [B]."""
    return (1 - ssim_map(x, y, size=size, sigma=sigma, span=span)).mean((1, 2, 3)) / 2


def total_variation(x: jax.Array) -> jax.Array:
    """Sum of the squared differences of neighbours in [B, H, W, C], one value a picture: [B]."""
    down, right = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
    return jnp.square(down).sum((1, 2, 3)) + jnp.square(right).sum((1, 2, 3))


def colour_distance(x: jax.Array, y: jax.Array) -> jax.Array:
    """Squared differences of the channels' means and spreads in [B, H, W, C], a mean over channels: [B]."""
    means, spreads = ([f(z) for z in (x, y)] for f in (lambda z: z.mean((1, 2)), _spread))
    return (jnp.square(means[0] - means[1]) + jnp.square(spreads[0] - spreads[1])).mean(-1)


def _spread(x: jax.Array) -> jax.Array:
    return jnp.sqrt(x.var((1, 2)) + 1e-5)


def weighted_mean(x: jax.Array, weight: jax.Array) -> jax.Array:
    """Mean of x [B, H, W, C] over pixels and channels with weights [B, H, W, 1], one value a picture: [B]."""
    return (x * weight).sum((1, 2, 3)) / (weight.sum((1, 2, 3)) * x.shape[-1] + 1e-6)


def face_weight(mask: jax.Array, landmarks: jax.Array, outside: float, features: float) -> jax.Array:
    """How much each pixel of a face counts [B, S, S, 1].

    Args:
        mask: [B, S, S, 1] in [0, 1].
        landmarks: [B, 68, 2] in units of the side; one face's will do for all.
        outside: the weight off the mask, against 1 on it.
        features: what is added over eyes and mouth.
    """
    at = (jnp.arange(mask.shape[1]) + 0.5) / mask.shape[1]
    total = outside + (1 - outside) * mask[..., 0]  # [B, S, S]
    for points, width, height in FEATURES:
        middle = landmarks[:, points].mean(1)  # [B, 2]
        x = jnp.exp(-0.5 * ((at - middle[:, :1]) / width) ** 2)  # [B, S]
        y = jnp.exp(-0.5 * ((at - middle[:, 1:]) / height) ** 2)
        total += features * y[:, :, None] * x[:, None, :]
    return total[..., None]


def reconstruction(cfg: ConfigDict, picture: jax.Array, mask: jax.Array, pair: dict, landmarks: jax.Array) -> dict:
    """The terms of a face that should be its target.

    Args:
        cfg: weights 'l1', 'dssim' and 'mask', the side 'window', and 'outside' and 'features' of `face_weight`.
        picture: [B, S, S, 3] in [-1, 1].
        mask: [B, S, S, 1] in [0, 1].
        pair: 'target' and 'mask' likewise.
        landmarks: [B, 68, 2] of the targets in unit coordinates, or [1, 68, 2] of all.
    """
    weight = face_weight(pair['mask'], landmarks, cfg.outside, cfg.features)
    terms = {'l1': cfg.l1 * weighted_mean(jnp.abs(picture - pair['target']), weight).mean()}
    if cfg.dssim:
        grey = [x.mean(-1, keepdims=True) for x in (picture, pair['target'])]  # structure is in the brightness
        similar = ssim_map(*grey, size=cfg.window, sigma=cfg.window / 4.7)
        edge = cfg.window // 2  # the map is that much smaller on every side
        terms['dssim'] = cfg.dssim * weighted_mean((1 - similar) / 2, weight[:, edge:-edge, edge:-edge]).mean()
    if cfg.mask:
        terms['mask'] = cfg.mask * jnp.abs(mask - pair['mask']).mean()
    return terms

"""Skin of faces: which pixels are skin, and extrapolation of its colour past the outline. NHWC in [0, 1]."""

import jax
import jax.numpy as jnp

from dfjax.ops.image import gaussian_blur, resize

# Threshold below the mean grey, and width of the sigmoid there, in standard deviations: darker pixels are no skin.
DARKER, SOFTLY = 0.8, 0.15
COARSER = 4  # pixels a cell of the grid on which colours are extrapolated; S must be divisible by it
EDGE = 0.02  # width of the rim that is painted over, in sides: background reaches into it
RIM = 0.05  # width of the rim, in sides, within which what is darker than skin is hair and painted over too
REACH = (0.025, 0.075, 0.225)  # standard deviations of the blurs, in sides; the narrowest that meets skin counts


def moments(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Weighted means and standard deviations [B, 1, 1, C] of [B, S, S, C], and the weights [B, S, S, 1], normalised."""
    share = weight / jnp.maximum(weight.sum((1, 2, 3), keepdims=True), 1e-6)
    mean = (x * share).sum((1, 2), keepdims=True)
    return mean, jnp.sqrt((share * (x - mean) ** 2).sum((1, 2), keepdims=True)), share


def skin(face: jax.Array, weight: jax.Array) -> jax.Array:
    """The weight [B, S, S, 1] of a face [B, S, S, 3] less its brows, lashes, nostrils and open mouth.

    These are darker than most of the face. How dark is the person's own, so they say nothing about the light.
    """
    grey = face.mean(-1, keepdims=True)
    mean, spread, _ = moments(grey, weight)  # [B, 1, 1, 1]
    spread += 1e-3
    return weight * jax.nn.sigmoid((grey - mean + DARKER * spread) / (SOFTLY * spread))


def extended(face: jax.Array, mask: jax.Array, keep: jax.Array | None = None) -> jax.Array:
    """A face whose skin goes on where hair and background were: a soft fill, of the colours of the skin next to it.

    By normalised convolution (Knutsson & Westin 1993), wider the farther out.

    Args:
        face: [B, S, S, 3]; S is a multiple of COARSER.
        mask: [B, S, S, 1] in [0, 1], where the face is. Where there is none at all, the fill is black.
        keep: [S, S], 1 where the face has features, which may be dark up to the outline and are kept.

    Returns:
        [B, S, S, 3]; within the mask, but for its rim, the face itself.
    """
    b, size, *_ = face.shape
    side = size // COARSER
    small = jnp.concatenate([face * mask, mask], -1).reshape(b, side, COARSER, side, COARSER, 4).mean((2, 4))
    colour = small[..., :3] / jnp.maximum(small[..., 3:], 1e-3)
    within = lambda depth: jnp.maximum(0, 2 * gaussian_blur(small[..., 3:], depth * side, pad='constant') - 1)
    known = skin(colour, within(EDGE))  # [B, s, s, 1]
    inner = jnp.maximum(known, within(RIM))
    if keep is not None:
        inner = jnp.maximum(inner, within(EDGE) * keep.reshape(side, COARSER, side, COARSER).mean((1, 3))[..., None])
    spread = [
        gaussian_blur(jnp.concatenate([colour * known, known], -1), reach * side, pad='constant') for reach in REACH
    ]
    total = sum(0.01**i * x for i, x in enumerate(spread))  # what is far counts only where there is nothing near
    fill, inner = (resize(x, size) for x in (total[..., :3] / jnp.maximum(total[..., 3:], 1e-8), inner))
    return fill + inner * mask * (face - fill)

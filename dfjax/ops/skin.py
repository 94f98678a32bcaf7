"""Where a face is skin, and how its colours go on past its edge. Pictures are NHWC in [0, 1]."""

import jax
import jax.numpy as jnp

from dfjax.ops.image import gaussian_blur, resize

DARKER, SOFTLY = 0.8, 0.15  # standard deviations under the mean, where skin ends, and within which it does
COARSER = 4  # the grid on which colours are carried outwards, against the picture's
EDGE = 0.02  # of the side: so much of the face's rim is painted over, for background reaches into it
RIM = 0.05  # of the side: within so much, so is what is darker than skin, for it is hair
REACH = (0.025, 0.075, 0.225)  # of the side: a place takes its colour from as near as there is skin


def moments(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Weighted means and standard deviations [B, 1, 1, C] of [B, S, S, C], and the weights [B, S, S, 1], normalised."""
    share = weight / jnp.maximum(weight.sum((1, 2, 3), keepdims=True), 1e-6)
    mean = (x * share).sum((1, 2), keepdims=True)
    return mean, jnp.sqrt((share * (x - mean) ** 2).sum((1, 2), keepdims=True)), share


def skin(face: jax.Array, weight: jax.Array) -> jax.Array:
    """The weight [B, S, S, 1] of a face [B, S, S, 3] without brows, lashes, nostrils and an open mouth: what is darker
    than most of it. How dark they are is the person's, and says nothing of the light.
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
        keep: [S, S], 1 where the face has features, whose darkness is its own up to the outline.

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

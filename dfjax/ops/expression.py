"""What landmarks of one face say for another: 68 points in iBUG's order, in units of an aligned crop's side."""

import jax
import jax.numpy as jnp
import numpy as np

# Points above and below an opening that can close, from the right of the face to its left.
LIPS = np.array([[61, 67], [62, 66], [63, 65]])
BEYOND_LIPS = np.array([[50, 58], [51, 57], [52, 56]])  # the outer edge of the same places
BESIDE_LIPS = np.array([[49, 59], [53, 55]])  # half-way from there to the corners
LIDS = np.array([[37, 41], [38, 40], [43, 47], [44, 46]])
CLOSED = 0.006  # of the side: less would let a face turn inside out


def limited(x: jax.Array, reach: jax.Array | float) -> jax.Array:
    """Softly within -reach..reach: half of it is left as it is to 2 %, twice as much comes to 0.98 of it."""
    x = x / reach
    return reach * x / (1 + x**4) ** 0.25


def transfer_expression(
    landmarks: jax.Array, mean: jax.Array, other_mean: jax.Array, reach: jax.Array | float = 1e3
) -> jax.Array:
    """Landmarks of another person with the expression and pose of `landmarks`.

    Every point is as far from the other's mean as the given one is from its person's, but for openings, since closed is
    closed in every face: lips open as wide as they are in `landmarks`, and lids that close do so by the same share.

    Args:
        landmarks: [B, 68, 2], x to the right and y down.
        mean: [68, 2], of the person they are of.
        other_mean: [68, 2], of the other.
        reach: [68, 2], how far from the mean the other's points go at most; lips open as wide as they have to.

    Returns:
        [B, 68, 2].
    """
    moved = other_mean + limited(landmarks - mean, reach)
    lips = _gap(landmarks, LIPS)  # [B, 3]
    moved, shift = _opened(moved, LIPS, jnp.maximum(lips, CLOSED))
    moved = moved.at[:, BEYOND_LIPS, 1].add(shift)  # lips keep their thickness
    moved = moved.at[:, BESIDE_LIPS, 1].add(shift[:, ::2] / 2)
    share = _gap(landmarks, LIDS) / jnp.maximum(_gap(mean[None], LIDS), CLOSED)  # [B, 4]
    usual = _gap(other_mean[None], LIDS)
    lids = usual * jnp.minimum(share, 1) + jnp.maximum(_gap(moved, LIDS) - usual, 0)
    return _opened(moved, LIDS, jnp.maximum(lids, CLOSED))[0]


def _gap(points: jax.Array, pairs: np.ndarray) -> jax.Array:
    """How far apart `pairs` [P, 2] of points [B, 68, 2] are, from top to bottom: [B, P]."""
    return points[:, pairs[:, 1], 1] - points[:, pairs[:, 0], 1]


def _opened(points: jax.Array, pairs: np.ndarray, gap: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Points [B, 68, 2] with `pairs` [P, 2] `gap` [B, P] apart about their middle, and how they moved [B, P, 2]."""
    y = points[:, pairs, 1]  # [B, P, 2]
    half = jnp.stack([-gap, gap], -1) / 2
    shift = y.mean(-1, keepdims=True) + half - y
    return points.at[:, pairs, 1].add(shift), shift

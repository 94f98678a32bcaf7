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


def transfer_expression(landmarks: jax.Array, mean: jax.Array, other_mean: jax.Array) -> jax.Array:
    """Landmarks of another person with the expression and pose of `landmarks`.

    Every point is as far from the other's mean as the given one is from its person's, but for openings: lips open as
    wide as they are in `landmarks`, since closed is closed in every face, and lids close at most.

    Args:
        landmarks: [B, 68, 2], x to the right and y down.
        mean: [68, 2], of the person they are of.
        other_mean: [68, 2], of the other.

    Returns:
        [B, 68, 2].
    """
    moved = other_mean + landmarks - mean
    gap = landmarks[:, LIPS[:, 1], 1] - landmarks[:, LIPS[:, 0], 1]  # [B, 3]
    moved, shift = _opened(moved, LIPS, jnp.maximum(gap, CLOSED))
    moved = moved.at[:, BEYOND_LIPS, 1].add(shift)  # lips keep their thickness
    moved = moved.at[:, BESIDE_LIPS, 1].add(shift[:, ::2] / 2)
    gap = moved[:, LIDS[:, 1], 1] - moved[:, LIDS[:, 0], 1]  # [B, 4]
    return _opened(moved, LIDS, jnp.maximum(gap, CLOSED))[0]


def _opened(points: jax.Array, pairs: np.ndarray, gap: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Points [B, 68, 2] with `pairs` [P, 2] `gap` [B, P] apart about their middle, and how they moved [B, P, 2]."""
    y = points[:, pairs, 1]  # [B, P, 2]
    half = jnp.stack([-gap, gap], -1) / 2
    shift = y.mean(-1, keepdims=True) + half - y
    return points.at[:, pairs, 1].add(shift), shift

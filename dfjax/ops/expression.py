"""Expression transfer between faces by landmarks: 68 points in iBUG's order, in units of an aligned crop's side."""

import jax
import jax.numpy as jnp
import numpy as np

# Pairs of landmarks, upper and lower, of an opening that can close; from the right of the face to its left.
LIPS = np.array([[61, 67], [62, 66], [63, 65]])
BEYOND_LIPS = np.array([[50, 58], [51, 57], [52, 56]])  # outer edges of the lips, at the pairs of LIPS
BESIDE_LIPS = np.array([[49, 59], [53, 55]])  # outer edges half-way to the corners of the mouth
LIDS = np.array([[37, 41], [38, 40], [43, 47], [44, 46]])
CLOSED = 0.006  # least opening, in sides: below it the spline would fold


def limited(x: jax.Array, reach: jax.Array | float) -> jax.Array:
    """Soft clipping to (-reach, reach): x / (1 + (x / reach)^4)^(1/4).

    Values below reach / 2 change by less than 2 %; those above 2 reach come to 0.98 reach or more.
    """
    x = x / reach
    return reach * x / (1 + x**4) ** 0.25


def transfer_expression(
    landmarks: jax.Array,
    mean: jax.Array,
    other_mean: jax.Array,
    reach: jax.Array | float = 1e3,
    lids: tuple[jax.Array, jax.Array] | None = None,
) -> jax.Array:
    """Landmarks of another person with the expression and pose of `landmarks`.

    Offsets from the mean are carried over. Openings are not, since closed is closed in every face: the gap between the
    lips is kept in sides, that between the lids as a share of the gap of open eyes.

    Args:
        landmarks: [B, 68, 2], x to the right and y down.
        mean: [68, 2], mean landmarks of the person in `landmarks`.
        other_mean: [68, 2], mean landmarks of the other person.
        reach: [68, 2] or a scalar, largest offset from `other_mean`; the opening of the lips is not limited.
        lids: gaps of open eyes, see `lid_gaps`, of the person in `landmarks` and of the other, [4] each; by default
            those of the means, which are less where somebody often blinks or looks down.

    Returns:
        [B, 68, 2].
    """
    moved = other_mean + limited(landmarks - mean, reach)
    lips = _gap(landmarks, LIPS)  # [B, 3]
    moved, shift = _opened(moved, LIPS, jnp.maximum(lips, CLOSED))
    moved = moved.at[:, BEYOND_LIPS, 1].add(shift)  # lips keep their thickness
    moved = moved.at[:, BESIDE_LIPS, 1].add(shift[:, ::2] / 2)
    own, usual = lids or (lid_gaps(mean[None]), lid_gaps(other_mean[None]))
    share = lid_gaps(landmarks) / jnp.maximum(own, CLOSED)  # [B, 4]
    gaps = usual * jnp.minimum(share, 1) + jnp.maximum(lid_gaps(moved) - usual, 0)
    return _opened(moved, LIDS, jnp.maximum(gaps, CLOSED))[0]


def lid_gaps(points: jax.Array) -> jax.Array:
    """How far the lids of faces [B, 68, 2] are apart, at two places of each eye: [B, 4]."""
    return _gap(points, LIDS)


def _gap(points: jax.Array, pairs: np.ndarray) -> jax.Array:
    """Vertical distances of `pairs` [P, 2] of points [B, 68, 2], lower less upper: [B, P]."""
    return points[:, pairs[:, 1], 1] - points[:, pairs[:, 0], 1]


def _opened(points: jax.Array, pairs: np.ndarray, gap: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Points [B, 68, 2] with `pairs` [P, 2] moved `gap` [B, P] apart about their middles; and the shifts [B, P, 2]."""
    y = points[:, pairs, 1]  # [B, P, 2]
    half = jnp.stack([-gap, gap], -1) / 2
    shift = y.mean(-1, keepdims=True) + half - y
    return points.at[:, pairs, 1].add(shift), shift

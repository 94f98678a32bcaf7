"""What 68 landmarks (iBUG's order) say of a mouth: how it is opened, where it is, which picture shows another.

Lengths are in distances of the eyes, landmarks in unit coordinates, NaN where they are not known.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.geometry import to_pixels, umeyama
from dfjax.ops.image import affine_grid, sample_smaller

RIGHT_EYE, LEFT_EYE, LIPS = slice(36, 42), slice(42, 48), slice(48, 68)
NOSE, CORNERS, INNER = 30, (48, 54), (62, 66)
STILL = slice(27, 48)  # nose and eyes: what lips and jaw do not move
ENOUGH = 0.15  # how different mouths are at most worth being
PLACE = (0.5, 0.75)  # x and y of a mouth in a picture of a face whose landmarks are not known, and
SPREAD = 0.12  # its half width


def pose(landmarks: jax.Array) -> jax.Array:
    """How a head is turned and where: [..., 68, 2] -> [..., 6], nose along and across the eyes, their slope, place and
    size, as lengths."""
    right, left = landmarks[..., RIGHT_EYE, :].mean(-2), landmarks[..., LEFT_EYE, :].mean(-2)
    axis, middle = left - right, (left + right) / 2
    square = jnp.square(axis).sum(-1, keepdims=True)  # [..., 1]
    nose = landmarks[..., NOSE, :] - middle
    across = axis[..., ::-1] * jnp.array([-1.0, 1.0])
    turned = jnp.stack([(nose * axis).sum(-1), (nose * across).sum(-1)], -1) / square
    distance = jnp.sqrt(square)
    return jnp.concatenate([turned, axis[..., 1:] / distance, middle / distance, jnp.log(distance)], -1)


def shape(landmarks: jax.Array) -> jax.Array:
    """How a mouth is opened: [..., 68, 2] -> [..., 2], the gap between the lips and the width."""
    points = landmarks[..., RIGHT_EYE, :].mean(-2), landmarks[..., LEFT_EYE, :].mean(-2)
    apart = lambda a, b: jnp.sqrt(jnp.square(a - b).sum(-1))
    ends = ((landmarks[..., a, :], landmarks[..., b, :]) for a, b in (INNER, CORNERS))
    return jnp.stack([apart(a, b) for a, b in ends], -1) / apart(*points)[..., None]


def other_mouth(landmarks: jax.Array, others: jax.Array, first: jax.Array) -> jax.Array:
    """Which of others [B, M, 68, 2] shows a head as it is in landmarks [B, N, 68, 2], with another mouth: int32 [B, N].

    Args:
        first: int32 [N], where landmarks are not known.
    """
    away = lambda f: jnp.sqrt(jnp.square(f(landmarks)[:, :, None] - f(others)[:, None]).sum(-1))  # [B, N, M]
    cost = away(pose) - 2 * jnp.minimum(away(shape), ENOUGH)
    return jnp.where(jnp.isfinite(cost).all(-1), cost.argmin(-1), first).astype(jnp.int32)


def mouth_weights(landmarks: jax.Array, size: int, times: float) -> jax.Array:
    """Weights of pixels, of mean 1 in each picture: [..., 68, 2] -> [..., S, S, 1].

    Args:
        times: how much more a pixel weighs in the middle of the mouth than far from it.
    """
    lips = landmarks[..., LIPS, :]
    known = jnp.isfinite(lips).all((-1, -2))[..., None]
    middle = jnp.where(known, lips.mean(-2), jnp.array(PLACE))  # [..., 2]
    width = lips[..., 0].max(-1, keepdims=True) - lips[..., 0].min(-1, keepdims=True)
    spread = jnp.where(known, jnp.maximum(0.6 * width, 0.02), SPREAD)  # [..., 1]
    at = (jnp.arange(size) + 0.5) / size
    x, y = (jnp.exp(-0.5 * jnp.square((at - middle[..., i : i + 1]) / spread)) for i in range(2))  # [..., S]
    weights = 1 + (times - 1) * y[..., :, None] * x[..., None, :]
    return (weights / weights.mean((-1, -2), keepdims=True))[..., None]


def aligned(pictures: jax.Array, landmarks: jax.Array, places: np.ndarray) -> jax.Array:
    """Pictures turned, scaled and moved (Umeyama 1991) so that nose and eyes lie where they should, and the mouth with
    them, however open; as they are where landmarks are not known. Differentiable in the pictures.

    Args:
        pictures: [B, S, S, C].
        landmarks: [B, 68, 2].
        places: [21, 2], of the points STILL, in unit coordinates.
    """
    size = pictures.shape[1]
    goal, points = to_pixels(jnp.asarray(places, jnp.float32), size), to_pixels(landmarks[:, STILL], size)
    known = jnp.isfinite(points).all((-1, -2), keepdims=True)  # [B, 1, 1]
    to_source = umeyama(jnp.broadcast_to(goal, points.shape), jnp.where(known, points, goal))  # [B, 2, 3]
    return sample_smaller(pictures, affine_grid(to_source, size))

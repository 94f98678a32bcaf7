"""Keypoints that move with the picture (Siarohin et al. 2019, section 3.3): what is bent has bent keypoints.

Bends are random: affine, and a radial term at each point of a coarse grid, alike along both axes (the original's).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.motion import coordinate_grid, inverse, product, sample

EPSILON = 1e-6  # inside the logarithm


class Bend(NamedTuple):
    """Maps of the plane, one an example: `affine` [B, 2, 3] and `weights` [B, N * N] of the control points."""

    affine: jax.Array
    weights: jax.Array


def random_bends(keys: jax.Array, affine: float, spline: float, points: int) -> Bend:
    """Near the identity, one a key [B], with these standard deviations and `points` x `points` control points."""

    def one(key: jax.Array) -> Bend:
        first, second = jax.random.split(key)
        near = jnp.eye(2, 3) + affine * jax.random.normal(first, (2, 3))
        return Bend(near, spline * jax.random.normal(second, (points**2,)))

    return jax.vmap(one)(keys)


def bent(bend: Bend, points: jax.Array) -> jax.Array:
    """Where points [B, P, 2] go: [B, P, 2]."""
    affine, side = bend.affine[:, None], round(np.sqrt(bend.weights.shape[-1]))
    moved = (affine[..., :2] * points[..., None, :]).sum(-1) + affine[..., 2]
    control = coordinate_grid(side, side).reshape(-1, 2)
    r = jnp.abs(points[:, :, None] - control).sum(-1)  # [B, P, N * N], the L1 distance
    radial = (bend.weights[:, None] * r**2 * jnp.log(r + EPSILON)).sum(-1)
    return moved + radial[..., None]


def jacobian(bend: Bend, points: jax.Array) -> jax.Array:
    """The derivative of `bent` at points [B, P, 2]: [B, P, 2, 2]."""
    along = [jnp.broadcast_to(axis, points.shape) for axis in jnp.eye(2)]
    return jnp.stack([jax.jvp(lambda p: bent(bend, p), (points,), (axis,))[1] for axis in along], -1)


def bend_pictures(bend: Bend, pictures: jax.Array, align_corners: bool) -> jax.Array:
    """Pictures [B, H, W, C] that show at every pixel what lay where the map takes it, mirrored beyond their rims."""
    h, w = pictures.shape[1:3]
    grid = jnp.broadcast_to(coordinate_grid(h, w).reshape(1, h * w, 2), (len(pictures), h * w, 2))
    return sample(pictures, bent(bend, grid).reshape(-1, h, w, 2), align_corners, 'reflect')


def value_loss(bend: Bend, value: jax.Array, bent_value: jax.Array) -> jax.Array:
    """Mean distance of keypoints [B, K, 2] from where those of the bent pictures lie in the unbent ones."""
    return jnp.abs(value - bent(bend, bent_value)).mean()


def jacobian_loss(bend: Bend, jacobians: jax.Array, bent_value: jax.Array, bent_jacobians: jax.Array) -> jax.Array:
    """The same for jacobians [B, K, 2, 2]: how far from the identity the one is against the other."""
    there = product(jacobian(bend, bent_value), bent_jacobians)
    return jnp.abs(jnp.eye(2) - product(inverse(jacobians), there)).mean()

"""Thin-plate splines (Bookstein 1989): the smoothest map of the plane that takes some points to others.

A face bent so that its landmarks lie where those of a mean face do is a picture without shape: every pixel shows the
same part of every face. `spline_basis` is how such pictures are made, and `bend` is the way back.

Points and positions are (x, y) in units of a picture's side: the first pixel of S has its centre at 0.5 / S.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.image import grid_sample

STIFFNESS = 1e-3  # how far the map may miss a point that asks for a strong bend
REFINEMENTS = 3


def pixel_centres(size: int) -> np.ndarray:
    """float32 [S, S, 2]."""
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.stack(np.meshgrid(at, at), -1)


def spline_basis(points: np.ndarray, size: int) -> np.ndarray:
    """The matrix B [S, S, K] with which `B @ goals` are the positions, for goals [K, 2] of the points [K, 2], to which
    the spline takes the pixels of a picture of side `size`. It is the same for all goals: computed once, float32."""
    points = np.asarray(points, np.float64)
    count = len(points)
    inverse = np.linalg.inv(np.asarray(_system(points, np)))[:, :count]  # [K + 3, K]
    pixels = pixel_centres(size).reshape(-1, 2).astype(np.float64)
    terms = np.concatenate([_kernel(pixels, points, np), np.ones((len(pixels), 1)), pixels], 1)  # [S*S, K + 3]
    return (terms @ inverse).reshape(size, size, count).astype(np.float32)


def bend(pictures: jax.Array, points: np.ndarray, goals: jax.Array) -> jax.Array:
    """Pictures without shape [B, S, S, C] take one: what lies at `points` [K, 2] comes to lie at `goals` [B, K, 2].

    The inverse of sampling a picture at `spline_basis(points, S) @ goals`, by fixed-point steps from the spline the
    other way round, which is near it.
    """
    size = pictures.shape[1]
    pixels = pixel_centres(size)
    there = jnp.einsum('hwk,bkd->bhwd', spline_basis(points, size), goals)
    at = _spline(goals, jnp.asarray(points, jnp.float32), pixels.reshape(-1, 2)).reshape(-1, size, size, 2)
    for _ in range(REFINEMENTS):
        at += 0.7 * (pixels - grid_sample(there, at * size - 0.5))
    return grid_sample(pictures, at * size - 0.5, cubic=True)


def _spline(points: jax.Array, goals: jax.Array, at: np.ndarray) -> jax.Array:
    """Where the splines that take points [B, K, 2] to goals [K, 2] take the positions [P, 2]: [B, P, 2]."""
    system = jax.vmap(lambda p: _system(p, jnp))(points)  # [B, K + 3, K + 3]
    wanted = jnp.concatenate([goals, jnp.zeros((3, 2))])
    weights = jnp.linalg.solve(system, jnp.broadcast_to(wanted, (len(points), *wanted.shape)))
    radial = jax.vmap(lambda p: _kernel(at, p, jnp))(points)  # [B, P, K]
    affine = jnp.concatenate([jnp.ones((len(at), 1)), at], 1)  # [P, 3]
    count = goals.shape[0]
    return radial @ weights[:, :count] + affine @ weights[:, count:]


def _system(points: jax.Array, xp: object) -> jax.Array:
    """[K, 2] -> the matrix [K + 3, K + 3] whose solution are a spline's weights; `xp` is numpy or jax.numpy."""
    count = points.shape[0]
    affine = xp.concatenate([xp.ones((count, 1)), points], 1)  # [K, 3]
    radial = _kernel(points, points, xp) + STIFFNESS * xp.eye(count)
    return xp.block([[radial, affine], [affine.T, xp.zeros((3, 3))]])


def _kernel(a: jax.Array, b: jax.Array, xp: object) -> jax.Array:
    """r^2 log r between points [P, 2] and [K, 2]: [P, K]."""
    squared = ((a[:, None] - b[None]) ** 2).sum(-1)
    return 0.5 * squared * xp.log(squared + 1e-9)

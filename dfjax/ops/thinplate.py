"""Thin-plate splines (Bookstein 1989): the smoothest map of the plane that takes some points to others.

A face bent so that its landmarks lie where those of a mean face do is a picture without shape: every pixel shows the
same part of every face. `spline_basis` is how such pictures are made, and `bend` is the way back.

Points and positions are (x, y) in units of a picture's side: the first pixel of S has its centre at 0.5 / S.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.exact import einsum
from dfjax.ops.image import grid_sample, resize

STIFFNESS = 1e-3  # regularisation: added to the diagonal, so that close points cannot ask for a strong bend
NODES = 32  # nodes a side of the grid that Newton's method starts from
REFINEMENTS = 3  # steps of Newton's method
LEAST_AREA = 0.05  # least Jacobian determinant by which a step is divided: at folds it is 0
LONGEST_STEP = 0.1  # in sides, along an axis


def pixel_centres(size: int) -> np.ndarray:
    """float32 [S, S, 2]."""
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.stack(np.meshgrid(at, at), -1)


def spline_basis(points: np.ndarray, size: int) -> np.ndarray:
    """The matrix B [S, S, K], float32, by which a spline's map is linear in its goals.

    The spline that takes `points` [K, 2] to goals [K, 2] takes the pixels of a picture of side `size` to `B @ goals`.
    """
    points = np.asarray(points, np.float64)
    count = len(points)
    solution = np.linalg.inv(_system(points))[:, :count]  # [K + 3, K]
    basis = np.empty((size, size, count), np.float32)
    for row, pixels in zip(basis, pixel_centres(size).astype(np.float64)):  # row by row it stays in the cache
        terms = np.concatenate([_kernel(pixels, points), np.ones((size, 1)), pixels], 1)  # [S, K + 3]
        np.copyto(row, np.dot(terms, solution))
    return basis


def bend(pictures: jax.Array, basis: jax.Array, goals: jax.Array) -> jax.Array:
    """Pictures [B, T, T, C], bent: what lies at the basis's points [K, 2] comes to lie at `goals` [B, K, 2].

    The inverse of sampling a picture at `basis @ goals`. Pictures larger than the basis are bent by its map, which is
    smooth, and sampled bilinearly: they have detail to spare.

    Args:
        basis: [S, S, K], `spline_basis(points, S)`, S at most T. It is an argument, because it is large (7 MB at 160
            pixels): as a constant it would be compiled into every program.
    """
    size, side = pictures.shape[1], basis.shape[0]
    at = inverse(einsum('hwk,bkd->bhwd', basis, goals))
    at = at if size == side else resize(at, size)
    return grid_sample(pictures, at * size - 0.5, cubic=size == side)


def inverse(there: jax.Array) -> jax.Array:
    """The inverse of a map of the unit square, both given at the pixels of a picture as positions [B, S, S, 2].

    Newton's method from the nearest of some points of the map. (The spline the other way round would start nearer, but
    needs a linear solver a face: two of jaxlib's at once on two CPU threads wait for each other forever.)
    """
    size = there.shape[1]
    pixels = pixel_centres(size)
    step = max(size // NODES, 1)
    nodes = slice(step // 2, None, step)
    known = there[:, nodes, nodes].reshape(there.shape[0], -1, 2)  # [B, N, 2]
    coarse = pixels[nodes, nodes].reshape(-1, 2)  # [N, 2]
    squared = (known**2).sum(-1)[:, None] - 2 * einsum('pd,bnd->bpn', coarse, known)  # less |p|^2
    side = pixels[nodes].shape[0]
    at = jnp.asarray(coarse)[squared.argmin(-1)].reshape(-1, side, side, 2)
    at = jax.image.resize(at, there.shape, 'bilinear')
    down, across = jnp.gradient(there, axis=(1, 2))  # a pixel
    local = jnp.concatenate([there, size * across, size * down], -1)  # [B, S, S, 6]
    centres = jnp.stack(jnp.meshgrid(pixels[0, :, 0], pixels[:, 0, 1]), -1)  # [S, S, 2], made by the program
    for _ in range(REFINEMENTS):
        now, across, down = jnp.split(grid_sample(local, at * size - 0.5), 3, -1)
        miss = centres - now
        area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
        area = jnp.where(area < 0, -1, 1) * jnp.maximum(jnp.abs(area), LEAST_AREA)  # folds have none
        x = (miss[..., 0] * down[..., 1] - miss[..., 1] * down[..., 0]) / area
        y = (across[..., 0] * miss[..., 1] - across[..., 1] * miss[..., 0]) / area
        at += jnp.clip(jnp.stack([x, y], -1), -LONGEST_STEP, LONGEST_STEP)
    return at


def _system(points: np.ndarray) -> np.ndarray:
    """[K, 2] -> the matrix [K + 3, K + 3] whose solution are a spline's weights."""
    count = len(points)
    affine = np.concatenate([np.ones((count, 1)), points], 1)  # [K, 3]
    radial = _kernel(points, points) + STIFFNESS * np.eye(count)
    return np.block([[radial, affine], [affine.T, np.zeros((3, 3))]])


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """r^2 log r between points [P, 2] and [K, 2]: [P, K]."""
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * np.dot(a, b.T)
    kernel = np.log(np.maximum(squared, 0) + 1e-9)
    kernel *= squared  # in place: of a picture it is tens of megabytes
    kernel *= 0.5
    return kernel

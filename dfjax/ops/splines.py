"""Thin-plate splines through points that are learnt (Bookstein 1989), differentiable and in any units.

    moved = spline(points, goals, at)     # [..., N, 2], [..., N, 2], [P, 2] -> [..., P, 2]

`ops.thinplate` has those of points that are known before.
"""

import jax
import jax.numpy as jnp

from dfjax.ops.exact import einsum

STIFFNESS = 1e-2  # added to the diagonal: close points cannot ask for a strong bend
PULL = 1e-2  # of the affine part towards the identity: points in one place, or on a line, leave it open


def spline(
    points: jax.Array, goals: jax.Array, at: jax.Array, stiffness: float = STIFFNESS, pull: float = PULL
) -> jax.Array:
    """Where positions `at` [P, 2] go by the splines that take points [..., N, 2] to goals: [..., P, 2]."""
    plane = lambda p: jnp.concatenate([jnp.ones_like(p[..., :1]), p], -1)
    corner, edge = -pull * jnp.eye(3), plane(points)  # [..., N, 3]
    radial = _kernel(points, points) + stiffness * jnp.eye(points.shape[-2])
    rows = [radial, edge], [edge.swapaxes(-1, -2), jnp.broadcast_to(corner, (*points.shape[:-2], 3, 3))]
    system = jnp.concatenate([jnp.concatenate(row, -1) for row in rows], -2)  # [..., N + 3, N + 3]
    room = [(0, 0)] * (points.ndim - 2) + [(0, 3), (0, 0)]
    weights = solve(system, jnp.pad(goals - points, room))  # [..., N + 3, 2]
    flat = jnp.broadcast_to(plane(at), (*points.shape[:-2], len(at), 3))
    return at + einsum('...pn,...nd->...pd', jnp.concatenate([_kernel(at, points), flat], -1), weights)


def _kernel(a: jax.Array, b: jax.Array) -> jax.Array:
    """r^2 log r between points [..., P, 2] and [..., N, 2]: [..., P, N]."""
    squared = jnp.square(a[..., :, None, :] - b[..., None, :, :]).sum(-1)
    return 0.5 * squared * jnp.log(squared + 1e-9)


def solve(m: jax.Array, b: jax.Array) -> jax.Array:
    """x of m x = b: m symmetric [..., N, N], N small, and b [..., N, M].

    By elimination in plain operations: LAPACK's solvers, which XLA calls on a CPU, may wait for each other forever
    where a program has several, as a dozen `jnp.linalg.solve` of [32, 71, 71] with jaxlib 0.10.1 on two cores.
    """
    times = lambda x: einsum('...ij,...jk->...ik', m, x)
    return jax.lax.custom_linear_solve(times, b, lambda _, b: _eliminated(m, b), symmetric=True)


def _eliminated(m: jax.Array, b: jax.Array) -> jax.Array:
    """Gauss and Jordan's, the largest of what is left of a column its pivot."""
    n = m.shape[-1]
    a, rows = jnp.concatenate([m, b], -1), jnp.arange(n)
    for i in range(n):
        best = jnp.where(rows >= i, jnp.abs(a[..., i]), -1).argmax(-1)[..., None]  # [..., 1]
        pivot = jnp.take_along_axis(a, best[..., None], -2)  # [..., 1, N + M]
        pivot = pivot / pivot[..., i : i + 1]
        a = jnp.where((rows == best)[..., None], a[..., i : i + 1, :], a)
        here = (rows == i)[..., None]
        a = jnp.where(here, pivot, a - jnp.where(here, 0, a[..., i : i + 1]) * pivot)
    return a[..., n:]

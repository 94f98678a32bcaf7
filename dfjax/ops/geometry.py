"""Planar similarities and affine maps, batched and differentiable. Points are (x, y); matrices are [..., 2, 3].

Points are in pixels, with pixel centres at whole numbers, or in unit coordinates, in which a picture reaches from 0 to
1: the centre of the first of S pixels lies at 0.5 / S.
"""

import jax
import jax.numpy as jnp

from dfjax.ops.exact import einsum, matmul


def to_unit(points: jax.Array, size: jax.typing.ArrayLike) -> jax.Array:
    """Points [..., 2] in pixels of a picture with `size` pixels a side as unit coordinates; NumPy or JAX."""
    return (points + 0.5) / size


def to_pixels(points: jax.Array, size: jax.typing.ArrayLike) -> jax.Array:
    """Points [..., 2] in unit coordinates as pixels of a picture with `size` pixels a side; NumPy or JAX."""
    return points * size - 0.5


def umeyama(src: jax.Array, dst: jax.Array) -> jax.Array:
    """The similarity (rotation, scale, shift; no reflection) that takes `src` nearest to `dst` in least squares.

    Umeyama 1991, eq. 40-42. In the plane a rotation with scale is one complex factor, so the regression has a closed
    form: no SVD, and a gradient everywhere.

    Args:
        src: [..., K, 2] points; not all in one place.
        dst: [..., K, 2] where they should go.

    Returns:
        [..., 2, 3] matrices.
    """
    src_mean, dst_mean = src.mean(-2), dst.mean(-2)  # [..., 2]
    s, d = src - src_mean[..., None, :], dst - dst_mean[..., None, :]
    norm = (s**2).sum((-2, -1))
    cos = (s * d).sum((-2, -1)) / norm  # scale * cos(angle)
    sin = (s[..., 0] * d[..., 1] - s[..., 1] * d[..., 0]).sum(-1) / norm
    linear = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)  # [..., 2, 2]
    shift = dst_mean - einsum('...ij,...j->...i', linear, src_mean)
    return jnp.concatenate([linear, shift[..., None]], -1)


def invert_affine(m: jax.Array) -> jax.Array:
    """The inverse of affine maps [..., 2, 3]."""
    a, b, c, d = m[..., 0, 0], m[..., 0, 1], m[..., 1, 0], m[..., 1, 1]
    linear = jnp.stack([jnp.stack([d, -b], -1), jnp.stack([-c, a], -1)], -2) / (a * d - b * c)[..., None, None]
    shift = -einsum('...ij,...j->...i', linear, m[..., 2])
    return jnp.concatenate([linear, shift[..., None]], -1)


def compose_affine(second: jax.Array, first: jax.Array) -> jax.Array:
    """The map [..., 2, 3] that applies `first`, then `second`."""
    linear = matmul(second[..., :2], first[..., :2])
    shift = einsum('...ij,...j->...i', second[..., :2], first[..., 2]) + second[..., 2]
    return jnp.concatenate([linear, shift[..., None]], -1)


def transform_points(m: jax.Array, points: jax.Array) -> jax.Array:
    """Points [..., K, 2] under maps [..., 2, 3]."""
    return einsum('...ij,...kj->...ki', m[..., :2], points) + m[..., None, :, 2]

"""Colour transfer: a face takes over the colours of what is around it. Batched jnp, inside jitted programs."""

import jax
import jax.numpy as jnp

from dfjax.ops.exact import einsum, matmul
from dfjax.ops.image import lab_to_rgb, rgb_to_lab
from dfjax.ops.skin import moments

COLOURS = ('none', 'reinhard', 'mkl')
MOST_CONTRAST = 1.4  # greatest gain of contrast in Reinhard's transfer: more makes skin shine, and noise of it blotches
ROOT_STEPS = 30  # Newton steps, enough for colours that spread a thousand times more one way than another


def match_colour(
    kind: str, face: jax.Array, like: jax.Array, weight: jax.Array, like_weight: jax.Array, tone: float = 1.0
) -> jax.Array:
    """Gives faces the colours of other pictures, each seen through a mask.

    Args:
        kind: 'none', 'reinhard' (mean and spread of each channel of L*a*b*; Reinhard et al. 2001;
            contrast is raised by MOST_CONTRAST at most) or 'mkl' (mean and
            covariance of RGB by the linear map that moves colours least; Pitié & Kokaram 2007).
        face: [B, S, S, 3] in [0, 1].
        like: [B, S, S, 3] in [0, 1].
        weight: [B, S, S, 1], where the face's colours count; where it is 0 throughout, the face is returned as it is.
        like_weight: [B, S, S, 1], likewise for `like`.
        tone: how much of the mean colour is taken over, 0 to 1; spreads always are.

    Returns:
        [B, S, S, 3] in [0, 1].
    """
    if kind == 'none':
        return face
    matched = {'reinhard': _reinhard, 'mkl': _monge_kantorovich}[kind](face, like, weight, like_weight, tone)
    seen = jnp.minimum(*(w.sum((1, 2, 3), keepdims=True) for w in (weight, like_weight)))
    return jnp.where(seen > 0, jnp.clip(matched, 0, 1), face)


def _reinhard(face: jax.Array, like: jax.Array, weight: jax.Array, like_weight: jax.Array, tone: float) -> jax.Array:
    face, like = rgb_to_lab(face), rgb_to_lab(like)
    mean, spread, _ = moments(face, weight)  # [B, 1, 1, 3]
    wanted, wanted_spread, _ = moments(like, like_weight)
    gain = jnp.minimum(wanted_spread / jnp.maximum(spread, 1e-3), MOST_CONTRAST)
    return lab_to_rgb((face - mean) * gain + mean + tone * (wanted - mean))


def _monge_kantorovich(
    face: jax.Array, like: jax.Array, weight: jax.Array, like_weight: jax.Array, tone: float
) -> jax.Array:
    mean, _, share = moments(face, weight)
    wanted, _, like_share = moments(like, like_weight)

    def covariance(x: jax.Array, share: jax.Array) -> jax.Array:
        return einsum('bhwi,bhwj,bhw->bij', x, x, share[..., 0]) + 1e-6 * jnp.eye(3)

    root, inverse_root = _roots(covariance(face - mean, share))
    middle, _ = _roots(matmul(matmul(root, covariance(like - wanted, like_share)), root))
    linear = matmul(matmul(inverse_root, middle), inverse_root)  # [B, 3, 3], symmetric
    return einsum('bij,bhwj->bhwi', linear, face - mean) + mean + tone * (wanted - mean)


def _roots(m: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The square root of symmetric positive matrices [B, 3, 3], and its inverse.

    By the coupled Newton-Schulz iteration (Higham 2008, 6.7): products alone, so that several programs run at once.
    jaxlib's decompositions share XLA's threads on a CPU, and two at once on two cores wait for each other forever.
    """
    scale = jnp.trace(m, axis1=1, axis2=2)[:, None, None]
    one = jnp.eye(3)

    def improve(_: int, pair: tuple) -> tuple:
        root, inverse = pair
        better = 1.5 * one - matmul(0.5 * inverse, root)
        return matmul(root, better), matmul(better, inverse)

    start = m / scale, jnp.broadcast_to(one, m.shape)
    root, inverse = jax.lax.fori_loop(0, ROOT_STEPS, improve, start)
    return root * jnp.sqrt(scale), inverse / jnp.sqrt(scale)

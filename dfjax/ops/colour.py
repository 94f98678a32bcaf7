"""Colour transfer: a face takes over the colours of what is around it. Batched jnp, inside jitted programs."""

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.exact import einsum, matmul
from dfjax.ops.image import lab_to_rgb, rgb_to_lab
from dfjax.ops.skin import moments

COLOURS = ('none', 'reinhard', 'lct', 'mkl', 'idt', 'sot', 'hist')
MOST_CONTRAST = 1.4  # greatest gain of contrast in Reinhard's transfer: more makes skin shine, and noise of it blotches
ROTATIONS = 20  # of colours, as many as DeepFaceLab takes for 'idt'
SLICES = (10, 30)  # steps, and directions of each, likewise for 'sot'
SAMPLES = 64  # pixels a side whose colours are sorted
QUANTILES = 128  # along each direction
ROOT_STEPS = 30  # Newton steps, enough for colours that spread a thousand times more one way than another


def match_colour(
    kind: str, face: jax.Array, like: jax.Array, weight: jax.Array, like_weight: jax.Array, tone: float = 1.0
) -> jax.Array:
    """Gives faces the colours of other pictures, each seen through a mask.

    Args:
        kind: 'none', 'reinhard' (mean and spread of each channel of L*a*b*; Reinhard et al. 2001;
            contrast is raised by MOST_CONTRAST at most), 'lct' (mean and covariance of RGB by their roots; Hertzmann
            2001), 'mkl' (the same by the linear map that moves colours least; Pitié & Kokaram 2007), 'idt' (all of the
            distribution of RGB, along three axes that are turned again and again; Pitié et al. 2007), 'sot'
            (likewise along many directions at once; Rabin et al. 2012) or 'hist' (that of each channel).
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
    how = {'reinhard': _reinhard, 'lct': _linear, 'mkl': _linear, 'idt': _sliced, 'sot': _sliced, 'hist': _sliced}[kind]
    matched = how(kind, face, like, weight, like_weight, tone)
    seen = jnp.minimum(*(w.sum((1, 2, 3), keepdims=True) for w in (weight, like_weight)))
    return jnp.where(seen > 0, jnp.clip(matched, 0, 1), face)


def _reinhard(
    kind: str, face: jax.Array, like: jax.Array, weight: jax.Array, like_weight: jax.Array, tone: float
) -> jax.Array:
    face, like = rgb_to_lab(face), rgb_to_lab(like)
    mean, spread, _ = moments(face, weight)  # [B, 1, 1, 3]
    wanted, wanted_spread, _ = moments(like, like_weight)
    gain = jnp.minimum(wanted_spread / jnp.maximum(spread, 1e-3), MOST_CONTRAST)
    return lab_to_rgb((face - mean) * gain + mean + tone * (wanted - mean))


def _linear(
    kind: str, face: jax.Array, like: jax.Array, weight: jax.Array, like_weight: jax.Array, tone: float
) -> jax.Array:
    mean, _, share = moments(face, weight)
    wanted, _, like_share = moments(like, like_weight)

    def covariance(x: jax.Array, share: jax.Array) -> jax.Array:
        return einsum('bhwi,bhwj,bhw->bij', x, x, share[..., 0]) + 1e-6 * jnp.eye(3)

    own, other = covariance(face - mean, share), covariance(like - wanted, like_share)
    root, inverse_root = _roots(own)
    if kind == 'lct':
        linear = matmul(_roots(other)[0], inverse_root)  # [B, 3, 3]
    else:
        middle, _ = _roots(matmul(matmul(root, other), root))
        linear = matmul(matmul(inverse_root, middle), inverse_root)  # [B, 3, 3], symmetric
    return einsum('bij,bhwj->bhwi', linear, face - mean) + mean + tone * (wanted - mean)


def _sliced(
    kind: str, face: jax.Array, like: jax.Array, weight: jax.Array, like_weight: jax.Array, tone: float
) -> jax.Array:
    """Moves colours so that along one set of directions after another their quantiles are those of `like`."""
    rng = np.random.default_rng(0)  # the same directions always
    if kind == 'hist':  # [n, d, 3] of unit length
        bases, part = np.eye(3)[None], 1.0
    elif kind == 'idt':
        bases, part = np.stack([np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(ROTATIONS)]), 1.0
    else:
        bases, part = rng.normal(size=(*SLICES, 3)), 1 / SLICES[1]
        bases /= np.linalg.norm(bases, axis=-1, keepdims=True)
    every = max(1, face.shape[1] // SAMPLES)
    pick = lambda x: x[:, ::every, ::every].reshape(x.shape[0], -1, x.shape[-1])  # [B, n, C]
    other, other_weight, own_weight = pick(like), pick(like_weight)[..., 0], pick(weight)[..., 0]
    levels, follow = (jax.vmap(jax.vmap(f), axes) for f, axes in ((_quantiles, (0, None)), (jnp.interp, 0)))

    def turn(x: jax.Array, basis: jax.Array) -> tuple[jax.Array, None]:
        along = lambda z: einsum('b...c,dc->db...', z, basis)  # [d, B, ...]
        now, wanted = levels(along(pick(x)), own_weight), levels(along(other), other_weight)
        moved = follow(along(x), now, wanted - now)  # [d, B, H, W]
        return x + part * einsum('dbhw,dc->bhwc', moved, basis), None

    made, _ = jax.lax.scan(turn, face, jnp.asarray(bases, jnp.float32))
    return made - (1 - tone) * (moments(like, like_weight)[0] - moments(face, weight)[0])


def _quantiles(x: jax.Array, weight: jax.Array) -> jax.Array:
    """QUANTILES of numbers [n] that count as much as their weights [n]."""
    x = jnp.where(weight > 0, x, jnp.where(weight > 0, x, -9.0).max())  # at the end, and no further
    order = jnp.argsort(x)
    x, weight = x[order], weight[order]
    up_to = jnp.cumsum(weight) - weight / 2
    return jnp.interp((jnp.arange(QUANTILES) + 0.5) / QUANTILES * weight.sum(), up_to, x)


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

"""The losses of faceswap-GAN v2.2, arrays in, scalars out. Pictures [B, S, S, 3] are in [-1, 1]."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from dfjax.losses.image import face_weight
from dfjax.models.norm import EPSILON


def twice(x: jax.Array) -> jax.Array:
    """[B, ...] -> [2B, ...], as fakes are."""
    return jnp.concatenate([x, x])


def mixup(
    discriminate: Callable[[jax.Array], jax.Array], real: jax.Array, fake: jax.Array, seen: jax.Array, share: jax.Array
) -> jax.Array:
    """The discriminator's least squares on a mixture, which it is to tell the share of real in (Zhang et al. 2018).

    Args:
        discriminate: pictures with what they were made from [B, S, S, 6] -> [B, s, s, 1].
        real, fake: pictures.
        seen: what the encoder saw.
        share: of `real` in the mixture, a scalar.
    """
    mixed = share * real + (1 - share) * fake
    return jnp.square(discriminate(jnp.concatenate([mixed, seen], -1)) - share).mean()


def fooled(discriminate: Callable[[jax.Array], jax.Array], fake: jax.Array, seen: jax.Array) -> jax.Array:
    """The generator's least squares: how far a fake is from being taken for real."""
    return jnp.square(discriminate(jnp.concatenate([fake, seen], -1)) - 1).mean()


def features_weight(landmarks: jax.Array, size: int) -> jax.Array:
    """1 over eyes and mouth and 0 elsewhere, softly, by landmarks [B, 68, 2] in units of the side: [B, S, S, 1]."""
    blank = jnp.zeros((len(landmarks), size, size, 1))
    return jnp.minimum(face_weight(blank, landmarks, 0.0, 1.0), 1)


def edge_distance(x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean absolute difference of the sizes of steps between neighbours, down and across, added up."""
    return sum(jnp.abs(a - b).mean() for a, b in zip(_steps(x), _steps(y)))


def variation(mask: jax.Array) -> jax.Array:
    """Mean size of the steps between neighbours in masks [B, S, S, 1], down and across, added up."""
    return sum(x.mean() for x in _steps(mask))


def _steps(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.abs(x[:, 1:] - x[:, :-1]), jnp.abs(x[:, :, 1:] - x[:, :, :-1])


def mask_size(mask: jax.Array, margin: jax.Array, small: float, large: float) -> jax.Array:
    """What masks [B, S, S, 1] cost for being large, `small` times their mean; or, with a margin above 0, for lying
    below it, `large` times the mean of what is missing."""
    return jnp.where(margin > 0, large * jax.nn.relu(margin - mask).mean(), small * mask.mean())


def perceptual(fake: Sequence[jax.Array], real: Sequence[jax.Array], weights: Sequence[float]) -> jax.Array:
    """Mean squared differences of maps [B, h, w, C] with each channel normalised, by the weights; `real` is fixed."""
    pairs = zip(fake, real, weights, strict=True)
    return sum(w * jnp.square(_normalised(a) - jax.lax.stop_gradient(_normalised(b))).mean() for a, b, w in pairs)


def _normalised(x: jax.Array) -> jax.Array:
    x = x - x.mean((1, 2), keepdims=True)
    return x * jax.lax.rsqrt(jnp.square(x).mean((1, 2), keepdims=True) + EPSILON)


def kernel_decay(params: dict) -> jax.Array:
    """The sum of the squares of all convolutions' kernels in a tree of parameters."""
    named = jax.tree_util.tree_leaves_with_path(params)
    kernels = [x for path, x in named if path[-1].key == 'kernel' and x.ndim == 4]
    return sum(jnp.square(x).sum() for x in kernels)

"""Distances between feature maps: of a net that sees pictures (Johnson et al. 2016), or of a discriminator."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from dfjax.models import vgg
from dfjax.models.features import bank, octaves
from dfjax.ops.motion import shrink

Maps = Sequence[jax.Array]


def feature_distance(fake: Maps, real: Maps, weights: Sequence[float]) -> jax.Array:
    """Sum over maps [B, h, w, C] of the mean absolute difference, each by its weight; `real` gets no gradient."""
    return sum(w * jnp.abs(jax.lax.stop_gradient(b) - a).mean() for a, b, w in zip(fake, real, weights, strict=True))


def pyramid_distance(
    features: Callable[[jax.Array], Maps],
    fake: jax.Array,
    real: jax.Array,
    scales: Sequence[float],
    weights: Sequence[float],
) -> jax.Array:
    """`feature_distance` of pictures [B, H, W, C] at several sizes, added up (Siarohin et al. 2019, section 3.4).

    Args:
        features: from pictures to maps, as many as there are weights.
        scales: of the pictures, each 1 over a whole number.
    """
    return sum(
        feature_distance(features(shrink(fake, scale)), features(shrink(real, scale)), weights) for scale in scales
    )


def picture_distance(weights: vgg.Weights | None, fake: jax.Array, real: jax.Array, w: Mapping) -> jax.Array:
    """Distance of pictures [B, S, S, 3] in [0, 1] in VGG-19's features at several sizes, or in the filter bank's.

    Args:
        weights: VGG-19's; none is the bank.
        w: 'scales' and 'perceptual' of `pyramid_distance`, and 'bank', the weight of each layer of the bank.
    """
    size = fake.shape[1]
    if weights:
        scales = [scale for scale in w['scales'] if size * scale >= vgg.SMALLEST]
        features = lambda x: vgg.features(weights, 2 * x - 1, vgg.STYLE)
        return pyramid_distance(features, fake, real, scales, w['perceptual'])
    maps = bank(2 * jnp.concatenate([fake, real]) - 1, octaves(size))[0]
    a, b = zip(*(jnp.split(x, 2) for x in maps))
    return feature_distance(a, b, [w['bank']] * len(a))

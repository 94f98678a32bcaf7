"""Distances between feature maps: of a net that sees pictures (Johnson et al. 2016), or of a discriminator."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

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

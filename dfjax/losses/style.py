"""Losses of style transfer (Gatys et al. 2016; Johnson et al. 2016), on lists of feature maps [B, h, w, C].

Every layer's distance is relative to what it is measured from, so that layers count alike whatever the features, and 1
is as far as a picture without any. Gatys divides by sizes instead, and leaves the balance to weights.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

FAINT = 0.1  # share of the features' mean strength, below which one is taken for as strong as that


def gram(features: jax.Array) -> jax.Array:
    """Which features go together, wherever that is: [B, h, w, C] -> [B, C, C], means over places of their products."""
    b, h, w, c = features.shape
    flat = features.reshape(b, h * w, c).astype(jnp.float32)
    return jnp.einsum('bnc,bnd->bcd', flat, flat, precision='highest') / (h * w)


def style_distance(made: Sequence[jax.Array], style: Sequence[jax.Array]) -> jax.Array:
    """How far Gram matrices are from those of a style: [B], squared and relative, mean over layers.

    Args:
        made, style: a matrix [B or 1, C, C] a layer.
    """
    terms = [((a - b) ** 2).sum((1, 2)) / (b**2).sum((1, 2)) for a, b in zip(made, style, strict=True)]
    return sum(terms) / len(terms)


def style_loss(made: Sequence[jax.Array], style: Sequence[jax.Array]) -> jax.Array:
    """The same with every feature measured by its strength in the style: what is to be made small.

    Without, brightness and the colours themselves outweigh all else, and rainbows appear where there should be grey.
    """
    terms = []
    for a, b in zip(made, style, strict=True):
        strength = jnp.diagonal(b, axis1=1, axis2=2)  # [B, C]
        strength = jnp.sqrt(jnp.maximum(strength, FAINT**2 * strength.mean(1, keepdims=True)))
        weight = 1 / (strength[:, :, None] * strength[:, None])
        terms.append(((weight * (a - b)) ** 2).sum((1, 2)) / ((weight * b) ** 2).sum((1, 2)))
    return sum(terms) / len(terms)


def content_distance(made: Sequence[jax.Array], content: Sequence[jax.Array]) -> jax.Array:
    """How far features are from a picture's at the same places: [B], squared and relative, mean over layers."""
    terms = [((a - b) ** 2).mean((1, 2, 3)) / (b**2).mean((1, 2, 3)) for a, b in zip(made, content, strict=True)]
    return sum(terms) / len(terms)


def total_variation(x: jax.Array) -> jax.Array:
    """Mean squared difference of neighbours in pictures [B, H, W, C], both ways added: [B]."""
    down, across = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
    return (down**2).mean((1, 2, 3)) + (across**2).mean((1, 2, 3))


def out_of_range(x: jax.Array) -> jax.Array:
    """Mean square of what of pictures [B, H, W, C] lies beyond [-1, 1]: [B]."""
    return (jnp.maximum(jnp.abs(x) - 1, 0) ** 2).mean((1, 2, 3))

"""Whether mouths and speech go together, on embeddings of length 1 (`models.syncnet`).

`binary_cross_entropy` of the cosine is Wav2Lip's: embeddings are never negative there, so it lies in [0, 1]. Its slope
is weak near 0, and training often stays where everything is as likely as not. `contrastive` finds the partner of each
among all others of a batch (van den Oord et al. 2018), and does not.
"""

import jax
import jax.numpy as jnp
import optax

LEAST = -100.0  # value of a logarithm, PyTorch's in its cross entropy


def cosine(one: jax.Array, other: jax.Array) -> jax.Array:
    """Of embeddings [B, C] of length 1: [B]."""
    return (one * other).sum(-1)


def binary_cross_entropy(probability: jax.Array, label: jax.Array | float) -> jax.Array:
    """Mean cross entropy of probabilities with labels, 0 or 1, of their shape or for all."""
    return -(label * _log(probability) + (1 - label) * _log(1 - probability)).mean()


def _log(p: jax.Array) -> jax.Array:
    return jnp.where(p > 0, jnp.maximum(jnp.log(jnp.where(p > 0, p, 1)), LEAST), LEAST)


def likeness(heard: jax.Array, seen: jax.Array) -> jax.Array:
    """How well embeddings [B, C] go together, from 0 to 1, also where they may be negative: [B]."""
    return (1 + cosine(heard, seen)) / 2


def contrastive(
    heard: jax.Array, seen: jax.Array, temperature: jax.Array, weights: jax.Array | None = None, smoothing: float = 0.05
) -> tuple[jax.Array, jax.Array]:
    """InfoNCE both ways: which mouth is it for this speech, and which speech for this mouth.

    Args:
        heard, seen: embeddings [B, C] of length 1, partners in the same row.
        temperature: scalar, by which cosines are divided.
        weights: [B], how much a row counts, 0 for silence, which is no one's partner; none is 1.
        smoothing: share of the label that all rows have in common.

    Returns:
        The loss, and the share of rows whose partner is the nearest, scalars both.
    """
    logits = jnp.matmul(heard, seen.T, precision='highest') / temperature  # [B, B]
    rows = len(logits)
    labels = optax.smooth_labels(jnp.eye(rows), smoothing)
    weights = jnp.ones(rows) if weights is None else weights
    weights = weights / jnp.maximum(weights.sum(), 1e-6)
    there, back = (optax.softmax_cross_entropy(x, labels) for x in (logits, logits.T))  # [B] each
    right = (logits.argmax(1) == jnp.arange(rows)).astype(jnp.float32)
    return (weights * (there + back)).sum() / 2, (weights * right).sum()

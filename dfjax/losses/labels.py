"""Classification losses on logits."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax


def binary_cross_entropy(logits: jax.Array, labels: jax.Array, known: jax.Array | None = None) -> jax.Array:
    """Of independent labels, summed over the labels of a picture, mean over pictures (StarGAN, eq. 2 and 3).

    Args:
        logits: [B, K].
        labels: [B, K] in {0, 1}.
        known: [B, K], 1 where a label is known and counts; all by default.
    """
    each = optax.sigmoid_binary_cross_entropy(logits, labels)
    each = each if known is None else each * known
    return each.sum() / logits.shape[0]


def grouped_cross_entropy(
    logits: jax.Array, labels: jax.Array, known: jax.Array, exclusive: Sequence[slice]
) -> jax.Array:
    """`binary_cross_entropy` of labels, and softmax's of those groups whose labels exclude each other.

    Args:
        logits, labels, known: [B, K], see there.
        exclusive: where the labels of each such group stand; a group is known as a whole.
    """
    single, cost = jnp.asarray(known), 0.0
    for part in exclusive:
        log_p = jax.nn.log_softmax(logits[:, part])
        cost -= (labels[:, part] * known[:, part] * log_p).sum() / len(logits)
        single = single.at[:, part].set(0)
    return binary_cross_entropy(logits, labels, single) + cost

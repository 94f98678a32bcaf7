"""Adversarial losses on the discriminator's logits."""

import jax


def hinge_d(real: jax.Array, fake: jax.Array) -> jax.Array:
    """The discriminator's hinge loss (Lim & Ye 2017)."""
    return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()

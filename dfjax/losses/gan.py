"""Adversarial losses on the discriminator's logits."""

import jax
import jax.numpy as jnp


def lsgan(logits: jax.Array, real: bool) -> jax.Array:
    """Least squares (Mao et al. 2017): mean (D - 1)^2 for real, mean D^2 for fake."""
    return jnp.mean((logits - float(real)) ** 2)


def hinge_d(real: jax.Array, fake: jax.Array) -> jax.Array:
    """The discriminator's hinge loss (Lim & Ye 2017)."""
    return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()

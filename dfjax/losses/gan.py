"""Adversarial losses on the discriminator's logits."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dfjax.errors import InputError


def hinge_d(real: jax.Array, fake: jax.Array) -> jax.Array:
    """The discriminator's hinge loss (Lim & Ye 2017)."""
    return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()


def _lsgan(logits: jax.Array, real: bool) -> jax.Array:
    return jnp.square(logits - real).mean()


def _vanilla(logits: jax.Array, real: bool) -> jax.Array:
    return jax.nn.softplus(-logits if real else logits).mean()


def _wasserstein(logits: jax.Array, real: bool) -> jax.Array:
    return -logits.mean() if real else logits.mean()


LOSSES = {'lsgan': _lsgan, 'vanilla': _vanilla, 'wgangp': _wasserstein}


def adversarial(kind: str) -> Callable[[jax.Array, bool], jax.Array]:
    """loss(logits, real): what it costs that pictures that should be called real (or not) got `logits`.

    The discriminator's loss is loss(real logits, True) + loss(fake logits, False), which some systems halve; the
    generator's is loss(fake logits, True).

    Args:
        kind: 'lsgan', least squares (Mao et al. 2017); 'vanilla', cross entropy (Goodfellow et al. 2014); 'wgangp',
            the critic's value (Arjovsky et al. 2017), to which the discriminator adds `gradient_penalty`.

    Raises:
        InputError: if there is no such kind.
    """
    if kind not in LOSSES:
        raise InputError(f'adversarial loss {kind!r} does not exist; there are: {", ".join(LOSSES)}')
    return LOSSES[kind]


def gradient_penalty(
    critic: Callable[[jax.Array], jax.Array], real: jax.Array, fake: jax.Array, alpha: jax.Array
) -> jax.Array:
    """Mean of (|gradient| - 1)^2 at points between real and fake pictures (Gulrajani et al. 2017).

    Args:
        critic: from pictures to logits, the pictures of a batch apart from each other.
        real, fake: [B, H, W, C].
        alpha: [B, 1, 1, 1] in [0, 1], the share of `real`.
    """
    gradient = jax.grad(lambda x: critic(x).sum())(alpha * real + (1 - alpha) * fake)
    square = jnp.square(gradient).sum((1, 2, 3))  # [B]
    norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)  # sqrt has no derivative at 0
    return jnp.square(norm - 1).mean()

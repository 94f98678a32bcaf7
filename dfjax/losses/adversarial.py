"""Losses of generators of pictures from noise, on logits [B], and the gradient penalty that keeps them stable."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

KINDS = ('relativistic', 'nonsaturating')


def critic_loss(kind: str, real: jax.Array, fake: jax.Array) -> jax.Array:
    """The discriminator's loss, a scalar.

    Args:
        kind: 'relativistic', every real picture against a made one (Jolicoeur-Martineau 2019; as pairs, Huang et al.
            2024), or 'nonsaturating' (Goodfellow et al. 2014).

    Raises:
        ValueError: if there is no such kind.
    """
    if kind == 'relativistic':
        return jax.nn.softplus(fake - real).mean()
    if kind == 'nonsaturating':
        return jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()
    raise ValueError(f'adversarial loss {kind!r}: choose one of {", ".join(KINDS)}')


def generator_loss(kind: str, real: jax.Array, fake: jax.Array) -> jax.Array:
    """The generator's loss, a scalar; arguments as in `critic_loss`."""
    return jax.nn.softplus(real - fake if kind == 'relativistic' else -fake).mean()


def gradient_penalty(judge: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Mean over pictures x [B, H, W, C] of the squared norm of d judge(x) / dx.

    R1 on real pictures (Mescheder et al. 2018), R2 on made ones.
    """
    slope = jax.grad(lambda x: judge(x).sum())(x)
    return jnp.square(slope).sum((1, 2, 3)).mean()


def slope_penalty(judge: Callable[[jax.Array], jax.Array], x: jax.Array, noise: jax.Array, sigma: float) -> jax.Array:
    """`gradient_penalty` by one difference along standard gaussian noise [B, H, W, C] times `sigma`.

    Its mean over noise is that penalty, up to terms of sigma^2 (Lin et al. 2025, Diffusion adversarial post-training).
    It needs no derivative of a derivative, which takes a CPU most of a step.
    """
    return jnp.square((judge(x + sigma * noise) - judge(x)) / sigma).mean()

"""Adversarial losses on a discriminator's logits, of any shape, and the penalties on its gradient.

    d_loss(kind, real, fake)      the discriminator's loss, a scalar: d_real + d_fake, but for 'relativistic'
    g_loss(kind, fake, real)      the generator's; only 'relativistic' looks at the real ones

Kinds:
    'vanilla'       cross entropy, the generator's in its non-saturating form (Goodfellow et al. 2014)
    'lsgan'         least squares (Mao et al. 2017)
    'hinge'         (Lim & Ye 2017)
    'wgangp'        the critic's value (Arjovsky et al. 2017), to which the discriminator adds `wgan_gp`
    'relativistic'  every real picture against a fake (Jolicoeur-Martineau 2019; as pairs, Huang et al. 2024)
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dfjax.errors import InputError

# kind: cost of a logit of a real picture and of a fake to the discriminator, and of a fake to the generator
SEPARATE = {
    'vanilla': (lambda x: jax.nn.softplus(-x), jax.nn.softplus, lambda x: jax.nn.softplus(-x)),
    'lsgan': (lambda x: jnp.square(x - 1), jnp.square, lambda x: jnp.square(x - 1)),
    'hinge': (lambda x: jax.nn.relu(1 - x), lambda x: jax.nn.relu(1 + x), jnp.negative),
    'wgangp': (jnp.negative, lambda x: x, jnp.negative),
}
KINDS = (*SEPARATE, 'relativistic')


def d_real(kind: str, logits: jax.Array) -> jax.Array:
    """The part of the discriminator's loss that real pictures have, a scalar; `kind` is one of SEPARATE."""
    return _costs(kind)[0](logits).mean()


def d_fake(kind: str, logits: jax.Array) -> jax.Array:
    """The part of the discriminator's loss that fakes have, a scalar; `kind` is one of SEPARATE."""
    return _costs(kind)[1](logits).mean()


def d_loss(kind: str, real: jax.Array, fake: jax.Array) -> jax.Array:
    """The discriminator's loss, a scalar, by the logits of real pictures and of fakes.

    Raises:
        InputError: if there is no such kind.
    """
    if kind == 'relativistic':
        return jax.nn.softplus(fake - real).mean()
    return d_real(kind, real) + d_fake(kind, fake)


def g_loss(kind: str, fake: jax.Array, real: jax.Array | None = None) -> jax.Array:
    """The generator's loss, a scalar; arguments as in `d_loss`."""
    if kind == 'relativistic':
        return jax.nn.softplus(real - fake).mean()
    return _costs(kind)[2](fake).mean()


def _costs(kind: str) -> tuple[Callable, Callable, Callable]:
    if kind not in SEPARATE:
        raise InputError(f'adversarial loss {kind!r} does not exist; there are: {", ".join(SEPARATE)}')
    return SEPARATE[kind]


def r1_penalty(discriminator: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Mean over pictures x [B, H, W, C] of the squared norm of d discriminator(x) / dx.

    R1 on real pictures (Mescheder et al. 2018), R2 on fakes.
    """
    slope = jax.grad(lambda x: discriminator(x).sum())(x)
    return jnp.square(slope).sum((1, 2, 3)).mean()


def r1_estimate(
    discriminator: Callable[[jax.Array], jax.Array], x: jax.Array, noise: jax.Array, sigma: float
) -> jax.Array:
    """`r1_penalty` by one difference along standard gaussian noise [B, H, W, C] times `sigma`.

    Its mean over noise is that penalty, up to terms of sigma^2 (Lin et al. 2025, Diffusion adversarial post-training).
    It needs no derivative of a derivative, which takes a CPU most of a step.
    """
    return jnp.square((discriminator(x + sigma * noise) - discriminator(x)) / sigma).mean()


def wgan_gp(critic: Callable[[jax.Array], jax.Array], real: jax.Array, fake: jax.Array, alpha: jax.Array) -> jax.Array:
    """Mean of (|gradient| - 1)^2 at points between real pictures and fakes (Gulrajani et al. 2017).

    Args:
        critic: from pictures to logits, the pictures of a batch apart from each other.
        real, fake: [B, H, W, C].
        alpha: [B, 1, 1, 1] in [0, 1], the share of `real`.
    """
    gradient = jax.grad(lambda x: critic(x).sum())(alpha * real + (1 - alpha) * fake)
    square = jnp.square(gradient).sum((1, 2, 3))  # [B]
    norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)  # sqrt has no derivative at 0
    return jnp.square(norm - 1).mean()

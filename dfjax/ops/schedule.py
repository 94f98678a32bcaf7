"""Learning rates."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def linear_decay(rate: float, steps: int, constant: float) -> Callable[[jax.Array], jax.Array]:
    """`rate` for a share of the steps, then in a straight line to 0, which it would reach a step after the last.

    With n steps of decay that is rate * (1 - i / (n + 1)) for the i-th of them, CycleGAN's rule for its epochs.

    Args:
        constant: the share, in [0, 1]; 1 decays never.
    """
    begin = round(constant * steps)
    return lambda step: rate * (1 - jnp.clip(step + 1 - begin, 0, None) / (steps - begin + 1))

"""Running moments: exponential averages of quantities and of their squares, as {name: {'mean', 'square'}}.

The face swap keeps three for each person: 'landmarks' [68, 2] in units of the side, 'picture' [s, s, 3], which is the
encoder's input, and 'code' [h, w, C], its output.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def unknown(guess: dict) -> dict:
    """Moments before any example: means as guessed, by name, and a standard deviation of 1."""
    return {key: {'mean': mean, 'square': mean**2 + 1} for key, mean in guess.items()}


def follow(known: dict, seen: dict, rate: jax.Array, everywhere: Callable[[dict], dict]) -> dict:
    """Moments moved towards those of a batch: old + rate * (new - old).

    Args:
        known: moments so far.
        seen: the batch's values [B, ...] of some of the names; the others stay.
        rate: in [0, 1]; 1 takes the batch's.
        everywhere: mean over devices, each of which sees a part of the batch.
    """
    own = everywhere({key: {'mean': x.mean(0), 'square': (x**2).mean(0)} for key, x in seen.items()})
    nearer = lambda old, new: old + rate * (new - old)
    return known | {key: jax.tree.map(nearer, known[key], new) for key, new in own.items()}


def spread(known: dict) -> jax.Array:
    """The standard deviation that 'mean' and 'square' give."""
    return jnp.sqrt(jnp.maximum(known['square'] - known['mean'] ** 2, 1e-8))


def differences(person: dict, pictures: jax.Array) -> jax.Array:
    """Pictures [B, s, s, 3] less the person's mean picture, over twice the standard deviation (RMS over pixels)."""
    mean = person['picture']['mean']
    variance = jnp.maximum((person['picture']['square'] - mean**2).mean(), 1e-4)
    return (pictures - mean) / (2 * jnp.sqrt(variance))

"""A person as running means of what was seen of them: by name, 'mean' and 'square', that of the square.

The face swap follows 'landmarks' [68, 2] in units of the side, 'picture' [s, s, 3], what the encoder sees, and 'code'
[h, w, C], what it makes of it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def unknown(guess: dict) -> dict:
    """What is known of a person before any picture: means as guessed, by name, and a standard deviation of 1."""
    return {key: {'mean': mean, 'square': mean**2 + 1} for key, mean in guess.items()}


def follow(known: dict, seen: dict, rate: jax.Array, everywhere: Callable[[dict], dict]) -> dict:
    """What is known, `rate` nearer to a batch's own: `seen` holds some of the names, [B, ...] each.

    `everywhere` gives the mean over devices, which see a part of the batch each.
    """
    own = everywhere({key: {'mean': x.mean(0), 'square': (x**2).mean(0)} for key, x in seen.items()})
    nearer = lambda old, new: old + rate * (new - old)
    return known | {key: jax.tree.map(nearer, known[key], new) for key, new in own.items()}


def spread(known: dict) -> jax.Array:
    """The standard deviation, of 'mean' and 'square'."""
    return jnp.sqrt(jnp.maximum(known['square'] - known['mean'] ** 2, 1e-8))


def differences(person: dict, pictures: jax.Array) -> jax.Array:
    """How pictures [B, s, s, 3] differ from the person's mean, in two of the person's standard deviations."""
    mean = person['picture']['mean']
    variance = jnp.maximum((person['picture']['square'] - mean**2).mean(), 1e-4)
    return (pictures - mean) / (2 * jnp.sqrt(variance))

"""Which items make up which batch: pure functions of (seed, step, example) on which NumPy and every device agree.

All is arithmetic on 32-bit integers, so that data on the device and data that streams give the same batches.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

ROUNDS = 24  # rounds of the swap-or-not shuffle
SPAN = 2**32  # what 32 bits can tell apart


def shuffled(position: Any, count: int, seed: int, salt: int = 0) -> Any:
    """Which item to take at a position of an endless stream in which every epoch is a fresh permutation of all items.

    The swap-or-not shuffle (Hoang, Morris, Rogaway 2012) on hashed keys: each round swaps an item with its mirror image
    about a random point, or not, by a random bit that both share. Integers only, so NumPy and every device agree.

    Args:
        position: uint32 [B], NumPy or JAX; wraps after 2**32 examples.
        count: the number of items.
        seed: of the run.
        salt: tells streams of one seed apart.

    Returns:
        int32 [B] in [0, count), of the same kind of array.
    """
    n = np.uint32(count)
    epoch = position // n
    key = mix(mix(epoch ^ _spread(seed)) ^ np.uint32(salt))

    def swap_or_not(number: Any, carry: tuple) -> tuple:
        item, key = carry
        key = mix(key ^ number)
        point = key % n
        mirror = point - item + n * (point < item)
        upper = item + (mirror > item) * (mirror - item)
        swap = mix(upper ^ key) >> np.uint32(31)
        return item + swap * (mirror - item), key

    carry = position % n, key
    if isinstance(position, jax.Array):  # a loop, because 24 rounds in a row take XLA seconds to compile
        carry = jax.lax.fori_loop(np.uint32(1), np.uint32(ROUNDS + 1), swap_or_not, carry)
    else:
        for number in np.arange(1, ROUNDS + 1, dtype=np.uint32):
            carry = swap_or_not(number, carry)
    return carry[0].astype(np.int32)


class Draw:
    """Which item each example of a step takes, of a set of `count` items.

    Without weights every item comes once an epoch of `count` examples. With weights an epoch, still of `count`, holds
    each item as often as it should, `count * weight / sum(weights)`, rounded down or up, and epochs differ in which:
    systematic sampling along the cumulative weights, from a point drawn anew each epoch, in shuffled order.

    Args:
        count: number of items.
        seed: of the run.
        salt: tells streams of one seed apart.
        weights: [count], relative, or None.
    """

    def __init__(self, count: int, seed: int, salt: int = 0, weights: np.ndarray | None = None):
        self.count, self.seed, self.salt = count, seed, salt
        self.ends = None if weights is None else cumulative(weights)

    def index(self, position: Any, ends: Any = None) -> Any:
        """Items int32 [B] of examples uint32 [B] counted from the run's first; NumPy or JAX.

        Args:
            ends: `self.ends`, where it lies on the device.
        """
        order = shuffled(position, self.count, self.seed, self.salt)
        if self.ends is None:
            return order
        epoch = position // np.uint32(self.count)
        start = mix(mix(epoch ^ _spread(self.seed)) ^ np.uint32(0x57EED + self.salt))
        point = order.astype(np.uint32) * np.uint32(min(SPAN // self.count, SPAN - 1)) + start  # uint32, wraps around
        search = jnp.searchsorted if isinstance(position, jax.Array) else np.searchsorted
        found = search(self.ends if ends is None else ends, point, side='right')
        return found.astype(np.int32)


def cumulative(weights: np.ndarray) -> np.ndarray:
    """Where each item's share of 2**32 ends, but for the last item's: uint32 [N - 1]."""
    weights = np.asarray(weights, np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ValueError('weights are finite, not negative and not all 0')
    ends = np.cumsum(weights)[:-1] / weights.sum() * SPAN
    return np.minimum(np.round(ends), SPAN - 1).astype(np.uint32)


def element_seeds(seed: int, step: Any, example: Any, salt: int = 0) -> Any:
    """What each example's item is drawn by, uint32 [B], where a set draws; NumPy or JAX.

    Args:
        seed: of the run.
        step: of the run, uint32.
        example: places in the whole batch, uint32 [B].
        salt: tells streams of one seed apart.
    """
    key = mix(mix(step ^ _spread(seed)) ^ np.uint32(0xC11B5 + salt))
    return mix(mix(example) ^ key)


def below(seed: Any, limit: Any, salt: int) -> Any:
    """Whole numbers int32 [...] below `limit` (int32 [...], 1 or more) by a hash of seeds uint32; NumPy or JAX."""
    return (mix(seed ^ _spread(salt)) % limit.astype(np.uint32)).astype(np.int32)


def mix(x: Any) -> Any:
    """A hash of uint32 arrays in which every input bit moves every output bit (Wellons 2018, `lowbias32`)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def _spread(seed: int) -> np.uint32:
    """A number of any size as 32 bits, neighbours far apart."""
    return np.uint32((seed * 0x9E3779B9) % SPAN)

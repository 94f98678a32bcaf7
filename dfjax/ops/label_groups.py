"""Groups of labels: [K] labels are split into groups, and in some groups the labels are mutually exclusive."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from dfjax.errors import InputError


def check_exclusive(exclusive: bool | Sequence[int] | None, groups: Sequence[int], what: str) -> None:
    """Raises InputError unless `exclusive` are numbers of groups of two labels or more, true for all or none.

    Args:
        exclusive: which groups exclude, by number from 0.
        groups: how many labels each group has.
        what: where it was said, for the message.
    """
    if exclusive is None or isinstance(exclusive, bool):
        exclusive = range(len(groups)) if exclusive else ()
    known = isinstance(exclusive, Sequence) and all(type(n) is int and 0 <= n < len(groups) for n in exclusive)
    if not known:
        raise InputError(f'{what}: give a list of groups by number, 0 to {len(groups) - 1}, not {exclusive!r}')
    if single := [n for n in exclusive if groups[n] < 2]:
        raise InputError(f'{what}: group {single[0]} has one label, and excludes no other')


def random_labels(key: jax.Array, count: int, exclusive: Sequence[slice]) -> jax.Array:
    """Random labels [count] in {0, 1}: each with probability 1/2, but exactly one of each group in `exclusive`."""
    labels = jax.random.bernoulli(key, 0.5, (count,)).astype(jnp.float32)
    for part in exclusive:
        size = part.stop - part.start
        one = jax.random.randint(jax.random.fold_in(key, part.start), (), 0, size)
        labels = labels.at[part].set(jax.nn.one_hot(one, size))
    return labels

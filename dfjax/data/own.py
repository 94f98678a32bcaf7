"""Batches of one's own arrays: for a loop of one's own, and for `train`."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.errors import InputError
from dfjax.ops.keys import batch_keys


def make_batch(arrays: Mapping[str, Any], step: int | jax.Array, seed: int = 0) -> dict[str, Any]:
    """The arrays with the random keys that a system's `step` draws from; also inside jit.

        batch = make_batch({'image': images}, step=0)

    Args:
        arrays: by the names of the system's batch, see `data.batches`: images are uint8 [B, S, S, 3]; nested dicts for
            two sides, as {'a': {'image': ...}, 'b': {'image': ...}}.
        step: of the loop: another one gives other keys.
        seed: of the whole loop.

    Returns:
        `arrays` with 'key' [B] and 'step_key'.
    """
    count = len(jax.tree.leaves(dict(arrays))[0])
    return dict(arrays) | batch_keys(seed, jnp.asarray(step), jnp.arange(count, dtype=jnp.uint32))


class Own:
    """Batches of the caller's, as the data of a run: what `data.batches.Streamed` is for named sets.

    They are taken one after the other and begun anew when they end. What can be iterated again, as a list, is skipped
    to where it was by a run that goes on, which then ends as one that never stopped; an iterator, as a generator gives,
    cannot be wound: the run goes on with what it gives next.

    Args:
        batches: of arrays as `make_batch` wants them, each of `batch_size` examples, of one shape and type; with
            several processes each gives its own part.
        seed, batch_size: the config's.

    Raises:
        InputError: there are none, or the first is of another size; from `feed`, where an iterator has ended, or a
            batch is unlike the first.
    """

    resident = False
    batch_axis = 1

    def __init__(self, batches: Iterable[Mapping[str, Any]], seed: int, batch_size: int):
        self.batches, self.seed, self.batch_size, self._taken = batches, seed, batch_size, 0
        once = iter(batches)
        self._again = once is not batches
        if (first := next(once, None)) is None:
            raise InputError('batches: there are none')
        self._first = _arrays(first)
        self._iterator = self._from(0) if self._again else itertools.chain([first], once)
        own = batch_size // jax.process_count()
        if sizes := {len(leaf) for leaf in jax.tree.leaves(self._first)} - {own}:
            raise InputError(f'batches: are of {sizes.pop()} examples; batch_size is {own}')

    def _from(self, taken: int) -> Iterator[Mapping]:
        """All batches again and again, without the first so many."""
        return itertools.islice(itertools.chain.from_iterable(itertools.repeat(self.batches)), taken, None)

    def feed(self, steps: int) -> dict:
        """The next batches, stacked: every leaf is [steps, B / processes, ...]."""
        taken = [_arrays(batch) for batch in itertools.islice(self._iterator, steps)]
        if len(taken) < steps:
            raise InputError(f'batches: end at step {self._taken + len(taken)}; give more, or a list of them')
        if strange := [shapes for batch in taken if (shapes := _shapes(batch)) != _shapes(self._first)]:
            raise InputError(f'batches: one holds {strange[0]} where the first holds {_shapes(self._first)}')
        self._taken += steps
        return jax.tree.map(lambda *leaves: np.stack(leaves), *taken)

    def first(self) -> dict:
        """The feed of the first batch, for previews."""
        return jax.tree.map(lambda leaf: leaf[None], self._first)

    def some(self, most: int) -> dict:
        """InputError: what a system looks up in its sets before the first step is not to be had of batches."""
        raise InputError('batches: this system begins with its sets themselves; train it by --a and --b')

    def sample(self, feed: dict, step: jax.Array, i: jax.Array, part: int = 0, parts: int = 1) -> dict:
        """The i-th batch of the feed, with the keys of `step`."""
        batch = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, i, keepdims=False), feed)
        size = self.batch_size // parts
        return batch | batch_keys(self.seed, step, (part * size + jnp.arange(size)).astype(jnp.uint32))

    def get_state(self) -> dict:
        """How many were taken."""
        return {'own': self._taken}

    def set_state(self, state: dict) -> None:
        """Goes on after so many; from the first where the run was trained on named sets before."""
        if self._again:
            self._taken = state.get('own', 0)
            self._iterator = self._from(self._taken)

    def close(self) -> None:
        """Does nothing: they are the caller's."""


def _arrays(batch: Mapping[str, Any]) -> dict:
    return jax.tree.map(np.asarray, dict(batch))


def _shapes(batch: dict) -> str:
    return str(jax.tree.map(lambda leaf: f'{leaf.dtype} {list(leaf.shape)}', batch))

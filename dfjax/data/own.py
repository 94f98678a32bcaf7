"""Batches of one's own arrays, for a loop of one's own."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

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

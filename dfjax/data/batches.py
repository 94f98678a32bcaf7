"""Batches for training: one interface over data sets that live on the device and data sets that stream past it.

    data = make_data(cfg, system.BATCH)             which sets and which size: cfg.data; how many: cfg.batch_size
    feed = data.feed(n)                             what the next n steps need: a tree of host arrays
    batch = data.sample(feed, step, i)              inside jit: step `step`, the i-th of that feed

`sample` is a pure function, made for the body of a `lax.scan` over n steps:

    def chunk(state, feed):
        def body(state, i):
            batch = data.sample(feed, state.step, i)
            batch = jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, P('data')))
            return step(cfg, state, batch)
        return jax.lax.scan(body, state, jnp.arange(n))

Resident (`data.resident`): all examples as arrays. `feed` gives the same arrays every time, so the loop places them
once, replicated over the mesh; `sample` picks its rows from them and ignores `i`. The constraint above is all it takes
to split the batch: the indices, and with them the gather, are then computed where they are needed.

Streamed: `feed(n)` takes the next n batches from Grain's threads, [n, B, ...]; the batch lies on axis
`data.batch_axis` (1; None when resident), the one the loop shards: `P(None, 'data')`. With several processes,
`make_data(cfg, kind, process, processes)` feeds each its own rows, for `jax.make_array_from_process_local_data`.
`get_state()` is the position (JSON) after the last `feed`: save it with a checkpoint, before feeding ahead, and give it
to `set_state` on resuming. A resident set has no position, and both do nothing.

Either way the batch is a function of (seed, step) alone, and the same function: every example comes once an epoch,
epochs are shuffled, and the two modes give the same batches. Under pmap each device asks for its own examples with
`sample(feed, step, i, part, parts)`, where a streamed feed already holds that part only.

Batches by kind (`BATCH` of a system), and the keys of `cfg.data` that they read; images are uint8 [B, S, S, 3]:
    'faces_ab'  {'a': faces, 'b': faces}, where faces = {'image', 'mask': uint8 [B, S, S], 'landmarks': float32
                [B, 68, 2] in unit coordinates}; both sides shuffled by themselves.   a, b: names of `sets.faces`;
                face_type; straight: whether images and masks are without shape, see `faces.canonical`
    'labelled'  {'image', 'label': float32 [B, K] in {0, 1}, 'known': float32 [B, K], 1 where the label is known}.
                source: a name of `pictures.py`, or several joined by +; labels: names, () for none
    'unpaired'  {'a': {'image'}, 'b': {'image'}}, each shuffled by itself.   a, b: names of `pictures.py`
    'aligned'   {'a': {'image'}, 'b': {'image'}}: two pictures of the same.   source: a folder of pictures side by side,
                a video of them, or pair:DOMAIN:NAME, a picture of `pictures.py` and what a domain of `domains.py` makes
                of it; or a and b: folders with equal names, videos, or `render:` names of as many pictures
All read `size` and `resident_bytes`; all but 'faces_ab' may have `face_type` and `crop`, see `pictures.open_pictures`.
The names kept for later kinds: 'clips', 'speech'.

`key`, [B] typed random keys, is in every batch: one key an example, from the seed, the step and the example's place in
the whole batch; what is drawn from it does not depend on how the batch is split over devices.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax.data.kinds import WHOLE, open_streams
from dfjax.data.sets.faces import Source, load_arrays
from dfjax.errors import InputError

ROUNDS = 24  # of the shuffle


def make_data(cfg: ConfigDict, kind: str, process: int = 0, processes: int = 1) -> 'Resident | Streamed':
    """The data of a run.

    Args:
        cfg: reads `seed`, `batch_size`, the names of `data` that the kind needs, and `data.resident_bytes`: all
            stays on the device if it needs no more.
        kind: a system's `BATCH`.
        process: which process this is, of `processes`; a streamed feed holds this process's rows only.

    Raises:
        InputError: as `streams.open_streams`.
    """
    sources = open_streams(kind, cfg.data)
    if cfg.batch_size % processes:
        raise InputError(f'batch_size {cfg.batch_size} does not split over {processes} processes')
    needed = sum(len(source) * sum(v.nbytes for v in jax.tree.leaves(source[0])) for source in sources.values())
    if needed <= cfg.data.resident_bytes:
        arrays = {name: load_arrays(source) for name, source in sources.items()}
        return Resident(arrays, cfg.seed, cfg.batch_size)
    return Streamed(sources, cfg.seed, cfg.batch_size, process, processes)


class Resident:
    """Sets held on the device: `feed` is all of them, `sample` picks rows. See the module."""

    resident = True
    batch_axis = None

    def __init__(self, arrays: Mapping[str, Mapping[str, np.ndarray]], seed: int, batch_size: int):
        self.arrays, self.seed, self.batch_size = arrays, seed, batch_size

    def feed(self, steps: int) -> dict:
        """The arrays: the same object every time."""
        return self.arrays

    def sample(self, feed: dict, step: jax.Array, i: jax.Array, part: int = 0, parts: int = 1) -> dict:
        """The batch of `step`, or examples part*B/parts onwards of it."""
        example = _examples(self.batch_size, part, parts)
        batch = {}
        for salt, (name, arrays) in enumerate(sorted(feed.items())):
            count = jax.tree.leaves(arrays)[0].shape[0]
            index = shuffled(_positions(step, self.batch_size, example), count, self.seed, salt)
            batch[name] = jax.tree.map(lambda v, index=index: jnp.take(v, index, axis=0), arrays)
        return batch.pop(WHOLE, {}) | batch | {'key': example_keys(self.seed, step, example)}

    def get_state(self) -> dict:
        """Nothing: the batch follows from the step."""
        return {}

    def set_state(self, state: dict) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class Streamed:
    """Sets read as they are needed, by Grain's threads, a few batches ahead. See the module."""

    resident = False
    batch_axis = 1

    def __init__(self, sources: Mapping[str, Source], seed: int, batch_size: int, process: int, processes: int):
        import grain  # takes seconds, and is not needed for resident sets

        self.seed, self.batch_size = seed, batch_size
        batches = _Batches(sources, seed, batch_size, process, processes)
        # Grain's defaults would read 500 batches ahead with 16 threads.
        options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=8)
        self._iterator = iter(grain.MapDataset.source(batches).to_iter_dataset(options))

    def feed(self, steps: int) -> dict:
        """The next batches, stacked: every leaf is [steps, B / processes, ...]."""
        batches = [next(self._iterator) for _ in range(steps)]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *batches)

    def sample(self, feed: dict, step: jax.Array, i: jax.Array, part: int = 0, parts: int = 1) -> dict:
        """The i-th batch of the feed, with the keys of `step`."""
        batch = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, i, keepdims=False), feed)
        return batch | {'key': example_keys(self.seed, step, _examples(self.batch_size, part, parts))}

    def get_state(self) -> dict:
        """Grain's position after the last feed."""
        return self._iterator.get_state()

    def set_state(self, state: dict) -> None:
        """Goes on from a position of `get_state`, of any number of processes."""
        self._iterator.set_state(state)

    def close(self) -> None:
        """Stops the reading threads."""
        self._iterator.close()


class _Batches:
    """Random access to one process's rows of every batch there will ever be."""

    def __init__(self, sources: Mapping[str, Source], seed: int, batch_size: int, process: int, processes: int):
        self.sources, self.seed, self.batch_size = sources, seed, batch_size
        self.example = _examples(batch_size, process, processes, np)

    def __len__(self) -> int:
        return 2**31 - 1

    def __getitem__(self, step: int) -> dict:
        batch = {}
        for salt, (name, source) in enumerate(sorted(self.sources.items())):
            index = shuffled(_positions(step, self.batch_size, self.example), len(source), self.seed, salt)
            batch[name] = jax.tree.map(lambda *leaves: np.stack(leaves), *(source[int(n)] for n in index))
        return batch.pop(WHOLE, {}) | batch


def example_keys(seed: int, step: jax.Array, example: jax.Array) -> jax.Array:
    """One typed random key for each of the examples [B] of a step."""
    key = jax.random.fold_in(jax.random.key(seed), step)
    return jax.vmap(lambda n: jax.random.fold_in(key, n))(example)


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
    key = _mix(_mix(epoch ^ np.uint32((seed * 0x9E3779B9) % 2**32)) ^ np.uint32(salt))

    def swap_or_not(number: Any, carry: tuple) -> tuple:
        item, key = carry
        key = _mix(key ^ number)
        point = key % n
        mirror = point - item + n * (point < item)
        upper = item + (mirror > item) * (mirror - item)
        swap = _mix(upper ^ key) >> np.uint32(31)
        return item + swap * (mirror - item), key

    carry = position % n, key
    if isinstance(position, jax.Array):  # a loop, because 24 rounds in a row take XLA seconds to compile
        carry = jax.lax.fori_loop(np.uint32(1), np.uint32(ROUNDS + 1), swap_or_not, carry)
    else:
        for number in np.arange(1, ROUNDS + 1, dtype=np.uint32):
            carry = swap_or_not(number, carry)
    return carry[0].astype(np.int32)


def _mix(x: Any) -> Any:
    """A hash of uint32 arrays in which every input bit moves every output bit (Wellons 2018, `lowbias32`)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def _examples(batch_size: int, part: Any, parts: int, xp: Any = jnp) -> Any:
    """The places in the whole batch [B / parts] of one part's examples."""
    size = batch_size // parts
    return (part * size + xp.arange(size)).astype(np.uint32)


def _positions(step: Any, batch_size: int, example: Any) -> Any:
    """Where the examples of a step stand in the stream of all examples: uint32."""
    first = np.uint32(step * batch_size % 2**32) if isinstance(step, int) else step.astype(np.uint32) * batch_size
    return first + example

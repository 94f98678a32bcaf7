"""Batches for training: one interface over data sets that live on the device and data sets that stream past it.

    data = make_data(cfg, system.BATCH)             which sets and which size: cfg.data; how many: cfg.batch_size
    feed = data.feed(n)                             what the next n steps need: a tree of host arrays
    batch = data.sample(feed, step, i)              inside jit: step `step`, the i-th of that feed

`sample` is a pure function, made for the body of a `lax.scan` over n steps:

    def chunk(state, feed):
        def body(state, i):
            batch = data.sample(feed, state.step, i)
            batch = jax.lax.with_sharding_constraint(batch, ...)    NamedSharding(mesh, P('data')), but for 'step_key'
            return step(cfg, state, batch)
        return jax.lax.scan(body, state, jnp.arange(n))

Resident (`data.resident`): all examples as arrays. `feed` gives the same arrays every time, so the loop places them
once, replicated over the mesh; `sample` picks its rows from them and ignores `i`. The constraint above is all it takes
to split the batch: the indices, and with them the gather, are then computed where they are needed.

Streamed: `feed(n)` takes the next n batches from Grain's threads, [n, B, ...]; the batch lies on axis
`data.batch_axis` (1; None when resident), the one the loop shards: `P(None, 'data')`. With several processes,
`make_data(cfg, kind, process, processes)` feeds each its own rows, for `jax.make_array_from_process_local_data`.
`get_state()` is the position (JSON) after the last `feed`: save it with a checkpoint, before feeding ahead, and give it
to `set_state` on resuming, with any number of processes. A resident set has no position, and both do nothing.

Either way the batch is a function of (seed, step) alone, and the same function (`shuffle.py`): every example comes once
an epoch, or, where a set has weights, as often as they say; epochs are shuffled, and the two modes give the same
batches. Under pmap each device asks for its own examples with `sample(feed, step, i, part, parts)`, where a streamed
feed already holds that part only.

Batches by kind (`BATCH` of a system), and the keys of `cfg.data` that they read; images are uint8 [B, S, S, 3],
landmarks float32 [B, 68, 2] in unit coordinates, and names those of `dfjax.data.names`:
    'faces_ab'  {'a': faces, 'b': faces}, where faces = {'image', 'mask': uint8 [B, S, S], 'landmarks'}; both sides
                shuffled by themselves.   a, b: faces; face_type; canonical: whether images and masks are canonical,
                see `faces.canonical`; uniform_yaw: whether faces that look to any side come equally often
    'labelled'  {'image', 'label': float32 [B, K] in {0, 1}, 'known': float32 [B, K], 1 where the label is known}.
                source; labels: names, () for none
    'unpaired'  {'a': {'image'}, 'b': {'image'}}, each shuffled by itself.   a, b
    'aligned'   {'a': {'image'}, 'b': {'image'}}: two pictures of the same.   source: a folder of pictures side by side,
                a video of them, or pair:CONDITION:NAME; or a and b: folders with equal names, videos, or `render:`
                names of as many pictures
    'clips'     {'source': frame, 'driving': frame, 'apart': float32 [B], seconds}, where frame = {'image', 'landmarks',
                NaN where they are not known}: two frames of one clip.   source: clips, see `sets.clip`
    'speech'    {'frames': window, 'reference': window, 'sound': float32 [B, W, n], 'apart': float32 [B, W], seconds},
                where window = {'image': uint8 [B, W, T, S, S, 3], 'landmarks': float32 [B, W, T, 68, 2]}: of each clip
                W windows of T frames at 25 a second, with the sound at 16 kHz from a quarter of a second before to a
                quarter after, and T frames of another time, a second away or more: the wrong ones for the sound, and
                the reference for whose mouth is to be made. T frames later in `sound` is T * 640 samples later.
                source: clips with sound; frames: T; windows: W
    'voices'    {'sound': int16 [B, n] at 16 kHz, 'mouth': float32 [B, n // 400, 4]}: windows of synthesised voices and
                what their mouths do, see `sets.voices`.   source: voices; seconds: of a window
    'masked'    {'face': faces as above, 'thing': {'rgba': uint8 [B, S, S, 4]}}, each shuffled by itself.   source:
                faces; face_type; things: see `sets.things`
All read `resident_bytes`, all but 'voices' `size`, of which all but 'faces_ab' `crop`; the first four `face_type`.

Every batch holds typed random keys (`ops.keys`), whose draws do not depend on how it is split over devices:
    'key'       [B], one an example, from the seed, the step and the example's place in the whole batch
    'step_key'  scalar, one for the step, the same on all devices
"""

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax.data.kinds import WHOLE, open_streams
from dfjax.data.processes import cores
from dfjax.data.sets.dataset import Dataset
from dfjax.data.shuffle import Draw, element_seeds
from dfjax.errors import InputError
from dfjax.ops.keys import batch_keys

AHEAD_BYTES = 2**28  # bytes that streaming reads ahead at most, and AHEAD batches
AHEAD = 8
CHUNK = 8  # items that a thread reads at a time


def make_data(cfg: ConfigDict, kind: str, process: int = 0, processes: int = 1) -> 'Resident | Streamed':
    """The data of a run.

    Args:
        cfg: reads `seed`, `batch_size`, the names of `data` that the kind needs, and `data.resident_bytes`: all
            stays on the device if it needs no more.
        kind: a system's `BATCH`.
        process: which process this is, of `processes`; a streamed feed holds this process's rows only.

    Raises:
        InputError: as `kinds.open_streams`.
    """
    datasets = open_streams(kind, cfg.data)
    if cfg.batch_size % processes:
        raise InputError(f'batch_size {cfg.batch_size} does not split over {processes} processes')
    if sum(dataset.nbytes for dataset in datasets.values()) <= cfg.data.resident_bytes:
        arrays = {name: dataset.arrays() for name, dataset in datasets.items()}
        return Resident(arrays, cfg.seed, cfg.batch_size, datasets)
    return Streamed(datasets, cfg.seed, cfg.batch_size, process, processes)


class Resident:
    """Sets held on the device: `feed` is all of them, `sample` picks rows. See the module.

    Args:
        arrays: of each stream, by its name; rows [N, ...] unless its data set takes items out of them in its own way.
        seed: of the run.
        batch_size: examples in a batch.
        datasets: what the arrays are of; by default plain rows, all equally likely.
    """

    resident = True
    batch_axis = None

    def __init__(self, arrays: Mapping[str, Any], seed: int, batch_size: int, datasets: Mapping | None = None):
        self.arrays, self.seed, self.batch_size = dict(arrays), seed, batch_size
        self._datasets = datasets or {name: _Rows(rows) for name, rows in arrays.items()}
        self._draws = _draws(self._datasets, seed)
        self._feed = {'arrays': self.arrays, 'ends': {name: draw.ends for name, draw in self._draws.items()}}

    def feed(self, steps: int) -> dict:
        """The arrays: the same object every time."""
        return self._feed

    def sample(self, feed: dict, step: jax.Array, i: jax.Array, part: int = 0, parts: int = 1) -> dict:
        """The batch of `step`, or examples part*B/parts onwards of it."""
        example = _examples(self.batch_size, part, parts)
        position = step.astype(np.uint32) * self.batch_size + example
        batch = {}
        for name, draw in self._draws.items():
            index = draw.index(position, feed['ends'][name])
            seeds = element_seeds(self.seed, step.astype(np.uint32), example, draw.salt)
            batch[name] = self._datasets[name].take(feed['arrays'][name], index, seeds)
        return batch.pop(WHOLE, {}) | batch | batch_keys(self.seed, step, example)

    def some(self, most: int) -> dict:
        """Of each stream, by its name, up to `most` items spread evenly over it: their indices, and them [N, ...]."""
        chosen = {name: _spread(jax.tree.leaves(rows)[0].shape[0], most) for name, rows in self.arrays.items()}
        return {
            name: (chosen[name], jax.tree.map(lambda x, at=chosen[name]: np.asarray(x)[at], rows))
            for name, rows in self.arrays.items()
        }

    def resized(self, batch_size: int) -> 'Resident':
        """The same sets in batches of another size."""
        return Resident(self.arrays, self.seed, batch_size, self._datasets)

    def get_state(self) -> dict:
        """Nothing: the batch follows from the step."""
        return {}

    def set_state(self, state: dict) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class _Rows(Dataset):
    """Arrays of rows [N, ...] that no data set is known of."""

    def __init__(self, arrays: Any):
        self.count = jax.tree.leaves(arrays)[0].shape[0]

    def __len__(self) -> int:
        return self.count


class Streamed:
    """Sets read as they are needed, a few items at a time, by Grain's threads, as many as cores. See the module.

    What is read ahead takes AHEAD_BYTES at most, or one batch where that is more.
    """

    resident = False
    batch_axis = 1

    def __init__(self, datasets: Mapping[str, Dataset], seed: int, batch_size: int, process: int, processes: int):
        self.seed, self.batch_size = seed, batch_size
        self._chunks = _Chunks(datasets, seed, batch_size, process, processes)
        chunk = sum(leaf.nbytes for leaf in jax.tree.leaves(self._chunks[0]))
        a_batch = self._chunks.in_batch
        self._ahead = max(a_batch, min(AHEAD * a_batch, AHEAD_BYTES // max(chunk, 1)))
        self._step, self._iterator = 0, None

    def _read(self, step: int) -> Any:
        """An iterator over the chunks of batches from a step on."""
        import grain  # takes seconds, and is not needed for resident sets

        options = grain.ReadOptions(num_threads=min(cores(), self._ahead), prefetch_buffer_size=self._ahead)
        chunks = grain.MapDataset.source(self._chunks)[step * self._chunks.in_batch :]
        return iter(chunks.to_iter_dataset(options))

    def feed(self, steps: int) -> dict:
        """The next batches, stacked: every leaf is [steps, B / processes, ...]."""
        if self._iterator is None:
            self._iterator = self._read(self._step)
        try:
            chunks = [next(self._iterator) for _ in range(steps * self._chunks.in_batch)]
        except InputError as error:
            raise InputError(str(error).partition('\n')[0]) from None  # Grain adds lines of its own
        self._step += steps
        return self._joined(chunks, steps)

    def first(self) -> dict:
        """The feed of step 0, wherever reading is: for previews, of the same examples each time."""
        return self._joined([self._chunks[n] for n in range(self._chunks.in_batch)], 1)

    def some(self, most: int) -> dict:
        """As `Resident.some`; read one by one."""
        found = {}
        for name, source in self._chunks.datasets.items():
            at = _spread(len(source), most)
            found[name] = at, jax.tree.map(lambda *rows: np.stack(rows), *(source[int(n)] for n in at))
        return found

    def _joined(self, chunks: list[dict], steps: int) -> dict:
        shape = steps, len(self._chunks.example)
        batch = jax.tree.map(lambda *rows: np.concatenate(rows).reshape(*shape, *rows[0].shape[1:]), *chunks)
        return batch.pop(WHOLE, {}) | batch

    def sample(self, feed: dict, step: jax.Array, i: jax.Array, part: int = 0, parts: int = 1) -> dict:
        """The i-th batch of the feed, with the keys of `step`."""
        batch = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, i, keepdims=False), feed)
        return batch | batch_keys(self.seed, step, _examples(self.batch_size, part, parts))

    def resized(self, batch_size: int) -> 'Streamed':
        """As `Resident.resized`, of a single process, from the first batch on."""
        return Streamed(self._chunks.datasets, self.seed, batch_size, 0, 1)

    def get_state(self) -> dict:
        """The position after the last feed."""
        return {'step': self._step}

    def set_state(self, state: dict) -> None:
        """Goes on from a position of `get_state`, of any number of processes."""
        self.close()
        self._step = state.get('step', 0)  # a resident set, which the state may be of, has none

    def close(self) -> None:
        """Stops the reading threads; a feed would start them again."""
        if self._iterator is not None:
            self._iterator.close()
            self._iterator = None


class _Chunks:
    """Random access to the items of one process's rows of every batch there will ever be, CHUNK at a time, stacked.

    Grain takes 0.6 ms to hand over whatever a thread has read, during which Python's lock is held: item by item that
    would be 1600 a second, on any number of cores.
    """

    def __init__(self, datasets: Mapping[str, Dataset], seed: int, batch_size: int, process: int, processes: int):
        self.datasets, self.seed, self.batch_size = datasets, seed, batch_size
        self.example = np.asarray(_examples(batch_size, process, processes, np))
        self.in_batch = -(-len(self.example) // CHUNK)
        self.draws = _draws(datasets, seed)
        self._of_step = lru_cache(maxsize=64)(self._of_step)  # some batches are under way at once

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, n: int) -> dict:
        step, chunk = divmod(n, self.in_batch)
        rows = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
        of_step = self._of_step(step)
        read = {name: (self.datasets[name].read, at[rows], seeds[rows]) for name, (at, seeds) in of_step.items()}
        items = {
            name: [one(int(i), int(seed)) for i, seed in zip(at, seeds)] for name, (one, at, seeds) in read.items()
        }
        return {name: jax.tree.map(lambda *leaves: np.stack(leaves), *rows) for name, rows in items.items()}

    def _of_step(self, step: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By stream, which items this process's examples of a step take, and what they are drawn by."""
        steps = np.full(len(self.example), step % 2**32, np.uint32)
        position = steps * np.uint32(self.batch_size) + self.example
        return {
            name: (draw.index(position), element_seeds(self.seed, steps, self.example, draw.salt))
            for name, draw in self.draws.items()
        }


def _draws(datasets: Mapping[str, Dataset], seed: int) -> dict[str, Draw]:
    """How each stream is shuffled: each by itself."""
    names = enumerate(sorted(datasets))
    return {name: Draw(len(datasets[name]), seed, salt, datasets[name].weights) for salt, name in names}


def _spread(count: int, most: int) -> np.ndarray:
    """Up to `most` indices spread evenly over `count` items."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _examples(batch_size: int, part: Any, parts: int, xp: Any = jnp) -> Any:
    """The places in the whole batch [B / parts] of one part's examples."""
    size = batch_size // parts
    return (part * size + xp.arange(size)).astype(np.uint32)

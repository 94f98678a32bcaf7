"""What every data set is: random access to items, trees of arrays; and sets made of other sets."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.errors import InputError


class Dataset:
    """Random access to items; safe to read from several threads.

    An item of pictures holds 'image' uint8 [S, S, 3]; of faces 'mask' uint8 [S, S] and 'landmarks' float32 [68, 2] in
    unit coordinates too, and 'descriptor' float32 [128] (NaN where there is none) or, if they are rendered, 'parts'.

    Attributes:
        name: as the user wrote it.
        labels: those that are known, name to bool [N].
        weights: how often each item is drawn in training, relative to the others: [N]; None where all are equal.
    """

    name: str
    labels: Mapping[str, np.ndarray] = MappingProxyType({})
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        raise NotImplementedError

    def read(self, index: int, seed: int) -> dict:
        """The item of an index; `seed`, uint32, is for sets that draw a part of what an index holds, as of clips.

        Raises:
            InputError: if what it lies in cannot be read; names the file.
        """
        raise NotImplementedError

    def __getitem__(self, index: int) -> dict:
        return self.read(index, 0)

    # On the device

    @property
    def nbytes(self) -> int:
        """The bytes that `arrays` takes."""
        return len(self) * sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(self[0]))

    def arrays(self) -> dict:
        """All there is to read, as arrays: here all items, stacked [N, ...], read by threads.

        Raises:
            InputError: if items cannot be read; says how many.
        """
        first, structure = jax.tree.flatten(self[0])
        first = list(map(np.asarray, first))
        leaves, lost = [np.empty((len(self), *leaf.shape), leaf.dtype) for leaf in first], []

        def put(n: int) -> None:
            try:
                for leaf, value in zip(leaves, jax.tree.leaves(self[n])):
                    leaf[n] = value
            except InputError as error:
                lost.append(str(error))

        with ThreadPoolExecutor() as pool:
            list(pool.map(put, range(len(self))))
        if lost:
            many = f'{self.name}: {len(lost)} of {len(self)} cannot be read, among them ' if len(lost) > 1 else ''
            raise InputError(many + min(lost))
        return jax.tree.unflatten(structure, leaves)

    def take(self, arrays: dict, index: jax.Array, seed: jax.Array) -> dict:
        """What `read` gives for indices [B] and seeds uint32 [B], out of `arrays`: pure, for use inside jit."""
        return jax.tree.map(lambda leaf: jnp.take(leaf, index, axis=0), arrays)


class Mapped(Dataset):
    """A set whose items are `function` of another's."""

    def __init__(self, source: Dataset, function: Callable[[dict], dict], name: str | None = None):
        self.name, self.source, self.function = name or source.name, source, function

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """Those of the other set."""
        return self.source.labels

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int, seed: int) -> dict:
        """`function` of the item."""
        return self.function(self.source.read(index, seed))


class Joined(Dataset):
    """Several sets as one, in order; labels are False where a set does not know them.

    Raises:
        InputError: if sets are faces of different types.
    """

    def __init__(self, sources: Sequence[Dataset]):
        types = {source.face_type: source.name for source in sources if hasattr(source, 'face_type')}
        if len(types) > 1:
            said = ', '.join(f'{name} has {face_type}' for face_type, name in types.items())
            raise InputError(f'faces of one type are needed, but {said}; extract again with one --face-type')
        self.name, self.sources = '+'.join(source.name for source in sources), sources
        self.ends = np.cumsum([len(source) for source in sources])
        if len(types) == 1 and all(hasattr(source, 'face_type') for source in sources):
            self.face_type = next(iter(types))

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """The labels that any of the sets knows."""
        names = dict.fromkeys(label for source in self.sources for label in source.labels)
        columns = ([s.labels.get(label, np.zeros(len(s), bool)) for s in self.sources] for label in names)
        return {label: np.concatenate(column) for label, column in zip(names, columns)}

    def __len__(self) -> int:
        return int(self.ends[-1])

    def read(self, index: int, seed: int) -> Any:
        """The item of one of the sets."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        k = int(np.searchsorted(self.ends, index, side='right'))
        return self.sources[k].read(index - int(self.ends[k]) + len(self.sources[k]), seed)

    def landmarks(self) -> np.ndarray:
        """Of all faces: float32 [N, 68, 2] in unit coordinates; only where all sets are of faces."""
        return np.concatenate([source.landmarks() for source in self.sources])

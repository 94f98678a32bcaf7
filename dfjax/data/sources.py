"""Where faces come from: a name becomes random access to aligned faces."""

from typing import Protocol

import numpy as np


class Source(Protocol):
    """Random access to faces; safe to read from several threads.

    An item is {'image': uint8 [S, S, 3], 'mask': uint8 [S, S], 'landmarks': float32 [68, 2] in pixels,
    'descriptor': float32 [128], NaN where there is none}.
    """

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, np.ndarray]: ...


def open_source(name: str, size: int, face_type: str) -> Source:
    """The faces that a name stands for."""
    raise NotImplementedError


def load_arrays(source: Source) -> dict[str, np.ndarray]:
    """All faces of a source, stacked."""
    faces = [source[i] for i in range(len(source))]
    return {k: np.stack([face[k] for face in faces]) for k in faces[0]}

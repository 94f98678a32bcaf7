"""Face search on all cores: futures of what worker processes find."""

from concurrent.futures import Future

import numpy as np

from dfjax.data.faces.search import Found
from dfjax.data.processes import Workers

BYTES_EACH = 200 << 20  # memory of a worker: dlib's models take 120 MB, frames and code the rest


class Pool(Workers):
    """Workers that find and describe faces; `search` and `describe` return futures.

    Args:
        kind, model: of `load_detector`.
        thorough: of `Search`.
        count: processes, at most; one a core by default.
    """

    def __init__(self, kind: str = 'dlib', model=None, thorough: bool = False, count: int | None = None):
        words = [kind, '' if model is None else str(model), 'thorough' if thorough else '']
        super().__init__('dfjax.data.faces.worker', *words, count=count, bytes_each=BYTES_EACH)

    def search(self, frames: list[np.ndarray]) -> 'Future[list[list[Found]]]':
        """The faces of consecutive frames uint8 [H, W, 3] of one size; see search.Search.run."""
        return self.ask('search', frames, _found)

    def describe(self, rgb: np.ndarray, landmarks: np.ndarray) -> 'Future[np.ndarray]':
        """The descriptor float32 [128] of the face with these landmarks [68, 2]."""
        return self.ask('describe', [rgb, np.asarray(landmarks)], lambda _, arrays: arrays[0])


def _found(rows: list, landmarks: list[np.ndarray]) -> list[list[Found]]:
    points = iter(landmarks)
    return [[Found(tuple(box), score, next(points), sharp) for box, score, sharp in faces] for faces in rows]

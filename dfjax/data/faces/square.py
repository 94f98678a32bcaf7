"""Squares that stay in one place while a face moves about in them: what nets of clips see."""

import numpy as np

from dfjax.data.faces.warp import similarity

ROOM = 2.0  # sides of the box round all landmarks that a square has: hair, chin and some neck


def face_square(landmarks: np.ndarray, size: int, room: float = ROOM) -> np.ndarray:
    """The matrix [2, 3], pixels of a picture to those of a square of `size`, that holds a face wherever it goes.

    Args:
        landmarks: [..., 68, 2] in pixels, of all moments.
        room: see ROOM.
    """
    points = np.asarray(landmarks, np.float64).reshape(-1, 2)
    low, high = points.min(0), points.max(0)
    single = np.ptp(
        np.asarray(landmarks, np.float64).reshape(-1, 68, 2), axis=1
    ).max()  # the face itself, at its largest
    side = max((high - low).max(), 1.0) + (room - 1) * single
    return similarity((low + high) / 2, side, 0.0, size)


def whole_square(width: int, height: int, size: int) -> np.ndarray:
    """The same for the largest square in the middle of a picture."""
    return similarity(np.array([(width - 1) / 2, (height - 1) / 2]), min(width, height), 0.0, size)

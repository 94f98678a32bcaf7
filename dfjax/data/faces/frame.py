"""A frame as it is searched for faces: no larger than need be, and whether it begins another scene."""

from dataclasses import dataclass

import numpy as np

from dfjax.data.faces.face import Face
from dfjax.data.faces.search import Found

LONGEST = 1920  # px; larger frames are searched scaled down to it
CUT = 30  # grey levels, mean change from frame to frame at 32 px; only a cut makes so much


def bounded(rgb: np.ndarray) -> tuple[np.ndarray, float]:
    """A frame no longer than LONGEST, and how many pixels of the original are one of its."""
    import cv2

    shrink = max(rgb.shape[:2]) / LONGEST
    if shrink <= 1:
        return rgb, 1.0
    return cv2.resize(rgb, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA), shrink


def thumbnail(small: np.ndarray) -> np.ndarray:
    """What `is_cut` sees of a bounded frame: uint8 [32, 32], grey."""
    import cv2

    step = max(1, min(small.shape[:2]) // 128)  # a cut shows in a part of the pixels as well
    return cv2.cvtColor(cv2.resize(small[::step, ::step], (32, 32), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)


def is_cut(before: np.ndarray, thumb: np.ndarray) -> bool:
    """Whether a frame begins another scene than the one before it."""
    return float(np.abs(np.subtract(before, thumb, dtype=np.int16)).mean()) > CUT


@dataclass(frozen=True, eq=False)
class SearchedFrame:
    """A frame as it is searched.

    Attributes:
        rgb, shrink: as `bounded` gives them.
        starts: nothing goes on from the frame before.
    """

    index: int
    time: float
    rgb: np.ndarray
    shrink: float
    name: str
    starts: bool


def face_in(frame: SearchedFrame, found: Found, track: int = 0) -> Face:
    """A found face in the pixels of the original frame."""
    back = (frame.shrink - 1) / 2
    box = tuple(v * frame.shrink + back for v in found.box)
    landmarks = (found.landmarks * frame.shrink + back).astype(np.float32)
    return Face(
        frame.name, frame.index, frame.time, box, found.score, landmarks, track=track, sharpness=found.sharpness
    )

"""One face in one frame, and its line of JSON."""

import json
from dataclasses import dataclass

import numpy as np

from dfjax import foreign

FRAMES = 2**31 - 1  # frames and tracks that are counted
ARRAYS = ('landmarks', 'descriptor')


@dataclass(frozen=True, eq=False)
class Face:
    """A face as found; every length is in pixels of its frame, with pixel centres at whole numbers.

    Attributes:
        source: name of the file that the frame is from.
        frame: index of the frame in that file.
        time: its time in seconds.
        box: (x0, y0, x1, y1) of the detector.
        score: of the detector; 0 where the face was interpolated.
        landmarks: float32 [68, 2], (x, y), the order of iBUG 300-W.
        descriptor: float32 [128], the nearest one in time of its track; None where none was asked for.
        track: faces of one person in consecutive frames share a number.
        interpolated: the detector missed it and its landmarks come from its neighbours in time.
        sharpness: standard deviation of the Laplacian of the face scaled to 128 px; None where interpolated.
    """

    source: str
    frame: int
    time: float
    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray
    descriptor: np.ndarray | None = None
    track: int = 0
    interpolated: bool = False
    sharpness: float | None = None

    def to_row(self) -> dict:
        """What a line of JSON holds; `from_json` gives the same float32 arrays back, bit for bit."""
        arrays = {key: None if getattr(self, key) is None else numbers(getattr(self, key)) for key in ARRAYS}
        return vars(self) | arrays

    def to_json(self) -> str:
        """One line."""
        return json.dumps(self.to_row())

    @classmethod
    def from_json(cls, line: str | bytes) -> 'Face':
        """Raises KeyError or ValueError where the line is not a face."""
        row = foreign.parse(line)
        if not isinstance(row, dict):
            raise ValueError('no face')
        return cls.from_row(row)

    @classmethod
    def from_row(cls, row: dict) -> 'Face':
        """As `from_json`, of what a line holds."""
        sharpness, descriptor = row['sharpness'], row['descriptor']
        return cls(
            source=foreign.text(row['source']),
            frame=foreign.whole(row['frame'], most=FRAMES),
            time=foreign.number(row['time']),
            box=tuple(foreign.numbers(row['box'], 4).tolist()),
            score=foreign.number(row['score']),
            landmarks=foreign.numbers(row['landmarks'], 68, 2).astype(np.float32),
            descriptor=None if descriptor is None else foreign.numbers(descriptor, 128).astype(np.float32),
            track=foreign.whole(row['track'], -1, FRAMES),
            interpolated=foreign.flag(row['interpolated']),
            sharpness=None if sharpness is None else foreign.number(sharpness, 0),
        )


def numbers(array: np.ndarray) -> list:
    """Nested lists of the shortest decimals that read back as the same float32."""
    return np.asarray(array, np.float32).astype(str).astype(np.float64).tolist()

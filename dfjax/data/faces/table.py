"""Faces by columns: 0.7 kB each, so that those of hours of video fit into memory."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from dfjax.data.faces.face import Face

# Fields are those of `Face`. Source and descriptor are numbers of rows in lists of their own, -1 for no descriptor; NaN
# stands for no sharpness.
ROW = np.dtype(
    [
        ('source', np.int32),
        ('frame', np.int32),
        ('time', np.float64),
        ('box', np.float64, 4),
        ('score', np.float64),
        ('landmarks', np.float32, (68, 2)),
        ('descriptor', np.int32),
        ('track', np.int32),
        ('interpolated', bool),
        ('sharpness', np.float64),
    ]
)


class Faces(Sequence):
    """A sequence of `Face`, made one at a time from its row; a slice or an array of numbers gives `Faces`.

    Args:
        faces: what it holds from the start; more are added by `add`.

    Attributes:
        rows: [N] of ROW; changes show in the faces.
        sources: the names of files, in order of their first face.
        descriptors: float32 [128] each; faces of a track share them.
    """

    def __init__(self, faces: Iterable[Face] = ()):
        self._room, self._count = np.empty(0, ROW), 0
        self.sources: list[str] = []
        self.descriptors: list[np.ndarray] = []
        self._numbers: dict[str | bytes, int] = {}  # row of a source by its name, of a descriptor by its bytes
        self._places: dict[str, tuple[np.ndarray, np.ndarray]] | None = None
        for face in faces:
            self.add(face)

    @property
    def rows(self) -> np.ndarray:
        return self._room[: self._count]

    def add(self, face: Face) -> None:
        """Appends a face."""
        if self._count == len(self._room):
            room = np.empty(self._count + self._count // 8 + 64, ROW)  # an eighth more: old and new are held at once
            room[: self._count] = self._room
            self._room = room
        self._room[self._count] = (
            self._number(self.sources, face.source, face.source),
            face.frame,
            face.time,
            face.box,
            face.score,
            face.landmarks,
            -1 if face.descriptor is None else self.describe(face.descriptor),
            face.track,
            face.interpolated,
            np.nan if face.sharpness is None else face.sharpness,
        )
        self._count, self._places = self._count + 1, None

    def describe(self, descriptor: np.ndarray) -> int:
        """The number of a descriptor float32 [128], which is kept once."""
        return self._number(self.descriptors, descriptor.tobytes(), descriptor)

    def take(self, rows: np.ndarray) -> 'Faces':
        """The faces of these rows [M] of ROW, in their order."""
        taken = Faces()
        taken._room, taken._count = rows, len(rows)
        taken.sources, taken.descriptors, taken._numbers = self.sources, self.descriptors, self._numbers
        return taken

    def at(self, source: str, frame: int) -> list[int]:
        """The numbers of the faces in a frame of a file."""
        if self._places is None:
            self._places = {}
            for number, name in enumerate(self.sources):
                where = np.flatnonzero(self.rows['source'] == number)
                where = where[np.argsort(self.rows['frame'][where], kind='stable')]
                self._places[name] = self.rows['frame'][where], where
        frames, where = self._places.get(source, (np.empty(0), np.empty(0, int)))
        return where[slice(*frames.searchsorted([frame, frame + 1]))].tolist()

    def seen(self) -> int:
        """How many frames have a face."""
        return len(np.unique(self.frame_keys()))

    def frame_keys(self) -> np.ndarray:
        """int64 [N], equal for faces of the same frame and growing with files and frames."""
        return (self.rows['source'].astype(np.int64) << 32) + self.rows['frame']

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, which):
        if not isinstance(which, int | np.integer):
            return self.take(self.rows[which])
        row = self.rows[which]
        return Face(
            source=self.sources[row['source']],
            frame=int(row['frame']),
            time=float(row['time']),
            box=tuple(row['box'].tolist()),
            score=float(row['score']),
            landmarks=row['landmarks'].copy(),
            descriptor=None if row['descriptor'] < 0 else self.descriptors[row['descriptor']],
            track=int(row['track']),
            interpolated=bool(row['interpolated']),
            sharpness=None if np.isnan(row['sharpness']) else float(row['sharpness']),
        )

    def __iter__(self) -> Iterator[Face]:
        return (self[n] for n in range(self._count))

    def _number(self, kept: list, key: str | bytes, value) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(kept)
            kept.append(value)
        return self._numbers[key]


def as_faces(faces: Iterable[Face]) -> Faces:
    """The same faces by columns."""
    return faces if isinstance(faces, Faces) else Faces(faces)

"""The face set: a folder that a person can open, one picture a face and `faces.jsonl`.

Each line of faces.jsonl is one face: `file`, the fields of `Face` (source, frame, time, box, landmarks, descriptor,
sharpness, ...), `matrix` (2x3, source pixels to picture pixels), `landmarks_aligned` [68, 2] and `polygon` [K, 2] (the
outline of the face), both in picture pixels, `face_type` and `size`. Coordinates have pixel centres at integers.

The folder is made for hand work:
- A line without its picture is no face: deleting a picture removes the face, and nothing else has to change.
- A picture's name may start with a rank, `00012@`, which `dfjax sort` writes so that any file browser shows the order.
  It says nothing else: the line keeps the plain name, so sorting touches no data, can be stopped at any moment, and
  leaves the order in which a run reads the faces (that of the lines) as it was.
- A JSON of labelme beside a picture, under its name, is its outline: see `polygons`; `dfjax mask` writes some.
- `contact_sheet.jpg` shows them all at a glance and is not a face.
"""

import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dfjax import foreign
from dfjax.data.faces.face import Face, numbers
from dfjax.data.faces.polygons import Outlines, outlined, outlines_path, read_outlines, write_outlines
from dfjax.data.faces.sheet import contact_sheet, evenly
from dfjax.data.media.image import encode_image, read_image, write_image
from dfjax.data.media.inputs import ROWS, SHEET, picture_files
from dfjax.data.media.output import atomic_folder, fitting
from dfjax.errors import InputError

LARGEST = 65536  # side of its pictures
LONGEST_STEM = 200  # bytes of a source's name in those of its faces: ranks and numbers have to fit beside it
_RANK = re.compile(r'^\d+@')


@dataclass(frozen=True)
class FaceRow:
    """One face of a set.

    Attributes:
        file: the picture's name, without a rank.
        path: where the picture is.
        face: the detection it was cut from, in source pixels.
        matrix: float64 [2, 3], source pixels to picture pixels.
        landmarks: float32 [68, 2], picture pixels.
        polygon: float32 [K, 2], the outline of the face in picture pixels.
    """

    file: str
    path: Path
    face: Face
    matrix: np.ndarray
    landmarks: np.ndarray
    polygon: np.ndarray


@dataclass(frozen=True)
class FaceSet:
    """A face set: where it is, how its faces are aligned, the side of its pictures, its faces in order of lines."""

    path: Path
    face_type: str
    size: int
    rows: tuple[FaceRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def descriptors(self) -> np.ndarray:
        """Identity descriptors float32 [N, 128], NaN where a face has none."""
        return np.stack([_descriptor(row.face) for row in self.rows])


class FaceSetWriter:
    """Writes a face set; it appears, complete, when the `with` block ends.

    Args:
        path: the folder to make.
        face_type: as in `faces.align.FACE_TYPES`.
        size: side of the pictures.
        format: 'png' or 'jpg'.
        force: replace a face set that is there; any other folder with something in it is refused.

    Raises:
        InputError: if the folder exists or cannot be written, or if no face was added.
    """

    def __init__(self, path: Path | str, face_type: str, size: int, format: str = 'png', force: bool = False):
        self.path, self.face_type, self.size = Path(path), face_type, size
        self.suffix, self.force = '.' + format, force
        self.names: dict[str, int] = {}  # the frame of each picture, in order

    def __enter__(self) -> 'FaceSetWriter':
        with ExitStack() as stack:
            self._folder = stack.enter_context(atomic_folder(self.path, self.force, marker=ROWS))
            self._lines = stack.enter_context(open(self._folder / ROWS, 'w', encoding='utf-8'))
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._stack.__exit__(*error)

    def _finish(self, kind: type | None, *_) -> None:
        self._lines.close()
        if kind is None and not self.names:
            raise InputError(f'{self.path}: no face to write')
        if kind is None:
            names = list(self.names.items())
            pictures = [(self._folder / names[n][0], str(names[n][1])) for n in evenly(len(names))]
            write_image(self._folder / SHEET, contact_sheet(pictures))

    def add(
        self,
        picture: np.ndarray,
        face: Face,
        matrix: np.ndarray,
        polygon: np.ndarray,
        outlines: Outlines | None = None,
    ) -> str:
        """Adds a face and returns its file name.

        Args:
            picture: uint8 [S, S, 3], the aligned face.
            face: where it came from.
            matrix: [2, 3], source pixels to picture pixels.
            polygon: [K, 2], the outline of the face in picture pixels.
            outlines: what is put beside the picture, see `polygons`.
        """
        source = fitting(Path(face.source).stem, LONGEST_STEM)
        stem = f'{source}_{face.frame:06d}'.replace('@', '_')
        name, n = stem + self.suffix, 1
        while name in self.names:  # another face of the frame, or another source of that name
            name, n = f'{stem}_{n}{self.suffix}', n + 1
        self.names[name] = face.frame
        aligned = face.landmarks @ matrix[:, :2].T + matrix[:, 2]  # [68, 2]
        row = {'file': name, **face.to_row(), 'face_type': self.face_type, 'size': self.size}
        row |= {'matrix': np.asarray(matrix, np.float64).tolist()}
        row |= {'landmarks_aligned': numbers(np.round(aligned, 3)), 'polygon': numbers(np.round(polygon, 3))}
        (self._folder / name).write_bytes(encode_image(name, picture))  # the folder as a whole is atomic
        self._lines.write(json.dumps(row) + '\n')
        if outlines is not None:
            path = self._folder / name
            write_outlines(outlines_path(path, name), outlines, self.size, path)
        return name


def load_faceset(path: Path | str) -> FaceSet:
    """Reads a face set; pictures are not opened.

    Raises:
        InputError: if it is not a face set, holds no face, or a line of faces.jsonl is damaged.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f'{path}: no such folder')
    if not (path / ROWS).is_file():
        raise InputError(f'{path}: not a face set (no {ROWS} in it); `dfjax extract` makes one')
    pictures = {}
    for file in picture_files(path):
        if (twin := pictures.setdefault(plain_name(file), file)) != file:
            raise InputError(f'{file}: the same face as {twin.name}; delete one of them')
    rows, kinds = [], set()
    with open(path / ROWS, 'rb') as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = foreign.parse(line)
                kinds.add((foreign.text(row['face_type']), foreign.whole(row['size'], 1, LARGEST)))
                if foreign.text(row['file']) in pictures:
                    rows.append(_parse(row, pictures[row['file']]))
            except (ValueError, KeyError, TypeError) as error:
                fault = f'no {error}' if isinstance(error, KeyError) else foreign.said(error)
                raise InputError(
                    f'{path / ROWS}: line {number} is damaged ({fault}); delete the line, or extract again'
                ) from error
            if len(kinds) > 1:
                raise InputError(f'{path / ROWS}: line {number} has another face type or size than those before it')
    if not rows:
        raise InputError(f'{path}: the face set is empty: no line of {ROWS} has its picture')
    return FaceSet(path, *kinds.pop(), tuple(rows))


def _parse(row: dict, path: Path) -> FaceRow:
    """A row of faces.jsonl; raises ValueError or KeyError when something is missing or has the wrong shape."""
    polygon = foreign.numbers(row['polygon'], None, 2).astype(np.float32)
    if len(polygon) < 3:
        raise ValueError('an outline of fewer than three points')
    return FaceRow(
        file=row['file'],
        path=path,
        face=Face.from_row(row),
        matrix=foreign.numbers(row['matrix'], 2, 3),
        landmarks=foreign.numbers(row['landmarks_aligned'], 68, 2).astype(np.float32),
        polygon=polygon,
    )


def plain_name(path: Path) -> str:
    """A picture's name without its rank: the name that faces.jsonl knows."""
    return _RANK.sub('', path.name)


def rank_pictures(faceset: FaceSet, order: Sequence[int] | None) -> FaceSet:
    """Renames the pictures so that they sort in this order of rows; None gives them their plain names back."""
    digits = max(5, len(str(len(faceset))))
    names = {row.file: row.file for row in faceset.rows}
    for place, n in enumerate(order if order is not None else ()):
        names[faceset.rows[n].file] = f'{place:0{digits}d}@{faceset.rows[n].file}'
    for row in faceset.rows:
        try:
            row.path.rename(faceset.path / names[row.file])
        except OSError as error:
            raise InputError(f'{row.path}: cannot be renamed: {error.strerror}') from error
    return load_faceset(faceset.path)


def read_face(row: FaceRow, stored: int, size: int) -> dict[str, np.ndarray]:
    """A face at the side wanted: 'image' uint8 [S, S, 3], 'mask' uint8 [S, S], 'landmarks' float32 [68, 2] in unit
    coordinates, 'descriptor' float32 [128] (NaN where there is none).

    The mask is that of outlines drawn by hand, where there are any, see `polygons`.

    Raises:
        InputError: if the picture cannot be read or has not the side `stored` that its face set says; outlines that
            cannot be read.
    """
    picture = read_image(row.path)
    check_size(row.path, picture, stored)
    return example(picture, row.landmarks, row.polygon, _descriptor(row.face), size, outlines_of(row))


def outlines_of(row: FaceRow) -> Outlines:
    """What was drawn beside a picture, none where there is no such file; InputError where it cannot be read."""
    drawn = outlines_path(row.path, row.file)
    return read_outlines(drawn) if drawn.is_file() else Outlines((), ())


def _descriptor(face: Face) -> np.ndarray:
    return np.full(128, np.nan, np.float32) if face.descriptor is None else face.descriptor


def check_size(name: Path | str, picture: np.ndarray, stored: int) -> None:
    """Raises InputError unless a picture has the side that its face set says."""
    if picture.shape[:2] != (stored, stored):
        height, width = picture.shape[:2]
        raise InputError(f'{name}: {width}x{height} pixels, but its face set has {stored}x{stored}; delete it')


def example(
    picture: np.ndarray, landmarks: np.ndarray, polygon: np.ndarray, descriptor, size: int, outlines: Outlines
) -> dict:
    """What `read_face` returns, from a picture [T, T, 3] and coordinates in its pixels."""
    stored = picture.shape[0]
    if size != stored:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if size < stored else cv2.INTER_CUBIC)
    return {
        'image': picture,
        'mask': outlined(outlines, polygon, size, _scaling(stored, size)),
        'landmarks': ((landmarks + 0.5) / stored).astype(np.float32),  # to_unit of ops.geometry, without JAX
        'descriptor': descriptor,
    }


def _scaling(stored: int, size: int) -> np.ndarray:
    """The matrix [2, 3] from pixels of a picture to those at another side. Centres are at integers: corners at -0.5."""
    scale = size / stored
    shift = (scale - 1) / 2
    return np.array([[scale, 0, shift], [0, scale, shift]])


def gather(read: Callable[[int], dict[str, np.ndarray]], count: int) -> dict[str, np.ndarray]:
    """read(0) ... read(count - 1), read by threads, in arrays [count, ...]."""
    first = read(0)
    arrays = {k: np.empty((count, *v.shape), v.dtype) for k, v in first.items()}

    def put(n: int) -> None:
        for k, v in (first if n == 0 else read(n)).items():
            arrays[k][n] = v

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(put, range(count)):  # passes on what a reader raises
            pass
    return arrays

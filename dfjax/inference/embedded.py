"""DeepFaceLab's aligned pictures: what it knows of a face is a pickle in the JPEG's segment APP15.

The facts by name: face_type, landmarks [68, 2] in the picture, source_filename, source_landmarks and source_rect (left,
top, right, bottom) in the frame, seg_ie_polys (polygons that somebody drew), xseg_mask (the bytes of a picture).
Nothing of a pickle is run, see `weights.arrays`. Coordinates have pixel centres at integers.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dfjax.data.faces.face import Face
from dfjax.data.faces.polygons import Outlines
from dfjax.data.faces.warp import fitted
from dfjax.data.media.image import decode_image
from dfjax.errors import ReadError
from dfjax.foreign import said, text
from dfjax.inference.foreign_face import ForeignFace, landmarks, numbers, table
from dfjax.weights.arrays import plain
from dfjax.weights.limits import Refused

APP15, SCAN = 0xEF, 0xDA  # markers of a JPEG: its facts, and where its pixels begin
SUFFIXES = ('.jpg', '.jpeg')
# Their words for how much a picture shows; of what is not aligned the whole is there
TYPES = {'half_face': 'half', 'midfull_face': 'mid', 'full_face': 'full', 'whole_face': 'whole_face', 'head': 'head'}
TYPES |= {'full_face_no_align': 'full', 'head_no_align': 'head', 'mark_only': None}
REMEDY = 'extract it again, or delete it'


def faces_of(folder: Path) -> tuple[int, ForeignFace, Iterator[ForeignFace | ReadError]]:
    """How many pictures a folder has, the first face, and for each picture its face or why it has none.

    Raises:
        ReadError: no folder; no face in it.
    """
    if not folder.is_dir():
        raise ReadError(
            folder, "give a folder of DeepFaceLab's aligned pictures, or alignments of faceswap (.fsa, .json)"
        )
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.name[0] != '.')
    found = (_tried(path) for path in files)
    first = next((face for face in found if isinstance(face, ForeignFace)), None)
    if first is None:
        what = 'of its pictures none has face data of DeepFaceLab' if files else 'holds no .jpg'
        raise ReadError(folder, f'{what}; of other pictures `dfjax extract` makes a face set')
    return len(files), first, map(_tried, files)


def _tried(path: Path) -> ForeignFace | ReadError:
    try:
        return read_face(path)
    except ReadError as error:
        return error


def read_face(path: Path) -> ForeignFace:
    """The face of a picture.

    Raises:
        ReadError: it cannot be read, has no such facts, or others than plain ones.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(path, f'cannot be read ({error.strerror})') from None
    facts = segment(data, APP15)
    if facts is None:
        raise ReadError(path, 'a picture without face data of DeepFaceLab')
    try:
        return _face(path, table(plain(facts)), decode_image(data, path))
    except Refused as fault:
        raise ReadError(path, f'refused: its face data holds {fault}; nothing in it was run') from None
    except (ValueError, KeyError, TypeError) as error:
        fault = f'no {error}' if isinstance(error, KeyError) else said(error)
        raise ReadError(path, f'its face data is damaged ({fault}); {REMEDY}') from None


def segment(data: bytes, marker: int) -> bytes | None:
    """What a JPEG's first segment of a kind holds; None where there is none before its pixels."""
    at = 2
    while data[:2] == b'\xff\xd8' and at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != SCAN:
        length = int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == marker:
            return data[at + 4 : at + 2 + length]
        at += 2 + length
    return None


def _face(path: Path, facts: dict[str, Any], picture: np.ndarray) -> ForeignFace:
    kind = text(facts.get('face_type', 'full_face'))
    if kind not in TYPES:
        raise ValueError(f'face type {kind[:20]!r}')
    inside = landmarks(facts['landmarks'])
    source = landmarks(facts['source_landmarks']) if facts.get('source_landmarks') is not None else inside
    rect = facts.get('source_rect')
    box = numbers(rect, 4) if rect is not None else np.concatenate([source.min(0), source.max(0)])
    name = facts.get('source_filename')
    face = Face(
        source=path.name if name is None else Path(text(name)).name,
        frame=0,
        time=0.0,
        box=tuple(box.tolist()),
        score=1.0,
        landmarks=source,
        track=-1,
    )
    drawn, mask = _drawn(facts.get('seg_ie_polys')), _mask(facts.get('xseg_mask'), picture, path)
    whose = 'drawn' if drawn else '' if mask is None else 'xseg'
    return ForeignFace(path, face, picture, fitted(source, inside), TYPES[kind], drawn, mask, whose)


def _drawn(polygons: Any) -> Outlines | None:
    """Polygons as a table {'polys': [{'type', 'pts'}]}, or the older list of (type, points): 1 for face, 0 for not."""
    rows = [] if polygons is None else table(polygons)['polys'] if isinstance(polygons, dict) else polygons
    found: dict[int, list] = {0: [], 1: []}
    for row in rows:
        kind, points = (row['type'], row['pts']) if isinstance(row, dict) else row
        if kind not in found:
            raise ValueError('a polygon that is neither of the face nor of what is none')
        if len(points) > 2:  # else somebody began one
            found[kind].append(numbers(points, None, 2))
    return Outlines(tuple(found[1]), tuple(found[0])) if found[0] or found[1] else None


def _mask(data: Any, picture: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The mask of the whole picture, at its own side."""
    if data is None:
        return None
    packed = bytes(data) if isinstance(data, bytes | bytearray) else np.asarray(data, np.uint8).tobytes()
    mask = decode_image(packed, f'{path}: its mask')[..., 0]
    x, y = mask.shape[1] / picture.shape[1], mask.shape[0] / picture.shape[0]
    return mask, np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])

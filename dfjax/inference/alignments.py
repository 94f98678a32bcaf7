"""faceswap's alignments: which faces are where in the frames of a video or a folder.

An .fsa is a pickle, packed by zlib, of {'__meta__', '__data__'}; the older .json is the data alone, or both. The data
is by frame: 'NAME_000012.mp4' (counted from 1; older ones end in .png) or the name of a picture. A frame has a list of
faces, under 'faces' or by itself: x, y, w, h; landmarks_xy (older: landmarksXY) [68, 2], in pixels of the frame; mask,
by the name of what made it: stored_size, the bytes of a square of that side packed by zlib, and affine_matrix, from
frame pixels to its own. Nothing of a pickle is run, see `weights.arrays`. Pixel centres are at integers.
"""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dfjax.data.faces.face import Face
from dfjax.data.media.inputs import iter_frames, kind
from dfjax.errors import ReadError
from dfjax.foreign import parse, said, whole
from dfjax.inference.foreign_face import ForeignFace, landmarks, numbers, table
from dfjax.weights.arrays import plain
from dfjax.weights.limits import Refused

SUFFIXES = ('.fsa', '.json')
LARGEST = 2**31  # bytes that a file may unpack to
SIDE = 4096  # of a mask
OF_LANDMARKS = ('components', 'extended')  # masks that say no more than the landmarks do
NUMBER = re.compile(r'_(\d{1,9})\.[^.]+$')
EYE = np.eye(2, 3)


def listed_in(src: Path) -> Path | None:
    """The alignments that a name stands for: itself, or what a folder has under the name that faceswap gives."""
    if src.suffix.lower() in SUFFIXES and not src.is_dir():
        return src
    return next((p for p in (src / f'alignments{suffix}' for suffix in SUFFIXES) if p.is_file()), None)


def faces_of(path: Path, frames: Path | str | None) -> tuple[int, Iterator[ForeignFace | ReadError]]:
    """How many faces are listed, and each of them, or why it is left out, in the order of the frames.

    Args:
        frames: what they are of; None: what lies beside the list.

    Raises:
        ReadError: a file that cannot be read, or lists nothing; frames that are not there, or have none of the names.
    """
    found = read_alignments(path)
    source = Path(frames) if frames is not None else _beside(path)
    film = kind(source) == 'video'
    if film:
        found = {match[1].lstrip('0'): rows for name, rows in found.items() if (match := NUMBER.search(name))}
    count = sum(map(len, found.values()))
    if not count:
        raise ReadError(path, 'lists no face' if not film else f'lists no face of a video; {source} is one')
    return count, _faces(path, found, source, film)


def _faces(path: Path, found: dict[str, list], source: Path, film: bool) -> Iterator[ForeignFace | ReadError]:
    left, begun = dict(found), False
    for index, time, rgb, name in iter_frames(source):
        key = str(index + 1) if film else Path(name).name
        for row in left.pop(key, ()):
            begun = True
            try:
                yield _face(path, row, rgb, name, index, time)
            except (ValueError, KeyError, TypeError, zlib.error) as error:
                fault = f'no {error}' if isinstance(error, KeyError) else said(error)
                yield ReadError(path, f'a face of {name}, frame {index}: {fault}')
    if not begun:
        raise ReadError(source, f'has none of the frames that {path} lists; give those with --frames')
    yield from (ReadError(path, f'{len(rows)} faces of {key}: no such frame') for key, rows in left.items() if rows)


def read_alignments(path: Path) -> dict[str, list]:
    """Rows of faces by the name of their frame.

    Raises:
        ReadError: missing, damaged, something else, or with anything in it but plain facts.
    """
    try:
        data = path.read_bytes()
        value = parse(data) if path.suffix.lower() == '.json' else plain(_unpacked(data, LARGEST))
        value = table(value)
        frames = table(value.get('__data__', value))
        rows = {name: row.get('faces', ()) if isinstance(row, dict) else row for name, row in frames.items()}
        return {name: [table(face) for face in faces] for name, faces in rows.items() if name != '__meta__'}
    except OSError as error:
        raise ReadError(path, f'cannot be read ({error.strerror})') from None
    except Refused as fault:
        raise ReadError(path, f'refused: it holds {fault}; nothing in it was run') from None
    except (ValueError, TypeError, zlib.error) as error:
        raise ReadError(path, f'no alignments of faceswap, or damaged ({said(error)}); give an .fsa or .json') from None


def _unpacked(data: bytes, most: int) -> bytes:
    """What zlib packed, all of it; ValueError where it is more than `most` bytes, or ends too soon."""
    machine = zlib.decompressobj()
    made = machine.decompress(data, most)
    if not machine.eof:
        raise ValueError(f'more than {most} bytes' if machine.unconsumed_tail else 'it ends too soon')
    return made


def _beside(path: Path) -> Path:
    """The video or folder of frames that faceswap keeps such alignments beside."""
    stem = path.stem.removesuffix('_alignments')
    if stem != path.stem:
        films = [p for p in path.parent.glob('*') if p.stem == stem and p != path and p.is_file()]
        if films and kind(films[0]) == 'video':
            return films[0]
    elif any(p.suffix.lower() in ('.png', '.jpg', '.jpeg') for p in path.parent.glob('*')):
        return path.parent
    raise ReadError(path, 'says where faces are, and not what they look like; give --frames VIDEO, or their folder')


def _face(path: Path, row: dict[str, Any], rgb: np.ndarray, name: str, frame: int, time: float) -> ForeignFace:
    if row.get('r'):
        raise ValueError('found in a turned frame by an old faceswap, which had other landmarks; extract it again')
    points = landmarks(row['landmarks_xy' if 'landmarks_xy' in row else 'landmarksXY'])
    x, y, w, h = numbers([row[key] for key in 'xywh'], 4).tolist()
    face = Face(
        source=name,
        frame=frame,
        time=time,
        box=(x, y, x + w, y + h),
        score=1.0,
        landmarks=points,
        track=-1,
    )
    masks = {key: mask for key, mask in table(row.get('mask') or {}).items() if mask and _says_more(key)}
    whose = min(masks, key=lambda key: (not key.startswith('custom'), key), default='')
    mask = _mask(table(masks[whose])) if whose else None
    return ForeignFace(path, face, rgb, EYE, mask=mask, whose=whose)


def _says_more(name: str) -> bool:
    """Whether a mask is of the face as it is seen: not its landmarks' hull, nor a head with its hair."""
    return name not in OF_LANDMARKS and not name.endswith('_head')


def _mask(stored: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    side = whole(stored['stored_size'], 1, SIDE)
    if not isinstance(stored['mask'], bytes | bytearray):
        raise ValueError('a mask that is no bytes')
    mask = np.frombuffer(_unpacked(stored['mask'], side * side + 1), np.uint8)
    matrix = numbers(stored['affine_matrix'], 2, 3)
    if abs(np.linalg.det(matrix[:, :2])) < 1e-6:
        raise ValueError('a mask without extent')
    return mask.reshape(side, side), matrix

"""Faces that other programs found and cut out -> a face set, aligned as this package aligns them.

    import_faces('workspace/data_src/aligned', 'faces/anna')                    DeepFaceLab's pictures
    import_faces('anna_alignments.fsa', 'faces/anna', frames='anna.mp4')        faceswap's list, and what it is of

Landmarks, boxes and masks are theirs. The pictures are cut anew: every program has its own mean face, and a swap puts a
face where those that it learnt from lie.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from dfjax.data.faces.align import FACE_TYPES, align_matrices, check_face_type, crop
from dfjax.data.faces.face import Face
from dfjax.data.faces.faceset import FaceSetWriter
from dfjax.data.faces.identity import face_chip
from dfjax.data.faces.mask import face_outline
from dfjax.data.faces.polygons import Outlines, moved, traced
from dfjax.data.faces.search import sharpness
from dfjax.data.faces.warp import apply, compose
from dfjax.data.media.progress import bar, say
from dfjax.errors import InputError, ReadError
from dfjax.inference import alignments, embedded
from dfjax.inference.descriptor import AT_ONCE, describe
from dfjax.inference.foreign_face import ForeignFace
from dfjax.interrupts import deferred

SIZE, FACE_TYPE = 256, 'full'  # where whole frames do not say it
SMALLEST = 16  # side of a picture


def import_faces(
    src: Path | str,
    out: Path | str,
    frames: Path | str | None = None,
    face_type: str | None = None,
    size: int | None = None,
    force: bool = False,
    progress: bool = True,
) -> dict:
    """Writes the face set `out`.

    Args:
        src: a folder of DeepFaceLab's aligned pictures; faceswap's alignments, .fsa or the older .json.
        frames: the video or the folder of pictures that alignments are of; by default what lies beside them under the
            name that faceswap gives.
        face_type: see `faces.align`; by default what DeepFaceLab's pictures have, else full. No wider one than theirs.
        size: side of the pictures; by default that of the first of DeepFaceLab's, else 256.
        force: replace a face set that exists.
        progress: show a bar on stderr.

    Returns:
        {'out', 'faces', 'left' (out, for a reason that is said), 'masks' (of how many, by whose), 'face_type', 'size'}.

    Raises:
        InputError: nothing to import, files that are damaged or hold anything but plain facts, a face type that the
            pictures are too narrow for, `out` exists.
    """
    src = Path(src)
    if face_type:
        check_face_type(face_type)
    if size is not None and size < SMALLEST:
        raise InputError(f'--size {size}: give {SMALLEST} or more pixels')
    listed = alignments.listed_in(src)
    if not listed and frames:
        raise InputError(f'--frames {frames}: is for alignments of faceswap; {src} is none')
    if listed:
        count, faces = alignments.faces_of(listed, frames)
        side, kind = size or SIZE, face_type or FACE_TYPE
    else:
        count, first, faces = embedded.faces_of(src)
        side, kind = size or first.picture.shape[0], face_type or first.face_type or FACE_TYPE
    masks: dict[str, int] = {}
    with (
        deferred(),
        FaceSetWriter(out, kind, side, 'jpg', force) as writer,
        bar(f'faces of {src.name}', progress) as tick,
    ):
        for found in _described(_checked(faces, kind)):
            _add(writer, *found)
            if found[0].whose:
                masks[found[0].whose] = masks.get(found[0].whose, 0) + 1
            tick(len(writer.names), count)
        done = len(writer.names)
    report = {'out': str(out), 'faces': done, 'left': count - done, 'masks': masks}
    return report | {'face_type': kind, 'size': side}


def _checked(faces: Iterable[ForeignFace | ReadError], kind: str) -> Iterator[ForeignFace]:
    """The faces; what is not one is named on stderr. A face of a narrower type than asked for is refused."""
    for face in faces:
        if isinstance(face, ReadError):
            say(f'left out: {face}')
            continue
        own = face.face_type
        if own and FACE_TYPES[own].padding < FACE_TYPES[kind].padding:
            raise ReadError(face.path, f'shows a {own} face, which is less than {kind}; give --face-type {own}')
        yield face


def _described(faces: Iterable[ForeignFace]) -> Iterator[tuple[ForeignFace, np.ndarray, np.ndarray]]:
    """Each face with its landmarks [68, 2] in its picture, and its identity descriptor [128]."""
    waiting: list[tuple[ForeignFace, np.ndarray, np.ndarray]] = []

    def done() -> Iterator[tuple[ForeignFace, np.ndarray, np.ndarray]]:
        codes = describe([chip for *_, chip in waiting])
        yield from ((face, points, code) for (face, points, _), code in zip(waiting, codes))
        waiting.clear()

    for face in faces:
        points = apply(face.matrix, face.face.landmarks)
        waiting.append((face, points, face_chip(face.picture, points)))
        if len(waiting) == AT_ONCE:
            yield from done()
    yield from done()


def _add(writer: FaceSetWriter, found: ForeignFace, points: np.ndarray, code: np.ndarray) -> None:
    """Cuts a face out of its picture and writes it."""
    matrix = align_matrices(points[None], writer.face_type, writer.size)[0]
    picture = crop(found.picture, matrix, writer.size)
    outline = face_outline(picture, apply(matrix, points))
    known = vars(found.face) | {'descriptor': code, 'sharpness': sharpness(found.picture, points)}
    writer.add(picture, Face(**known), compose(matrix, found.matrix), outline, _outlines(found, matrix, writer.size))


def _outlines(found: ForeignFace, matrix: np.ndarray, size: int) -> Outlines | None:
    """What was drawn, or what another net saw of the face, in the pixels of the new picture."""
    import cv2

    if found.drawn is not None:
        return moved(found.drawn, matrix)
    if found.mask is None:
        return None
    mask, to_mask = found.mask
    back = compose(matrix, cv2.invertAffineTransform(to_mask))  # mask pixels to new ones
    return traced(cv2.warpAffine(mask, back, (size, size), flags=cv2.INTER_LINEAR))

"""Outlines drawn by hand: the JSON of labelme, beside a picture of a face set and under its name.

A file's polygons labelled 'face' are where the face is seen, in place of the outline of its landmarks; those labelled
'not face' are taken out of it: hands, hair, glasses, whatever is in front. Coordinates are pixels from the picture's
corner, as labelme has them. https://github.com/wkentaro/labelme
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dfjax import foreign
from dfjax.data.faces.mask import rasterise
from dfjax.data.faces.warp import apply
from dfjax.data.media.output import atomic_path
from dfjax.errors import ReadError

FACE, NOT_FACE = 'face', 'not face'
OURS = 'dfjax'  # flag of a file that this program wrote: it may be replaced
ROUGH = 0.6  # pixels that a written outline may be off
SMALLEST = 12  # square pixels of a part that is written
REMEDY = 'draw it again, or delete it'


@dataclass(frozen=True)
class Outlines:
    """Polygons [K, 2] in picture pixels, centres at integers.

    Attributes:
        face: where a face is; none: where its landmarks say.
        not_face: what is taken out of it.
        ours: whether a program wrote them, and nobody has saved them since.
    """

    face: tuple[np.ndarray, ...]
    not_face: tuple[np.ndarray, ...]
    ours: bool = False


def outlines_path(picture: Path, name: str) -> Path:
    """The file for a picture: under its name as it is, with a rank, where there is one, else under its plain `name`."""
    ranked = picture.with_suffix('.json')
    return ranked if ranked.is_file() else picture.with_name(name).with_suffix('.json')


def read_outlines(path: Path) -> Outlines:
    """What was drawn.

    Raises:
        ReadError: no JSON of polygons, or one with another label.
    """
    row = foreign.read_json(path, REMEDY)
    found = {FACE: [], NOT_FACE: []}
    try:
        for shape in row['shapes']:
            label, kind = foreign.text(shape['label']), shape.get('shape_type', 'polygon')
            if label not in found:
                raise ReadError(path, f'label {foreign.shown(label)}: polygons are labelled {FACE!r} or {NOT_FACE!r}')
            if kind != 'polygon' or len(shape['points']) < 3:
                raise ReadError(path, f'a {foreign.shown(kind)} that is no polygon of three points or more; {REMEDY}')
            found[label].append((foreign.numbers(shape['points'], len(shape['points']), 2) - 0.5).astype(np.float32))
        ours = bool(row.get('flags', {}).get(OURS))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ReadError(path, f'no polygons as labelme writes them ({foreign.said(error)}); {REMEDY}') from None
    return Outlines(tuple(found[FACE]), tuple(found[NOT_FACE]), ours)


def outlined(outlines: Outlines, hull: np.ndarray, size: int, matrix: np.ndarray) -> np.ndarray:
    """The mask uint8 [size, size] of outlines, their pixels moved by `matrix` [2, 3]; `hull` [K, 2] where nobody said
    where the face is."""
    mask = np.zeros((size, size), np.uint8)
    for polygon in outlines.face or (hull,):
        mask = np.maximum(mask, rasterise(polygon, size, matrix))
    for polygon in outlines.not_face:
        mask = np.minimum(mask, 255 - rasterise(polygon, size, matrix))
    return mask


def moved(outlines: Outlines, matrix: np.ndarray) -> Outlines:
    """Outlines under a matrix [2, 3]."""
    face, not_face = (tuple(apply(matrix, p) for p in some) for some in (outlines.face, outlines.not_face))
    return Outlines(face, not_face, outlines.ours)


def traced(mask: np.ndarray) -> Outlines:
    """A mask uint8 [S, S] as polygons, holes as what is no face."""
    size = mask.shape[0]
    large = cv2.resize(mask, (4 * size, 4 * size), interpolation=cv2.INTER_LINEAR)
    found, tree = cv2.findContours((large > 127).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    polygons: tuple[list, list] = ([], [])  # parts of the face, and holes in it
    for n, line in enumerate(found):
        line = cv2.approxPolyDP(line, 4 * ROUGH, True)[:, 0]
        if len(line) > 2 and cv2.contourArea(line) >= 16 * SMALLEST:
            polygons[int(tree[0, n, 3] >= 0)].append((line + 0.5) / 4 - 0.5)
    if not polygons[0]:  # nothing is seen of it
        corners = np.array([[0, 0], [size, 0], [size, size], [0, size]]) - 0.5
        return Outlines((), (corners,), True)
    return Outlines(tuple(polygons[0]), tuple(polygons[1]), True)


def write_outlines(path: Path, outlines: Outlines, size: int, picture: Path) -> None:
    """Writes outlines of a picture of a side as polygons that labelme opens."""
    labelled = [(FACE, p) for p in outlines.face] + [(NOT_FACE, p) for p in outlines.not_face]
    more = {'group_id': None, 'shape_type': 'polygon', 'flags': {}}
    shapes = [{'label': label, 'points': (points + 0.5).round(2).tolist()} | more for label, points in labelled]
    flags = {OURS: True} if outlines.ours else {}
    row = {'version': '5.5.0', 'flags': flags, 'shapes': shapes, 'imagePath': picture.name, 'imageData': None}
    with atomic_path(path, force=True) as part:
        part.write_text(json.dumps(row | {'imageHeight': size, 'imageWidth': size}))

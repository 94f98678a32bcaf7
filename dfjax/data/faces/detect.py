"""Face detectors behind one function: detect(rgb, upsample=0) -> [(box, score)], best first.

Boxes are (x0, y0, x1, y1), float, square, in the convention of dlib's detector (brows to chin), because the landmark
model was trained on such boxes.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dfjax.errors import InputError

Box = tuple[float, float, float, float]
Detector = Callable[..., list[tuple[Box, float]]]

DETECTORS = ('dlib', 'yunet')
YUNET_SIDE = 640  # both published models take it: the one with a fixed input and the one with a free one
YUNET_SCORE = 0.7
# Medians over real video of where dlib's box lies against the five points that YuNet gives, in lengths of the line
# from the middle of the eyes to the middle of the mouth.
BOX_SIDE, BOX_DOWN = 2.03, -0.057


def load_detector(kind: str = 'dlib', model: str | Path | None = None) -> Detector:
    """A function detect(rgb uint8 [H, W, 3], upsample=0) -> [(box, score)], best first.

    Each `upsample` doubles the picture first. dlib finds faces from 80 px on, upright within about 40 degrees;
    YuNet from about 1/60 of the longer side on, at any angle up to about 90 degrees.

    Args:
        kind: 'dlib' (King 2009, histogram of oriented gradients) or 'yunet' (Wu et al. 2023, a small net).
        model: the ONNX file of YuNet; dlib needs none.

    Raises:
        InputError: unknown kind, YuNet without its file, a file that is missing or no YuNet.
    """
    if kind == 'dlib':
        return _dlib()
    if kind == 'yunet':
        return _yunet(model)
    raise InputError(f'detector {kind!r} is unknown: choose one of {", ".join(DETECTORS)}')


def _dlib() -> Detector:
    import dlib

    detector = dlib.get_frontal_face_detector()

    def detect(rgb: np.ndarray, upsample: int = 0) -> list[tuple[Box, float]]:
        rects, scores, _ = detector.run(np.ascontiguousarray(rgb), upsample, 0.0)
        # Inclusive pixels become edges, which lie half a pixel outside their centres.
        edges = [(r.left() - 0.5, r.top() - 0.5, r.right() + 0.5, r.bottom() + 0.5) for r in rects]
        found = list(zip(edges, map(float, scores)))
        return sorted(found, key=lambda f: -f[1])

    return detect


def _yunet(model: str | Path | None) -> Detector:
    import cv2

    if model is None:
        raise InputError('detector yunet needs its model file: give --detector-model face_detection_yunet.onnx')
    if not Path(model).is_file():
        raise InputError(f'{model}: no such file; give --detector-model the ONNX file of YuNet')
    try:
        net = cv2.FaceDetectorYN.create(str(model), '', (YUNET_SIDE, YUNET_SIDE), YUNET_SCORE)
        net.detect(np.zeros((YUNET_SIDE, YUNET_SIDE, 3), np.uint8))
    except cv2.error as error:
        raise InputError(f'{model}: OpenCV cannot run this file as a YuNet detector; is it the right model?') from error

    def detect(rgb: np.ndarray, upsample: int = 0) -> list[tuple[Box, float]]:
        # The net sees a square of one size. Upsampling is the same net on overlapping quarters.
        found = []
        for x, y, tile in _tiles(rgb, upsample):
            scale = YUNET_SIDE / max(tile.shape[:2])
            small = cv2.resize(tile, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            square = np.zeros((YUNET_SIDE, YUNET_SIDE, 3), np.uint8)
            h, w = (min(n, YUNET_SIDE) for n in small.shape[:2])
            square[:h, :w] = small[:h, :w, ::-1]  # BGR
            _, faces = net.detect(square)
            for row in faces if faces is not None else []:
                points = (row[4:14].reshape(5, 2) + 0.5) / scale - 0.5 + (x, y)
                found.append((_box_of_points(points), float(row[14])))
        return distinct(sorted(found, key=lambda f: -f[1]))

    return detect


def _tiles(rgb: np.ndarray, upsample: int) -> list[tuple[int, int, np.ndarray]]:
    """(x, y, part) that cover the picture: itself, or parts half as large as the last that overlap by half."""
    if not upsample:
        return [(0, 0, rgb)]
    h, w = rgb.shape[:2]
    th, tw = -(-h // 2**upsample), -(-w // 2**upsample)
    xs = sorted({min(x, w - tw) for x in range(0, w, -(-tw // 2))})
    ys = sorted({min(y, h - th) for y in range(0, h, -(-th // 2))})
    return [(x, y, rgb[y : y + th, x : x + tw]) for y in ys for x in xs]


def _box_of_points(points: np.ndarray) -> Box:
    """dlib's box for [5, 2] points: right eye, left eye, nose, right and left corner of the mouth."""
    down = (points[3] + points[4] - points[0] - points[1]) / 2
    centre = points.mean(0) + BOX_DOWN * down
    half = BOX_SIDE * np.hypot(*down) / 2
    return (*map(float, centre - half), *map(float, centre + half))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def distinct(found: list[tuple[Box, float]], limit: float = 0.4) -> list[tuple[Box, float]]:
    """Without the boxes that overlap an earlier one by more than `limit`."""
    kept = []
    for box, score in found:
        if all(overlap(box, other) < limit for other, _ in kept):
            kept.append((box, score))
    return kept

"""The 68 landmarks of iBUG 300-W by dlib's regression trees (Kazemi & Sullivan 2014), made repeatable.

Run once in the detector's box, the trees give points that jump with the box (which moves in steps) and come rounded to
pixels: 1.5 to 2 % of the distance between the eyes from frame to frame. So they run twice, and the second time in a
normalised crop, upright, in the box that the first points call for, four times with the box moved a little, and the
four are averaged. That spreads 3 to 4 times less when the same frame is moved, turned and scaled a little, and, unlike
smoothing over time, it cannot blur a blink.
"""

from collections.abc import Callable

import numpy as np

from dfjax.data.faces.files import LANDMARKS, dlib_model
from dfjax.data.faces.warp import apply_inverse, crop, similarity

CROP = 432  # pixels of the normalised crop
SHARE = 0.6  # of it is the box
MOVES = ((0.04, 0.04, 0.05), (-0.04, 0.04, -0.05), (0.04, -0.04, -0.05), (-0.04, -0.04, 0.05))  # x, y, size, in boxes
BOX_SIDE = 3.1  # of dlib's box, in root-mean-square distances of the inner landmarks; a median over real video
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)

Landmarker = Callable[..., np.ndarray]


def place(landmarks: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Centre, side and angle (radians) of the upright box that dlib's detector would ideally give for [68, 2] points.

    The outline of the jaw takes no part: it is the least certain.
    """
    inner = landmarks[17:]
    centre = inner.mean(0)
    side = BOX_SIDE * np.sqrt(((inner - centre) ** 2).sum(1).mean())
    x, y = landmarks[LEFT_EYE].mean(0) - landmarks[RIGHT_EYE].mean(0)
    return centre, float(side), float(np.arctan2(y, x))


def load_landmarker() -> Landmarker:
    """A function landmark(rgb uint8 [H, W, 3], box, angle=0) -> float32 [68, 2] in source pixels.

    `box` is (x0, y0, x1, y1) as a detector gives it and `angle` the roll of the face in radians (within about 40
    degrees is good enough: the second pass takes it from the first).
    """
    import dlib

    predictor = dlib.shape_predictor(dlib_model(LANDMARKS))

    def predict(rgb: np.ndarray, where: tuple[np.ndarray, float, float], moves) -> np.ndarray:
        matrix = similarity(*where, CROP, SHARE)
        picture = crop(rgb, matrix, CROP, smooth=False)
        points = []
        for dx, dy, grow in moves:
            half = CROP * SHARE * (1 + grow) / 2
            x, y = CROP / 2 + dx * CROP * SHARE, CROP / 2 + dy * CROP * SHARE
            rect = dlib.rectangle(*(round(v) for v in (x - half, y - half, x + half - 1, y + half - 1)))
            points.append([(p.x, p.y) for p in predictor(picture, rect).parts()])
        return apply_inverse(matrix, np.mean(points, 0))

    def landmark(rgb: np.ndarray, box, angle: float = 0.0) -> np.ndarray:
        x0, y0, x1, y1 = box
        where = np.array([(x0 + x1) / 2, (y0 + y1) / 2]), x1 - x0, angle
        rough = predict(rgb, where, [(0, 0, 0)])
        return predict(rgb, place(rough), MOVES).astype(np.float32)

    return landmark

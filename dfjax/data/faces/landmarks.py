"""The 68 landmarks of iBUG 300-W by dlib's regression trees (Kazemi & Sullivan 2014), made repeatable.

Run once in the detector's box, the trees give points that jump with the box (which moves in steps) and come rounded to
pixels: 1.5 to 2 % of the distance between the eyes from frame to frame. So that is only the first pass; the second runs
in a normalised crop, upright, in the box that the first points call for, three times with the box moved a little, and
the three are averaged. That spreads 3 times less when the same frame is moved, turned and scaled a little, and, unlike
smoothing over time, it cannot blur a blink. Brows are then moved to where the crop shows them (`brows.py`).
"""

import numpy as np

from dfjax.data.faces.brows import find_brows
from dfjax.data.faces.dlib_models import LANDMARKS, dlib_model
from dfjax.data.faces.warp import apply_inverse, crop, similarity

CROP = 320  # pixels of the normalised crop
SHARE = 0.6  # side of the box, in sides of the crop
MOVES = ((0.0, -0.04, -0.04), (0.035, 0.02, 0.04), (-0.035, 0.02, 0.0))  # shifts of the box: x, y, size, in boxes
BOX_SIDE = 3.1  # side of dlib's box, in root-mean-square distances of the inner landmarks; median over real video
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)


def place(landmarks: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Centre, side and angle (radians) of the upright box that dlib's detector would ideally give for [68, 2] points.

    The outline of the jaw takes no part: it is the least certain.
    """
    inner = landmarks[17:]
    centre = inner.mean(0)
    side = BOX_SIDE * np.sqrt(((inner - centre) ** 2).sum(1).mean())
    x, y = landmarks[LEFT_EYE].mean(0) - landmarks[RIGHT_EYE].mean(0)
    return centre, float(side), float(np.arctan2(y, x))


class Landmarker:
    """landmarker(rgb uint8 [H, W, 3], box) -> float32 [68, 2] in its pixels; `box` (x0, y0, x1, y1) as detectors give.

    The face must be upright in `rgb` within about 40 degrees. Where the detector saw another picture than the original
    (turned, or a part of it), `rough` runs on that picture and `refine`, with the points moved back, on the original.
    """

    def __init__(self, predictor):
        self._predictor = predictor

    def __call__(self, rgb: np.ndarray, box) -> np.ndarray:
        return self.refine(rgb, self.rough(rgb, box))

    def rough(self, rgb: np.ndarray, box) -> np.ndarray:
        """The first pass: [68, 2], whole pixels."""
        import dlib

        x0, y0, x1, y1 = box  # edges; dlib's rectangles name their first and last pixel
        rect = dlib.rectangle(*(round(v) for v in (x0 + 0.5, y0 + 0.5, x1 - 0.5, y1 - 0.5)))
        return np.array([(p.x, p.y) for p in self._predictor(rgb, rect).parts()], np.float64)

    def refine(self, rgb: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """The second pass, from what the first gave: float32 [68, 2]."""
        matrix = similarity(*place(landmarks), CROP, SHARE)
        picture, side = crop(rgb, matrix, CROP, smooth=False), CROP * SHARE
        points = []
        for dx, dy, grow in MOVES:
            x, y, half = (CROP - 1) / 2 + dx * side, (CROP - 1) / 2 + dy * side, side * (1 + grow) / 2
            points.append(self.rough(picture, (x - half, y - half, x + half, y + half)))
        return apply_inverse(matrix, find_brows(picture, np.mean(points, 0))).astype(np.float32)


def load_landmarker() -> Landmarker:
    """A Landmarker with dlib's model of 68 points; InputError where its file is missing."""
    import dlib

    return Landmarker(dlib.shape_predictor(dlib_model(LANDMARKS)))

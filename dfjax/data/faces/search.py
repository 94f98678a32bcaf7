"""Every face of a run of consecutive frames, without searching every frame everywhere."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from dfjax.data.faces.detect import Box, Detector, overlap
from dfjax.data.faces.landmarks import Landmarker, place
from dfjax.data.faces.warp import apply_inverse, crop, similarity

TURNS = (90, -90, 180, 45, -45)  # degrees; dlib's detector stands 40 to either side of upright
UPSAMPLED_PIXELS = 1_300_000  # larger pictures are not doubled: an 80-px face in them is too small to be of use
SURE, LIKELY = 0.5, 0.3  # scores of the detector: no further attempts are made; least for a face that a retry found
NEAR, NEAR_SHARE = 176, 0.54  # the window around a face of the frame before, and the face's share of it
SHARP = 128  # px, where sharpness is measured
MIDDLE = tuple(NEAR * (0.5 + NEAR_SHARE * v) for v in (-0.5, -0.5, 0.5, 0.5))  # box in the window where the face was
IDENTITY = np.eye(2, 3)


@dataclass(frozen=True, eq=False)
class Found:
    """A face as a worker reports it; see record.Face."""

    box: Box
    score: float
    landmarks: np.ndarray
    sharpness: float


class Search:
    """Finds the faces of frames.

    Args:
        detect: from load_detector.
        landmark: from load_landmarker.
        thorough: look for small faces also where a large one was found.
    """

    def __init__(self, detect: Detector, landmark: Landmarker, thorough: bool = False):
        self.detect, self.landmark, self.thorough = detect, landmark, thorough

    def run(self, frames: list[np.ndarray]) -> list[list[Found]]:
        """The faces of each of consecutive frames uint8 [H, W, 3] of one scene.

        The first and the last are searched everywhere. If both show the same number of faces, those between are
        searched only around the faces of the frame before, at a scale that suits each, and everywhere only where one
        is not found again. So a face can be overlooked only if it comes and goes between the two.
        """
        found = [self.everywhere(frames[0])]
        if len(frames) == 1:
            return found
        last = self.everywhere(frames[-1])
        steady = 0 < len(found[0]) == len(last)
        for frame in frames[1:-1]:
            near = self.near(frame, found[-1]) if steady else None
            found.append(near or self.everywhere(frame, retry=steady))
        return [*found, last]

    def everywhere(self, rgb: np.ndarray, retry: bool = True) -> list[Found]:
        """All faces of a frame. Where none is sure, `retry` looks coarser, for smaller and for turned ones."""
        small = rgb.shape[0] * rgb.shape[1] <= UPSAMPLED_PIXELS
        best = self._upright(rgb, int(self.thorough and small))
        if not retry or _top(best) >= SURE:
            return best
        attempts = [partial(self._coarse, rgb)]
        if small and not self.thorough:
            attempts.append(partial(self._upright, rgb, 1))
        attempts += [partial(self._turned, rgb, np.radians(turn)) for turn in TURNS]
        for attempt in attempts:
            found = attempt()
            if _top(found) > max(_top(best), LIKELY):
                best = found
            if _top(best) >= SURE:
                break
        return best

    def near(self, rgb: np.ndarray, before: list[Found]) -> list[Found] | None:
        """The faces again that the frame before had, or None where not every one is there."""
        found: list[Found] = []
        for face in before:
            matrix = similarity(*place(face.landmarks), NEAR, NEAR_SHARE)
            window = crop(rgb, matrix, NEAR, smooth=False)
            hits = self.detect(window)
            if not hits:
                return None
            hit = max(hits, key=lambda hit: overlap(hit[0], MIDDLE))
            again = self._measure(rgb, window, hit, matrix)
            if any(overlap(again.box, other.box) > 0.4 for other in found):
                return None
            found.append(again)
        return found

    def _upright(self, rgb: np.ndarray, upsample: int) -> list[Found]:
        return [self._measure(rgb, rgb, hit, IDENTITY) for hit in self.detect(rgb, upsample)]

    def _coarse(self, rgb: np.ndarray) -> list[Found]:
        """Large faces that noise, grain or the cracks of a painting hide."""
        import cv2

        small = cv2.resize(rgb, (max(rgb.shape[1] // 2, 1), max(rgb.shape[0] // 2, 1)), interpolation=cv2.INTER_AREA)
        matrix = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
        return [self._measure(rgb, small, hit, matrix) for hit in self.detect(small)]

    def _turned(self, rgb: np.ndarray, angle: float) -> list[Found]:
        import cv2

        h, w = rgb.shape[:2]
        side = int(np.ceil(np.hypot(h, w) if angle % (np.pi / 2) else max(h, w)))
        matrix = similarity(np.array([(w - 1) / 2, (h - 1) / 2]), side, angle, side)
        turned = cv2.warpAffine(rgb, matrix, (side, side))
        return [self._measure(rgb, turned, hit, matrix) for hit in self.detect(turned)]

    def _measure(self, rgb: np.ndarray, seen: np.ndarray, hit: tuple[Box, float], matrix: np.ndarray) -> Found:
        """What the detector hit in the picture `seen`, which `matrix` made of the frame `rgb`."""
        box, score = hit
        landmarks = self.landmark.refine(rgb, apply_inverse(matrix, self.landmark.rough(seen, box)))
        return Found(_box_back(box, matrix), score, landmarks, sharpness(rgb, landmarks))


def sharpness(rgb: np.ndarray, landmarks: np.ndarray) -> float:
    """Standard deviation of the Laplacian of the face, upright, scaled to 128 px, in grey levels of 0..255."""
    import cv2

    face = crop(rgb, similarity(*place(landmarks), SHARP), SHARP, smooth=False)
    return float(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.CV_64F).std())


def _top(found: list[Found]) -> float:
    return max((face.score for face in found), default=0.0)


def _box_back(box: Box, matrix: np.ndarray) -> Box:
    """The upright square of the box's size, in source pixels, around where its centre came from."""
    x0, y0, x1, y1 = box
    centre = apply_inverse(matrix, np.array([(x0 + x1) / 2, (y0 + y1) / 2]))
    half = (x1 - x0) / 2 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return (*map(float, centre - half), *map(float, centre + half))

"""Every face of a run of consecutive frames, without searching every frame everywhere."""

from dataclasses import dataclass

import numpy as np

from dfjax.data.faces.detect import Box, Detector, overlap
from dfjax.data.faces.landmarks import Landmarker, place
from dfjax.data.faces.warp import apply_inverse, crop, similarity

TURNS = (90, -90, 180, 45, -45)  # degrees; dlib's detector stands 40 to either side of upright
UPSAMPLED_PIXELS = 1_300_000  # larger pictures are not doubled: an 80-px face in them is too small to be of use
NEAR, NEAR_SHARE = 256, 0.45  # the window around a face of the frame before, and the face's share of it
SHARP = 128  # px, where sharpness is measured


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
        """All faces of a frame. Where there is none, `retry` looks for smaller and for turned ones."""
        small = rgb.shape[0] * rgb.shape[1] <= UPSAMPLED_PIXELS
        found = self._upright(rgb, int(self.thorough and small))
        if not found and retry and small and not self.thorough:
            found = self._upright(rgb, 1)
        for turn in TURNS if retry else ():
            if found:
                break
            found = self._turned(rgb, np.radians(turn))
        return found

    def near(self, rgb: np.ndarray, before: list[Found]) -> list[Found] | None:
        """The faces again that the frame before had, or None where not every one is there."""
        found: list[Found] = []
        for face in before:
            centre, side, angle = place(face.landmarks)
            matrix = similarity(centre, side, angle, NEAR, NEAR_SHARE)
            hits = self.detect(crop(rgb, matrix, NEAR, smooth=False))
            if not hits:
                return None
            box, score = max(hits, key=lambda hit: overlap(hit[0], _middle()))
            again = self._measure(rgb, _box_back(box, matrix), score, angle)
            if any(overlap(again.box, other.box) > 0.4 for other in found):
                return None
            found.append(again)
        return found

    def _upright(self, rgb: np.ndarray, upsample: int) -> list[Found]:
        return [self._measure(rgb, box, score, 0.0) for box, score in self.detect(rgb, upsample)]

    def _turned(self, rgb: np.ndarray, angle: float) -> list[Found]:
        h, w = rgb.shape[:2]
        side = int(np.ceil(abs(np.cos(angle)) * max(h, w) + abs(np.sin(angle)) * max(h, w)))
        matrix = similarity(np.array([(w - 1) / 2, (h - 1) / 2]), side, angle, side)
        turned = crop_black(rgb, matrix, side)
        return [self._measure(rgb, _box_back(box, matrix), score, angle) for box, score in self.detect(turned)]

    def _measure(self, rgb: np.ndarray, box: Box, score: float, angle: float) -> Found:
        landmarks = self.landmark(rgb, box, angle)
        return Found(box, score, landmarks, sharpness(rgb, landmarks))


def sharpness(rgb: np.ndarray, landmarks: np.ndarray) -> float:
    """Standard deviation of the Laplacian of the face, upright, scaled to 128 px, in grey levels of 0..255."""
    import cv2

    face = crop(rgb, similarity(*place(landmarks), SHARP), SHARP)
    return float(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.CV_64F).std())


def crop_black(rgb: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    """A turned picture in a black square: repeated edges look like faces to no one but cost as much as the picture."""
    import cv2

    return cv2.warpAffine(rgb, matrix, (side, side), flags=cv2.INTER_LINEAR)


def _middle() -> Box:
    half = NEAR * NEAR_SHARE / 2
    return (NEAR / 2 - half, NEAR / 2 - half, NEAR / 2 + half, NEAR / 2 + half)


def _box_back(box: Box, matrix: np.ndarray) -> Box:
    """The upright square of the box's size, in source pixels, around where its centre came from."""
    x0, y0, x1, y1 = box
    centre = apply_inverse(matrix, np.array([(x0 + x1) / 2, (y0 + y1) / 2]))
    half = (x1 - x0) / 2 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return (*map(float, centre - half), *map(float, centre + half))

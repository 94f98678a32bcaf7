"""The mask of a face: the outline of its landmarks with the forehead, as a polygon and as pixels."""

import numpy as np

SUBPIXELS = 4  # the mask is drawn this much larger and averaged down
FOREHEAD = 0.62  # height over the brows, in distances from the brows to the root of the upper lip


def hull_polygon(landmarks: np.ndarray) -> np.ndarray:
    """The convex outline float32 [K, 2] of a face with landmarks [68, 2]: jaw, and brows raised over the forehead.

    Landmarks end at the brows. A face is about as high from brows to hairline as from brows to the base of the nose, so
    each brow point is moved that way, the middle ones most.
    """
    import cv2

    points = np.asarray(landmarks, np.float64)
    brows = points[17:27]
    up = brows.mean(0) - points[31:36].mean(0)  # from the base of the nose
    arch = 1 - 0.7 * np.linspace(-1, 1, 10)[:, None] ** 2  # the forehead is round, and hair falls over its sides
    outline = np.concatenate([points[:17], brows + FOREHEAD * arch * up]).astype(np.float32)
    return cv2.convexHull(outline)[:, 0]


def rasterise(polygon: np.ndarray, size: int, matrix: np.ndarray | None = None) -> np.ndarray:
    """The polygon [K, 2], moved by `matrix` [2, 3] where given, as uint8 [size, size]: 255 inside, soft at the edge.

    The value of a pixel is the share of it that is covered, to within 1/16.
    """
    import cv2

    points = np.asarray(polygon, np.float64)
    if matrix is not None:
        points = points @ np.asarray(matrix)[:, :2].T + np.asarray(matrix)[:, 2]
    large = np.zeros((size * SUBPIXELS, size * SUBPIXELS), np.uint8)
    points = (points + 0.5) * SUBPIXELS - 0.5
    # fillPoly also paints every pixel that the outline touches, half a sub-pixel too much: the outline moves in by it.
    centre = points.mean(0)
    reach = np.linalg.norm(points - centre, axis=1, keepdims=True)
    points = centre + (points - centre) * (1 - 0.5 / np.maximum(reach, 1))
    fixed = np.round(points * 16).astype(np.int32)
    cv2.fillPoly(large, [fixed], 255, shift=4)
    return cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)

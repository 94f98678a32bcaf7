"""The mask of a face: the outline of its landmarks with the forehead and without hair, as a polygon and as pixels."""

import numpy as np

from dfjax.data.faces.align import MEAN_FACE

SUBPIXELS = 4  # supersampling of masks, per side
FOREHEAD = 0.62  # height over the brows, in distances from the brows to the root of the upper lip
_EYES, _NOSE, _BROWS = (MEAN_FACE[part, 1].mean() for part in (slice(36, 48), slice(31, 36), slice(17, 27)))
# Height of brows over eyes, in distances from eyes to the base of the nose.
AT_REST = (_EYES - _BROWS) / (_NOSE - _EYES)
RAYS = 96  # rays on which hair is looked for
SAMPLES = 48  # samples along a ray, between brows and outline
DARK = 0.55  # share of the skin's brightness: pixels darker than this, from the outline inwards, are hair
LOWEST = -0.35  # sine of an angle at the bridge of the nose: no hair is looked for below it, so that beards stay
RUN = 4  # samples of skin in a row that end the hair
CHEEKS = ([2, 31, 41, 48], [14, 35, 46, 54])  # landmarks round the left and the right
ENDS, BROW = 0.05, 0.15  # margin beside and above brows, shares of the distance from the bridge of the nose
SMOOTH = np.array([1, 2, 3, 2, 1]) / 9  # filter over neighbouring rays


def hull_polygon(landmarks: np.ndarray) -> np.ndarray:
    """The convex outline float32 [K, 2] of a face with landmarks [68, 2]: jaw, and brows raised over the forehead.

    Landmarks end at the brows. A face is about as high from brows to hairline as from brows to the base of the nose, so
    each brow point is moved that way, the middle ones most. Raised brows do not raise the forehead: they count as if
    they were where the mean face has them.
    """
    import cv2

    points = np.asarray(landmarks, np.float64)
    brows, eyes, nose = points[17:27], points[36:48].mean(0), points[31:36].mean(0)
    height = (eyes - nose) / np.linalg.norm(eyes - nose)
    rest = AT_REST * np.linalg.norm(eyes - nose)
    brows = brows + (rest - (brows.mean(0) - eyes) @ height) * height
    up = brows.mean(0) - nose
    arch = 1 - 0.7 * np.linspace(-1, 1, 10)[:, None] ** 2  # the forehead is round, and hair falls over its sides
    outline = np.concatenate([points[:17], brows + FOREHEAD * arch * up]).astype(np.float32)
    return cv2.convexHull(outline)[:, 0]


def face_outline(picture: np.ndarray, landmarks: np.ndarray, ends: float = ENDS) -> np.ndarray:
    """`hull_polygon` without the hair that falls over forehead and temples: float32 [RAYS, 2], star-shaped.

    Hair of the person put in would be painted on the other's skin, its darkness taken for the face's when colours are
    matched, and skin painted on the hair of the person in the video. On rays from the bridge of the nose, what is dark
    at the outline is left out. Hair no darker than skin stays.

    Args:
        picture: uint8 [S, S, 3], an aligned face.
        landmarks: [68, 2] in its pixels.
        ends: by which brows go on past their landmarks, in distances from the bridge of the nose; hair there is kept.
    """
    import cv2

    points = np.asarray(landmarks, np.float64)
    grey = cv2.transform(picture.astype(np.float32), np.full((1, 3), 1 / 3))  # [S, S]
    grey = cv2.GaussianBlur(grey, (0, 0), picture.shape[0] / 128)
    turn = np.linspace(0, 2 * np.pi, RAYS, endpoint=False)
    rays = np.stack([np.cos(turn), np.sin(turn)], 1)  # [R, 2]
    centre = points[27:31].mean(0)
    side, height = (rays @ (v / np.linalg.norm(v)) for v in (points[16] - points[0], points[27] - points[33]))

    near = _reach(centre, rays, cv2.convexHull(points[17:].astype(np.float32))[:, 0])  # [R]
    near = near * (1 + ends + BROW * np.maximum(height, 0) ** 3)
    far = np.maximum(near, _reach(centre, rays, hull_polygon(points)))  # raised brows are in it
    along = near[:, None] + (far - near)[:, None] * np.linspace(0, 1, SAMPLES)  # [R, SAMPLES]
    at = (centre + along[..., None] * rays[:, None]).astype(np.float32)
    seen = cv2.remap(grey, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    left, right = (np.median(_inside(grey, points[ring])) for ring in CHEEKS)
    skin = seen >= DARK * (left + (right - left) * (side[:, None] + 1) / 2)  # as one side is lit, and the other

    clear = np.lib.stride_tricks.sliding_window_view(skin, RUN, 1).all(-1)  # [R, SAMPLES - RUN + 1]
    last = np.where(clear.any(1), SAMPLES - 1 - clear[:, ::-1].argmax(1), 0)
    share = np.where(height > LOWEST, along[np.arange(RAYS), last] / far, 1.0)
    share = np.min([np.roll(share, k) for k in (-1, 0, 1)], 0)
    share = sum(weight * np.roll(share, k) for k, weight in zip((-2, -1, 0, 1, 2), SMOOTH))
    return (centre + (share * far)[:, None] * rays).astype(np.float32)


def _reach(centre: np.ndarray, rays: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """How far it is from a place [2] along rays [R, 2] to a polygon [K, 2] round it: [R]."""
    start, edge = polygon - centre, np.roll(polygon, -1, 0) - polygon  # [K, 2]
    cross = lambda a, b: a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    slope = cross(rays[:, None], edge)  # [R, K]
    slope = np.where(np.abs(slope) < 1e-9, np.nan, slope)
    distance, place = cross(start, edge) / slope, cross(start, rays[:, None]) / slope
    hit = (distance > 0) & (place >= -1e-6) & (place <= 1 + 1e-6)  # comparisons with nan are false
    return np.where(hit, distance, 1e-3).max(1)


def _inside(grey: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """The pixels [N] of a picture [S, S] in a polygon [K, 2], or all where it lies outside the picture."""
    import cv2

    area = np.zeros(grey.shape, np.uint8)
    cv2.fillConvexPoly(area, cv2.convexHull(polygon.round().astype(np.int32)), 1)
    return grey[area > 0] if area.any() else grey


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

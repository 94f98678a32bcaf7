"""Cutting squares out of pictures with sub-pixel warps, on the CPU, without JAX (worker processes use it)."""

import numpy as np


def crop(rgb: np.ndarray, matrix: np.ndarray, size: int, smooth: bool = True) -> np.ndarray:
    """The square [size, size, 3] uint8 that `matrix` [2, 3] (source pixels to its pixels) sees of `rgb` [H, W, 3].

    Where the square is much smaller than what it shows, that part is averaged down first, so that nothing aliases.
    What lies outside the picture repeats its edge. `smooth` asks for cubic instead of linear interpolation.
    """
    import cv2

    matrix = np.asarray(matrix, np.float64)
    shrink = int(1 / np.sqrt(abs(np.linalg.det(matrix[:, :2]))))  # source pixels per pixel, rounded down
    if shrink > 1:
        rgb, matrix = _shrunk(rgb, matrix, size, shrink)
    flags = cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR
    return cv2.warpAffine(rgb, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _shrunk(rgb: np.ndarray, matrix: np.ndarray, size: int, shrink: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of `rgb` under the square, `shrink` times smaller, and the matrix from there."""
    import cv2

    h, w = rgb.shape[:2]
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) @ inverse[:, :2].T + inverse[:, 2]
    x0, y0 = np.clip(np.floor(corners.min(0)).astype(int) - 2 * shrink, 0, (w - 1, h - 1))
    x1, y1 = np.clip(np.ceil(corners.max(0)).astype(int) + 2 * shrink, (x0 + 1, y0 + 1), (w, h))
    nw, nh = max((x1 - x0) // shrink, 1), max((y1 - y0) // shrink, 1)
    x1, y1 = min(x0 + nw * shrink, x1), min(y0 + nh * shrink, y1)  # whole blocks are averaged five times as fast
    small = cv2.resize(rgb[y0:y1, x0:x1], (nw, nh), interpolation=cv2.INTER_AREA)
    scale = np.array([(x1 - x0) / nw, (y1 - y0) / nh])
    back = np.array([x0, y0]) + (scale - 1) / 2  # where the small picture's first pixel centre lies
    return small, np.column_stack([matrix[:, :2] * scale, matrix[:, :2] @ back + matrix[:, 2]])


def similarity(centre: np.ndarray, side: float, angle: float, size: int, share: float = 1.0) -> np.ndarray:
    """The matrix [2, 3] to a square of `size` pixels in which a square of `side` pixels around `centre`, turned by
    `angle` (radians, from x towards y), stands upright in the middle and takes `share` of the width."""
    scale = size * share / side
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.array([[c, s], [-s, c]])
    return np.column_stack([linear, (size - 1) / 2 - linear @ centre])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [..., 2] under a matrix [2, 3]."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def apply_inverse(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [..., 2] under the inverse of a matrix [2, 3]."""
    return (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The matrix [2, 3] that does `inner` and then `outer`."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], apply(outer, inner[:, 2])])


def fitted(source: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """The matrix [2, 3] that brings points [N, 2] nearest to others, in the least squares."""
    full = np.column_stack([source, np.ones(len(source))]).astype(np.float64)
    return np.linalg.lstsq(full, np.asarray(goal, np.float64), rcond=None)[0].T

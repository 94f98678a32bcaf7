"""Distances between pictures: the figures that every evaluation shares, in float64 on the host."""

import cv2
import numpy as np

LEAST_ERROR = 1e-10  # mean squared error below which pictures count as equal: 148 dB
WINDOW, SIGMA = 11, 1.5  # pixels, of SSIM's gaussian (Wang et al. 2004)


def decibels(squared_error: np.ndarray | float) -> np.ndarray:
    """PSNR in dB of mean squared errors of 8-bit values."""
    return 10 * np.log10(255**2 / np.maximum(squared_error, LEAST_ERROR))


def squared_errors(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The mean squared error of each picture [N] of uint8 pictures [N, H, W, C]."""
    return ((np.asarray(x, np.float64) - np.asarray(y, np.float64)) ** 2).mean((1, 2, 3))


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    """Mean over pictures uint8 [N, H, W, C] of their PSNR, in dB."""
    return round(float(decibels(squared_errors(x, y)).mean()), 3)


def psnr_of_faces(x: np.ndarray, y: np.ndarray, landmarks: np.ndarray) -> float:
    """Mean over pictures uint8 [N, H, W, C] of the PSNR inside the hull of landmarks [N, 68, 2] in pixels, in dB; those
    that do not differ count as none."""
    return round(float(np.mean([decibels(e) for e in map(face_error, x, y, landmarks) if e])), 3)


def face_error(x: np.ndarray, y: np.ndarray, landmarks: np.ndarray) -> float:
    """The mean squared error of pictures uint8 [H, W, C] inside the hull of landmarks [68, 2] in pixels."""
    hull = cv2.convexHull(landmarks.astype(np.int32))
    inside = cv2.fillConvexPoly(np.zeros(y.shape[:2], np.uint8), hull, 1) > 0
    return ((x[inside].astype(np.float64) - y[inside]) ** 2).mean() if inside.any() else 0.0


def ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Mean over pictures uint8 [N, H, W, C] of their structural similarity, where the whole window is inside them."""
    rim = WINDOW // 2
    maps = [ssim_map(a, b)[rim:-rim, rim:-rim].mean() for a, b in zip(np.asarray(x), np.asarray(y))]
    return round(float(np.mean(maps)), 4)


def ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity at every pixel of uint8 pictures [H, W, C], mirrored at their edges (Wang et al. 2004)."""

    def blur(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REFLECT)

    a, b = a.astype(np.float64), b.astype(np.float64)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    cov = blur(a * b) - mean_a * mean_b
    return (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))

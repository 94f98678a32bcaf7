"""PSNR and SSIM of a video against the true one, inside a mask: where the renderer gives the truth."""

import math
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np

from dfjax.data.media.inputs import iter_frames
from dfjax.errors import InputError


def compare_truth(video: str | Path, truth: str | Path, mask: str | Path | None = None) -> dict:
    """PSNR in dB and SSIM of a video against the true one, inside the mask (white, above half) or everywhere.

    PSNR is of the mean squared error over all such pixels of all frames; SSIM is the mean over them (see `ssim_map`).

    Raises:
        InputError: the videos differ in length or size, or the mask is black throughout.
    """
    squared, similar, pixels = 0.0, 0.0, 0
    paths = [video, truth] if mask is None else [video, truth, mask]
    for a, b, *inside in zip_longest(*((rgb for _, _, rgb, _ in iter_frames(path)) for path in paths)):
        for frame, path in zip([a, b, *inside], paths):
            if a is None or frame is None or frame.shape != a.shape:
                short, other = (video, truth) if a is None else (path, video)
                raise InputError(f'{short}: its frames differ in number or size from those of {other}')
        inside = inside[0][..., 0] > 127 if inside else np.ones(a.shape[:2], bool)
        squared += ((a[inside].astype(np.float64) - b[inside]) ** 2).mean(-1).sum()
        similar += ssim_map(a, b)[inside].mean(-1).sum()
        pixels += int(inside.sum())
    if not pixels:
        raise InputError(f'{mask}: black throughout; it must be white where the videos are compared')
    psnr = 10 * math.log10(255**2 / max(squared / pixels, 1e-10))
    return {'psnr': round(psnr, 3), 'ssim': round(float(similar / pixels), 4)}


def ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity at every pixel of uint8 pictures [H, W, C]; 11×11 gaussian of 1.5 px (Wang et al. 2004)."""

    def blur(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)

    a, b = a.astype(np.float64), b.astype(np.float64)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    cov = blur(a * b) - mean_a * mean_b
    return (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))

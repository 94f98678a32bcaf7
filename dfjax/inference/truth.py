"""PSNR and SSIM of a video against the true one, inside a mask: where the renderer gives the truth."""

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from dfjax.errors import InputError


def compare_truth(video: str | Path, truth: str | Path, mask: str | Path | None = None) -> dict:
    """PSNR in dB and SSIM of a video against the true one, inside the mask (white, above half) or everywhere.

    PSNR is of the mean squared error over all such pixels of all frames; SSIM is the mean over them (see `ssim_map`).

    Raises:
        InputError: the videos differ in length or size, or the mask is black throughout.
    """
    squared, similar, pixels = 0.0, 0.0, 0
    masks = (m for _, m in _frames(mask)) if mask is not None else None
    for a, b, m in _together(video, truth, masks, mask):
        inside = np.ones(a.shape[:2], bool) if m is None else m[..., 0] > 127
        error = (a[inside].astype(np.float64) - b[inside]) ** 2  # [P, 3]
        squared += error.mean(-1).sum()
        similar += ssim_map(a, b)[inside].mean(-1).sum()
        pixels += int(inside.sum())
    if not pixels:
        raise InputError(f'{mask or video}: no pixel to compare; the mask must be white over the face')
    return {
        'psnr': round(10 * math.log10(255**2 / max(squared / pixels, 1e-10)), 3),
        'ssim': round(similar / pixels, 4),
    }


def _together(
    video: str | Path, truth: str | Path, masks: Iterable | None, mask: str | Path | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Frames of videos that must agree in number and size."""
    iterators = [(rgb for _, rgb in _frames(video)), (rgb for _, rgb in _frames(truth))]
    names = [str(video), str(truth)]
    if masks is not None:
        iterators.append(iter(masks))
        names.append(str(mask))
    while True:
        frames = [next(it, None) for it in iterators]
        if all(f is None for f in frames):
            return
        for frame, name in zip(frames[1:], names[1:]):
            if frame is None or frames[0] is None or frame.shape != frames[0].shape:
                raise InputError(f'{name}: its frames differ in number or size from those of {names[0]}')
        yield frames[0], frames[1], frames[2] if masks is not None else None


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

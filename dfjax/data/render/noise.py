"""Repeatable noise: one tile, made once, read at any place and scale."""

from functools import lru_cache

import cv2
import numpy as np

from dfjax.data.render.surface import Array

TILE = 512


@lru_cache(1)
def tile() -> Array:
    """[TILE, TILE] noise of mean 0 and deviation 1 that repeats at its edges; power falls from 4 to 32 pixels."""
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(TILE), np.fft.fftfreq(TILE)))
    white = np.fft.fft2(np.random.default_rng(7).standard_normal((TILE, TILE)))
    out = np.fft.ifft2(white * np.exp(-((f / 0.12) ** 2)) / (f + 0.03)).real
    return ((out - out.mean()) / out.std()).astype(np.float32)


def noise(x: Array, y: Array, grain: float, shift: float = 0.0) -> Array:
    """Noise at (x, y) [h, w]: features about `grain` wide, in the unit of x and y."""
    k = 6 / grain
    return cv2.remap(tile(), _wrapped(x * k + 977 * shift), _wrapped(y * k + 613 * shift), cv2.INTER_LINEAR)


def _wrapped(x: Array) -> Array:
    """x modulo the tile; its last row and column, where the look-up cannot wrap, are left out."""
    n = np.float32(TILE - 1)
    return (x - np.floor(x * (1 / n)) * n).astype(np.float32)

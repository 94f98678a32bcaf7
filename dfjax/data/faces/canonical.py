"""Canonical faces: shape-normalised, bent so that every landmark lies where the mean face has it (Cootes et al. 2001).

Two such pictures of one person differ in expression and light alone, not in where things are: much less to learn.
"""

import functools

import cv2
import numpy as np

from dfjax.data.faces.align import mean_landmarks
from dfjax.data.faces.mask import rasterise
from dfjax.ops.geometry import to_pixels

ROOM = 1.05  # scale of the hull of the features about its middle: landmarks lie within


def mean_shape(face_type: str) -> np.ndarray:
    """The mean face's landmarks in an aligned crop, in units of its side: float64 [68, 2]."""
    return mean_landmarks(face_type, 1) + 0.5


@functools.lru_cache(maxsize=2)
def mean_features(face_type: str, size: int) -> np.ndarray:
    """Where the mean face has brows, eyes, nose and mouth, and all between them: [size, size], 0 to 1."""
    points = mean_shape(face_type)[17:] * size - 0.5
    points = points.mean(0) + ROOM * (points - points.mean(0))
    return rasterise(cv2.convexHull(points.astype(np.float32))[:, 0], size).astype(np.float32) / 255


def to_canonical(face: dict, face_type: str, size: int) -> dict:
    """An aligned face in the shape of the mean face.

    Args:
        face: 'image' uint8 [T, T, 3], 'mask' uint8 [T, T], 'landmarks' [68, 2] in unit coordinates.
        face_type: as which it is aligned.
        size: S, T or less.

    Returns:
        'image' [S, S, 3] and 'mask' [S, S], bent; 'landmarks' as they were.
    """
    stored = face['image'].shape[0]
    at = to_pixels(_basis(face_type, stored) @ face['landmarks'], stored)  # [T, T, 2]
    image = cv2.remap(face['image'], at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.remap(face['mask'], at, None, cv2.INTER_LINEAR)  # nothing outside the picture is face
    if size != stored:
        image, mask = (cv2.resize(x, (size, size), interpolation=cv2.INTER_AREA) for x in (image, mask))
    return {'image': image, 'mask': mask, 'landmarks': face['landmarks']}


@functools.lru_cache(maxsize=2)
def _basis(face_type: str, size: int) -> np.ndarray:
    from dfjax.ops.thinplate import spline_basis

    return spline_basis(mean_shape(face_type), size)

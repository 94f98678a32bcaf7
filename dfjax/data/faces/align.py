"""Aligned crops: face types, their templates and the matrices to them.

A type is a template (where the brows, the eyes, the nose and the corners of the mouth should lie) and how much room is
left around it, as in DeepFaceLab: the crop's side is (1 + 2 sqrt(2) padding) times the template's unit, and whole_face
and head look up by a share of the unit.
"""

from dataclasses import dataclass

import numpy as np

from dfjax.data.faces.warp import apply, crop
from dfjax.errors import InputError

__all__ = ['ALIGNED', 'FACE_TYPES', 'align_matrices', 'crop', 'mean_landmarks', 'template', 'unit']

# Brows, nose, eyes and the corners of the mouth: not the jaw, which is uncertain, nor the lips, which open.
ALIGNED = (*range(17, 49), 54)


@dataclass(frozen=True)
class FaceType:
    """`padding` around the unit square, shift `up` and shift away from the gaze (`back`), in units."""

    padding: float
    up: float = 0.0
    back: float = 0.0


FACE_TYPES = {
    'half': FaceType(0.0),
    'mid': FaceType(0.0675),
    'full': FaceType(0.2109375),
    'whole_face': FaceType(0.40, up=0.07),
    'head': FaceType(0.70, up=0.50, back=0.25),
}

# The mean of the upright faces of four people as this package's landmarks see them, made symmetric, in the unit square:
# from brow to brow its width, from the brows to the lower lip (at 0.986) its height. iBUG's order of 68 points.
MEAN_FACE = np.array(
    [
        *[(-0.076, 0.280), (-0.071, 0.439), (-0.047, 0.597), (-0.011, 0.750), (0.040, 0.894), (0.121, 1.025)],  # jaw
        *[(0.227, 1.135), (0.353, 1.216), (0.500, 1.244), (0.647, 1.216), (0.773, 1.135)],  # chin
        *[(0.879, 1.025), (0.960, 0.894), (1.011, 0.750), (1.047, 0.597), (1.071, 0.439), (1.076, 0.280)],  # jaw
        *[(0.000, 0.099), (0.080, 0.034), (0.186, 0.014), (0.296, 0.028), (0.399, 0.073)],  # right brow
        *[(0.601, 0.073), (0.704, 0.028), (0.814, 0.014), (0.920, 0.034), (1.000, 0.099)],  # left brow
        *[(0.500, 0.212), (0.500, 0.318), (0.500, 0.424), (0.500, 0.532)],  # ridge of the nose
        *[(0.386, 0.617), (0.441, 0.639), (0.500, 0.655), (0.559, 0.639), (0.614, 0.617)],  # its base
        *[(0.114, 0.236), (0.185, 0.196), (0.269, 0.199), (0.344, 0.253), (0.264, 0.268), (0.180, 0.268)],  # right eye
        *[(0.656, 0.253), (0.731, 0.199), (0.815, 0.196), (0.886, 0.236), (0.820, 0.268), (0.736, 0.268)],  # left eye
        *[(0.262, 0.829), (0.359, 0.782), (0.441, 0.747), (0.500, 0.763), (0.559, 0.747), (0.641, 0.782)],  # upper lip
        *[(0.738, 0.829), (0.645, 0.949), (0.566, 0.988), (0.500, 0.995), (0.434, 0.988), (0.355, 0.949)],  # lower lip
        *[(0.324, 0.855), (0.440, 0.817), (0.500, 0.820), (0.560, 0.817), (0.676, 0.855)],  # between the lips, above
        *[(0.561, 0.892), (0.500, 0.899), (0.439, 0.892)],  # and below
    ]
)


def check_face_type(face_type: str) -> None:
    """Raises InputError for a name that is not in FACE_TYPES."""
    if face_type not in FACE_TYPES:
        raise InputError(f'face type {face_type!r} is unknown: choose one of {", ".join(FACE_TYPES)}')


def unit(face_type: str, size: int) -> float:
    """Pixels of a crop of `size` pixels that the template's unit takes."""
    check_face_type(face_type)
    return size / (1 + 2 * np.sqrt(2) * FACE_TYPES[face_type].padding)


def mean_landmarks(face_type: str, size: int) -> np.ndarray:
    """Where the landmarks of the mean face lie in a crop of `size` pixels: float64 [68, 2]."""
    scale = unit(face_type, size)
    return (MEAN_FACE - (0.5, 0.5 - FACE_TYPES[face_type].up)) * scale + (size - 1) / 2


def template(face_type: str, size: int) -> np.ndarray:
    """Where the points ALIGNED should lie in a crop of `size` pixels: float64 [33, 2]."""
    return mean_landmarks(face_type, size)[list(ALIGNED)]


def align_matrices(landmarks: np.ndarray, face_type: str, size: int) -> np.ndarray:
    """The similarities from source pixels to the pixels of aligned crops.

    Args:
        landmarks: [N, 68, 2] in source pixels.
        face_type: one of FACE_TYPES.
        size: side of the crops in pixels.

    Returns:
        float64 [N, 2, 3].
    """
    goal = template(face_type, size)
    points = np.asarray(landmarks, np.float64)[:, ALIGNED]  # [N, 33, 2]
    mean = points.mean(1)
    s, d = ((p - p.mean(-2, keepdims=True)) @ (1, 1j) for p in (points, goal))  # complex: [N, 33], [33]
    factor = (s.conj() @ d) / (s.conj() * s).sum(-1).real  # [N], scale and rotation (Umeyama 1991), as `ops.geometry`
    cos, sin = factor.real, factor.imag
    linear = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)  # [N, 2, 2]
    shift = goal.mean(0) - (linear @ mean[..., None])[..., 0]  # [N, 2]
    matrices = np.concatenate([linear, shift[..., None]], -1)
    if FACE_TYPES[face_type].back:
        matrices[:, 0, 2] += FACE_TYPES[face_type].back * unit(face_type, size) * _turned(landmarks, matrices)
    return matrices


def _turned(landmarks: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """How far faces [N, 68, 2] look to the side: -1 (left in the picture) to 1, little near 0, so that a face that
    looks ahead stays in the middle."""
    x = np.stack([apply(m, p)[[0, 27, 16], 0] for m, p in zip(matrices, np.asarray(landmarks, np.float64))])
    left, right = np.abs(x[:, 1] - x[:, 0]), np.abs(x[:, 2] - x[:, 1])
    yaw = (left - right) / (left + right)
    return yaw * np.abs(np.tanh(2 * yaw))

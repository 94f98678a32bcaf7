"""The Frechet distance between two sets of pictures in the space of dlib's face descriptors, not Inception's.

As the Frechet inception distance (Heusel et al. 2017), with dlib's 128 numbers (King 2017) in place of Inception's:
each set is described by the mean and covariance of its descriptors, and the distance is that of the two Gaussians.
Faces are aligned, so where the landmarks lie is known, nothing has to be detected, and every picture has a descriptor,
however bad. It falls with the number of pictures, so it is worth comparing only at one number, and beside its floor:
the distance of two sets of real pictures, of as many each.
"""

from collections.abc import Iterable

import numpy as np

from dfjax.data.faces.align import ALIGNED, template
from dfjax.data.faces.identity import face_chip
from dfjax.data.sets.rendered import FACE_TYPE
from dfjax.inference.descriptor import describe


def descriptors(pictures: Iterable[np.ndarray], face_type: str = FACE_TYPE) -> np.ndarray:
    """dlib's descriptor of each picture, on the device that there is: float32 [N, 128].

    Args:
        pictures: uint8 [N, S, S, 3], faces aligned as `face_type`; of anything else, the middle is described.
        face_type: as in `faces.align.FACE_TYPES`.
    """
    return describe([face_chip(picture, standard_landmarks(face_type, picture.shape[0])) for picture in pictures])


def standard_landmarks(face_type: str, size: int) -> np.ndarray:
    """Where the landmarks of an aligned face should lie: [68, 2] pixels.

    Jaw and lower lip, which dlib's descriptor does not look at, are put in the middle.
    """
    aligned = template(face_type, size)
    points = np.tile(aligned.mean(0), (68, 1))
    points[list(ALIGNED)] = aligned
    left, right = points[48], points[54]
    down = (right - left)[::-1] * (-1, 1)  # as long as the mouth is wide
    for lip, high in ((range(49, 54), -0.09), (range(60, 65), 0.0)):
        across = np.linspace(0, 1, 7)[1:-1, None]
        points[list(lip)] = left + across * (right - left) + high * down
    return points


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """The distance of two sets of features [N, D] and [M, D], in float64.

    Raises:
        ValueError: if a set has fewer than two.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f'a covariance needs two or more, not {len(a)} and {len(b)}')
    fits = [(np.mean(x, 0, np.float64), np.atleast_2d(np.cov(np.asarray(x, np.float64).T))) for x in (a, b)]
    return gaussian_distance(*fits[0], *fits[1])


def gaussian_distance(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """The squared Wasserstein distance of two Gaussians (Dowson and Landau 1982), means [D], covariances [D, D].

    |m_a - m_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), by symmetric eigenvalues alone: covariances may be singular.
    """
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ cov_b @ root)
    spread = np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(np.maximum(inner, 0)).sum()
    return float(np.sum((mean_a - mean_b) ** 2) + max(spread, 0.0))

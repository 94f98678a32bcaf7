"""Measured faces that are drawn by number, and videos of given frames. It is not a test."""

import numpy as np

from dfjax.data.media.video import VideoWriter
from dfjax.evaluation.measure import Measured


def face_shape(rng) -> np.ndarray:
    """68 points with two eyes apart and everything else around them."""
    points = rng.uniform(-40, 40, (68, 2))
    points[36:42] += (-60, 0)
    points[42:48] += (60, 0)
    return points.astype(np.float32)


def measured(landmarks, descriptors, detail=1.0, name='x.mp4') -> Measured:
    n = len(landmarks)
    return Measured(name, n, np.asarray(landmarks, np.float32), np.asarray(descriptors), np.full(n, detail))


def still(rng, frames=6, **kwargs):
    return measured(np.repeat(face_shape(rng)[None], frames, 0), rng.normal(size=(frames, 128)), **kwargs)


def write(path, frames):
    with VideoWriter(path, 25, frames[0].shape[1::-1]) as writer:
        for frame in frames:
            writer.write(frame)
    return path

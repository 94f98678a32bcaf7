"""A face as another program describes it, and reading its facts with suspicion."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dfjax import foreign
from dfjax.data.faces.face import Face
from dfjax.data.faces.polygons import Outlines


@dataclass(frozen=True, eq=False)
class ForeignFace:
    """A face, and what shows it.

    Attributes:
        path: the file that says so.
        face: in pixels of its source, as this package has it.
        picture: uint8 RGB [H, W, 3], the source or an aligned part of it.
        matrix: float64 [2, 3], source pixels to picture pixels.
        face_type: how much an aligned part shows, see `faces.align`; None where it is the source.
        drawn: polygons that a person drew, in picture pixels.
        mask: what a net saw of the face, uint8 [M, M], and the matrix [2, 3] from picture pixels to its own.
        whose: who made outlines or mask; '' for nobody.
    """

    path: Path
    face: Face
    picture: np.ndarray
    matrix: np.ndarray
    face_type: str | None = None
    drawn: Outlines | None = None
    mask: tuple[np.ndarray, np.ndarray] | None = None
    whose: str = ''


def numbers(value: Any, *shape: int | None) -> np.ndarray:
    """Lists of numbers or an array as float64, finite, in a shape in which None is any length; ValueError else."""
    if not isinstance(value, list | np.ndarray):
        raise ValueError('no list of numbers')
    return foreign.floats(np.array(value), *shape)


def landmarks(value: Any) -> np.ndarray:
    """68 landmarks float32 [68, 2], with some room between them; ValueError else."""
    points = numbers(value, 68, 2)
    if np.ptp(points, 0).min() < 1:
        raise ValueError('landmarks that are all in one place')
    return points.astype(np.float32)


def table(value: Any) -> dict:
    """`value` if it is a table; ValueError else."""
    if not isinstance(value, dict):
        raise ValueError('no table')
    return value

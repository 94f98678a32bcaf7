"""A face by seven clicked points, where no detector finds one: animals, drawings, masks."""

from collections.abc import Sequence

import numpy as np

from dfjax.errors import InputError
from dfjax.inference.head import LANDMARKS, load_head
from dfjax.inference.mouth import spline

NAMES = (
    'the middle of the left eye (left as you see it)',
    'the middle of the right eye',
    'the tip of the nose',
    'the left corner of the mouth',
    'the right corner of the mouth',
    'the middle of the line between the lips',
    'the chin',
)
SEVEN = ('left eye', 'right eye', 'nose', 'left corner of the mouth', 'right corner', 'middle of the mouth', 'chin')
ROWS = ([36, 37, 38, 39, 40, 41], [42, 43, 44, 45, 46, 47], [30], [48, 60], [54, 64], [62, 66], [8])
HELP = '--points "x,y x7": ' + ', '.join(SEVEN)


def parse_points(text: str) -> np.ndarray:
    """'210,180 300,182 ...' as float64 [7, 2]; InputError for anything else."""
    words = text.split()
    try:
        points = np.array([[float(value) for value in word.split(',')] for word in words])
    except ValueError:
        points = np.zeros(0)
    if points.shape != (7, 2) or not np.isfinite(points).all():
        raise InputError(f'--points {text!r}: give seven points x,y in pixels: {", ".join(SEVEN)}')
    return points


def clicked_landmarks(points: Sequence | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """68 landmarks [68, 2] of a face whose seven points [7, 2] are NAMES: those of a mean face, bent to them.

    Args:
        size: (width, height) of the picture.

    Raises:
        InputError: a point outside the picture, or points in another order.
    """
    points = np.asarray(points, np.float64)
    for (x, y), name in zip(points, SEVEN):
        if not (0 <= x < size[0] and 0 <= y < size[1]):
            raise InputError(f'--points: {name} at {x:g},{y:g} is outside the picture of {size[0]} x {size[1]} pixels')
    left, right, nose, left_corner, right_corner, middle, chin = points
    across, down = right - left, (middle - (left + right) / 2)
    if across[0] <= 0:
        raise InputError('--points: the first is the eye at the left of the picture, the second the one at its right')
    if (right_corner - left_corner) @ across <= 0:
        raise InputError('--points: the fourth is the corner of the mouth at the left, the fifth the one at its right')
    heights = [p @ down for p in ((left + right) / 2, nose, middle, chin)]
    if sorted(heights) != heights or len(set(heights)) < 4:
        raise InputError(
            f'--points: eyes, nose, mouth and chin must follow each other; the order is {", ".join(SEVEN)}'
        )
    mean = load_head().mean[:LANDMARKS, :2]
    return spline(np.stack([mean[row].mean(0) for row in ROWS]), points, mean, stiffness=0.0)

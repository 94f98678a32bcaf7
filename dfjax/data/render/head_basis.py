"""What heads look like in three dimensions: a linear basis out of our own renderer, for those who fit one to landmarks.

    python -m dfjax.data.render.head_basis

writes `head3d.npz` beside this file: the mean of 68 landmarks and 17 points of the outline over random people, and the
main directions in which people differ, and in which a face moves. Axes are the camera's: x to the right, y down, z away
from it; the unit is the distance between the eyes' centres of the mean head, and the origin lies between the ears.
"""

import sys
from pathlib import Path

import numpy as np

from dfjax.data.media.output import atomic_path
from dfjax.data.render import features
from dfjax.data.render.head import head, moment
from dfjax.data.render.parameters import EXPRESSION, Params, draw, random_identity
from dfjax.data.render.surface import Array, look_up

FILE = Path(__file__).with_name('head3d.npz')
PEOPLE, FACES = 240, 6  # faces of each, beside the one at rest
IDENTITIES, EXPRESSIONS = 12, 10  # directions that are kept
REST = {name: 0.0 for name in EXPRESSION} | {'yaw': 0.0, 'pitch': 0.0, 'roll': 0.0}
EYES = (slice(36, 42), slice(42, 48))
SKIN = 48  # pixels of a map that nobody looks at


def outline_directions() -> Array:
    """Unit directions [17, 3] from the middle of the head: nine from ear to ear over its top, eight over the forehead
    and the sides of the face."""
    over = np.radians(np.linspace(0, 180, 9))
    front = np.radians(np.linspace(-10, 190, 8))
    top = np.stack([np.cos(over), np.sin(over), np.full(9, -0.1)], 1)
    face = np.stack([0.8 * np.cos(front), 0.75 * np.sin(front), np.full(8, 0.45)], 1)
    d = np.concatenate([top, face])
    return (d / np.linalg.norm(d, axis=1, keepdims=True)).astype(np.float32)


def head_points(identity: Params, motion: Params) -> Array:
    """The 68 landmarks and 17 points on the outline, hair included, of a head at the origin: [85, 3], decimetres.

    Args:
        identity, motion: scalars; of `motion` the expression alone counts.
    """
    still = head(identity, SKIN)
    now = moment(identity, motion, still)
    d = outline_directions()
    outline = d * look_up(now.outside, d.T[:, None])[0][:, None]
    return np.concatenate([features.landmarks(identity, motion, now.skin, still.rest), outline])


def make_basis(people: int = PEOPLE, faces: int = FACES) -> dict[str, Array]:
    """The arrays of the file: 'mean' [85, 3], 'identity' [12, 85, 3], 'expression' [10, 85, 3]; both in standard
    deviations, so that 1 is a usual amount. float32."""
    rest, moved = [], []
    for n in range(people):
        person = {name: float(v) for name, v in random_identity(n).items()}
        person['fringe'] = 0.0
        at_rest = head_points(person, REST)
        rest.append(at_rest)
        for k in range(faces):
            face = {name: float(v) for name, v in draw(EXPRESSION, n * faces + k).items()}
            moved.append(head_points(person, REST | face) - at_rest)
    rest, moved = np.stack(rest) * [1, -1, -1], np.stack(moved) * [1, -1, -1]
    left, right = (rest[:, eye].mean((0, 1)) for eye in EYES)
    unit = float(np.linalg.norm(right - left))
    mean = rest.mean(0)
    found = {
        'mean': mean,
        'identity': directions(rest - mean, IDENTITIES),
        'expression': directions(moved, EXPRESSIONS),
    }
    return {name: np.float32(array / unit) for name, array in found.items()}


def directions(moves: Array, count: int) -> Array:
    """The main directions [count, K, 3] of moves [N, K, 3], each as long as its root mean square over them."""
    flat = moves.reshape(len(moves), -1)
    _, size, rows = np.linalg.svd(flat, full_matrices=False)
    return (rows[:count] * size[:count, None] / np.sqrt(len(flat))).reshape(count, *moves.shape[1:])


def main(path: Path = FILE) -> None:
    """Writes the file."""
    arrays = make_basis()
    with atomic_path(path, force=True) as part:
        np.savez_compressed(part, **arrays)
    print(f'{path}: {path.stat().st_size / 1e3:.0f} kB')


if __name__ == '__main__':
    main(*map(Path, sys.argv[1:]))

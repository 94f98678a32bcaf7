"""Small face sets of noise, for tests."""

import json

import numpy as np

from dfjax.data.faces.face import Face
from dfjax.data.faces.faceset import FaceSetWriter
from dfjax.data.media.inputs import ROWS

SIZE, COUNT = 48, 6
# A frontal face in units of the picture's side: jaw, brows, nose, eyes, mouth, as the 68 landmarks go.
JAW = [(0.5 - 0.34 * np.cos(t), 0.45 + 0.45 * np.sin(t)) for t in np.linspace(0, np.pi, 17)]
BROWS = [(x, 0.33) for x in np.r_[np.linspace(0.24, 0.44, 5), np.linspace(0.56, 0.76, 5)]]
NOSE = [(0.5, y) for y in np.linspace(0.42, 0.58, 4)] + [(x, 0.62) for x in np.linspace(0.44, 0.56, 5)]
EYE = np.array([(-0.06, 0), (-0.02, -0.02), (0.02, -0.02), (0.06, 0), (0.02, 0.02), (-0.02, 0.02)])
MOUTH = [(0.5 - 0.1 * np.cos(t), 0.74 - 0.04 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 20, endpoint=False)]
FACE = np.array([*JAW, *BROWS, *NOSE, *np.add(EYE, (0.34, 0.42)), *np.add(EYE, (0.66, 0.42)), *MOUTH])  # [68, 2]


def picture(n: int, size: int = SIZE) -> np.ndarray:
    """Noise over a grey that rises with n."""
    noise = np.random.default_rng(n).normal(0, 25, (size, size, 3))
    return np.clip(70 + 20 * n + noise, 0, 255).astype(np.uint8)


def write_faces(path, count=COUNT, size=SIZE, source='one.mp4', draw=picture, descriptor=True, **options):
    """A face set of noise: face n is from frame 3n, twice as large in its source, at (10n, 5)."""
    person = np.random.default_rng(0).normal(0, 0.1, 128).astype(np.float32)
    outline = np.concatenate([FACE[:17], FACE[26:16:-1] - (0, 0.15)]) * size
    with FaceSetWriter(path, 'full', size, **options) as writer:
        for n in range(count):
            corner = np.array([10.0 * n, 5.0])
            face = Face(
                source=source,
                frame=3 * n,
                time=n / 8,
                box=(*corner, *(corner + 2 * size)),
                score=1.0,
                landmarks=(FACE * 2 * size + corner).astype(np.float32),
                descriptor=person + np.float32(0.001 * n) if descriptor else None,
            )
            writer.add(draw(n, size), face, np.array([[0.5, 0, -corner[0] / 2], [0, 0.5, -corner[1] / 2]]), outline)
    return path


def edit_line(path, number: int, change) -> None:
    """Rewrites a line of faces.jsonl (counted from 1) by a function of its text."""
    lines = (path / ROWS).read_text().splitlines()
    lines[number - 1] = change(lines[number - 1])
    (path / ROWS).write_text('\n'.join(lines) + '\n')


def edit_row(path, number: int, **values) -> None:
    edit_line(path, number, lambda line: json.dumps(json.loads(line) | values))

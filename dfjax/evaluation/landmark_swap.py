"""Figures of the face swap that is told landmarks: whether what it paints is seen as a face, and where."""

import functools

import cv2
import jax
import numpy as np

from dfjax.data.kinds import open_streams
from dfjax.evaluation.measure import choose_box, load_models
from dfjax.inference.run import Run
from dfjax.ops.geometry import to_pixels
from dfjax.ops.image import to_float, to_uint8

FACES, AT_ONCE = 256, 32
SIDE = 256  # pixels a side of what is looked at: the detector finds faces from 80 px on


def figures(run: Run, *, data: str | None = None) -> dict:
    """'found', the share of painted faces in which a detector finds a face, by which landmarks are then found;
    'found_input', that of the pictures that they are made from; 'off', the mean distance of the landmarks found from
    those that were asked for, in distances between the eyes; 'faces'.

    Args:
        run: of system landmark_swap.
        data: faces of the person in the video; by default those of `data.a`, whose swaps no run has learnt from.

    Raises:
        InputError: as `open_streams`.
    """
    cfg, system = run.cfg, run.system
    section = cfg.data.copy_and_resolve_references()
    section.a = data or section.a
    faces = open_streams('faces_ab', section)['a']
    places = np.linspace(0, len(faces) - 1, min(len(faces), FACES)).round().astype(int)
    items = [faces[int(n)] for n in places]
    pictures, landmarks = (np.stack([item[name] for item in items]) for name in ('image', 'landmarks'))
    paint = jax.jit(lambda params, *x: to_uint8(system.swap(cfg, params, run.frozen, to_float(x[0]), x[1])[0]))
    parts = [slice(i, i + AT_ONCE) for i in range(0, len(items), AT_ONCE)]
    painted = np.concatenate([np.asarray(paint(run.params, pictures[part], landmarks[part])) for part in parts])
    asked = np.asarray(system.moved(run.params, landmarks, 'b'))
    look = functools.partial(seen, load_models())
    points, before = ([look(picture) for picture in many] for many in (painted, pictures))
    off = [distance(point, to_pixels(want, SIDE)) for point, want in zip(points, asked) if point is not None]
    share = lambda found: round(float(np.mean([point is not None for point in found])), 4)
    apart = round(float(np.mean(off)), 4) if off else None
    return {'found': share(points), 'found_input': share(before), 'off': apart, 'faces': len(items)}


def seen(models: tuple, picture: np.ndarray) -> np.ndarray | None:
    """Landmarks [68, 2] of a picture uint8 [S, S, 3] enlarged to SIDE, or None where no face is found."""
    detect, landmark = models
    picture = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    box = choose_box([box for box, _ in detect(picture)], None)
    return None if box is None else landmark(picture, box)


def distance(points: np.ndarray, others: np.ndarray) -> float:
    """Mean distance of landmarks [68, 2] from others, in distances between the others' eyes."""
    eyes = np.linalg.norm(others[42:48].mean(0) - others[36:42].mean(0))
    return float(np.linalg.norm(points - others, axis=1).mean() / eyes)

"""Rendered heads as the default detector sees them: found, landmarks near the truth, told apart, and expressive."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from straight_heads import motion, people

from dfjax.data import render as heads
from dfjax.data.faces.brows import find_brows


@pytest.fixture(scope='module')
def dlib_models():
    dlib = pytest.importorskip('dlib')
    folder = importlib.util.find_spec('face_recognition_models').submodule_search_locations[0]
    where = Path(folder) / 'models'
    return (
        dlib.get_frontal_face_detector(),
        dlib.shape_predictor(str(where / 'shape_predictor_68_face_landmarks.dat')),
        dlib.face_recognition_model_v1(str(where / 'dlib_face_recognition_resnet_model_v1.dat')),
    )


def found(models, image: np.ndarray):
    """Landmarks and descriptor of the largest face; None without one."""
    detector, predictor, network = models
    boxes = detector(image, 0)
    if not boxes:
        return None
    shape = predictor(image, max(boxes, key=lambda b: b.area()))
    points = np.array([[p.x, p.y] for p in shape.parts()], np.float32)
    return points, np.array(network.compute_face_descriptor(image, shape))


def eye_distance(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[..., 36:42, :].mean(-2) - points[..., 42:48, :].mean(-2), axis=-1)


def brow_heights(points: np.ndarray) -> list[float]:
    """Of both brows over their eyes, in distances of the eyes, upright."""
    right, left = (points[eye].mean(0) for eye in (slice(36, 42), slice(42, 48)))
    up = np.array([left[1] - right[1], right[0] - left[0]]) / eye_distance(points) ** 2
    return [(points[17:22].mean(0) - right) @ up, (points[22:27].mean(0) - left) @ up]


def test_the_default_detector_finds_the_heads_and_their_landmarks(dlib_models):
    how = heads.stack([heads.random_motion(100 + k) for k in range(40)])
    out = heads.render(people(40, 100), how, 256)
    seen = [found(dlib_models, image) for image in out.image]
    assert sum(s is not None for s in seen) >= 38
    pairs = [(s[0], p) for s, p in zip(seen, out.landmarks) if s]
    errors = [np.linalg.norm(a - b, axis=1) / eye_distance(b) for a, b in pairs]
    assert np.median(errors) < 0.065
    plain, true = (np.concatenate([brow_heights(pair[k]) for pair in pairs]) for k in (0, 1))
    moved = [brow_heights(find_brows(image, s[0])) for image, s in zip(out.image, seen) if s]
    like_truth = lambda heights: np.corrcoef(heights, true)[0, 1]
    assert like_truth(np.concatenate(moved)) > max(0.5, like_truth(plain) + 0.15)


def test_identities_are_told_apart_by_the_descriptor(dlib_models):
    count, views = 8, 3
    rows = [heads.random_identity(50 + k) for k in range(count) for _ in range(views)]
    how = heads.stack([heads.random_motion(k) for k in range(count * views)])
    out = heads.render(heads.stack(rows), how, 256)
    seen = [(n // views, s[1]) for n, s in enumerate(found(dlib_models, im) for im in out.image) if s]
    who, codes = np.array([w for w, _ in seen]), np.array([c for _, c in seen])
    apart = np.linalg.norm(codes[:, None] - codes[None], axis=-1)
    same = (who[:, None] == who[None]) & ~np.eye(len(who), dtype=bool)
    other = who[:, None] != who[None]
    assert apart[other].mean() > 1.4 * apart[same].mean()


def test_expressions_move_the_predicted_landmarks(dlib_models):
    who = heads.random_identity(20) | {'fringe': 0.0, 'glasses': 0.0}
    calm, wide, glad = (
        found(dlib_models, heads.render(who, motion(**c), 256).image[0])[0] for c in ({}, {'open': 0.8}, {'smile': 1})
    )
    scale = eye_distance(calm)
    gap = lambda p: (p[66, 1] - p[62, 1]) / scale
    width = lambda p: (p[54, 0] - p[48, 0]) / scale
    assert gap(wide) > gap(calm) + 0.15
    assert width(glad) > width(calm) + 0.06

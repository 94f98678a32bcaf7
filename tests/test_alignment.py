"""Aligned crops: against scikit-image, and where every pixel comes from."""

import subprocess
import sys

import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from dfjax.data.faces.align import ALIGNED, FACE_TYPES, MEAN_FACE, align_matrices, crop, template
from dfjax.data.faces.warp import apply, apply_inverse, similarity
from dfjax.errors import InputError


@pytest.mark.parametrize('face_type', FACE_TYPES)
def test_alignment_equals_scikit_image(face_type):
    rng = np.random.default_rng(0)
    points = MEAN_FACE * 300 + rng.normal(0, 9, (5, 68, 2)) + rng.uniform(0, 4000, (5, 1, 2))
    got = align_matrices(points, face_type, 256)
    for matrix, landmarks in zip(got, points):
        want = SimilarityTransform.from_estimate(landmarks[list(ALIGNED)], template(face_type, 256)).params[:2]
        if face_type == 'head':  # it may move sideways
            matrix, want = np.delete(matrix, 2, 1)[:2], np.delete(want, 2, 1)
            np.testing.assert_allclose(matrix, want, atol=1e-12)
        else:
            np.testing.assert_allclose(apply(matrix, landmarks), apply(want, landmarks), atol=1e-8)


def test_alignment_starts_no_jax():
    """`dfjax extract` must not take a device that somebody trains on."""
    code = (
        'import sys; sys.modules["jax"] = None\n'
        'from dfjax.data.faces.align import MEAN_FACE, align_matrices\n'
        'assert align_matrices(MEAN_FACE[None], "full", 64).shape == (1, 2, 3)\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_alignment_puts_a_moved_mean_face_on_the_template():
    moved = apply(similarity(np.array([0.3, 0.2]), 0.004, 0.7, 3), MEAN_FACE)
    for face_type in FACE_TYPES:
        matrix = align_matrices(moved[None], face_type, 128)[0]
        np.testing.assert_allclose(apply(matrix, moved)[list(ALIGNED)], template(face_type, 128), atol=1e-3)


def test_face_types_leave_the_room_they_say():
    eyes = {t: np.ptp(template(t, 1000)[:, 0]) for t in FACE_TYPES}
    assert eyes['half'] == pytest.approx(1000)  # brows from edge to edge
    for face_type, room in FACE_TYPES.items():
        assert eyes['half'] / eyes[face_type] == pytest.approx(1 + 2.8284 * room.padding, rel=1e-4)
    # whole_face and head look up: the face is lower than in the middle.
    middle = {t: template(t, 1000)[:, 1].mean() - template(t, 1000)[:, 0].mean() for t in FACE_TYPES}
    unit = {t: eyes[t] for t in FACE_TYPES}
    assert (middle['whole_face'] / unit['whole_face']) - (middle['full'] / unit['full']) == pytest.approx(0.07)
    assert (middle['head'] / unit['head']) - (middle['full'] / unit['full']) == pytest.approx(0.5)


def test_head_follows_the_skull_when_the_face_turns():
    left = MEAN_FACE.copy()
    left[27:31, 0] -= 0.3  # the nose points to the left of the picture
    ahead, turned = (align_matrices(p[None] * 100, 'head', 256)[0] for p in (MEAN_FACE, left))
    nose_free = [0, 16]
    assert (apply(turned, left * 100) - apply(ahead, MEAN_FACE * 100))[
        nose_free, 0
    ].max() < -1  # more room at the right


def test_unknown_face_type():
    with pytest.raises(InputError, match=r"'huge'.*half, mid, full, whole_face, head"):
        template('huge', 64)


@pytest.mark.parametrize('scale', [0.13, 0.4, 1.0, 2.3])
def test_crop_puts_every_pixel_where_the_matrix_says(scale):
    h, w = 300, 400
    ramp = np.stack([np.tile(np.arange(w) / 2, (h, 1)), np.tile(np.arange(h)[:, None] / 2, (1, w))], -1)
    ramp = np.concatenate([ramp, ramp[..., :1]], -1).round().astype(np.uint8)
    matrix = similarity(np.array([210.3, 140.8]), 32 / scale, 0.3, 32)
    # Ramps down and up: OpenCV rounds halves up, which is no shift.
    got = (crop(ramp, matrix, 32) + 255.0 - crop(255 - ramp, matrix, 32))[2:-2, 2:-2, :2] / 2
    x, y = np.meshgrid(np.arange(2, 30), np.arange(2, 30))
    want = apply_inverse(matrix, np.stack([x, y], -1).reshape(-1, 2)).reshape(28, 28, 2) / 2
    assert np.abs(got - want).max() < 1.5 and abs((got - want).mean()) < 0.05


def test_crop_does_not_alias():
    checks = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    assert crop(checks, similarity(np.array([255.5, 255.5]), 480, 0.1, 64), 64).std() < 3

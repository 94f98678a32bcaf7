"""Figures of SyncNet and Wav2Lip, and what landmarks say of mouths."""

import jax.numpy as jnp
import numpy as np
import pytest
from untrained import untrained

from dfjax.apps.evaluate import evaluate_run
from dfjax.errors import InputError
from dfjax.evaluation.syncnet import REACH, cosines_around
from dfjax.ops import mouth

pytestmark = pytest.mark.whole

CLIPS = 'render:talk:9:2:44'


def face(yaw=0.0, gap=0.1, width=0.5, place=(0.5, 0.4), size=0.3):
    """68 landmarks of which those that count are placed: eyes `size` apart, nose, and the mouth."""
    points = np.zeros((68, 2), np.float32)
    points[36:42], points[42:48] = (-0.5, 0), (0.5, 0)
    points[30] = yaw, 0.6
    points[48:68] = 0, 1
    points[48, 0], points[54, 0] = -width / 2, width / 2
    points[62, 1], points[66, 1] = 1 - gap / 2, 1 + gap / 2
    return points * size + place


def test_pose_and_shape_are_in_distances_of_the_eyes():
    np.testing.assert_allclose(mouth.shape(face(gap=0.2, width=0.7, size=0.13)), [0.2, 0.7], atol=1e-6)
    found = mouth.pose(face(yaw=0.25, place=(0.6, 0.3), size=0.2))
    np.testing.assert_allclose(found, [0.25, 0.6, 0, 3, 1.5, np.log(0.2)], atol=1e-5)


def test_a_reference_is_held_alike_with_another_mouth():
    own = np.stack([face(0.0, 0.02), face(0.3, 0.25)])[None]
    others = np.stack([face(0.0, 0.02), face(0.3, 0.02), face(0.0, 0.25), face(0.31, 0.24)])[None]
    first = jnp.array([3, 0])
    assert mouth.other_mouth(own, others, first).tolist() == [[2, 1]]
    assert mouth.other_mouth(own, np.full_like(others, np.nan), first).tolist() == [[3, 0]]


def test_pixels_weigh_more_in_the_mouth():
    weights = np.asarray(mouth.mouth_weights(face(place=(0.3, 0.4), size=0.2)[None], 64, 3.0))[0, ..., 0]
    np.testing.assert_allclose(weights.mean(), 1, rtol=1e-5)
    y, x = np.unravel_index(weights.argmax(), weights.shape)
    assert abs((x + 0.5) / 64 - 0.3) < 0.02 and abs((y + 0.5) / 64 - 0.6) < 0.02
    np.testing.assert_allclose(weights.max() / weights.min(), 3, rtol=0.02)
    unknown = np.asarray(mouth.mouth_weights(np.full((1, 68, 2), np.nan), 64, 3.0))[0, ..., 0]
    assert np.unravel_index(unknown.argmax(), unknown.shape)[0] in (47, 48)


def test_speech_is_found_where_it_is():
    """Embeddings that say their time, speech two frames late."""
    codes = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]
    loud = np.ones(60)
    loud[40:] = 0
    cosines = cosines_around(codes[:60], codes[2:62], loud)
    assert cosines.shape == (40 - REACH, 2 * REACH + 1)
    assert (cosines.argmax(1) == REACH + 2).all()


def test_figures_of_runs(tmp_path):
    """Of untrained runs: complete, in their ranges, and the same again."""
    sync = evaluate_run(untrained(tmp_path / 'sync', 'syncnet'), data=CLIPS)
    assert set(sync) == {'right', 'right_clips', 'likeness', 'likeness_wrong', 'clips'} and sync['clips'] == 2
    assert 0 <= sync['right'] <= 1
    lips = evaluate_run(untrained(tmp_path / 'lips', 'wav2lip'), data=CLIPS)
    assert lips['windows'] == 8 and lips == evaluate_run(tmp_path / 'lips', data=CLIPS)
    assert 0 < lips['l1_mouth'] < 1 and 0 < lips['l1_reference'] < 1
    assert all(0 < lips[f'distance{what}'] <= 2 for what in ('', '_real', '_wrong', '_noise'))
    with pytest.raises(InputError, match='35 frames'):
        evaluate_run(tmp_path / 'sync', data='render:talk:9:2:24')


def test_mouths_are_upright_wherever_a_head_is():
    """A ramp along the axes of a head that is turned and moved comes back along those of the picture."""
    size, angle, scale, shift = 48, 0.5, 0.8, np.array([0.07, -0.04])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    goal = np.random.default_rng(0).uniform(0.3, 0.7, (68, 2))
    points = (goal - 0.5) @ turn.T + 0.5 + shift
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    at = (np.stack([x, y], -1) - 0.5 - shift) @ np.linalg.inv(turn).T + 0.5  # of the upright head, at each pixel
    found = mouth.aligned(jnp.asarray(at[None], jnp.float32), points[None], goal[mouth.STILL])[0]
    inner = slice(12, 36)
    np.testing.assert_allclose(found[inner, inner], np.stack([x, y], -1)[inner, inner], atol=1e-5)
    unknown = mouth.aligned(jnp.asarray(at[None], jnp.float32), np.full((1, 68, 2), np.nan), goal[mouth.STILL])[0]
    np.testing.assert_allclose(unknown, at, atol=1e-5)

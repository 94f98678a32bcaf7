"""A swap's figures against constructed truth: closed forms, heads of known pose; and the page of what is wrong."""

import numpy as np
import pytest
from measuring import face_shape, measured, still, write
from scipy.spatial.transform import Rotation

from dfjax.errors import InputError
from dfjax.evaluation.report import find_doubts, write_report
from dfjax.evaluation.swap import compare, expression, pose_difference
from dfjax.inference.head import load_head, rotation_matrices, shapes, view

pytestmark = pytest.mark.whole


def test_transfer_is_the_share_of_the_distance_to_the_input():
    rng = np.random.default_rng(0)
    source = measured(still(rng).landmarks, np.zeros((6, 128)))
    person = np.zeros((6, 128))
    person[:, 0] = 1.0
    face = measured(source.landmarks, person)
    for along in (0.0, 0.25, 0.5, 1.0):  # a swap on the line from one person to the other
        figures = compare(measured(source.landmarks, along * person), source, face)
        assert figures['transfer'] == pytest.approx(along, abs=1e-4)
        assert figures['distance_to_face'] == pytest.approx(1 - along, abs=1e-4)
    aside = np.zeros((6, 128))
    aside[:, :2] = 0.5, 0.5  # as far from one as from the other
    assert compare(measured(source.landmarks, aside), source, face)['transfer'] == pytest.approx(0.5)


def test_transfer_skips_frames_without_a_descriptor():
    rng = np.random.default_rng(1)
    source, face = still(rng), still(rng)
    some = source.descriptors.copy()
    some[1::2] = np.nan
    kept = measured(source.landmarks[::2], source.descriptors[::2])
    expected = compare(kept, measured(source.landmarks[::2], np.tile(source.descriptors.mean(0), (3, 1))), face)
    figures = compare(measured(source.landmarks, some), source, face)
    assert figures['distance_to_face'] == pytest.approx(expected['distance_to_face'], abs=1e-4)
    assert figures['transfer'] == pytest.approx(expected['transfer'], abs=1e-4)


def test_reached_is_1_for_the_persons_own_frames_and_0_half_way():
    rng = np.random.default_rng(11)
    source = measured(still(rng, 40).landmarks, np.zeros((40, 128)))
    apart = np.eye(128)[0]
    person = apart + 0.05 * rng.normal(size=(60, 128))
    own = apart + 0.05 * rng.normal(size=(40, 128))  # other frames of the same person
    face = measured(still(rng, 60).landmarks, person)
    figures = compare(measured(source.landmarks, own), source, face)
    others = [np.linalg.norm(x - np.delete(person, i, 0).mean(0)) for i, x in enumerate(person)]
    away = np.linalg.norm(person, axis=1)
    assert figures['ceiling'] == pytest.approx((away / (away + others)).mean(), abs=1e-4)
    assert figures['reached'] == pytest.approx(1, abs=0.05)
    half = compare(measured(source.landmarks, np.tile(person.mean(0) / 2, (40, 1))), source, face)
    assert half['reached'] == pytest.approx(0, abs=1e-3)


def test_reached_is_not_said_of_one_picture_or_of_one_person():
    rng = np.random.default_rng(12)
    source = still(rng)
    alone = measured(source.landmarks[:1], source.descriptors[:1])
    assert (compare(source, source, alone)['ceiling'], compare(source, source, alone)['reached']) == (None, None)
    assert compare(source, source, source)['reached'] is None  # as far from the one as from the other


def test_pose_is_the_angle_between_the_heads():
    head, rng = load_head(), np.random.default_rng(13)
    turn = rng.uniform(-0.3, 0.3, (30, 3))
    expressions = rng.normal(0, 0.5, (30, len(head.expression)))
    who = rng.normal(0, 0.5, (2, len(head.identity)))
    scale, place = rng.uniform(80, 120, 30), rng.uniform(200, 300, (30, 2))
    seen = lambda n, turn: view(shapes(head, who[n], expressions), rotation_matrices(turn), scale, place)
    one, other = seen(0, turn), seen(1, turn)
    assert pose_difference(one, one) == pytest.approx(0, abs=1e-5)
    assert pose_difference(one[:0], one[:0]) is None
    assert pose_difference(one, other) < 2  # whoever it is
    further = Rotation.from_rotvec([0, np.radians(8), 0]) * Rotation.from_rotvec(turn)
    assert pose_difference(one, seen(1, further.as_rotvec())) == pytest.approx(8, abs=1.5)
    figures = compare(*(measured(x, np.zeros((30, 128))) for x in (one, other, one)))
    assert figures['pose'] == pytest.approx(pose_difference(one, other), abs=1e-4)


def test_expression_is_free_of_pose_and_of_identity():
    rng = np.random.default_rng(2)
    shape = face_shape(rng)
    motion = rng.normal(size=(20, 68, 2))
    motion[:, 36:48] *= 0  # the eyes stay, so their frame is the face's
    source = shape + 5 * motion
    angle, scale = rng.uniform(-0.5, 0.5, 20), rng.uniform(0.5, 2, 20)
    turn = scale[:, None, None] * np.stack(
        [np.stack([np.cos(angle), -np.sin(angle)], -1), np.stack([np.sin(angle), np.cos(angle)], -1)], -2
    )
    other = shape.copy()
    other[48:] += rng.normal(size=(20, 2)) * 10  # another mouth, moved alike
    swap = np.einsum('tij,tkj->tki', turn, other + 5 * motion) + rng.uniform(-100, 100, (20, 1, 2))
    np.testing.assert_allclose(expression(swap), expression(source), atol=1e-6)
    one, two = (measured(x, np.zeros((20, 128))) for x in (swap, source))
    assert compare(one, two, two)['expression'] == pytest.approx(1.0, abs=1e-4)


def test_expression_is_pearsons_correlation():
    rng = np.random.default_rng(3)
    source, swap = (face_shape(rng) + rng.normal(size=(30, 68, 2)) for _ in range(2))
    flat = [expression(x).ravel() for x in (swap, source)]
    one, two = (measured(x, np.zeros((30, 128))) for x in (swap, source))
    assert compare(one, two, two)['expression'] == pytest.approx(np.corrcoef(*flat)[0, 1], abs=1e-4)


def test_jitter_of_a_known_shake():
    rng = np.random.default_rng(4)
    shape = face_shape(rng)
    drift = np.arange(12)[:, None, None] * np.array([3.0, 1.0])  # even motion is no jitter
    shake = np.where(np.arange(12) % 2, 1.0, -1.0)[:, None, None] * np.array([0.5, 0.0])
    source, swap = (measured(shape + x, np.zeros((12, 128))) for x in (drift, drift + shake))
    eyes = np.linalg.norm(shape[42:48].mean(0) - shape[36:42].mean(0))
    # +-0.5 px every other frame: the second difference is 2 px throughout.
    assert compare(swap, source, source)['jitter'] == pytest.approx(2 / eyes, abs=1e-4)
    assert compare(source, source, source)['jitter'] == 0


def test_faces_lost_and_a_swap_without_any():
    rng = np.random.default_rng(5)
    source, swap = still(rng), still(rng)
    source.landmarks[0] = np.nan  # no face there in the input: not lost
    swap.landmarks[[0, 2, 3]] = np.nan
    assert compare(swap, source, source)['faces_lost'] == 2
    swap.landmarks[:] = np.nan
    swap.descriptors[:] = np.nan
    figures = compare(swap, source, source)
    assert figures['faces_lost'] == 5
    assert figures['transfer'] is None and figures['expression'] is None and figures['jitter'] is None


def test_detail_is_relative_to_the_persons_own():
    rng = np.random.default_rng(7)
    source, face = still(rng, detail=5.0), still(rng, detail=8.0)
    assert compare(measured(source.landmarks, source.descriptors, 2.0), source, face)['detail'] == pytest.approx(0.25)


def test_frames_must_agree():
    rng = np.random.default_rng(8)
    with pytest.raises(InputError, match=r'short.mp4 has 5 frames and x.mp4 6'):
        compare(still(rng, 5, name='short.mp4'), still(rng), still(rng))


def test_the_page_shows_the_frames_that_are_wrong(tmp_path):
    """One frame is lost, one jumps, one looks like the person in the input: each is there, with its time."""
    rng = np.random.default_rng(14)
    frames = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(30)]
    paths = [write(tmp_path / name, frames) for name in ('in <1>.mp4', 'swap.mp4', 'face.mp4')]
    drift = face_shape(rng) + np.arange(30)[:, None, None] * np.float32([1, 0.5])
    person = np.eye(128)[0]
    source, swap, face = (
        measured(drift, np.tile(who, (30, 1)), name=str(path)) for path, who in zip(paths, (0 * person, person, person))
    )
    swap.landmarks[7] = np.nan
    swap.landmarks[15] += 30
    swap.descriptors[21] = 0.2 * person
    doubts = find_doubts(swap, source, face)
    assert [rows[:1] for rows in doubts.values()] == [[7], [15], [21]]
    assert doubts['The face jumps'] == [15, 14, 16] or doubts['The face jumps'] == [15, 16, 14]
    page = tmp_path / 'page.html'
    write_report(page, swap, source, face, compare(swap, source, face), references=tmp_path / 'gone.jpg')
    text = page.read_text()
    assert text.count('data:image/jpeg;base64,') == 8 + 1 + 3 + 1
    assert 'frame 21, 0:00.84' in text and 'in &lt;1&gt;.mp4' in text and 'in <1>' not in text
    assert 'http' not in text and 'faces_lost' in text  # nothing is fetched
    with pytest.raises(InputError, match=r'page.html: exists'):
        write_report(page, swap, source, face, {})
    assert find_doubts(source, source, face)['No face is found any more'] == []

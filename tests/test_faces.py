"""Faces: geometry against scikit-image and closed forms, smoothing against SciPy; tracks, people and records."""

import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from skimage.transform import SimilarityTransform

from dfjax.data.faces.align import ALIGNED, FACE_TYPES, MEAN_FACE, align_matrices, crop, template
from dfjax.data.faces.analyse import Analysis, load_analysis
from dfjax.data.faces.brows import MIDDLE, find_brows
from dfjax.data.faces.face import Face
from dfjax.data.faces.identity import choose_person, clusters
from dfjax.data.faces.mask import face_outline, hull_polygon, rasterise
from dfjax.data.faces.table import Faces
from dfjax.data.faces.track import MAX_GAP, SIGMA, Tracker, bridge, smooth, smooth_points
from dfjax.data.faces.warp import apply, apply_inverse, similarity
from dfjax.errors import InputError

DATA = Path(__file__).parents[2] / 'shared' / 'data' / 'faces'


def face(frame=0, x=100.0, track=0, descriptor=None, side=100.0, source='v.mp4', **kw) -> Face:
    landmarks = (MEAN_FACE * side + (x, 50)).astype(np.float32)
    box = (x, 50.0, x + side, 50 + side)
    return Face(source, frame, frame / 25, box, 1.0, landmarks, descriptor, track, **kw)


# Alignment -----------------------------------------------------------------------------------------------------------


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


# Masks ---------------------------------------------------------------------------------------------------------------


def test_mask_covers_the_polygon_to_a_fraction_of_a_pixel():
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    for shift in (0, 0.25, 0.6):
        polygon = np.stack([60 + shift + 40 * np.cos(angle), 64 + 30 * np.sin(angle)], 1)
        mask = rasterise(polygon, 128) / 255
        area = 0.5 * abs(
            np.sum(polygon[:, 0] * np.roll(polygon[:, 1], -1) - polygon[:, 1] * np.roll(polygon[:, 0], -1))
        )
        y, x = np.indices(mask.shape)
        assert mask.sum() == pytest.approx(area, rel=0.003)
        assert (mask * x).sum() / mask.sum() == pytest.approx(60 + shift, abs=0.03)
        assert (mask * y).sum() / mask.sum() == pytest.approx(64, abs=0.03)
    assert 100 < ((mask > 0.02) & (mask < 0.98)).sum() < 400  # a soft edge, one pixel wide


def test_mask_moves_with_the_matrix():
    polygon, matrix = hull_polygon(MEAN_FACE * 90 + 40), similarity(np.array([80.0, 90]), 200, 0.2, 96)
    np.testing.assert_array_equal(rasterise(polygon, 96, matrix), rasterise(apply(matrix, polygon), 96))


def test_outline_holds_the_face_and_the_forehead():
    points = (MEAN_FACE * 200 + 100).astype(np.float32)
    outline = hull_polygon(points)
    inside = [cv2.pointPolygonTest(outline, tuple(map(float, p)), True) for p in points]
    assert min(inside) > -0.01
    brow, nose = points[17:27, 1].mean(), points[31:36, 1].mean()
    assert 0.3 < (brow - outline[:, 1].min()) / (nose - brow) < 0.8
    assert cv2.isContourConvex(outline)


# Time ----------------------------------------------------------------------------------------------------------------


def test_raised_brows_do_not_raise_the_forehead():
    points = MEAN_FACE * 150 + 50
    raised = points.copy()
    raised[17:27, 1] -= 20
    np.testing.assert_allclose(hull_polygon(raised), hull_polygon(points), atol=1e-3)


def drawn_brows(raised: float, dark: int, fringe: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A picture of skin with brows this far over where the mean face has them, in distances of the eyes, and its eyes'
    distance."""
    points = MEAN_FACE * 150 + 60
    distance = points[42:48, 0].mean() - points[36:42, 0].mean()
    picture = np.full((256, 256, 3), 170, np.uint8)
    if fringe:
        picture[: int(points[17:27, 1].min() - 0.1 * distance)] = 30
    for brow in (slice(17, 22), slice(22, 27)):
        line = points[brow] - (0, (raised + MIDDLE) * distance)
        cv2.polylines(picture, [np.round(line * 16).astype(np.int32)], False, (dark,) * 3, 10, shift=4)
    return picture, distance


@pytest.mark.parametrize('raised', [-0.05, 0.0, 0.1, 0.25])
def test_brows_are_found_where_they_are_drawn(raised):
    picture, distance = drawn_brows(raised, 60)
    points = MEAN_FACE * 150 + 60
    moved = find_brows(picture, points) - points
    np.testing.assert_allclose(moved[17:27, 1], -raised * distance, atol=0.03 * distance)
    assert not moved[17:27, 0].any() and not np.delete(moved, slice(17, 27), 0).any()


@pytest.mark.parametrize(('dark', 'fringe'), [(165, False), (170, True)])
def test_brows_that_are_not_seen_stay(dark, fringe):
    points = MEAN_FACE * 150 + 60
    np.testing.assert_array_equal(find_brows(drawn_brows(0.2, dark, fringe)[0], points), points)


def outline_of(**dark) -> tuple[np.ndarray, np.ndarray]:
    """Pixels inside the outline of a face drawn as plain skin, lit from the right, and where something dark lies."""
    points = MEAN_FACE * 150 + 50
    y, x = np.mgrid[:256, :256]
    skin = np.array([200, 150, 120]) * (0.5 + 0.5 * x / 256)[..., None]  # a cheek in shadow is no hair
    places = {
        'temple': x < points[17, 0] - 3,
        'forehead': y < points[17:27, 1].min() - 25,
        'beard': y > points[48:, 1].max(),
        'brows': np.hypot((x - points[19, 0]) / 20, (y - points[19, 1]) / 6) < 1,
    }
    where = places[dark['at']] if dark else np.zeros((256, 256), bool)
    picture = np.where(where[..., None], 25, skin).astype(np.uint8)
    return rasterise(face_outline(picture, points), 256) > 127, where


@pytest.mark.parametrize(('at', 'left'), [('temple', 0.5), ('forehead', 0.1)])
def test_hair_is_outside_the_outline(at, left):
    whole = rasterise(hull_polygon(MEAN_FACE * 150 + 50), 256) > 127
    got, hair = outline_of(at=at)
    if at == 'temple':  # hair is looked for above the root of the nose, and what is next to the brow may be its end
        hair &= np.arange(256)[:, None] < MEAN_FACE[27, 1] * 150 + 50
    assert (whole & hair).sum() > 40
    assert (got & hair).sum() < left * (whole & hair).sum()
    far = ~cv2.dilate(hair.astype(np.uint8), np.ones((25, 25))).astype(bool)
    assert (got & far).sum() > 0.975 * (whole & far).sum()


@pytest.mark.parametrize('at', [None, 'beard', 'brows'])
def test_skin_in_shadow_beards_and_brows_are_inside_the_outline(at):
    whole = rasterise(hull_polygon(MEAN_FACE * 150 + 50), 256) > 127
    got, _ = outline_of(**({'at': at} if at else {}))
    assert (got & ~whole).sum() < 0.005 * whole.sum() and (got & whole).sum() > 0.985 * whole.sum()


def test_smoothing_equals_scipy_and_keeps_straight_motion():
    x = np.random.default_rng(0).normal(size=(50, 68, 2))
    np.testing.assert_allclose(smooth_points(x, 1.3)[8:-8], gaussian_filter1d(x, 1.3, 0)[8:-8], atol=2e-4)
    ramp = np.arange(30.0)[:, None] * [2, -1]
    np.testing.assert_allclose(smooth_points(ramp, 2.0), ramp, atol=1e-5)
    for count in (1, 2, 3):
        np.testing.assert_allclose(smooth_points(ramp[:count], 2.0), ramp[:count], atol=1e-5)


def test_smoothing_does_not_lag():
    impulse = np.zeros((21, 1))
    impulse[10] = 1
    out = smooth_points(impulse, SIGMA)
    np.testing.assert_array_equal(out, out[::-1])
    assert out.argmax() == 10


def test_each_track_is_smoothed_by_itself():
    wobble = np.random.default_rng(0).normal(0, 3, 12)
    faces = [face(t, x=100 + 300 * track + wobble[t] * (1 - track), track=track) for t in range(12) for track in (0, 1)]
    out = smooth(faces)
    assert [(f.frame, f.track) for f in out] == [(f.frame, f.track) for f in faces]
    np.testing.assert_allclose(out[9].landmarks, faces[9].landmarks, atol=1e-3)  # who stands still stays
    want = smooth_points(np.stack([f.landmarks for f in faces[::2]]), SIGMA)
    np.testing.assert_array_equal(np.stack([f.landmarks for f in out[::2]]), want)


def test_tracks_keep_people_apart_and_end_at_cuts():
    tracker = Tracker()
    seen = []
    for t in range(10):
        pair = [face(t, x=100 + 5 * t), face(t, x=400 - 5 * t)]
        seen.append([f.track for f in tracker.update(pair if t % 2 else pair[::-1])])
    assert seen == [
        [1, 0] if t % 2 else [0, 1] for t in range(10)
    ]  # each follows its person, not its place in the list
    tracker.cut()
    assert [f.track for f in tracker.update([face(10, x=150)])] == [2]


def test_gaps_are_bridged_up_to_their_limit():
    tracker = Tracker()
    faces = [f for t in (0, 1, 5, 5 + MAX_GAP + 2) for f in tracker.update([face(t, x=100 + 10 * t if t < 9 else 140)])]
    assert [f.track for f in faces] == [0, 0, 0, 1]
    out = bridge(faces, {'v.mp4': [t / 25 for t in range(40)]})
    assert [f.frame for f in out] == [0, 1, 2, 3, 4, 5, 5 + MAX_GAP + 2]
    assert [f.interpolated for f in out] == [False, False, True, True, True, False, False]
    for f in out[:6]:
        np.testing.assert_allclose(f.landmarks, face(f.frame, x=100 + 10 * f.frame).landmarks, atol=1e-3)
        np.testing.assert_allclose(f.box, face(f.frame, x=100 + 10 * f.frame).box)
        assert f.time == pytest.approx(f.frame / 25)


# People --------------------------------------------------------------------------------------------------------------


def test_faces_by_columns_are_the_faces_that_were_put_in():
    who = np.random.default_rng(0).normal(0, 0.06, (2, 128)).astype(np.float32)
    listed = [face(n // 2, 10.0 * n, n % 2, who[n % 2], sharpness=None if n == 3 else 1.5 * n) for n in range(200)]
    listed += [face(0, source='a.png'), face(7, source='w.mp4', interpolated=True)]
    faces = Faces(listed)
    assert [f.to_json() for f in faces] == [f.to_json() for f in listed] and len(faces.descriptors) == 2
    assert faces.at('v.mp4', 5) == [10, 11] and faces.at('w.mp4', 7) == [201]
    assert faces.at('w.mp4', 6) == faces.at('gone.mp4', 0) == [] and faces.seen() == 102
    assert [f.to_json() for f in faces[faces.rows['track'] == 1]] == [f.to_json() for f in listed if f.track == 1]
    assert faces[-1].interpolated and [f.frame for f in faces[2:4]] == [1, 1]


def test_faces_of_one_frame_come_in_order_of_tracks():
    out = bridge([face(0, track=1), face(0, track=0), face(1, track=0), face(1, track=1)], {'v.mp4': [0, 0.04]})
    assert [(f.frame, f.track) for f in out] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_long_tracks_are_smoothed_piece_by_piece(monkeypatch):
    x = np.random.default_rng(0).normal(0, 1, (50, 3)).astype(np.float32)
    whole = smooth_points(x, 1.3)
    monkeypatch.setattr('dfjax.data.faces.track.PIECE', 7)
    np.testing.assert_array_equal(smooth_points(x, 1.3), whole)


def test_two_hours_of_faces_take_little_memory():
    tracemalloc.start()
    try:
        faces = Faces(face(n, track=n // 999, descriptor=np.full(128, n // 30, np.float32)) for n in range(9000))
        smooth(bridge(faces, {'v.mp4': np.arange(9000) / 25}))
        size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 9000 * 900 and peak < 9000 * 1500  # bytes; 20 times as many stay under 300 MB


def test_the_largest_cluster_and_the_person_asked_for():
    rng = np.random.default_rng(0)
    who = rng.normal(0, 0.06, (2, 128))  # 0.96 apart

    def near(n):
        return (who[n] + rng.normal(0, 0.01, 128)).astype(np.float32)

    often = [face(t, track=0 if t < 6 else 2, descriptor=near(0)) for t in range(12)]  # two tracks of one person
    seldom = [face(t, x=300, track=1, descriptor=near(1)) for t in range(8)]
    faces = sorted(often + seldom, key=lambda f: f.frame)
    assert clusters(faces) == [{0, 2}, {1}]
    assert {f.track for f in choose_person(faces)} == {0, 2} and len(choose_person(faces)) == 12
    assert {f.track for f in choose_person(faces, who[1])} == {1}
    assert not choose_person(faces, rng.normal(0, 0.06, 128))
    assert not choose_person([])
    twins = [face(0, track=0, descriptor=near(0)), face(0, x=300, track=1, descriptor=who[0].astype(np.float32))]
    assert [f.track for f in choose_person(twins, who[0])] == [1]  # one a frame: the nearer


# Records -------------------------------------------------------------------------------------------------------------


def test_records_come_back_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    one = replace(face(3), landmarks=rng.normal(300, 90, (68, 2)).astype(np.float32), sharpness=1 / 3)
    two = replace(one, descriptor=rng.normal(0, 0.1, 128).astype(np.float32), interpolated=True, sharpness=None)
    Analysis('é.mp4', 640, 480, 9, [one, two]).save(tmp_path / 'a.jsonl')
    back = load_analysis(tmp_path / 'a.jsonl')
    assert (back.source, back.width, back.height, back.frames) == ('é.mp4', 640, 480, 9)
    for a, b in zip([one, two], back.faces, strict=True):
        np.testing.assert_array_equal(a.landmarks, b.landmarks)
        assert b.landmarks.dtype == np.float32
        np.testing.assert_equal(a.descriptor, b.descriptor)
        assert (
            replace(a, landmarks=None, descriptor=None).to_json()
            == replace(b, landmarks=None, descriptor=None).to_json()
        )


@pytest.mark.parametrize('text', ['', 'no json\n', '{"source": "a"}\n', json.dumps({'width': 1}) + '\n[]\n'])
def test_damaged_analysis(tmp_path, text):
    path = tmp_path / 'a.jsonl'
    path.write_text(text)
    with pytest.raises(InputError, match=r'a\.jsonl: not an analysis'):
        load_analysis(path)
    with pytest.raises(InputError, match='no such file'):
        load_analysis(tmp_path / 'b.jsonl')

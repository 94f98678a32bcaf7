"""Faces of videos: smoothing against SciPy, tracks, people and records."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from dfjax.data.faces.align import MEAN_FACE
from dfjax.data.faces.analyse import Analysis, load_analysis
from dfjax.data.faces.face import Face
from dfjax.data.faces.identity import choose_person, clusters
from dfjax.data.faces.table import Faces
from dfjax.data.faces.track import MAX_GAP, SIGMA, Tracker, bridge, smooth, smooth_points
from dfjax.errors import InputError


def face(frame=0, x=100.0, track=0, descriptor=None, side=100.0, source='v.mp4', **kw) -> Face:
    landmarks = (MEAN_FACE * side + (x, 50)).astype(np.float32)
    box = (x, 50.0, x + side, 50 + side)
    return Face(source, frame, frame / 25, box, 1.0, landmarks, descriptor, track, **kw)


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
    twins += [face(n, x=300, track=1, descriptor=near(0)) for n in (1, 2)] + [face(3, track=2, descriptor=near(0))]
    assert clusters(twins) == [{1, 2}, {0}]  # alike, and seen together: not one person


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

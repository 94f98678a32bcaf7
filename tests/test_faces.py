"""Faces: geometry against scikit-image and closed forms, smoothing against SciPy, the rest on real video."""

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from skimage.transform import SimilarityTransform

from dfjax.data.faces import files
from dfjax.data.faces.align import ALIGNED, FACE_TYPES, MEAN_FACE, align_matrices, crop, template
from dfjax.data.faces.analyse import Analysis, bounded, load_analysis
from dfjax.data.faces.detect import BOX_SIDE, YUNET_SIDE, load_detector, overlap
from dfjax.data.faces.identity import choose_person, clusters, descriptor_distance, load_descriptor
from dfjax.data.faces.landmarks import load_landmarker
from dfjax.data.faces.mask import hull_polygon, rasterise
from dfjax.data.faces.record import Face
from dfjax.data.faces.search import Search
from dfjax.data.faces.track import MAX_GAP, SIGMA, Tracker, bridge, smooth, smooth_points
from dfjax.data.faces.warp import apply, apply_inverse, similarity
from dfjax.data.media.image import read_image
from dfjax.data.media.video import read_frames
from dfjax.errors import InputError

DATA = Path(__file__).parents[2] / 'shared' / 'data' / 'faces'
MEAN_68 = np.concatenate([np.stack([np.linspace(-0.1, 1.1, 17), 1.2 - 4 * (np.linspace(0, 1, 17) - 0.5) ** 2], 1)] * 4)
MEAN_68[list(ALIGNED)] = MEAN_FACE
LIPS = [n for n in range(48, 68) if n not in ALIGNED]
MEAN_68[LIPS] = np.linspace((0.35, 0.9), (0.65, 0.9), len(LIPS))


def real(name: str, start: int, count: int) -> list[np.ndarray]:
    """Frames of a real video; the test is skipped where it is not there."""
    if not (DATA / f'{name}.mp4').exists():
        pytest.skip(f'{name}.mp4 is not there')
    return [rgb for *_, rgb in itertools.islice(read_frames(DATA / f'{name}.mp4'), start, start + count)]


@pytest.fixture(scope='module')
def search():
    return Search(load_detector(), load_landmarker())


def face(frame=0, x=100.0, track=0, descriptor=None, side=100.0, source='v.mp4', **kw) -> Face:
    landmarks = (MEAN_68 * side + (x, 50)).astype(np.float32)
    box = (x, 50.0, x + side, 50 + side)
    return Face(source, frame, frame / 25, box, 1.0, landmarks, descriptor, track, **kw)


def eyes_apart(landmarks: np.ndarray) -> float:
    return float(np.linalg.norm(landmarks[36:42].mean(0) - landmarks[42:48].mean(0)))


# Alignment -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('face_type', FACE_TYPES)
def test_alignment_equals_scikit_image(face_type):
    rng = np.random.default_rng(0)
    points = MEAN_68 * 300 + rng.normal(0, 9, (5, 68, 2)) + rng.uniform(0, 4000, (5, 1, 2))
    got = align_matrices(points, face_type, 256)
    for matrix, landmarks in zip(got, points):
        want = SimilarityTransform.from_estimate(landmarks[list(ALIGNED)], template(face_type, 256)).params[:2]
        if face_type == 'head':  # it may move sideways
            matrix, want = np.delete(matrix, 2, 1)[:2], np.delete(want, 2, 1)
            np.testing.assert_allclose(matrix, want, atol=1e-6)
        else:
            np.testing.assert_allclose(apply(matrix, landmarks), apply(want, landmarks), atol=1e-3)


def test_alignment_puts_a_moved_mean_face_on_the_template():
    moved = apply(similarity(np.array([0.3, 0.2]), 0.004, 0.7, 3), MEAN_68)
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
    left = MEAN_68.copy()
    left[27:31, 0] -= 0.3  # the nose points to the left of the picture
    ahead, turned = (align_matrices(p[None] * 100, 'head', 256)[0] for p in (MEAN_68, left))
    nose_free = [0, 16]
    assert (apply(turned, left * 100) - apply(ahead, MEAN_68 * 100))[nose_free, 0].max() < -1  # more room at the right


def test_unknown_face_type():
    with pytest.raises(InputError, match=r"'huge'.*half, mid, close, full, whole_face, head"):
        template('huge', 64)


@pytest.mark.parametrize('scale', [0.13, 0.4, 1.0, 2.3])
def test_crop_puts_every_pixel_where_the_matrix_says(scale):
    h, w = 300, 400
    ramp = np.stack([np.tile(np.arange(w) / 2, (h, 1)), np.tile(np.arange(h)[:, None] / 2, (1, w))], -1)
    ramp = np.concatenate([ramp, ramp[..., :1]], -1).round().astype(np.uint8)
    matrix = similarity(np.array([210.3, 140.8]), 32 / scale, 0.3, 32)
    got = crop(ramp, matrix, 32)[2:-2, 2:-2, :2].astype(float)
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
    polygon, matrix = hull_polygon(MEAN_68 * 90 + 40), similarity(np.array([80.0, 90]), 200, 0.2, 96)
    np.testing.assert_array_equal(rasterise(polygon, 96, matrix), rasterise(apply(matrix, polygon), 96))


def test_outline_holds_the_face_and_the_forehead():
    points = (MEAN_68 * 200 + 100).astype(np.float32)
    outline = hull_polygon(points)
    inside = [cv2.pointPolygonTest(outline, tuple(map(float, p)), True) for p in points]
    assert min(inside) > -0.01
    brow, nose = points[17:27, 1].mean(), points[31:36, 1].mean()
    assert 0.3 < (brow - outline[:, 1].min()) / (nose - brow) < 0.8
    assert cv2.isContourConvex(outline)


# Time ----------------------------------------------------------------------------------------------------------------


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
    out = bridge(faces, {('v.mp4', t): t / 25 for t in range(40)})
    assert [f.frame for f in out] == [0, 1, 2, 3, 4, 5, 5 + MAX_GAP + 2]
    assert [f.interpolated for f in out] == [False, False, True, True, True, False, False]
    for f in out[:6]:
        np.testing.assert_allclose(f.landmarks, face(f.frame, x=100 + 10 * f.frame).landmarks, atol=1e-3)
        np.testing.assert_allclose(f.box, face(f.frame, x=100 + 10 * f.frame).box)
        assert f.time == pytest.approx(f.frame / 25)


# People --------------------------------------------------------------------------------------------------------------


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
    assert choose_person(faces, rng.normal(0, 0.06, 128)) == []
    assert choose_person([]) == []
    twins = [face(0, track=0, descriptor=near(0)), face(0, x=300, track=1, descriptor=who[0].astype(np.float32))]
    assert [f.track for f in choose_person(twins, who[0])] == [1]  # one a frame: the nearer


def test_descriptors_tell_people_apart(search):
    describe, out = load_descriptor(), {}
    for name in 'ab':
        for n in (0, 60):
            rgb = real(name, n, 1)[0]
            out[name, n] = describe(rgb, search.everywhere(rgb)[0].landmarks)
    assert descriptor_distance(out['a', 0], out['a', 60]) < 0.5 and descriptor_distance(out['b', 0], out['b', 60]) < 0.5
    assert descriptor_distance(out['a', 0], out['b', 0]) > 0.6


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


# Search on real video ------------------------------------------------------------------------------------------------


def test_search_near_the_last_face_equals_search_everywhere(search):
    frames = real('b', 100, 12)  # fast grimaces
    quick, full = search.run(frames), [search.everywhere(f) for f in frames]
    assert [len(f) for f in quick] == [len(f) for f in full] == [1] * 12
    spread = [np.linalg.norm(q[0].landmarks - f[0].landmarks, axis=1).mean() for q, f in zip(quick, full)]
    assert np.mean(spread) / eyes_apart(full[0][0].landmarks) < 0.015
    assert quick[0][0].box == full[0][0].box


@pytest.mark.parametrize('degrees', [60, 90, 180, 270])
def test_turned_frames(search, degrees):
    frame = real('a', 0, 1)[0]
    upright = search.everywhere(frame)[0]
    matrix = similarity(np.array([255.5, 255.5]), 512, np.radians(degrees), 512)
    turned = cv2.warpAffine(frame, matrix, (512, 512))
    assert not search.detect(turned)
    found = search.everywhere(turned)
    error = np.linalg.norm(found[0].landmarks - apply(matrix, upright.landmarks), axis=1).mean()
    assert len(found) == 1 and error / eyes_apart(upright.landmarks) < 0.03
    middle = apply(matrix, np.array([[np.mean(upright.box[::2]), np.mean(upright.box[1::2])]]))[0]
    assert np.hypot(*(middle - (np.mean(found[0].box[::2]), np.mean(found[0].box[1::2])))) < 20


def test_small_faces_by_upsampling(search):
    frame = real('a', 0, 1)[0]
    large = search.everywhere(frame)[0].landmarks
    small = cv2.copyMakeBorder(cv2.resize(frame, (80, 80), interpolation=cv2.INTER_AREA), 40, 60, 70, 90, 0)
    assert not search.detect(small)
    found = search.everywhere(small)
    want = (large + 0.5) / 6.4 - 0.5 + (70, 40)
    assert len(found) == 1 and np.linalg.norm(found[0].landmarks - want, axis=1).mean() / eyes_apart(want) < 0.06


def test_a_face_under_craquelure_is_found_at_a_coarser_scale(search):
    path = DATA.parent / 'portraits' / 'painting_pearl.jpg'
    if not path.exists():
        pytest.skip(f'{path.name} is not there')
    rgb = read_image(path)
    assert not search.detect(rgb)
    (found,) = search.everywhere(rgb)
    assert overlap(found.box, (302, 439, 611, 749)) > 0.5  # where she looks at us


def test_landmarks_repeat_better_than_bare_dlib(search):
    """The same frame moved, turned and scaled a little must give the same points."""
    rng, bare, ours = np.random.default_rng(0), [], []
    frame = real('c', 30, 1)[0]
    for _ in range(8):
        matrix = similarity(rng.uniform(248, 263, 2), 512 * rng.uniform(0.94, 1.06), rng.uniform(-0.07, 0.07), 512)
        moved = cv2.warpAffine(frame, matrix, (512, 512), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        box = search.detect(moved)[0][0]
        bare.append(apply_inverse(matrix, search.landmark.rough(moved, box)))
        ours.append(apply_inverse(matrix, search.landmark(moved, box)))
    assert np.std(ours, 0).mean() < 0.6 * np.std(bare, 0).mean()
    assert np.linalg.norm(np.mean(ours, 0) - np.mean(bare, 0), axis=1).mean() < 0.03 * eyes_apart(ours[0])


def test_smoothing_halves_jitter_and_keeps_blinks(search):
    points = np.stack([f[0].landmarks for n in range(0, 48, 12) for f in search.run(real('a', n, 12))])  # blinks in it
    tracked = [replace(face(t), landmarks=p) for t, p in enumerate(points)]
    smoothed = np.stack([f.landmarks for f in smooth(tracked)])

    def opening(p, top, bottom):
        return np.linalg.norm(p[:, top] - p[:, bottom], axis=2).mean(1)

    def jitter(p):
        return np.linalg.norm(np.diff(p, 2, axis=0), axis=2).mean()

    assert jitter(smoothed) < 0.6 * jitter(points)
    for top, bottom in (([37, 38], [41, 40]), ([43, 44], [47, 46]), ([62], [66])):
        assert np.corrcoef(opening(points, top, bottom), opening(smoothed, top, bottom))[0, 1] > 0.98


def test_frames_larger_than_the_limit_are_searched_smaller():
    frame = np.zeros((1000, 4000, 3), np.uint8)
    small, shrink = bounded(frame)
    assert small.shape == (480, 1920, 3) and shrink == pytest.approx(4000 / 1920)
    assert bounded(frame[:, :1920])[0].shape == (1000, 1920, 3)


def test_workers_never_import_jax():
    code = 'import sys, dfjax.data.faces.worker; sys.exit("jax" in sys.modules or "tensorflow" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


# Detectors -----------------------------------------------------------------------------------------------------------

COLOURS = np.array([(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)])  # RGB of the five points


class PaintedNet:
    """Stands for OpenCV's YuNet: 'detects' five painted points in the BGR square that it is given."""

    def detect(self, bgr: np.ndarray):
        assert bgr.shape == (YUNET_SIDE, YUNET_SIDE, 3)
        rgb, points = bgr[..., ::-1].astype(int), []
        for colour in COLOURS:
            y, x = np.nonzero(np.abs(rgb - colour).sum(2) < 150)
            if not len(x):
                return 1, None
            points.append((x.mean(), y.mean()))
        return 1, np.array([[0, 0, 1, 1, *np.ravel(points), 0.9]], np.float32)


@pytest.mark.parametrize('upsample', [0, 1])
def test_yunet_boxes_are_those_of_dlib(monkeypatch, tmp_path, search, upsample):
    monkeypatch.setattr(cv2, 'FaceDetectorYN', SimpleNamespace(create=lambda *_: PaintedNet()))
    (tmp_path / 'yunet.onnx').touch()
    detect = load_detector('yunet', tmp_path / 'yunet.onnx')
    frame = real('a', 0, 1)[0]
    box, p = search.detect(frame)[0][0], search.everywhere(frame)[0].landmarks
    picture = np.zeros((700, 1200, 3), np.uint8)
    shift = np.array([620, 150])
    points = np.stack([p[36:42].mean(0), p[42:48].mean(0), p[30], p[48], p[54]]) + shift
    for point, colour in zip(points, COLOURS):
        cv2.circle(picture, tuple(int(v) for v in point.round()), 6, tuple(map(int, colour)), -1)
    ((got, score),) = detect(picture, upsample)
    assert score == pytest.approx(0.9)
    assert overlap(got, tuple(np.array(box) + np.tile(shift, 2))) > 0.75
    eyes_to_mouth = np.linalg.norm(points[:2].mean(0) - points[3:].mean(0))
    assert got[2] - got[0] == pytest.approx(got[3] - got[1]) == pytest.approx(BOX_SIDE * eyes_to_mouth, rel=0.02)


def test_yunet_without_its_model(tmp_path):
    with pytest.raises(InputError, match='--detector-model'):
        load_detector('yunet')
    with pytest.raises(InputError, match=r'gone\.onnx: no such file'):
        load_detector('yunet', tmp_path / 'gone.onnx')
    (tmp_path / 'not.onnx').write_text('not a net')
    with pytest.raises(InputError, match=r'not\.onnx: OpenCV cannot run'):
        load_detector('yunet', tmp_path / 'not.onnx')


def test_unknown_detector():
    with pytest.raises(InputError, match=r"'haar'.*dlib, yunet"):
        load_detector('haar')


def test_missing_dlib_models(monkeypatch):
    monkeypatch.setattr(files, 'find_spec', lambda _: None)
    with pytest.raises(InputError, match='pip install face_recognition_models'):
        load_landmarker()

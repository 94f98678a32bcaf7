"""Finding faces: on real video, turned, small and hidden frames, and with YuNet's interface."""

import itertools
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dfjax.data.faces import dlib_models as files
from dfjax.data.faces.analyse import bounded
from dfjax.data.faces.detect import BOX_SIDE, YUNET_SIDE, load_detector, overlap
from dfjax.data.faces.identity import descriptor_distance, load_descriptor
from dfjax.data.faces.landmarks import load_landmarker
from dfjax.data.faces.search import Search
from dfjax.data.faces.track import SIGMA, smooth_points
from dfjax.data.faces.warp import apply, apply_inverse, similarity
from dfjax.data.media.image import read_image
from dfjax.data.media.video import read_frames
from dfjax.errors import InputError

DATA = Path(__file__).parents[2] / 'shared' / 'data' / 'faces'


def real(name: str, start: int, count: int) -> list[np.ndarray]:
    """Frames of a real video; the test is skipped where it is not there."""
    if not (DATA / f'{name}.mp4').exists():
        pytest.skip(f'{name}.mp4 is not there')
    return [rgb for *_, rgb in itertools.islice(read_frames(DATA / f'{name}.mp4'), start, start + count)]


@pytest.fixture(scope='module')
def search():
    return Search(load_detector(), load_landmarker())


def eyes_apart(landmarks: np.ndarray) -> float:
    return float(np.linalg.norm(landmarks[36:42].mean(0) - landmarks[42:48].mean(0)))


def test_descriptors_tell_people_apart(search):
    describe, out = load_descriptor(), {}
    for name in 'ab':
        for n in (0, 60):
            rgb = real(name, n, 1)[0]
            out[name, n] = describe(rgb, search.everywhere(rgb)[0].landmarks)
    assert descriptor_distance(out['a', 0], out['a', 60]) < 0.5 and descriptor_distance(out['b', 0], out['b', 60]) < 0.5
    assert descriptor_distance(out['a', 0], out['b', 0]) > 0.6


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
    away = np.linalg.norm(np.mean(ours, 0) - np.mean(bare, 0), axis=1)
    assert np.delete(away, slice(17, 27)).mean() < 0.03 * eyes_apart(ours[0])  # brows are looked for in the picture


def test_smoothing_halves_jitter_and_keeps_blinks(search):
    points = np.stack([f[0].landmarks for n in range(0, 48, 12) for f in search.run(real('a', n, 12))])  # blinks in it
    smoothed = smooth_points(points, SIGMA)

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

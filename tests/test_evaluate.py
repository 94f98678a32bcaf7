"""Figures against constructed truth: closed forms, scikit-image, and real videos altered in a known way."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dfjax.apps.extract import extract_faces
from dfjax.data.media.video import VideoWriter, read_frames
from dfjax.data.render import animate, random_identity, render
from dfjax.errors import InputError
from dfjax.evaluation.measure import Measured, choose_box, face_detail, measure
from dfjax.evaluation.metrics import ssim_map
from dfjax.evaluation.reference import compare_truth
from dfjax.evaluation.report import find_doubts, write_report
from dfjax.evaluation.swap import compare, evaluate, expression, pose_difference
from dfjax.inference.head import load_head, rotation_matrices, shapes, view

pytestmark = pytest.mark.whole

REAL = Path(__file__).parents[2] / 'shared' / 'data' / 'faces'
needs_real = pytest.mark.skipif(not (REAL / 'a.mp4').is_file(), reason='the shared videos are not here')


def face_shape(rng) -> np.ndarray:
    """68 points with two eyes apart and everything else around them."""
    points = rng.uniform(-40, 40, (68, 2))
    points[36:42] += (-60, 0)
    points[42:48] += (60, 0)
    return points.astype(np.float32)


def measured(landmarks, descriptors, detail=1.0, name='x.mp4') -> Measured:
    n = len(landmarks)
    return Measured(name, n, np.asarray(landmarks, np.float32), np.asarray(descriptors), np.full(n, detail))


def still(rng, frames=6, **kwargs):
    return measured(np.repeat(face_shape(rng)[None], frames, 0), rng.normal(size=(frames, 128)), **kwargs)


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


def test_detail_is_blind_to_size_and_falls_with_blur():
    rng = np.random.default_rng(6)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (256, 256, 3)), (0, 0), 3)
    texture = np.clip((texture - texture.mean()) * 6 + 128, 0, 255).astype(np.uint8)
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], -1) * 100 + 128
    large = cv2.resize(texture, (512, 512), interpolation=cv2.INTER_CUBIC)
    sharp = face_detail(texture, circle)
    assert face_detail(large, circle * 2 + 0.5) == pytest.approx(sharp, rel=0.05)
    blurred = cv2.GaussianBlur(texture, (0, 0), 4)
    assert face_detail(blurred, circle) < 0.6 * sharp
    outside = texture.copy()
    cv2.circle(outside, (128, 128), 108, (128, 128, 128), -1)  # only what is around the face is left
    assert face_detail(outside, circle) < 0.05 * sharp
    assert face_detail(texture, circle + np.array([100, -90])) > 0  # partly outside the picture


def test_detail_is_relative_to_the_persons_own():
    rng = np.random.default_rng(7)
    source, face = still(rng, detail=5.0), still(rng, detail=8.0)
    assert compare(measured(source.landmarks, source.descriptors, 2.0), source, face)['detail'] == pytest.approx(0.25)


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


def test_the_face_followed_is_the_nearest_one():
    boxes = [(0, 0, 50, 50), (100, 100, 120, 120)]
    assert choose_box(boxes, None) == boxes[0]  # the largest
    there = np.array([[98.0, 98.0], [118.0, 122.0]])
    assert choose_box(boxes, there) == boxes[1]
    assert choose_box(boxes, there + 30) is None
    assert choose_box([], there) is None


def test_frames_must_agree():
    rng = np.random.default_rng(8)
    with pytest.raises(InputError, match=r'short.mp4 has 5 frames and x.mp4 6'):
        compare(still(rng, 5, name='short.mp4'), still(rng), still(rng))


def test_ssim_equals_scikit_image():
    rng = np.random.default_rng(9)
    a = cv2.GaussianBlur(rng.integers(0, 256, (80, 90, 3), dtype=np.uint8), (0, 0), 2)
    b = np.clip(a + rng.normal(0, 8, a.shape), 0, 255).astype(np.uint8)
    options = {'gaussian_weights': True, 'sigma': 1.5, 'use_sample_covariance': False, 'data_range': 255}
    _, truth = structural_similarity(a, b, channel_axis=-1, full=True, **options)
    np.testing.assert_allclose(ssim_map(a, b), truth, atol=2e-6)


def write(path, frames):
    with VideoWriter(path, 25, frames[0].shape[1::-1]) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def decoded(path):
    return np.stack([rgb for _, _, rgb in read_frames(path)])


def test_psnr_and_ssim_inside_the_mask(tmp_path):
    rng = np.random.default_rng(10)
    base = cv2.GaussianBlur(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8), (0, 0), 2)
    truth = write(tmp_path / 't.mp4', [base] * 4)
    noisy = [np.clip(base + rng.normal(0, 4 + 6 * i, base.shape), 0, 255).astype(np.uint8) for i in range(4)]
    video = write(tmp_path / 'v.mp4', noisy)
    white = np.zeros_like(base)
    white[16:48, 16:64] = 255
    mask = write(tmp_path / 'm.mp4', [white] * 4)
    a, b, inside = decoded(video), decoded(truth), decoded(mask)[..., 0] > 127
    figures = compare_truth(video, truth, mask)
    assert figures['psnr'] == pytest.approx(peak_signal_noise_ratio(b[inside], a[inside]), abs=1e-3)
    assert figures['ssim'] == pytest.approx(
        np.mean([ssim_map(x, y)[m].mean() for x, y, m in zip(a, b, inside)]), abs=1e-4
    )
    assert compare_truth(video, truth)['psnr'] == pytest.approx(peak_signal_noise_ratio(b, a), abs=1e-3)
    assert compare_truth(truth, truth, mask)['ssim'] == 1


def test_truth_of_another_length_or_size_and_a_black_mask(tmp_path):
    frame = np.full((32, 32, 3), 90, np.uint8)
    video = write(tmp_path / 'v.mp4', [frame] * 3)
    longer = write(tmp_path / 'long.mp4', [frame] * 4)
    larger = write(tmp_path / 'large.mp4', [np.full((64, 32, 3), 90, np.uint8)] * 3)
    black = write(tmp_path / 'black.mp4', [frame * 0] * 3)
    for truth in (longer, larger):
        with pytest.raises(
            InputError, match=f'differ in number or size from those of .*{truth.name}|{truth.name}: its frames'
        ):
            compare_truth(video, truth)
    with pytest.raises(InputError, match=r'black.mp4: black throughout'):
        compare_truth(video, video, black)


def test_missing_files_and_videos_without_a_face(tmp_path):
    plain = write(tmp_path / 'plain.mp4', [np.full((96, 96, 3), 90, np.uint8)] * 3)
    with pytest.raises(InputError, match=r'gone.mp4: no such file'):
        evaluate(plain, plain, tmp_path / 'gone.mp4')
    with pytest.raises(InputError, match=r'plain.mp4: no face was found'):
        evaluate(plain, plain, plain, workers=1)


def clip(path, change, frames=16):
    """The start of a real video, every frame changed."""
    pictures = [cv2.pyrDown(rgb) for _, (_, _, rgb) in zip(range(frames), read_frames(REAL / 'a.mp4'))]
    return write(path, [change(rgb) for rgb in pictures])


@needs_real
def test_a_real_video_altered_in_known_ways(tmp_path):
    source = clip(tmp_path / 'a.mp4', lambda x: x)
    blurred = clip(tmp_path / 'blur.mp4', lambda x: cv2.GaussianBlur(x, (0, 0), 4))
    before = measure(source, every=8)
    assert before.found.all() and np.isfinite(before.descriptors[:, 0]).sum() == 2
    alone = measure(source, every=8, workers=1)
    np.testing.assert_array_equal(before.landmarks, alone.landmarks)  # however many processes share the work
    np.testing.assert_array_equal(before.descriptors, alone.descriptors)
    after = measure(blurred, every=8, follow=before)
    figures = compare(after, before, before)
    assert figures['faces_lost'] == 0
    assert 0.4 < figures['expression'] < 0.99
    assert 0.2 < figures['detail'] < 0.45  # of a heavy blur, by definition of the figure about 0.3
    gone = clip(tmp_path / 'gone.mp4', np.zeros_like)
    assert compare(measure(gone, follow=before, workers=1), before, before)['faces_lost'] == 16


def test_faces_of_a_set_are_found_where_the_set_has_them(tmp_path):
    """A detector finds none in crops as tight as these, and the contact sheet is no face."""
    drawn = render(random_identity(3), animate(3, 4), 256)
    video = write(tmp_path / 'who.mp4', list(drawn.image))
    extract_faces([video], tmp_path / 'faces', size=160, progress=False)
    seen = measure(tmp_path / 'faces', workers=1)
    assert seen.frames == 4 and seen.found.all()
    apart = np.linalg.norm(seen.descriptors - measure(video, workers=1).descriptors.mean(0), axis=1)
    assert (apart < 0.4).all()  # the same person, by the descriptor's own limit of 0.6


def test_a_script_may_measure_without_a_main_guard(tmp_path):
    source = write(tmp_path / 'who.mp4', list(render(random_identity(3), animate(3, 4), 192).image))
    script = tmp_path / 'script.py'
    script.write_text(
        'from dfjax.evaluation.measure import measure\n'
        f'print("found", measure({str(source)!r}, every=4, workers=2).found.sum())\n'
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, 'found 4\n'), done.stderr


def test_a_damaged_video_is_said_in_a_line_by_a_worker_too(tmp_path):
    whole = write(tmp_path / 'whole.mp4', [np.full((96, 96, 3), 90, np.uint8)] * 30)
    cut = tmp_path / 'cut.mp4'
    cut.write_bytes(whole.read_bytes()[:400])
    with pytest.raises(InputError, match=r'cut\.mp4: '):
        measure(cut, workers=2)


@needs_real
def test_the_verb_reports_all_keys(tmp_path):
    from argparse import ArgumentParser

    from dfjax.apps import evaluate as verb

    source = clip(tmp_path / 'a.mp4', lambda x: x, frames=4)
    parser = ArgumentParser()
    verb.add_arguments(parser)
    words = ['--swap', source, '--input', source, '--face', source, '--truth', source, '--every', '2']
    report = verb.run(parser.parse_args(list(map(str, words))))
    keys = {'transfer', 'ceiling', 'reached', 'distance_to_face', 'expression', 'pose', 'detail', 'jitter'}
    assert set(report) == keys | {'faces_lost', 'frames', 'psnr', 'ssim'}
    assert (report['expression'], report['detail'], report['frames'], report['ssim']) == (1, 1, 4, 1)
    with pytest.raises(InputError, match='--every 0'):
        verb.run(parser.parse_args([*map(str, words[:-1]), '0']))
    with pytest.raises(InputError, match='--mask says where'):
        verb.run(parser.parse_args([*map(str, words[:6]), '--mask', str(source)]))

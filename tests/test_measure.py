"""What is measured of videos: against scikit-image, rendered heads, and real videos altered in a known way."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import write
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dfjax.apps.extract import extract_faces
from dfjax.data.media.video import read_frames
from dfjax.data.render import animate, random_identity, render
from dfjax.errors import InputError
from dfjax.evaluation.measure import choose_box, face_detail, measure
from dfjax.evaluation.metrics import ssim_map
from dfjax.evaluation.reference import compare_truth
from dfjax.evaluation.swap import compare, evaluate

pytestmark = pytest.mark.whole

REAL = Path(__file__).parents[2] / 'shared' / 'data' / 'faces'
needs_real = pytest.mark.skipif(not (REAL / 'a.mp4').is_file(), reason='the shared videos are not here')


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


def test_the_face_followed_is_the_nearest_one():
    boxes = [(0, 0, 50, 50), (100, 100, 120, 120)]
    assert choose_box(boxes, None) == boxes[0]  # the largest
    there = np.array([[98.0, 98.0], [118.0, 122.0]])
    assert choose_box(boxes, there) == boxes[1]
    assert choose_box(boxes, there + 30) is None
    assert choose_box([], there) is None


# Against the truth


def test_ssim_equals_scikit_image():
    rng = np.random.default_rng(9)
    a = cv2.GaussianBlur(rng.integers(0, 256, (80, 90, 3), dtype=np.uint8), (0, 0), 2)
    b = np.clip(a + rng.normal(0, 8, a.shape), 0, 255).astype(np.uint8)
    options = {'gaussian_weights': True, 'sigma': 1.5, 'use_sample_covariance': False, 'data_range': 255}
    _, truth = structural_similarity(a, b, channel_axis=-1, full=True, **options)
    np.testing.assert_allclose(ssim_map(a, b), truth, atol=2e-6)


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


# Whole videos


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


def test_missing_files_and_videos_without_a_face(tmp_path):
    plain = write(tmp_path / 'plain.mp4', [np.full((96, 96, 3), 90, np.uint8)] * 3)
    with pytest.raises(InputError, match=r'gone.mp4: no such file'):
        evaluate(plain, plain, tmp_path / 'gone.mp4')
    with pytest.raises(InputError, match=r'plain.mp4: no face was found'):
        evaluate(plain, plain, plain, workers=1)


def test_a_damaged_video_is_said_in_a_line_by_a_worker_too(tmp_path):
    whole = write(tmp_path / 'whole.mp4', [np.full((96, 96, 3), 90, np.uint8)] * 30)
    cut = tmp_path / 'cut.mp4'
    cut.write_bytes(whole.read_bytes()[:400])
    with pytest.raises(InputError, match=r'cut\.mp4: '):
        measure(cut, workers=2)

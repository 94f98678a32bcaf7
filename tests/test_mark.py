"""The invisible mark: not seen, found after what people and sites do to pictures, and nowhere else."""

import argparse
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from c2pa_by_hand import verified
from scipy.stats import norm
from toy_jobs import transform_video

from dfjax.apps import verify
from dfjax.data.media import mark_search
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.image import write_image
from dfjax.data.media.mark import WEIGHTS, Mark, code, waves
from dfjax.data.media.mark_search import find_mark, search
from dfjax.data.media.signed import signed_path
from dfjax.data.media.video import read_frames

pytestmark = pytest.mark.whole
MARKED = True
SHARED = Path(__file__).parents[2] / 'shared' / 'data'
needs_data = pytest.mark.skipif(not SHARED.exists(), reason='the shared data are not here')


def portrait(name, side=512):
    picture = cv2.imread(str(SHARED / 'portraits' / f'{name}.jpg'))[..., ::-1]
    least = min(picture.shape[:2])
    return cv2.resize(np.ascontiguousarray(picture[:least, :least]), (side, side), interpolation=cv2.INTER_AREA)


def clip(name, count):
    frames = []
    for _, _, rgb in read_frames(SHARED / 'faces' / f'{name}.mp4'):
        frames.append(rgb)
        if len(frames) == count:
            return frames


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((np.float64(a) - b) ** 2))


def jpeg(rgb, quality=70):
    data = cv2.imencode('.jpg', np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def scaled(rgb, share):
    return cv2.resize(rgb, None, fx=share, fy=share, interpolation=cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC)


def cut(rgb):
    h, w = rgb.shape[:2]
    return rgb[h // 7 : h // 7 + 3 * h // 4, w // 11 : w // 11 + 3 * w // 4]


def recoloured(rgb):
    return (np.clip((rgb * np.float32([1.1, 0.95, 0.85]) * 1.1 - 12) / 255, 0, 1) ** 1.15 * 255).astype(np.uint8)


def on_a_screen(rgb):
    """A window at 83 % on a desktop, kept as a JPEG."""
    small = scaled(rgb, 0.83)
    screen = np.full((max(720, len(small) + 100), max(1280, small.shape[1] + 300), 3), 225, np.uint8)
    screen[:40] = 45
    screen[70 : 70 + len(small), 200 : 200 + small.shape[1]] = small
    return jpeg(screen, 90)


ATTACKS = {
    'nothing': lambda rgb: rgb,
    'JPEG 70': jpeg,
    'half size': lambda rgb: scaled(rgb, 0.5),
    'cut to 75 %': cut,
    'other colours': recoloured,
    'grey': lambda rgb: np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, 2),
    'a screenshot': on_a_screen,
}


def encoded(path, frames, crf):
    with av.open(str(path), 'w') as file:
        stream = file.add_stream('libx264', rate=25, options={'crf': str(crf)})
        stream.height, stream.width = (n - n % 2 for n in frames[0].shape[:2])
        stream.pix_fmt = 'yuv420p'
        for rgb in frames:
            part = np.ascontiguousarray(rgb[: stream.height, : stream.width])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(part, format='rgb24')))
        file.mux(stream.encode(None))
    return path


def wrong_bits(found, mark):
    return 48 if found is None else (found.bits ^ mark.bits).bit_count()


@needs_data
@pytest.mark.parametrize('attack', ATTACKS)
def test_a_picture_of_512_px(attack):
    mark = Mark()
    marked = mark.on(portrait('statue'))
    assert wrong_bits(search([ATTACKS[attack](marked)]), mark) <= 2


@needs_data
@pytest.mark.parametrize(
    ('attack', 'crf'),
    [('nothing', 28), ('other colours', 28), ('cut to 75 %', 20), ('a screenshot', 18), ('half size', 20)],
)
def test_a_second_of_video(attack, crf, tmp_path):
    mark = Mark()
    with VideoWriter(tmp_path / 'made.mp4', 25, (512, 512)) as writer:
        for rgb in clip('a', 25):
            writer.write(cv2.resize(rgb, (512, 512), interpolation=cv2.INTER_AREA), mark=mark)
    seen = [ATTACKS[attack](rgb) for _, _, rgb in read_frames(tmp_path / 'made.mp4')]
    assert wrong_bits(find_mark(encoded(tmp_path / 'sent.mp4', seen, crf)), mark) == 0


@needs_data
@pytest.mark.parametrize('name', ['statue', 'painting_pearl', 'alpaca'])
def test_it_is_not_seen(name):
    picture = portrait(name)
    assert psnr(picture, Mark().on(picture)) >= 42
    flat = np.full((300, 400, 3), 128, np.uint8)
    assert psnr(flat, Mark().on(flat)) >= 45
    white = np.full((300, 400, 3), 255, np.uint8)
    assert Mark().on(white).min() >= 250


@needs_data
@pytest.mark.parametrize('name', ['statue', 'painting_half_length', 'monkey'])
def test_there_is_none_in_other_pictures(name):
    assert search([portrait(name)]) is None


@pytest.mark.parametrize('picture', ['noise', 'black', 'stripes', 'tiles'])
def test_there_is_none_in_drawn_pictures(picture):
    rng = np.random.default_rng(5)
    made = {'noise': rng.integers(0, 256, (256, 256)), 'black': np.zeros((256, 256))}
    made['stripes'] = np.tile(np.arange(256) // 4 % 2 * 255, (256, 1))
    made['tiles'] = np.tile(rng.integers(0, 256, (128, 128)), (3, 3))
    assert search([np.repeat(made[picture].astype(np.uint8)[..., None], 3, 2)]) is None


def test_chance_gives_a_mark_in_less_than_one_of_a_million_files():
    """Chernoff's bound of the sum of the beacon's maximum over all places and the words' over all codewords, each of
    normal values, over all scales and all groups of a file's frames; the values of spectra by chance follow it."""
    x = np.linspace(0, 12, 24001)
    words, beacon = (2 * norm.cdf(x) - 1) ** 128, norm.cdf(x) ** (mark_search.FINE**2)
    mean = lambda cdf, rate: np.sum(np.diff(cdf) * np.exp(rate * x[1:]))
    bound = lambda most: min(
        mean(words, rate) ** 6 * mean(beacon, rate) * np.exp(-rate * most) for rate in np.linspace(0.5, 7, 66)
    )
    tries = len(list(mark_search.sides(1024))) * mark_search.MOST_FRAMES / mark_search.AT_ONCE
    assert tries * bound(mark_search.CERTAIN) < 1e-6
    rng = np.random.default_rng(0)
    chance = lambda: mark_search.read(rng.normal(size=(len(waves()[0]), 2)).view(complex)[:, 0]).score
    scores = [chance() for _ in range(400)]
    for most in (23, 24, 25):
        assert np.mean(np.array(scores) > most) <= 3 * bound(most) + 0.02
    assert max(scores) < 29


def test_words_are_a_code_with_half_its_chips_between_any_two():
    both = np.concatenate([code(), -code()])
    distance = (128 - both @ both.T) / 2
    assert set(np.unique(distance)) == {0, 64, 128} and (np.diag(distance) == 0).all()


@needs_data
def test_marks_over_each_other_are_told_apart():
    first, second = Mark(b'a'), Mark(b'b')
    twice = second.on(first.on(portrait('statue')))
    assert first.bits != second.bits and search([twice]).bits in (first.bits, second.bits)


@needs_data
def test_large_pictures_are_found_small():
    mark = Mark()
    large = mark.on(portrait('statue', 1500))
    assert psnr(portrait('statue', 1500), large) >= 42
    assert wrong_bits(search([scaled(large, 0.3)]), mark) == 0 == wrong_bits(search([large]), mark)


@pytest.mark.parametrize(('depth', 'full'), [(8, False), (8, True), (10, False), (10, True)])
def test_luma_as_it_is_stored(depth, full):
    rng = np.random.default_rng(1)
    rgb = cv2.resize(rng.integers(60, 200, (30, 40, 3), np.uint8), (400, 300), interpolation=cv2.INTER_CUBIC)
    luma = rgb @ WEIGHTS
    black, white = (0, 255) if full else (16, 235)
    step = 2 ** (depth - 8)
    plane = np.rint((luma * (white - black) / 255 + black) * step).astype(np.uint8 if depth == 8 else np.uint16)
    mark = Mark()
    change = (mark.on_luma(plane, depth, full, (400, 300)).astype(float) - plane) / step * 255 / (white - black)
    other = Mark()
    other.bits = mark.bits
    assert np.corrcoef(change.ravel(), other.change(np.float32(luma)).ravel())[0, 1] > 0.95


@needs_data
def test_pixels_that_are_not_square():
    """The mark is that of the picture as it is shown."""
    mark, wide = Mark(), portrait('statue')
    plane = cv2.resize(wide @ WEIGHTS, (256, 512), interpolation=cv2.INTER_AREA).astype(np.uint8)
    shown = cv2.resize(mark.on_luma(plane, 8, True, (512, 512)), (512, 512), interpolation=cv2.INTER_CUBIC)
    assert wrong_bits(search([np.repeat(shown[..., None], 3, 2)]), mark) == 0


def report_of(*files):
    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)
    return verify.run(parser.parse_args(list(map(str, files))))


@needs_data
def test_a_stripped_file_is_told_apart(tmp_path):
    """Credentials name the mark; without them the mark is there still. Two readers agree, and so do two programs."""
    path, bare = tmp_path / 'out.png', tmp_path / 'bare.jpg'
    with signed_path(path, 'painted') as (part, mark):
        write_image(part, mark.on(portrait('statue')))
    write_image(bare, portrait('statue'))
    write_image(tmp_path / 'stripped.jpg', cv2.imread(str(path))[..., ::-1])
    rows = report_of(path, tmp_path / 'stripped.jpg', bare)['files']
    assert [row['status'] for row in rows] == ['intact', 'stripped', 'unmarked']
    number = f'{mark.bits:012x}'
    assert [rows[0]['mark'], *(row['mark_found'] for row in rows)] == [number, number, number, None]
    assert verified(path)['c2pa.soft-binding']['blocks'][0]['value'] == number
    words = [sys.executable, '-m', 'dfjax.apps.cli', 'verify', str(tmp_path / 'stripped.jpg')]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 1 and number in done.stdout and 'stripped' in done.stdout


@needs_data
def test_frames_that_pass_through_have_none(tmp_path):
    encoded(tmp_path / 'in.mp4', [cv2.resize(rgb, (256, 256)) for rgb in clip('a', 6)], 18)
    transform_video(tmp_path / 'in.mp4', tmp_path / 'same.mp4', lambda frames: [f[2] for f in frames])
    assert find_mark(tmp_path / 'same.mp4') is None
    turned = lambda frames: [f[2][:, ::-1] if f[0] else f[2] for f in frames]
    transform_video(tmp_path / 'in.mp4', tmp_path / 'turned.mp4', turned)
    assert f'{find_mark(tmp_path / "turned.mp4").bits:012x}' == report_of(tmp_path / 'turned.mp4')['files'][0]['mark']

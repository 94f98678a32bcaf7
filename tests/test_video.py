"""Pictures of videos in and out, against PyAV's and OpenCV's own reading, closed forms and real files."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from toy_jobs import same, transform_video
from videos import make, psnr, scene, sound_packets, times

from dfjax.data.media.video import VideoWriter, probe, read_frames

DATA = Path(__file__).parents[2] / 'shared' / 'data'
SPEECH = DATA / 'faces' / 'a.mp4'
real = pytest.mark.skipif(not SPEECH.exists(), reason='the shared videos are not here')


@real
def test_read_frames_equals_direct_decoding():
    with av.open(str(SPEECH)) as file:
        frames = list(file.decode(video=0))
        want = [frame.to_ndarray(format='rgb24') for frame in frames[:40]]
        info = probe(SPEECH)
        assert (info.width, info.height, info.fps, info.frames, info.has_audio, info.rotation) == (
            *(512, 512, 30, 354, True, 0),
        )
    got = list(read_frames(SPEECH))
    assert [index for index, _, _ in got] == list(range(354)) and abs(info.duration - 354 / 30) < 1e-6
    np.testing.assert_allclose([time for _, time, _ in got], np.arange(354) / 30, atol=1e-6)
    assert all(np.array_equal(a, b[2]) for a, b in zip(want, got))


@real
def test_transform_keeps_times_and_sound_and_applies_fn(tmp_path):
    out, seen, told = tmp_path / 'out.mp4', [], []

    def invert(frames):
        seen.append([index for index, _, _ in frames])
        return np.stack([255 - rgb for _, _, rgb in frames])  # an array is as good as a list

    count = transform_video(SPEECH, out, invert, batch=12, progress=lambda *n: told.append(n))
    assert (
        count == 354
        and [i for group in seen for i in group] == list(range(354))
        and [len(s) for s in seen] == [12] * 29 + [6]
    )
    assert told == [(n, 354) for n in range(1, 355)]
    assert times(out) == times(SPEECH) and sound_packets(out) == sound_packets(SPEECH)
    for (_, _, a), (_, _, b) in zip(read_frames(SPEECH), read_frames(out), strict=True):
        assert psnr(255 - a, b) > 35
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize('start', [0, 400])
def test_variable_rate_start_and_last_duration(tmp_path, start):
    pts = start + np.cumsum([0, *np.random.default_rng(0).integers(1, 200, 59)])
    source = make(tmp_path / 'in.mp4', scene(60), pts.tolist(), durations=[*np.diff(pts).tolist(), 777])
    assert times(source)[0][0] == start / 1000 and times(source)[-1][1] == 0.777  # what it should be
    transform_video(source, tmp_path / 'out.mp4', same, batch=7)
    assert [t for t, _ in times(tmp_path / 'out.mp4')] == [t for t, _ in times(source)]
    assert probe(tmp_path / 'out.mp4').duration == probe(source).duration == (pts[-1] + 777) / 1000
    np.testing.assert_allclose([t for _, t, _ in read_frames(source)], pts / 1000, atol=1e-9)


def test_transport_stream_counts_from_its_start(tmp_path):
    source = make(tmp_path / 'in.ts', scene(30), [900_000 + 3600 * i for i in range(30)], Fraction(1, 90000))
    assert times(source)[0][0] > 9
    transform_video(source, tmp_path / 'out.mp4', same)
    np.testing.assert_allclose([t for t, _ in times(tmp_path / 'out.mp4')], np.arange(30) / 25, atol=1e-4)


TURNS = {  # display matrix (a, b, c, d) of the mp4 track header, and what a viewer shows
    'none': ((1, 0, 0, 1), lambda p: p),
    'clockwise': ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    'half': ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    'counter': ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    'mirror': ((-1, 0, 0, 1), np.fliplr),
    'upside down': ((1, 0, 0, -1), np.flipud),
    'transpose': ((0, 1, 1, 0), lambda p: np.swapaxes(p, 0, 1)),
}


@pytest.mark.parametrize('turn', TURNS)
def test_rotation_is_applied_to_the_pixels(tmp_path, turn):
    stored = make(tmp_path / 'stored.mp4', scene(12), range(0, 480, 40))
    (a, b, c, d), shown = TURNS[turn]
    data = stored.read_bytes()
    one = 1 << 16
    plain, turned = (
        struct.pack('>9i', *(v * one for v in m), 0, 0, 1 << 30) for m in ((1, 0, 0, 0, 1, 0), (a, b, 0, c, d, 0))
    )
    at = data.index(plain, data.index(b'tkhd'))
    source = tmp_path / 'turned.mp4'
    source.write_bytes(data[:at] + turned + data[at + 36 :])
    want = [shown(rgb) for _, _, rgb in read_frames(stored)]
    got = [rgb for _, _, rgb in read_frames(source)]
    assert all(np.array_equal(x, y) for x, y in zip(want, got, strict=True))
    info = probe(source)
    assert (info.height, info.width) == want[0].shape[:2]
    assert info.rotation == {'clockwise': 90, 'half': 180, 'counter': 270}.get(turn, 0)
    if turn in ('clockwise', 'half', 'counter'):  # OpenCV turns, but does not mirror
        assert psnr(cv2.VideoCapture(str(source)).read()[1][..., ::-1], want[0]) > 30
    out = tmp_path / 'out.mp4'
    transform_video(source, out, same)
    assert probe(out).rotation == 0
    assert psnr(cv2.VideoCapture(str(out)).read()[1][..., ::-1], want[0]) > 35


def test_odd_sizes_repeat_the_last_row_and_column(tmp_path):
    pictures = scene(10, 77, 101)
    with VideoWriter(tmp_path / 'odd.mp4', 25, (101, 77)) as writer:
        for picture in pictures:
            writer.write(picture)
    got = np.stack([rgb for _, _, rgb in read_frames(tmp_path / 'odd.mp4')])
    assert got.shape == (10, 78, 102, 3) and psnr(got[:, :77, :101], pictures) > 35
    assert psnr(got[:, 77, :101], pictures[:, 76]) > 33 and psnr(got[:, :77, 101], pictures[:, :, 100]) > 33


def test_new_video_has_its_colours_for_any_reader(tmp_path):
    colours = np.random.default_rng(0).integers(30, 225, (3, 4, 3)).astype(np.uint8)
    picture = np.kron(colours, np.ones((32, 32, 1), np.uint8))
    with VideoWriter(tmp_path / 'c.mp4', Fraction(30000, 1001), (128, 96)) as writer:
        for _ in range(6):
            writer.write(picture)
    ours, theirs = next(read_frames(tmp_path / 'c.mp4'))[2], cv2.VideoCapture(str(tmp_path / 'c.mp4')).read()[1]
    for got in (ours, theirs[..., ::-1]):
        assert np.abs(got[16::32, 16::32].astype(int) - colours).max() <= 6
    np.testing.assert_allclose([t for t, _ in times(tmp_path / 'c.mp4')], np.arange(6) * 1001 / 30000, atol=1e-6)


@pytest.mark.parametrize('matrix, red, blue', [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (2, 0.299, 0.114)])
def test_colours_follow_the_matrix_of_the_source(tmp_path, matrix, red, blue):
    colours = np.random.default_rng(1).integers(40, 215, (3, 4, 3))
    r, g, b = np.moveaxis(np.kron(colours, np.ones((32, 32, 1))) / 255, -1, 0)
    luma = red * r + (1 - red - blue) * g + blue * b  # ITU-R BT.709 and BT.601, limited range
    planes = 16 + 219 * luma, 128 + 112 * (b - luma) / (1 - blue), 128 + 112 * (r - luma) / (1 - red)
    planar = np.concatenate([planes[0].ravel(), *(p[::2, ::2].ravel() for p in planes[1:])]).round().astype(np.uint8)
    source, out = tmp_path / 'in.mp4', tmp_path / 'out.mp4'
    with av.open(str(source), 'w') as file:
        stream = file.add_stream('libx264', rate=25, options={'qp': '0'})
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.colorspace = 128, 96, 'yuv420p', matrix
        frame = av.VideoFrame.from_ndarray(planar.reshape(144, 128), format='yuv420p')
        frame.colorspace = matrix
        file.mux(stream.encode(frame) + stream.encode(None))
    transform_video(source, out, same)
    for path in (source, out):
        assert np.abs(next(read_frames(path))[2][16::32, 16::32].astype(int) - colours).max() <= 5
    with av.open(str(out)) as file:
        assert next(file.decode(video=0)).colorspace == matrix

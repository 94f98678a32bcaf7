"""Video in and out, against PyAV's and OpenCV's own reading, closed forms and real files."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from scipy.io import wavfile
from toy_jobs import same, transform_video

from dfjax.data.media.audio import read_sound
from dfjax.data.media.video import VideoWriter, probe, read_frames

DATA = Path(__file__).parents[2] / 'shared' / 'data'
SPEECH = DATA / 'faces' / 'a.mp4'
real = pytest.mark.skipif(not SPEECH.exists(), reason='the shared videos are not here')


def scene(count, height=48, width=64):
    """A smooth picture that drifts, so that every frame differs and codecs lose little. [N, H, W, 3]"""
    y, x, t = np.meshgrid(np.arange(height), np.arange(width), np.arange(count), indexing='ij')
    waves = [128 + 90 * np.sin(x / 15 + t / 5 + c) * np.cos(y / 12 - c) for c in range(3)]
    return np.stack(waves, -1).transpose(2, 0, 1, 3).astype(np.uint8)


def make(path, pictures, pts, base=Fraction(1, 1000), durations=None):
    """A video with these times, written without dfjax."""
    with av.open(str(path), 'w') as out:
        stream = out.add_stream('libx264', rate=25, options={'crf': '5', 'bf': '0'})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt, stream.codec_context.time_base = 'yuv420p', base
        last = dict(zip(pts, durations or [40] * len(pts), strict=True))
        packets = []
        for picture, at in zip(pictures, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
            frame.pts, frame.time_base = at, base
            packets += stream.encode(frame)
        for packet in packets + stream.encode(None):
            packet.duration = last[packet.pts]
            out.mux(packet)
    return path


def times(path):
    with av.open(str(path)) as file:
        return [(frame.time, float(frame.duration * frame.time_base)) for frame in file.decode(video=0)]


def sound_packets(path):
    with av.open(str(path)) as file:
        return [(p.pts, p.dts, bytes(p)) for p in file.demux(audio=0) if p.dts is not None]


def psnr(a, b):
    return 10 * np.log10(255**2 / max(1e-9, np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2)))


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


def chirp(rate, seconds=2.0):
    t = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * (200 * t + 300 * t**2)) * (t > 0.3)).astype(np.float32)


def decoded_sound(path, rate):
    with av.open(str(path)) as file:
        to = av.AudioResampler('fltp', 'mono', rate)
        frames = [f for frame in file.decode(audio=0) for f in to.resample(frame)] + to.resample(None)
        return round(frames[0].time * rate), np.concatenate([f.to_ndarray()[0] for f in frames])


def assert_same_sound(path, want, rate):
    start, got = decoded_sound(path, rate)
    got = np.concatenate([np.zeros(max(start, 0), np.float32), got[max(-start, 0) :]])[: len(want)]
    shifts = np.arange(-1200, 1201)
    match = [np.dot(np.roll(got, -s), want[: len(got)]) for s in shifts]
    assert abs(shifts[int(np.argmax(match))]) <= 2  # in samples: lips and sound stay together
    assert np.corrcoef(got, want[: len(got)])[0, 1] > 0.98


def make_with_sound(path, codec, want, rate):
    """A video of 25 frames a second with this sound [T] in both channels, written without dfjax."""
    with av.open(str(path), 'w') as out:
        video = out.add_stream('mpeg4', rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, 'yuv420p'
        options = {'strict': 'experimental'} if codec in ('vorbis', 'opus') else {}
        sound = out.add_stream(codec, rate=rate, layout='stereo', options=options)
        for picture in scene(25 * len(want) // rate):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        out.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(np.stack([want, want]), format='fltp', layout='stereo')
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(sound.format.name, 'stereo', rate, sound.codec_context.frame_size or None)
        for part in resampler.resample(frame) + resampler.resample(None):
            out.mux(sound.encode(part))
        out.mux(sound.encode(None))
    return path


@pytest.mark.parametrize('codec, suffix', [('pcm_s16le', '.mkv'), ('pcm_s24le', '.mov'), ('vorbis', '.mkv')])
def test_sound_that_mp4_cannot_hold_becomes_aac_in_step(tmp_path, codec, suffix):
    rate = 44100
    want = chirp(rate)
    source = make_with_sound(tmp_path / f'in{suffix}', codec, want, rate)
    transform_video(source, tmp_path / 'out.mp4', same)
    with av.open(str(tmp_path / 'out.mp4')) as file:
        assert file.streams.audio[0].codec_context.name == 'aac' and file.streams.audio[0].rate == rate
    start, heard = decoded_sound(source, rate)  # what was there (Vorbis loses a little)
    assert start >= 0
    assert_same_sound(tmp_path / 'out.mp4', np.concatenate([np.zeros(start, np.float32), heard])[: len(want)], rate)


@pytest.mark.parametrize('codec', ['aac', 'libmp3lame', 'mp2', 'ac3', 'eac3', 'alac', 'opus', 'flac'])
def test_every_container_has_the_sound_copied_or_as_aac(tmp_path, codec):
    rate = 48000
    suffix = '.mov' if codec == 'alac' else '.mkv'  # FFmpeg's mkv does not say how long packets of ALAC are
    source = make_with_sound(tmp_path / f'in{suffix}', codec, chirp(rate), rate)
    packets = [data for _, _, data in sound_packets(source)]
    start, heard = decoded_sound(source, rate)
    for suffix in ('.mp4', '.m4v', '.mov', '.MOV'):
        out = tmp_path / f'out{suffix}'
        transform_video(source, out, same)
        if suffix.lower() == '.mov' and codec in ('opus', 'flac'):  # QuickTime has no place for them
            with av.open(str(out)) as file:
                assert file.streams.audio[0].codec_context.name == 'aac'
            want = np.concatenate([np.zeros(max(start, 0), np.float32), heard[max(-start, 0) :]])
            assert_same_sound(out, want[: 2 * rate], rate)
        else:
            assert [data for _, _, data in sound_packets(out)] == packets


@pytest.mark.parametrize('rate', [16000, 44056])
def test_writer_encodes_given_sound(tmp_path, rate):
    with VideoWriter(tmp_path / 'v.mp4', 25, (64, 48), sound=(chirp(rate), rate)) as writer:
        for picture in scene(50):
            writer.write(picture)
    assert_same_sound(tmp_path / 'v.mp4', chirp(rate), rate)


@pytest.mark.parametrize('codec, suffix', [('aac', '.mp4'), ('libmp3lame', '.mkv'), ('opus', '.mkv'), ('flac', '.mkv')])
@pytest.mark.parametrize('wanted', [(None, False), (16000, True), (44100, False)])
def test_the_sound_of_any_file_is_read_on_its_clock(tmp_path, codec, suffix, wanted):
    source = make_with_sound(tmp_path / f'in{suffix}', codec, chirp(48000), 48000)
    samples, rate = read_sound(source, *wanted)
    assert (rate, samples.shape[1]) == (wanted[0] or 48000, 1 if wanted[1] else 2) and samples.dtype == np.float32
    want = chirp(rate)[: len(samples)]
    assert len(want) > 1.9 * rate and np.corrcoef(samples[: len(want), 0], want)[0, 1] > 0.98


def test_a_track_that_begins_late_is_read_with_its_silence(tmp_path):
    source = tmp_path / 'in.mkv'
    with av.open(str(source), 'w') as out:
        sound = out.add_stream('flac', rate=8000, layout='mono')
        for n, part in enumerate(np.split((chirp(8000) * 32767).astype(np.int16), 4)):
            frame = av.AudioFrame.from_ndarray(part[None], format='s16', layout='mono')
            frame.sample_rate, frame.pts, frame.time_base = 8000, 4000 * (n + 1), Fraction(1, 8000)
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    samples, rate = read_sound(source)
    assert rate == 8000 and np.abs(samples[:4000]).max() == 0
    np.testing.assert_allclose(samples[4000:, 0], chirp(8000), atol=1e-4)


def test_what_a_lower_rate_cannot_hold_is_taken_out(tmp_path):
    t = np.arange(44100) / 44100
    tones = 0.4 * np.sin(2 * np.pi * 1000 * t) + 0.4 * np.sin(2 * np.pi * 11000 * t)
    wavfile.write(tmp_path / 'in.wav', 44100, tones.astype(np.float32))
    samples, rate = read_sound(tmp_path / 'in.wav', 16000)  # 11 kHz would fold to 5 kHz
    spectrum = np.abs(np.fft.rfft(samples[1600:14400, 0])) / 6400
    lines = np.fft.rfftfreq(12800, 1 / rate)
    assert spectrum[lines.searchsorted(1000)] == pytest.approx(0.4, abs=0.01)
    assert spectrum[np.abs(lines - 1000) > 50].max() < 0.002


def test_no_sound_stays_silent(tmp_path):
    source = make(tmp_path / 'in.mp4', scene(5), range(0, 200, 40))
    transform_video(source, tmp_path / 'out.mp4', same)
    assert not probe(source).has_audio and not probe(tmp_path / 'out.mp4').has_audio

"""Parts of videos, and codecs: what is read and written is that part, and of that kind."""

import gc

import av
import numpy as np
import pytest
from test_paste import smooth_frame

from dfjax.data.media.encode import ENCODERS, VideoWriter
from dfjax.data.media.video import frame_at, frames_at, open_video, probe, read_frames
from dfjax.errors import InputError, ReadError
from dfjax.inference.plan import plan_settings
from dfjax.inference.settings import Settings

RATE, COUNT = 20, 40


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Two seconds with a key frame in each quarter of one, B-frames, and a tone that rises after a second."""
    path = tmp_path_factory.mktemp('excerpts') / 'in.mp4'
    seconds = np.arange(2 * 16000) / 16000
    tone = 0.3 * np.sin(2 * np.pi * np.where(seconds < 1, 400, 900) * seconds)
    with VideoWriter(path, RATE, (96, 64), sound=(tone.astype(np.float32), 16000), preset='medium') as writer:
        writer._stream.options = writer._stream.options | {'g': '5', 'bf': '2'}
        for n in range(COUNT):
            writer.write(np.roll(smooth_frame(0, 64, 96), 2 * n, 1))
    return path


@pytest.mark.parametrize(
    ('span', 'numbers'), [((0.5, 0.8), range(10, 16)), ((0, 0.1), range(2)), ((1.87, 9), (38, 39))]
)
def test_a_span_has_the_frames_that_the_whole_has_there(video, span, numbers):
    whole = {index: (time, rgb) for index, time, rgb in read_frames(video)}
    with open_video(video, span) as (info, frames):
        found = list(frames)
    assert [frame.index for frame in found] == list(numbers) and info.size == (96, 64)
    for frame in found:
        assert frame.time == whole[frame.index][0]
        np.testing.assert_array_equal(frame.rgb, whole[frame.index][1])


@pytest.mark.parametrize(('time', 'number'), [(0.0, 0), (0.049, 0), (0.05, 1), (0.73, 14), (1.99, 39)])
def test_a_moment_is_the_frame_that_is_shown_then(video, time, number):
    with open_video(video, (time, time)) as (_, frames):
        assert [frame.index for frame in frames] == [number]


def test_a_span_after_the_end_is_said(video):
    said = r'in.mp4: has no frame at 5 s; give a time before its end'
    with pytest.raises(ReadError, match=said), open_video(video, (5.0, 6.0)) as (_, frames):
        list(frames)


@pytest.mark.parametrize(
    ('name', 'settings', 'said'),
    [
        ('in.mp4', {'start': 2.5}, 'in.mp4: lasts 2.0 s: give --from a time before its end'),
        ('in.mp4', {'preview': 1.0}, r'out.mp4: a picture is made; name the output \*.jpg'),
        ('in.mp4', {'codec': 'prores'}, r'in.mp4 is a video; name the output \*.mov$'),
        ('in.mp4', {'codec': 'ffv1'}, r'in.mp4 is a video; name the output \*.avi$'),
        ('one.png', {'start': 1.0}, r'one.png: --from is of one video'),
        ('one.png', {'crf': 10}, 'out.png: no video is made: leave out --crf'),
    ],
)
def test_plans_that_cannot_be(video, name, settings, said):
    from dfjax.data.media.image import write_image

    write_image(video.with_name('one.png'), smooth_frame(0))
    out = video.with_name('out.png' if name == 'one.png' else 'out.mp4')
    with pytest.raises(InputError, match=said):
        plan_settings(video.with_name(name), out, Settings(**settings).check())


def test_a_codec_that_this_build_lacks_is_said(video, monkeypatch):
    monkeypatch.setattr(av, 'codecs_available', av.codecs_available - {'prores_ks'})
    with pytest.raises(InputError, match='codec prores: this build of FFmpeg lacks prores_ks; choose another --codec'):
        plan_settings(video, video.with_name('out.mov'), Settings(codec='prores'))


def test_ffv1_loses_nothing_and_others_are_what_they_are_called(video, tmp_path):
    before = [rgb for *_, rgb in read_frames(video)][:4]
    sizes = {}
    for codec, crf in (('ffv1', 18), ('prores', 18), ('h264', 5), ('h264', 40), ('hevc', 18)):
        path = tmp_path / f'{codec}_{crf}.{"avi" if codec == "ffv1" else "mov"}'
        with (
            open_video(video) as (info, frames),
            VideoWriter(path, RATE, (96, 64), like=info, codec=codec, crf=crf) as writer,
        ):
            for frame, _ in zip(frames, before):
                writer.write(frame.rgb, frame.pts, frame.duration, of=frame)
        sizes[codec, crf] = path.stat().st_size
        after = [rgb for *_, rgb in read_frames(path)]
        assert len(after) == 4 and probe(path).duration == pytest.approx(4 / RATE, abs=1e-3)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.codec.canonical_name == codec
            assert codec != 'prores' or (stream.pix_fmt, stream.profile) == ('yuv422p10le', 'HQ')
        apart = np.abs(np.stack(after).astype(int) - np.stack(before))
        assert apart.max() == 0 if codec == 'ffv1' else apart.mean() < 12
    assert sizes['h264', 5] > 2 * sizes['h264', 40]
    assert set(ENCODERS) == {'h264', 'hevc', 'prores', 'ffv1'}


@pytest.mark.parametrize('seconds, number', [(0.0, 0), (0.05, 1), (1.26, 25), (1.9, 38), (99.0, 39)])
def test_the_frame_at_a_time_is_the_same_wherever_reading_begins(video, seconds, number):
    """It is sought, from the key frame before; after the end it is the last."""
    every = list(read_frames(video))
    time, rgb = frame_at(video, seconds)
    assert time == pytest.approx(every[number][1]) and np.array_equal(rgb, every[number][2])


def test_frames_at_several_times_are_those_at_each(video):
    times = [0.0, 1.26, 1.9, 0.3, 0.3, 99.0]
    for (time, rgb), seconds in zip(frames_at(video, times), times, strict=True):
        alone = frame_at(video, seconds)
        assert time == alone[0] and np.array_equal(rgb, alone[1])


def test_a_file_that_was_read_leaves_nothing_for_python_to_find(video):
    """Its decoder's frames, tens of MB at 4K, would be kept until then."""
    gc.collect()
    probe(video)
    frame_at(video, 1.0)
    assert gc.collect() == 0

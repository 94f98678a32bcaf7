"""The frame pipeline: outputs that differ from their source in kind, size, number, rate and sound; and failures."""

import os
import threading
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from toy_jobs import same, transform_video
from videos import assert_same_sound, chirp, make, make_with_sound, scene, sound_packets, times

from dfjax.data.media import audio
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.video import VideoWriter, probe, read_frames
from dfjax.errors import InputError, ReadError, WriteError
from dfjax.inference.frames import Job, Output, run_job
from dfjax.inference.plan import plan_outputs

PICTURE = scene(1, 60, 80)[0]


class Grows(Job):
    """From one picture, `count` frames at half its size that grow darker."""

    def __init__(self, count: int, output: Output):
        super().__init__('grown by a test', 'none')
        self.count, self.wanted = count, output

    def output(self, info):
        return self.wanted

    def __call__(self, info, frames):
        (frame,) = frames
        small = cv2.resize(frame.rgb, self.wanted.size, interpolation=cv2.INTER_AREA)
        for n in range(self.count):
            yield (small * (1 - n / (2 * self.count))).astype(np.uint8)


class ForthAndBack(Job):
    """The frames, and then again from the last to the first, at `output.fps`."""

    def __init__(self, output: Output):
        super().__init__('turned by a test', 'none')
        self.wanted = output

    def output(self, info):
        return self.wanted

    def __call__(self, info, frames):
        kept = []
        for frame in frames:
            kept.append(frame.rgb)
            yield frame.rgb
        yield from reversed(kept)


class Every(Job):
    """Every n-th frame."""

    def __call__(self, info, frames):
        return (frame.rgb for frame in frames if frame.index % self.batch == 0)


def run(job, source, out, **options):
    return run_job(job, plan_outputs(source, out, **options))


def near(a, b, psnr=30):
    return 10 * np.log10(255**2 / max(1e-9, np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2))) > psnr


def test_a_picture_becomes_a_video_of_another_size_with_sound(tmp_path):
    write_image(tmp_path / 'in.png', PICTURE)
    wanted = Output(size=(40, 30), fps=Fraction(30000, 1001), sound=(chirp(16000, 1), 16000))
    report = run(Grows(31, wanted), tmp_path / 'in.png', tmp_path / 'out.mp4', kind='video')
    assert (report['frames'], report['skipped']) == (31, 0)
    info = probe(tmp_path / 'out.mp4')
    assert (info.size, info.fps, info.frames, info.has_audio) == ((40, 30), Fraction(30000, 1001), 31, True)
    frames = [rgb for _, _, rgb in read_frames(tmp_path / 'out.mp4')]
    assert near(frames[0], cv2.resize(PICTURE, (40, 30), interpolation=cv2.INTER_AREA))
    assert frames[30].mean() == pytest.approx(frames[0].mean() * (1 - 30 / 62), abs=2)
    np.testing.assert_allclose([t for t, _ in times(tmp_path / 'out.mp4')], np.arange(31) * 1001 / 30000, atol=1e-6)
    assert_same_sound(tmp_path / 'out.mp4', chirp(16000, 1), 16000)
    assert read_credentials(tmp_path / 'out.mp4')['intact']


def test_a_video_becomes_a_longer_one_at_another_rate_with_the_sound_of_another_file(tmp_path):
    source = make(tmp_path / 'in.mp4', scene(12), [0, 40, 90, *range(130, 490, 40)])  # of a variable rate
    voice = make_with_sound(tmp_path / 'voice.mkv', 'aac', chirp(48000, 1), 48000)
    report = run(ForthAndBack(Output(fps=12.5, sound=voice)), source, tmp_path / 'out.mp4')
    assert report['frames'] == 24
    assert times(tmp_path / 'out.mp4') == [(n / 12.5, 0.08) for n in range(24)]
    assert [data for _, _, data in sound_packets(tmp_path / 'out.mp4')] == [d for _, _, d in sound_packets(voice)]
    frames = [rgb for _, _, rgb in read_frames(tmp_path / 'out.mp4')]
    assert near(frames[3], scene(12)[3]) and near(frames[23], scene(12)[0])


def test_a_video_loses_its_sound_where_none_is_wanted(tmp_path):
    source = make_with_sound(tmp_path / 'in.mkv', 'aac', chirp(48000, 1), 48000)
    run(ForthAndBack(Output(fps=25, sound=None)), source, tmp_path / 'out.mp4')
    assert probe(source).has_audio and not probe(tmp_path / 'out.mp4').has_audio


def test_a_video_becomes_pictures(tmp_path):
    source = make(tmp_path / 'in.mp4', scene(10), range(0, 400, 40))
    report = run(Every('thinned by a test', 'none', batch=4), source, tmp_path / 'out', kind='images')
    assert report['frames'] == 3
    names = ['000000.png', '000001.png', '000002.png']
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == names
    truth = [rgb for _, _, rgb in read_frames(source)]
    for n, name in enumerate(names):
        np.testing.assert_array_equal(read_image(tmp_path / 'out' / name), truth[4 * n])
        facts = read_credentials(tmp_path / 'out' / name)
        assert facts['intact'] and facts['details']['system'] == 'none'


def test_a_folder_becomes_a_folder_of_videos(tmp_path):
    (tmp_path / 'in').mkdir()
    for name in ('one.png', 'two.jpg'):
        write_image(tmp_path / 'in' / name, PICTURE)
    report = run(Grows(3, Output(size=(80, 60), fps=10)), tmp_path / 'in', tmp_path / 'out', kind='video')
    assert report['frames'] == 6
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['one.png.mp4', 'two.jpg.mp4']


def test_names_that_do_not_fit_are_refused_before_any_work(tmp_path):
    write_image(tmp_path / 'in.png', PICTURE)
    video = make(tmp_path / 'in.mp4', scene(2), [0, 40])
    with pytest.raises(WriteError, match=r'out.png: a video is made; name the output \*.mp4'):
        plan_outputs(tmp_path / 'in.png', tmp_path / 'out.png', kind='video')
    with pytest.raises(WriteError, match=r'out.mp4: .*in.png is a picture; name the output \*.jpg'):
        plan_outputs(tmp_path / 'in.png', tmp_path / 'out.mp4')
    with pytest.raises(WriteError, match='exists; a video is converted into a new folder'):
        plan_outputs(video, tmp_path, kind='images')
    with pytest.raises(ReadError, match=r'gone.mp4: no such file'):
        plan_outputs(tmp_path / 'gone.mp4', tmp_path / 'out.mp4')


def test_a_group_begins_before_the_one_before_it_is_read(tmp_path):
    source, order = make(tmp_path / 'in.mp4', scene(5), range(0, 200, 40)), []

    def change(pictures):
        number = sum(word == 'begun' for word, _ in order)
        order.append(('begun', number))
        return (order.append(('read', number)) or rgb for rgb in pictures)

    run(Job('', '', change, batch=2), source, tmp_path / 'out.mp4')
    assert order == [('begun', 0), ('begun', 1), *[('read', 0)] * 2, ('begun', 2), *[('read', 1)] * 2, ('read', 2)]


# Failures


@pytest.mark.parametrize('change, said', [(lambda f: f[:-1], 'fewer'), (lambda f: [*f, f[0]], 'more')])
def test_a_job_that_miscounts_is_found_out(tmp_path, change, said):
    source = make(tmp_path / 'in.mp4', scene(6), range(0, 240, 40))
    with pytest.raises(ValueError, match=f'{said} frames came out than went in'):
        transform_video(source, tmp_path / 'out.mp4', lambda frames: change(same(frames)), batch=3)
    assert list(tmp_path.iterdir()) == [source]


def damaged_folder(folder: Path) -> Path:
    """Two good files and one that is cut short in its middle."""
    folder.mkdir()
    write_image(folder / 'a.png', PICTURE)
    make(folder / 'b.mp4', scene(150), range(0, 6000, 40))
    damaged = folder / 'c.mp4'
    with VideoWriter(damaged, 25, (64, 48)) as writer:  # its index comes first
        for picture in scene(150):
            writer.write(picture)
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    return folder


def test_a_file_of_a_folder_that_cannot_be_read_to_its_end_is_left_out(tmp_path, capsys):
    source = damaged_folder(tmp_path / 'in')

    def change(pictures):
        job.counts['seen'] += len(pictures)
        return pictures

    job, ticks = Job('kept by a test', 'none', change, batch=2), []
    report = run_job(job, plan_outputs(source, tmp_path / 'out'), lambda *n: ticks.append(n))
    assert (report['frames'], report['skipped'], job.counts['seen']) == (151, 1, 151)
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['a.png', 'b.mp4']
    assert 'left out: ' in (said := capsys.readouterr().err) and 'c.mp4' in said
    assert ticks[0] == (1, None) and max(ticks)[0] > 152


def test_what_else_cannot_be_read_is_no_fault_of_the_folder(tmp_path):
    source = damaged_folder(tmp_path / 'in')

    def change(pictures):
        raise ReadError(tmp_path / 'voice.wav', 'no such file')

    with pytest.raises(ReadError, match=r'voice.wav: no such file'):
        run(Job('', '', change), source, tmp_path / 'out')
    assert list(tmp_path.iterdir()) == [source]


def opened() -> set[str]:
    """What this process holds open of files."""
    links = [os.path.join('/proc/self/fd', name) for name in os.listdir('/proc/self/fd')]
    return {os.readlink(link) for link in links if os.path.lexists(link)} - {os.path.realpath('/proc/self/fd')}


class Breaks(Exception):
    """What a part of the pipeline raises in a test."""


@pytest.mark.skipif(not Path('/proc/self/fd').is_dir(), reason='open files are counted under /proc')
@pytest.mark.parametrize('where', ['template', 'aac', 'writer', 'size', 'job', 'output', 'cut short', 'no video'])
def test_a_failure_leaves_no_file_open_and_no_thread_running(tmp_path, monkeypatch, where):
    source = make_with_sound(tmp_path / 'in.mkv', 'vorbis' if where == 'aac' else 'aac', chirp(48000), 48000)

    def breaks(*_, **__):
        raise Breaks

    job = Job('', '', lambda pictures: pictures, batch=4)
    if where == 'template':  # FFmpeg refuses the track only when it is added
        monkeypatch.setattr(audio, 'COPIED', {'mp4': {'aac'}})
        monkeypatch.setattr(audio, '_read', breaks)
    elif where == 'aac':
        monkeypatch.setattr(audio, '_aac', breaks)
    elif where == 'writer':
        monkeypatch.setattr('dfjax.data.media.encode.VideoWriter.write', breaks)
    elif where == 'size':
        job.change = lambda pictures: [rgb[:-2] for rgb in pictures]
    elif where == 'job':
        job.change = breaks
    elif where == 'output':
        job.output = breaks
    elif where == 'cut short':
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    elif where == 'no video':
        with av.open(str(source), 'w') as out:
            stream = out.add_stream('aac', rate=16000, layout='mono')
            frame = av.AudioFrame.from_ndarray(chirp(16000)[None], format='fltp', layout='mono')
            frame.sample_rate = 16000
            out.mux(stream.encode(frame) + stream.encode(None))
    before, threads = opened(), threading.active_count()
    with pytest.raises((Breaks, ValueError, InputError)) as error:  # held, with its traceback and all in its frames
        run(job, source, tmp_path / 'out.mp4')
    assert opened() == before and threading.active_count() == threads
    assert list(tmp_path.iterdir()) == [source] and error.value

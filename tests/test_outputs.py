"""What is written of odd videos: cut short, HDR as SDR, as GIF and WebP, with many tracks, with frames untouched."""

import os
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from test_stored import decoded, lossless
from toy_jobs import same, transform_video
from videos import chirp, make, make_with_sound, psnr, scene, sound_packets, times

from dfjax.data.faces.face import Face
from dfjax.data.media import hdr
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.planes import to_planes
from dfjax.data.media.video import VideoWriter, probe, read_frames
from dfjax.errors import ReadError, WriteError
from dfjax.inference.frames import FaceJob, run_job, stretches
from dfjax.inference.plan import plan_outputs

# Cut short


@pytest.fixture
def cut(tmp_path):
    """An mp4 of 6 s, its index first, of which the last third is missing."""
    with VideoWriter(tmp_path / 'cut.mp4', 25, (64, 48), sound=(chirp(16000, 6), 16000)) as writer:
        for picture in scene(150):
            writer.write(picture)
    data = (tmp_path / 'cut.mp4').read_bytes()
    (tmp_path / 'cut.mp4').write_bytes(data[: len(data) * 2 // 3])
    return tmp_path / 'cut.mp4'


def test_what_is_there_of_a_cut_video_is_taken_where_that_is_asked_for(cut, tmp_path, monkeypatch, capsys):
    with pytest.raises(ReadError, match=r'cut.mp4: (cut short|damaged).*pass --allow-cut to take what is there'):
        list(read_frames(cut))
    monkeypatch.setenv('DFJAX_ALLOW_CUT', '1')
    there = [rgb for _, _, rgb in read_frames(cut)]
    assert 60 < len(there) < 150 and psnr(there[50], scene(150)[50]) > 30
    transform_video(cut, tmp_path / 'out.mp4', same)
    info = probe(tmp_path / 'out.mp4')
    assert info.frames == len(there) and info.has_audio
    assert 'what is there is taken' in capsys.readouterr().err
    with av.open(str(tmp_path / 'out.mp4')) as file:
        heard = sum(frame.samples for frame in file.decode(audio=0)) / 16000
    assert heard == pytest.approx(len(there) / 25, abs=0.6)


def test_nothing_is_taken_of_a_video_that_holds_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv('DFJAX_ALLOW_CUT', '1')
    with VideoWriter(tmp_path / 'in.mp4', 25, (64, 48)) as writer:
        for picture in scene(60):
            writer.write(picture)
    data = (tmp_path / 'in.mp4').read_bytes()
    for length in (len(data) // 50, data.index(b'mdat') + 8):
        (tmp_path / 'in.mp4').write_bytes(data[:length])
        with pytest.raises(ReadError, match=r'in.mp4: ') as error:
            list(read_frames(tmp_path / 'in.mp4'))
        assert '--allow-cut' not in str(error.value)


# HDR as SDR


@pytest.mark.parametrize('transfer', [hdr.PQ, hdr.HLG])
def test_hdr_is_written_as_sdr_where_that_is_asked_for(tmp_path, monkeypatch, transfer):
    monkeypatch.setenv('DFJAX_SDR', '1')
    picture = np.full((48, 64, 3), (180, 140, 110), np.uint8)
    planes = to_planes(picture, 10, (9, 9, transfer), False)
    source = lossless(tmp_path / 'in.mp4', [planes] * 3, 10, (9, 9, transfer))
    transform_video(source, tmp_path / 'out.mp4', same)
    frame = decoded(tmp_path / 'out.mp4')[1]
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.format.name) == (1, 1, 1, 'yuv420p')
    assert np.abs(frame.to_ndarray(format='rgb24').astype(int) - picture[0, 0]).max() <= 4


@pytest.mark.parametrize('said', [(True, True), (True, False), (False, True), (False, False)])
def test_hdr_keeps_what_is_said_of_its_display_and_light(tmp_path, said):
    display = 'master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)'
    words = ['log-level=none', *[word for word, is_said in zip((display, 'max-cll=1000,400'), said) if is_said]]
    with av.open(str(tmp_path / 'in.mp4'), 'w') as file:
        stream = file.add_stream('libx265', rate=25, options={'x265-params': ':'.join(words)})
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p10le'
        codec = stream.codec_context
        codec.colorspace, codec.color_primaries, codec.color_trc = 9, 9, hdr.PQ
        for n in range(3):
            grey = np.full((48, 64, 3), 60 * n, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format='rgb24').reformat(format='yuv420p10le')))
        file.mux(stream.encode(None))
    transform_video(tmp_path / 'in.mp4', tmp_path / 'out.mp4', lambda frames: [255 - f[2] for f in frames])
    kinds = ('MASTERING_DISPLAY_METADATA', 'CONTENT_LIGHT_LEVEL')
    before, after = (
        [bytes(frame.side_data.get(kind) or b'') for kind in kinds]
        for frame in (decoded(tmp_path / 'in.mp4')[1], decoded(tmp_path / 'out.mp4')[1])
    )
    assert [any(data) for data in before] == list(said) and after == before  # without a number x265 says 0


# Other containers


@pytest.mark.parametrize('suffix', ['.gif', '.webp'])
def test_animations_keep_their_times_and_are_signed(tmp_path, suffix, capsys):
    at = [0, 100, 150, 400, 460]
    source = make(tmp_path / 'in.mp4', scene(5), at)
    transform_video(source, tmp_path / f'out{suffix}', same)
    with Image.open(tmp_path / f'out{suffix}') as file:
        assert file.n_frames == 5
        durations, shown = [], []
        for n in range(5):
            file.seek(n)
            shown.append(np.asarray(file.convert('RGB')))
            durations.append(file.info['duration'])
    assert durations[:4] == np.diff(at).tolist()
    assert min(psnr(a, b) for a, b in zip(shown, scene(5))) > 25
    assert read_credentials(tmp_path / f'out{suffix}')['intact']
    back = list(read_frames(tmp_path / f'out{suffix}'))
    np.testing.assert_allclose([t for _, t, _ in back], np.array(at) / 1000, atol=1e-6)
    sounding = make_with_sound(tmp_path / 'loud.mkv', 'aac', chirp(16000, 1), 16000)
    transform_video(sounding, tmp_path / f'silent{suffix}', same)
    assert 'without its sound' in capsys.readouterr().err


@pytest.mark.parametrize('suffix', ['.webm', '.mkv', '.MKV'])
def test_containers_without_credentials_are_refused_with_the_reason_and_the_way_out(tmp_path, suffix):
    source = make(tmp_path / 'in.mp4', scene(2), [0, 40])
    with pytest.raises(WriteError, match=rf'out{suffix}: a {suffix} cannot hold content credentials; name it \*.mp4'):
        plan_outputs(source, tmp_path / f'out{suffix}')


def test_transparency_of_a_moving_picture_is_laid_over_white(tmp_path):
    clear = np.zeros((48, 64, 4), np.uint8)
    clear[:, 32:] = (200, 30, 30, 255)
    first, second = Image.fromarray(clear), Image.fromarray(np.roll(clear, 8, 1))
    for form in ('PNG', 'WEBP', 'GIF'):
        path = tmp_path / f'in.{form.lower()}'
        first.save(path, form, save_all=True, append_images=[second], duration=40, disposal=2)
        shown = [rgb for _, _, rgb in read_frames(path)]
        assert (shown[0][5:40, 4:28] > 250).all() and np.abs(
            shown[0][5:40, 36:60].astype(int) - (200, 30, 30)
        ).max() < 12
        transform_video(path, tmp_path / 'out.mp4', same, force=True)
        assert psnr(next(read_frames(tmp_path / 'out.mp4'))[2], shown[0]) > 28


# Tracks


def many_tracks(path):
    """A video that begins at 0.4 s, with two sounds, the second late and longer than the pictures, and subtitles."""
    rate = 48000
    with av.open(str(path), 'w') as out:
        video = out.add_stream('mpeg4', rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, 'yuv420p'
        sounds = [out.add_stream('aac', rate=rate, layout='mono') for _ in range(2)]
        for stream, language in zip(sounds, ('eng', 'deu')):
            stream.metadata['language'] = language
        for n, picture in enumerate(scene(25)):
            frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
            frame.pts, frame.time_base = n + 10, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for stream, start, seconds in zip(sounds, (0, 1), (1.4, 2)):
            resampler = av.AudioResampler('fltp', 'mono', rate, 1024)
            frame = av.AudioFrame.from_ndarray(chirp(rate, seconds)[None], format='fltp', layout='mono')
            frame.sample_rate, frame.pts, frame.time_base = rate, start * rate, Fraction(1, rate)
            for part in resampler.resample(frame) + resampler.resample(None):
                out.mux(stream.encode(part))
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize('suffix', ['.mkv', '.mov', '.mp4'])
def test_all_sounds_keep_their_places(tmp_path, suffix):
    source = many_tracks(tmp_path / f'in{suffix}')
    transform_video(source, tmp_path / 'out.mp4', same)
    assert np.allclose([t for t, _ in times(tmp_path / 'out.mp4')], [t for t, _ in times(source)], atol=2e-3)
    with av.open(str(source)) as a, av.open(str(tmp_path / 'out.mp4')) as b:
        assert len(a.streams.audio) == len(b.streams.audio) == 2
        for one, other in zip(a.streams.audio, b.streams.audio):
            assert (one.language or 'und') == (other.language or 'und')
    for track in (0, 1):
        heard = []
        for path in (source, tmp_path / 'out.mp4'):
            with av.open(str(path)) as file:
                heard.append(
                    [(float(p.pts * p.time_base), bytes(p)) for p in file.demux(audio=track) if p.pts is not None]
                )
        assert [data for _, data in heard[0]] == [data for _, data in heard[1]]
        np.testing.assert_allclose([t for t, _ in heard[0]], [t for t, _ in heard[1]], atol=2e-3)
    assert sound_packets(tmp_path / 'out.mp4')


def test_a_cut_that_only_the_edit_list_knows_is_made(tmp_path):
    source = make(tmp_path / 'in.mp4', scene(20), range(0, 800, 40))
    data = bytearray(source.read_bytes())
    at = data.index(b'elst') + 4
    version, count, length, begin = struct.unpack('>IIIi', data[at : at + 16])
    assert (version, count, begin) == (0, 1, 0)
    data[at + 8 : at + 16] = struct.pack('>Ii', length - 200, 5 * timescale(source) // 25)
    source.write_bytes(data)
    assert len(decoded(source)) == 15  # FFmpeg's reading: the first five are not shown
    transform_video(source, tmp_path / 'out.mp4', same)
    np.testing.assert_allclose([t for t, _ in times(tmp_path / 'out.mp4')], np.arange(15) / 25, atol=2e-3)
    for n, (_, _, rgb) in enumerate(read_frames(tmp_path / 'out.mp4')):
        assert psnr(rgb, scene(20)[n + 5]) > 30


def timescale(path) -> int:
    with av.open(str(path)) as file:
        return file.streams.video[0].time_base.denominator


def test_frames_without_times_follow_each_other(tmp_path):
    with av.open(str(tmp_path / 'in.h264'), 'w', 'h264') as out:
        stream = out.add_stream('libx264', rate=25, options={'crf': '5'})
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for picture in scene(12):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        out.mux(stream.encode(None))
    transform_video(tmp_path / 'in.h264', tmp_path / 'out.mp4', same)
    np.testing.assert_allclose(np.diff([t for t, _ in times(tmp_path / 'out.mp4')]), 0.04, atol=2e-3)
    for n, (_, _, rgb) in enumerate(read_frames(tmp_path / 'out.mp4')):
        assert psnr(rgb, scene(12)[n]) > 30


def test_further_tracks_are_left_behind_and_named(tmp_path, capsys):
    source = tmp_path / 'in.mkv'
    with av.open(str(source), 'w') as out:
        films = [out.add_stream('mpeg4', rate=25) for _ in range(2)]
        for stream in films:
            stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for picture in scene(5):
            for stream in films:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        for stream in films:
            out.mux(stream.encode(None))
    transform_video(source, tmp_path / 'out.mp4', same)
    assert 'in.mkv: without its further tracks (video)' in capsys.readouterr().err
    assert probe(tmp_path / 'out.mp4').frames == 5


# Frames that pass


def test_the_report_says_when_frames_passed_through(tmp_path):
    source = make(tmp_path / 'in.mp4', scene(20), range(0, 800, 40))
    marks = np.zeros((68, 2), np.float32)
    faces = [Face('in.mp4', n, n / 25, (0, 0, 9, 9), 1.0, marks) for n in range(20) if n not in (0, 5, 6, 7, 19)]
    job = FaceJob('', '', lambda frames, faces: frames, faces, batch=3)
    run_job(job, plan_outputs(source, tmp_path / 'out.mp4'))
    assert [[round(t, 3) for t in (first, last)] for _, first, last in job.passed] == [
        [0, 0],
        [0.2, 0.28],
        [0.76, 0.76],
    ]
    assert stretches(job.passed, False) == ['0:00.00', '0:00.20-0:00.28', '0:00.76']
    assert stretches([['a.mp4', 61.5, 3600]] * 3, True, 2) == ['a.mp4 1:01.50-60:00.00'] * 2 + ['and 1 more']
    assert os.listdir(tmp_path)

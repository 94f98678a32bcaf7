"""What a file is, by what it holds: under any name, and of names that no terminal can show."""

import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from fake_faces import write_faces
from PIL import Image
from videos import psnr, scene

from dfjax.data.faces.faceset import load_faceset, rank_pictures
from dfjax.data.media.credentials import read_credentials, sign
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.inputs import kind, media_files, open_media
from dfjax.data.media.output import atomic_path, check_output, fitting, hidden_name
from dfjax.data.media.video import VideoWriter, read_frames
from dfjax.errors import ReadError, WriteError

CONTAINERS = {  # format: codec, of which cameras, disc writers, editors and recorders make these files
    'mp4': 'libx264',
    'mov': 'prores_ks',
    'matroska': 'libx264',
    'webm': 'libvpx-vp9',
    'avi': 'mpeg4',
    'mpegts': 'mpeg2video',
    'vob': 'mpeg2video',
    'mpeg': 'mpeg1video',
    'mxf': 'mpeg2video',
    'asf': 'wmv2',
    'flv': 'flv1',
    'gif': 'gif',
    'apng': 'apng',
    'h264': 'libx264',
    'hevc': 'libx265',
    'yuv4mpegpipe': 'rawvideo',
    'ivf': 'libvpx-vp9',
    'nut': 'mpeg4',
    '3gp': 'mpeg4',
    'webp': 'libwebp_anim',
}


def written(path, form: str, codec: str):
    """Five frames, written by FFmpeg."""
    with av.open(str(path), 'w', form) as out:
        stream = out.add_stream(codec, rate=25)
        known = [f.name for f in stream.codec_context.codec.video_formats or ()]
        stream.width, stream.height = 64, 48
        stream.pix_fmt = next((f for f in ('yuv420p', 'rgb8', 'rgb24', 'yuv422p10le') if f in known), 'yuv420p')
        for picture in scene(5):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize('form', CONTAINERS)
def test_a_video_is_one_under_any_name(tmp_path, form):
    path = written(tmp_path / 'clip.xyz', form, CONTAINERS[form])
    assert kind(path) == 'video'
    path = path.rename(tmp_path / 'clip.jpg')
    assert kind(path) == 'video' and media_files(tmp_path) == [path]
    frames = [rgb for _, _, rgb in read_frames(path)]
    assert len(frames) == 5 and psnr(frames[4], scene(5)[4]) > 20


def test_packets_of_avchd_and_dv_and_sound_alone(tmp_path):
    stream = written(tmp_path / 'clip.ts', 'mpegts', 'mpeg2video').read_bytes()
    (tmp_path / '00001.MTS').write_bytes(b''.join(bytes(4) + stream[n : n + 188] for n in range(0, len(stream), 188)))
    assert kind(tmp_path / '00001.MTS') == 'video' and len(list(read_frames(tmp_path / '00001.MTS'))) == 5
    with av.open(str(tmp_path / 'tape'), 'w', 'dv') as out:
        stream = out.add_stream('dvvideo', rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, 'yuv420p'
        for picture in scene(3, 576, 720):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        out.mux(stream.encode(None))
    assert kind(tmp_path / 'tape') == 'video'
    for name, form, codec in (('a.m4a', 'ipod', 'aac'), ('b.opus', 'ogg', 'libopus'), ('c.mp3', 'mp3', 'libmp3lame')):
        with av.open(str(tmp_path / name), 'w', form) as out:
            stream = out.add_stream(codec, rate=48000, layout='mono')
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format='fltp', layout='mono')
            frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
            resampler = av.AudioResampler(stream.format.name, 'mono', 48000, stream.codec_context.frame_size)
            for part in resampler.resample(frame) + resampler.resample(None):
                out.mux(stream.encode(part))
            out.mux(stream.encode(None))
        with pytest.raises(ReadError, match='holds neither a picture nor a video'):
            kind(tmp_path / name)


@pytest.mark.parametrize('form', ['JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'GIF', 'PPM', 'JPEG2000', 'AVIF'])
def test_a_picture_is_one_under_any_name(tmp_path, form):
    Image.fromarray(scene(1)[0]).save(tmp_path / 'picture.mp4', form)
    assert kind(tmp_path / 'picture.mp4') == 'image'
    if form not in ('GIF', 'AVIF'):
        assert psnr(read_image(tmp_path / 'picture.mp4'), scene(1)[0]) > 25


@pytest.mark.parametrize('form', ['GIF', 'WEBP', 'PNG'])
def test_pictures_that_move_are_videos(tmp_path, form):
    first, *others = [Image.fromarray(picture) for picture in scene(4)]
    first.save(tmp_path / 'moves', form, save_all=True, append_images=others, duration=40)
    assert kind(tmp_path / 'moves') == 'video'
    with open_media(tmp_path / 'moves') as (info, frames):
        shown = list(frames)
        assert info.frames in (4, None) and info.size == (64, 48)
    with Image.open(tmp_path / 'moves') as file:
        for n, frame in enumerate(shown):
            file.seek(n)
            assert psnr(frame.rgb, np.asarray(file.convert('RGB'))) > 45 and frame.time == pytest.approx(n * 0.04)
    first.save(tmp_path / 'still', form)
    assert kind(tmp_path / 'still') == 'image'


@pytest.mark.parametrize('data', [b'', b'plain text, and more of it', bytes(5000), b'%PDF-1.7', b'PK\3\4', b'ID3'])
def test_what_is_neither_is_said(tmp_path, data):
    (tmp_path / 'file').write_bytes(data)
    with pytest.raises(ReadError, match='empty' if not data else 'holds neither'):
        kind(tmp_path / 'file')
    with pytest.raises(ReadError, match='holds no picture and no video'):
        media_files(tmp_path)


def test_names_that_lead_nowhere(tmp_path):
    for name in ('gone', 'gone/deeper', 'x\0y', 'n' * 300):
        with pytest.raises(ReadError, match=r'no such file|cannot be read'):
            kind(tmp_path / name)


# Names


NAMES = [
    b'caf\xe9',
    'ü漢字😀'.encode(),
    b'new\nline',
    b'quote\'"',
    b'%d',
    b'-dash',
    b'a:b',
    b'back\\slash',
    b' ',
    b'a' * 250,
]


@pytest.mark.parametrize('raw', NAMES)
def test_outputs_of_any_name_are_written_and_signed(tmp_path, monkeypatch, raw):
    name = os.fsdecode(raw)
    monkeypatch.chdir(tmp_path)  # as it is typed: FFmpeg takes a word before a colon for a protocol
    write_image(name + '.png', scene(1)[0])
    with VideoWriter(name + '.mp4', 25, (64, 48)) as writer:
        for picture in scene(3):
            writer.write(picture)
    for suffix in ('.png', '.mp4'):
        sign(name + suffix)
        assert read_credentials(name + suffix)['intact']
    assert len(list(read_frames(name + '.mp4'))) == 3 and len(os.listdir()) == 2


def test_names_are_cut_to_what_a_disk_takes(tmp_path):
    for name in ('ü' * 200 + '.mp4', 'a' * 300 + '.jpeg', 'b' * 400, '.' * 260, 'c.' + 'd' * 300):
        cut = fitting(name)
        (tmp_path / cut).touch()
        assert cut != name and (len(name.rpartition('.')[2]) > 14 or cut.endswith('.' + name.rpartition('.')[2]))
    assert fitting('a' * 300) != fitting('a' * 299 + 'b') and fitting('short.mp4') == 'short.mp4'
    hidden_name(tmp_path / ('ü' * 120 + '.mp4')).touch()
    with atomic_path(tmp_path / ('e' * 251 + '.txt')) as part:
        part.write_text('whole')
    for name in ('f' * 256, 'g' * 256 + '/x.mp4', 'h\0.mp4'):
        with pytest.raises(WriteError, match='a name '):
            check_output(tmp_path / name)


def test_faces_of_a_file_with_a_long_name_are_ranked_too(tmp_path):
    name = 'ü' * 123 + '.mp4'
    write_faces(tmp_path / 'set', 3, source=name)
    found = rank_pictures(load_faceset(tmp_path / 'set'), [2, 0, 1])
    assert len(found) == 3 and found.rows[0].face.source == name


def test_a_file_that_another_made_meanwhile_is_kept(tmp_path):
    path = tmp_path / 'out.txt'
    with pytest.raises(WriteError, match='exists'), atomic_path(path) as part:
        part.write_text('ours')
        path.write_text('theirs')
    assert path.read_text() == 'theirs' and os.listdir(tmp_path) == ['out.txt']


def test_a_folder_is_searched_by_what_files_hold(tmp_path):
    written(tmp_path / 'two.mts', 'mpegts', 'mpeg2video')
    write_image(tmp_path / 'ten.png', scene(1)[0])
    shutil.move(tmp_path / 'ten.png', tmp_path / '10')
    (tmp_path / 'notes.txt').write_text('none of them')
    (tmp_path / 'deeper.png').mkdir()
    assert [path.name for path in media_files(tmp_path)] == ['10', 'two.mts']


def test_what_a_killed_process_left_half_written_is_removed_by_the_next(tmp_path):
    writes = (
        'import os, sys\n'
        'from dfjax.data.media.output import atomic_folder, atomic_path\n'
        'with atomic_path(sys.argv[1] + "/out.mp4") as part, atomic_folder(sys.argv[1] + "/faces") as folder:\n'
        '    part.write_bytes(b"half"), (folder / "a.png").write_bytes(b"half"), os.kill(os.getpid(), 9)\n'
    )
    subprocess.run([sys.executable, '-c', writes, str(tmp_path)], check=False)
    left = set(os.listdir(tmp_path))
    assert len(left) == 2 and all(name[0] == '.' for name in left)
    with atomic_path(tmp_path / 'mine.txt') as mine:  # of a process that lives
        again = 'from dfjax.data.media.output import atomic_path\nimport sys\nwith atomic_path(sys.argv[1]): pass'
        subprocess.run([sys.executable, '-c', again, str(tmp_path / 'other.txt')], check=True)
        assert set(os.listdir(tmp_path)) == {mine.name, 'other.txt'}


def test_what_another_container_is_writing_is_left_alone(tmp_path):
    """Its processes have numbers of their own, which may be none here while they live."""
    apart = ['unshare', '--map-root-user', '--pid', '--fork']
    if not shutil.which('unshare') or subprocess.run([*apart, 'true'], capture_output=True).returncode:
        pytest.skip('the system lets nobody have process numbers of their own (unshare)')
    begins = (
        'import os, sys\n'
        'from dfjax.data.media.output import atomic_path\n'
        'os.getpid = lambda: int(sys.argv[2])\n'  # it would take thousands of processes to get it
        'with atomic_path(sys.argv[1]) as part:\n'
        '    part.write_bytes(b"half"), os._exit(0)\n'
    )
    nobody = next(n for n in range(2, 10**6) if not Path(f'/proc/{n}').exists())
    subprocess.run([*apart, sys.executable, '-c', begins, tmp_path / 'out.mp4', str(nobody)], check=True)
    left = set(os.listdir(tmp_path))
    assert len(left) == 1
    again = 'from dfjax.data.media.output import atomic_path\nimport sys\nwith atomic_path(sys.argv[1]): pass'
    subprocess.run([sys.executable, '-c', again, str(tmp_path / 'other.txt')], check=True)
    assert set(os.listdir(tmp_path)) == left | {'other.txt'}

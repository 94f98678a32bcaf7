"""Pictures, sound files, sources and atomic outputs, against Pillow, SciPy and the standard library."""

import errno
import io
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.io import wavfile

from dfjax.data.media.audio import read_sound
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.inputs import iter_frames, kind
from dfjax.data.media.output import atomic_folder, atomic_path, check_output
from dfjax.data.media.video import VideoWriter
from dfjax.errors import InputError

DATA = Path(__file__).parents[2] / 'shared' / 'data'
RGB = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)
SMOOTH = cv2.resize(RGB, (160, 96), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.tif'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation(tmp_path, suffix, orientation):
    path, exif = tmp_path / f'p{suffix}', Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(SMOOTH).save(path, exif=exif, **({'lossless': True} if suffix == '.webp' else {}))
    want = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert('RGB'))
    got = read_image(path)
    assert got.shape == want.shape and np.abs(got.astype(int) - want).max() <= (4 if suffix == '.jpg' else 0)


@pytest.mark.parametrize('suffix', ['.png', '.webp'])
@pytest.mark.parametrize('orientation', [1, 6, 7])
def test_alpha_is_laid_over_white_upright(tmp_path, suffix, orientation):
    alpha = np.random.default_rng(1).integers(0, 256, (24, 40, 1)).astype(np.uint8)
    picture, exif = Image.fromarray(np.concatenate([RGB, alpha], -1)), Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / f'a{suffix}', exif=exif, **({'lossless': True, 'exact': True} if suffix == '.webp' else {}))
    upright = ImageOps.exif_transpose(Image.open(tmp_path / f'a{suffix}'))
    want = Image.alpha_composite(Image.new('RGBA', upright.size, 'white'), upright).convert('RGB')
    assert np.abs(read_image(tmp_path / f'a{suffix}').astype(int) - np.asarray(want)).max() <= 1


@pytest.mark.parametrize('mode', ['L', 'LA', 'P', '1', 'P with transparency'])
def test_grey_and_palette(tmp_path, mode):
    path, options = tmp_path / 'p.png', {}
    if mode == 'LA':
        picture = Image.fromarray(RGB[..., :2], 'LA')
    elif mode.startswith('P'):
        picture = Image.fromarray(RGB).quantize(16)
        options = {'transparency': 3} if 'with' in mode else {}
    else:
        picture = Image.fromarray(RGB).convert(mode)
    picture.save(path, **options)
    rgba = Image.open(path).convert('RGBA')
    want = Image.alpha_composite(Image.new('RGBA', rgba.size, 'white'), rgba).convert('RGB')
    assert np.abs(read_image(path).astype(int) - np.asarray(want)).max() <= 1


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_sixteen_bits_keep_the_upper_byte(tmp_path, suffix, channels):
    deep = RGB.astype(np.uint16) * 257  # the exact 16-bit form of 8-bit values
    deep = {1: deep[..., 0], 3: deep, 4: np.concatenate([deep, np.full((24, 40, 1), 65535, np.uint16)], -1)}[channels]
    order = [2, 1, 0, 3][:channels]
    cv2.imwrite(str(tmp_path / f'd{suffix}'), deep[..., order] if channels > 1 else deep)
    want = np.repeat(RGB[..., :1], 3, -1) if channels == 1 else RGB
    np.testing.assert_array_equal(read_image(tmp_path / f'd{suffix}'), want)


@pytest.mark.skipif(not (DATA / 'portraits').exists(), reason='the shared pictures are not here')
def test_real_pictures_equal_pillow():
    for path in sorted((DATA / 'portraits').glob('*.jpg')):
        want = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert('RGB')).astype(int)
        assert np.abs(read_image(path) - want).mean() < 1


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.bmp', '.tif'])
@pytest.mark.parametrize('name', ['missing', 'empty', 'text', 'cut short', 'folder'])
def test_bad_pictures_are_refused_in_one_line(tmp_path, suffix, name):
    path = tmp_path / f'bad{suffix}'
    if name == 'folder':
        path.mkdir()
    elif name != 'missing':
        data = cv2.imencode(suffix, SMOOTH)[1].tobytes()
        path.write_bytes({'empty': b'', 'text': b'no picture' * 100, 'cut short': data[: len(data) // 2]}[name])
    with pytest.raises(InputError) as error:
        read_image(path)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_a_jpeg_cut_short_behind_its_thumbnail_is_refused(tmp_path):
    exif, thumbnail, path = Image.Exif(), io.BytesIO(), tmp_path / 'p.jpg'
    Image.fromarray(RGB).save(thumbnail, 'JPEG')
    exif[0x010E] = 'x'
    Image.fromarray(SMOOTH).save(path, exif=exif.tobytes() + thumbnail.getvalue())
    assert read_image(path).shape == (96, 160, 3)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match='cut short'):
        read_image(path)


def test_write_image(tmp_path):
    for suffix in ('.png', '.bmp', '.tif'):
        write_image(tmp_path / f'w{suffix}', RGB)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f'w{suffix}')), RGB)
    plain = cv2.resize(RGB[:3, :5], (160, 96), interpolation=cv2.INTER_LINEAR)
    for suffix in ('.jpg', '.webp'):
        write_image(tmp_path / f'w{suffix}', plain)
        assert np.abs(np.asarray(Image.open(tmp_path / f'w{suffix}')).astype(int) - plain).mean() < 2
        write_image(tmp_path / f'w{suffix}', SMOOTH)
        best = (tmp_path / f'w{suffix}').stat().st_size
        write_image(tmp_path / f'w{suffix}', SMOOTH, quality=30)
        assert (tmp_path / f'w{suffix}').stat().st_size < best / 2
    write_image(tmp_path / 'grey.png', RGB[..., 0])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'grey.png')), RGB[..., 0])
    with pytest.raises(InputError, match='name a picture'):
        write_image(tmp_path / 'w.xyz', RGB)


@pytest.mark.skipif(not (DATA / 'audio').exists(), reason='the shared sounds are not here')
@pytest.mark.filterwarnings('ignore:Chunk')
def test_real_sound_equals_scipy():
    for path in sorted((DATA / 'audio').glob('*.wav')):
        rate, want = wavfile.read(path)
        got, got_rate = read_sound(path)
        assert got_rate == rate and got.shape == want.reshape(len(want), -1).shape and got.dtype == np.float32
        np.testing.assert_allclose(got, want.reshape(len(want), -1) / 32768, atol=1e-7)


@pytest.mark.parametrize('kind_of', ['u1', 'i2', 'i4', 'f4', 'f8', 'i3'])
@pytest.mark.parametrize('channels', [1, 2, 6])
def test_sample_formats(tmp_path, kind_of, channels):
    want = np.random.default_rng(0).uniform(-1, 1, (1001, channels))
    path, bits = tmp_path / 's.wav', int(kind_of[1]) * 8
    if kind_of == 'i3':
        whole = np.round(want * (2**23 - 1)).astype('<i4')
        with wave.open(str(path), 'wb') as file:
            file.setparams((channels, 3, 22050, 0, 'NONE', ''))
            file.writeframes(whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    else:
        scale = 2 ** (bits - 1) - 1
        form = {'u': lambda: np.round(want * scale + 128), 'i': lambda: np.round(want * scale), 'f': lambda: want}
        wavfile.write(path, 22050, form[kind_of[0]]().astype(kind_of))
    got, rate = read_sound(path)
    assert rate == 22050 and got.shape == (1001, channels)
    np.testing.assert_allclose(got, want, atol=2 / 2 ** (min(bits, 22) - 1))


@pytest.mark.parametrize('name', ['missing', 'empty', 'text', 'cut short', 'no samples', 'no sound', 'folder'])
def test_bad_sounds_are_refused_in_one_line(tmp_path, name):
    path, good = tmp_path / 'bad.wav', tmp_path / 'good.wav'
    wavfile.write(good, 16000, np.zeros(1000, np.int16))
    data = good.read_bytes()
    bad = {
        'empty': b'',
        'text': b'no sound' * 100,
        'cut short': data[:-500],
        'no samples': data[:36],
        'no sound': cv2.imencode('.png', RGB)[1].tobytes(),
    }
    if name == 'folder':
        path.mkdir()
    elif name != 'missing':
        path.write_bytes(bad[name])
    with pytest.raises(InputError) as error:
        read_sound(path)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_sources_are_read_alike(tmp_path):
    for n in (10, 2, 1):
        write_image(tmp_path / f'p{n}.png', np.full((8, 8, 3), n, np.uint8))
    with VideoWriter(tmp_path / 'p3.mp4', 25, (64, 48)) as writer:
        for n in range(4):
            writer.write(np.full((48, 64, 3), 50 * n, np.uint8))
    (tmp_path / 'notes.txt').write_text('not media')
    (tmp_path / '.p0.png').write_bytes(b'half-written')
    got = [(name, index, round(time, 6), rgb.shape[0]) for index, time, rgb, name in iter_frames(tmp_path)]
    video = [('p3.mp4', n, n / 25, 48) for n in range(4)]
    assert got == [('p1.png', 0, 0, 8), ('p2.png', 0, 0, 8), *video, ('p10.png', 0, 0, 8)]
    assert [row[1:2] for row in iter_frames(tmp_path / 'p3.mp4')] == [(n / 25,) for n in range(4)]
    assert [kind(tmp_path / n) for n in ('', 'p1.png', 'p3.mp4')] == ['folder', 'image', 'video']
    (tmp_path / 'faces.jsonl').touch()
    assert kind(tmp_path) == 'faceset'
    (tmp_path / 'empty').mkdir()
    for bad in ('none.mp4', 'notes.txt', 'empty'):
        with pytest.raises(InputError, match=bad):
            next(iter_frames(tmp_path / bad))


def test_atomic_path_is_whole_or_absent(tmp_path):
    path = tmp_path / 'new' / 'out.txt'
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == '.txt' and not path.exists()
        with atomic_path(temporary) as inner:  # where a writer that is atomic itself is used inside
            inner.write_text('whole inside')
    assert path.read_text() == 'whole inside' and list(path.parent.iterdir()) == [path]
    for kind_of in (ValueError, KeyboardInterrupt):
        with pytest.raises(kind_of), atomic_path(path, force=True) as temporary:
            temporary.write_text('half')
            raise kind_of
    assert path.read_text() == 'whole inside' and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize('opened', [atomic_path, check_output])
def test_outputs_that_are_refused(tmp_path, opened):
    def refused(path, say, **options):
        with pytest.raises(InputError, match=say) as error:
            done = opened(path, **options)
            done.__enter__()
        assert str(path) in str(error.value) and '\n' not in str(error.value)

    (tmp_path / 'file').write_text('x')
    refused(tmp_path / 'file', '--force')
    refused(tmp_path, 'is a folder', force=True)
    refused(tmp_path / 'file' / 'sub' / 'x.mp4', 'not a folder')


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr('os.access', lambda *_: False)  # root may write anywhere, so the answer is given here
    for opened in (check_output, lambda p: atomic_path(p).__enter__(), lambda p: atomic_folder(p).__enter__()):
        with pytest.raises(InputError, match='cannot be written'):
            opened(tmp_path / 'x.mp4')
    monkeypatch.undo()
    if Path('/proc').is_dir():  # where the answer is yes and then it fails
        with pytest.raises(InputError, match=r'/proc/x\.mp4: cannot be written'), atomic_path('/proc/x.mp4'):
            pass


def test_full_disk_is_one_line_and_other_errors_pass(tmp_path):
    for opened in (atomic_path, atomic_folder):
        with pytest.raises(InputError, match='the disk is full'), opened(tmp_path / 'x'):
            raise OSError(errno.ENOSPC, 'No space left on device')
        with pytest.raises(InputError, match='the disk is full'), opened(tmp_path / 'x'):
            raise RuntimeError('write() failed: No space left on device; writing x')  # array_record's way to say it
        with pytest.raises(ValueError, match='another'), opened(tmp_path / 'x'):
            raise ValueError('another')
        with pytest.raises(FileNotFoundError), opened(tmp_path / 'x'):
            (tmp_path / 'another').read_bytes()
    assert not list(tmp_path.iterdir())


def test_atomic_folder(tmp_path):
    path = tmp_path / 'faces'
    path.mkdir()
    with atomic_folder(path, marker='faces.jsonl') as temporary:  # an empty folder may be replaced
        (temporary / 'faces.jsonl').write_text('1')
        assert not list(path.iterdir())
    with pytest.raises(InputError, match='--force'), atomic_folder(path, marker='faces.jsonl'):
        pass
    with pytest.raises(ValueError), atomic_folder(path, force=True, marker='faces.jsonl') as temporary:
        (temporary / 'faces.jsonl').write_text('2')
        raise ValueError
    assert (path / 'faces.jsonl').read_text() == '1'
    with atomic_folder(path, force=True, marker='faces.jsonl') as temporary:
        (temporary / 'faces.jsonl').write_text('2')
    assert (path / 'faces.jsonl').read_text() == '2' and list(tmp_path.iterdir()) == [path]
    other = tmp_path / 'home'
    other.mkdir()
    (other / 'diary').write_text('mine')
    for marker in ('faces.jsonl', None):
        with pytest.raises(InputError, match='not replaced'), atomic_folder(other, force=True, marker=marker):
            pass
    assert (other / 'diary').read_text() == 'mine'

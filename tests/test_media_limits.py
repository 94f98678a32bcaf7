"""Pictures and videos that say more than they hold, or say it badly: bounded by their headers, and named."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from dfjax.apps.cli import main
from dfjax.data.media import audio, limits
from dfjax.data.media.audio import read_sound
from dfjax.data.media.decode import VideoReader
from dfjax.data.media.image import check_header, read_image, read_picture, write_image
from dfjax.data.media.video import VideoWriter, probe, read_frames
from dfjax.errors import InputError, ReadError

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (24, 32, 4), np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG of that size with a row of pixels."""
    head = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0))
    return (
        b'\x89PNG\r\n\x1a\n' + head + chunk(b'IDAT', zlib.compress(bytes(min(width, 1000) + 1))) + chunk(b'IEND', b'')
    )


def resized(data: bytes, old: tuple[int, int], new: tuple[int, int], pack: str) -> bytes:
    """A file's bytes, the size in them another."""
    before = struct.pack(pack, *old)
    assert before in data
    return data.replace(before, struct.pack(pack, *new), 1)


def encoded(form: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PICTURE[..., :3]).save(file, form, **options)
    return file.getvalue()


def wide_tiff() -> bytes:
    ok, data = cv2.imencode('.tiff', PICTURE[..., :3].astype(np.float32) / 255)
    assert ok
    return data.tobytes().replace(struct.pack('<HHII', 256, 4, 1, 32), struct.pack('<HHII', 256, 4, 1, 70000)).replace(
        struct.pack('<HHII', 257, 4, 1, 24), struct.pack('<HHII', 257, 4, 1, 70000)
    ).replace(struct.pack('<HHIHH', 256, 3, 1, 32, 0), struct.pack('<HHIHH', 256, 3, 1, 65000, 0)).replace(
        struct.pack('<HHIHH', 257, 3, 1, 24, 0), struct.pack('<HHIHH', 257, 3, 1, 65000, 0)
    )  # fmt: skip


LARGE = {
    'rgba.png': lambda: png(16000, 16000, 8, 6),
    'rgb16.png': lambda: png(12000, 12000, 16),
    'grey.png': lambda: png(2**30, 2**30, 1, 0),
    'rgb.jpg': lambda: resized(encoded('JPEG'), (24, 32), (20000, 20000), '>HH'),
    'rgb.bmp': lambda: resized(encoded('BMP'), (32, 24), (20000, 20000), '<ii'),
    'rgb.webp': lambda: resized(encoded('WEBP', quality=80), (32, 24), (16383, 16383), '<HH'),
    'float.tiff': wide_tiff,
}


@pytest.mark.parametrize('name', LARGE)
def test_pictures_are_refused_by_their_headers(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(LARGE[name]())
    for read in (read_image, read_picture, check_header):
        with pytest.raises(ReadError, match=r'is \d+x\d+, more than 128 megapixels; .* --max-megapixels \d+') as error:
            read(path)
        assert '\n' not in str(error.value) and str(path) in str(error.value)


def test_the_limit_may_be_raised_and_lowered(tmp_path, monkeypatch, capsys):
    write_image(tmp_path / 'a.png', PICTURE[..., :3])
    monkeypatch.setenv(limits.SETTING, '0.0007')
    with pytest.raises(ReadError, match=r'is 32x24, more than 0\.0007 megapixels'):
        read_image(tmp_path / 'a.png')
    monkeypatch.setenv(limits.SETTING, '0.00077')
    assert read_image(tmp_path / 'a.png').shape == (24, 32, 3)
    for text in ('many', '-1', 'nan', 'inf', '0'):
        monkeypatch.setenv(limits.SETTING, text)
        with pytest.raises(InputError, match='give a number of megapixels'):
            read_image(tmp_path / 'a.png')
    monkeypatch.delenv(limits.SETTING)
    assert main(['extract', str(tmp_path / 'a.png'), '-o', str(tmp_path / 'f'), '--max-megapixels', '0.0001']) == 2
    assert 'pass --max-megapixels 1 or set' in capsys.readouterr().err


def clip(path):
    with VideoWriter(path, 25, (64, 48)) as writer:
        for n in range(3):
            writer.write(np.full((48, 64, 3), 60 * n, np.uint8))
    return path


def test_videos_are_refused_by_their_headers(tmp_path, monkeypatch):
    path = clip(tmp_path / 'a.mp4')
    screen = struct.pack('<HHBBB', 16000, 16000, 0xF0, 0, 0)
    frame = b',' + struct.pack('<HHHHB', 0, 0, 16000, 16000, 0) + b'\x02\x02\x44\x01\x00;'
    (tmp_path / 'b.gif').write_bytes(b'GIF89a' + screen + bytes(6) + frame)
    with pytest.raises(ReadError, match=r'b\.gif: is 16000x16000, more than 36 megapixels'):
        probe(tmp_path / 'b.gif')
    assert len(list(read_frames(path))) == 3
    monkeypatch.setenv(limits.SETTING, '0.003')
    with pytest.raises(ReadError, match=r'a\.mp4: is 64x48, more than 0\.003 megapixels; .*--max-megapixels 1 '):
        probe(path)


def test_frames_that_grow_on_the_way_are_bounded_too(tmp_path, monkeypatch):
    """A stream may change its size: the decoder has the limit itself."""
    import av

    path = tmp_path / 'grows.h264'
    data = b''
    for size in ((64, 48), (320, 240)):
        file = io.BytesIO()
        with av.open(file, 'w', 'h264') as output:
            stream = output.add_stream('libx264', rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, 'yuv420p'
            for n in range(4):
                frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 50 * n, np.uint8), format='rgb24')
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        data += file.getvalue()
    path.write_bytes(data)
    monkeypatch.setenv(limits.SETTING, '0.01')
    frames = []
    try:
        with VideoReader(path) as reader:
            frames += reader.frames()
    except ReadError:
        pass
    assert {frame.rgb.shape for frame in frames} <= {(48, 64, 3)}


@pytest.mark.parametrize('form', ['mp4', 'matroska', 'webm', 'avi'])
def test_tags_in_any_encoding_do_not_matter(form, tmp_path):
    import av

    path = tmp_path / f'a.{form}'
    with av.open(str(path), 'w', form) as output:
        stream = output.add_stream('libvpx-vp9' if form == 'webm' else 'mpeg4', rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        output.metadata['title'] = 'caf\u00e9 \u00e9t\u00e9'
        stream.metadata['language'] = 'fra'
        for n in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60 * n, np.uint8), format='rgb24')
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    data = path.read_bytes()
    assert 'é'.encode() in data
    path.write_bytes(data.replace('é'.encode(), b'\xe9\xff'))
    assert probe(path).size == (64, 48)
    assert len(list(read_frames(path))) == 3


def sound(path, start: int = 0, seconds: int = 4):
    """Silence in FLAC, which begins at a second."""
    import av

    with av.open(str(path), 'w', 'matroska') as output:
        stream = output.add_stream('flac', rate=16000, layout='mono')
        for n in range(seconds):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), 's16', 'mono')
            frame.sample_rate, frame.pts = 16000, (start + n) * 16000
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def test_sound_is_bounded_by_the_size_of_its_file(tmp_path, monkeypatch):
    path, late = sound(tmp_path / 'a.mka'), sound(tmp_path / 'late.mka', start=100_000)
    assert read_sound(path)[0].shape == (64000, 1)
    with pytest.raises(ReadError, match=r'late\.mka: its sound begins at 100000 s; repair its times'):
        read_sound(late)
    monkeypatch.setattr(audio, 'PACKED', 100_000)
    monkeypatch.setattr(audio, 'GROWTH', 1)
    with pytest.raises(ReadError, match=r'a\.mka: holds more than 0 MB of sound; cut it into pieces'):
        read_sound(path)


# Kinds of pictures


def test_floating_point_is_read_with_1_as_white(tmp_path):
    light = PICTURE.astype(np.float32) / 255
    for name, array, truth in (
        ('grey.tiff', light[..., 0], np.repeat(PICTURE[..., :1], 3, -1)),
        ('rgb.tiff', light[..., 2::-1], PICTURE[..., :3]),
        ('bright.tiff', light[..., 2::-1] * 2, np.minimum(PICTURE[..., :3].astype(int) * 2, 255)),
        ('holes.tiff', np.where(light[..., 2::-1] > 0.5, np.nan, light[..., 2::-1]), None),
    ):
        assert cv2.imwrite(str(tmp_path / name), array)
        made = read_image(tmp_path / name)
        truth = np.where(PICTURE[..., :3] > 127, 0, PICTURE[..., :3]) if truth is None else truth
        np.testing.assert_array_equal(made, truth)
    Image.fromarray(light[..., 0]).save(tmp_path / 'pillow.tif')
    np.testing.assert_array_equal(read_image(tmp_path / 'pillow.tif')[..., 0], PICTURE[..., 0])


def test_avif_is_read_upright(tmp_path):
    smooth = cv2.GaussianBlur(PICTURE[..., :3], (0, 0), 4)
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(smooth).save(tmp_path / 'a.avif', quality=95, exif=exif.tobytes())
        made = read_image(tmp_path / 'a.avif')
        truth = smooth if orientation == 1 else np.rot90(smooth, -1)
        assert made.shape == truth.shape and np.abs(made.astype(int) - truth).mean() < 4


def test_heic_is_called_by_its_name(tmp_path):
    path = tmp_path / 'IMG_1.HEIC'
    path.write_bytes(struct.pack('>I', 24) + b'ftypheic' + bytes(212))
    with pytest.raises(ReadError, match=r'IMG_1\.HEIC: a HEIC picture, as phones take; `pip install pillow-heif`'):
        read_image(path)


def test_heic_is_read_where_pillow_heif_is(tmp_path):
    pytest.importorskip('pillow_heif')
    smooth = cv2.GaussianBlur(PICTURE[..., :3], (0, 0), 4)
    write_image(tmp_path / 'x.png', smooth)
    read_image(tmp_path / 'x.png')  # Pillow knows HEIC from now on
    Image.fromarray(smooth).save(tmp_path / 'a.heic', quality=95)
    assert np.abs(read_image(tmp_path / 'a.heic').astype(int) - smooth).mean() < 4


def test_what_is_not_read_is_called_by_its_name(tmp_path):
    for head, said in (
        (b'8BPS\0\1', 'a Photoshop document'),
        (b'\xff\x0a\x00', 'a JPEG XL picture'),
        (b'v/1\x01\x02', 'an OpenEXR picture'),
        (b'<svg xmlns=', 'an SVG drawing'),
        (b'<!DOCTYPE html>', 'a web page'),
    ):
        (tmp_path / 'a.png').write_bytes(head + bytes(100))
        for read in (read_image, check_header):
            with pytest.raises(ReadError, match=said):
                read(tmp_path / 'a.png')


def test_alpha_comes_apart_or_over_white(tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / 'a.png')
    rgb, alpha = read_picture(tmp_path / 'a.png')
    np.testing.assert_array_equal(rgb, PICTURE[..., :3])
    np.testing.assert_array_equal(alpha, PICTURE[..., 3])
    share = PICTURE[..., 3:] / 255
    np.testing.assert_allclose(read_image(tmp_path / 'a.png'), PICTURE[..., :3] * share + 255 * (1 - share), atol=0.51)
    write_image(tmp_path / 'b.png', PICTURE)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'b.png')), PICTURE)
    write_image(tmp_path / 'c.png', PICTURE[..., :3])
    assert read_picture(tmp_path / 'c.png')[1] is None

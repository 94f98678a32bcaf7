"""What files store comes out as it was: colours, range, depth, HDR, shape of pixels, fields, against FFmpeg's decoding.

Sources are made from closed forms: planes by the matrices of the standards, encoded without loss.
"""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from toy_jobs import same, transform_video
from videos import psnr, scene

from dfjax.data.media import hdr
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.mark import Mark
from dfjax.data.media.planes import merged, stored_planes, to_frame, to_planes
from dfjax.data.media.video import open_video, probe, read_frames

CHANGE = Mark.change  # what a test leaves out, see conftest.py
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}  # red and blue of luma


def planes_of(rgb: np.ndarray, matrix: int, full: bool, bits: int) -> list[np.ndarray]:
    """Luma and chroma of RGB [H, W, 3] in [0, 1] by ITU-R BT.601, 709 and 2020; chroma is of every other pixel."""
    red, blue = WEIGHTS[matrix]
    r, g, b = np.moveaxis(rgb, -1, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    top, step = 2**bits - 1, 2 ** (bits - 8)
    luma = top * y if full else (16 + 219 * y) * step
    chroma = [(top if full else 224 * step) * c + 128 * step for c in (u, v)]
    kind = np.uint8 if bits == 8 else np.uint16
    return [np.clip(np.rint(p), 0, top).astype(kind) for p in (luma, chroma[0][::2, ::2], chroma[1][::2, ::2])]


def lossless(path, frames: list, bits=8, colour=(1, 1, 1), full=False, aspect=Fraction(1), options=None, turn=0):
    """Frames, of planes, as a video without loss; `turn` is degrees, counter-clockwise, by which it is shown."""
    codec, params = ('libx264', {'qp': '0'}) if bits == 8 else ('libx265', {'x265-params': 'lossless=1:log-level=none'})
    with av.open(str(path), 'w') as out:
        stream = out.add_stream(codec, rate=25, options=params | (options or {}))
        height, width = frames[0][0].shape
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p' if bits == 8 else 'yuv420p10le'
        if turn:
            stream.set_display_rotation(turn)
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = colour
        context.color_range, context.sample_aspect_ratio = 2 if full else 1, aspect
        for planes in frames:
            frame = to_frame(planes, bits)
            frame.colorspace, frame.color_range = colour[0], 2 if full else 1
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def decoded(path) -> list:
    """FFmpeg's frames."""
    with av.open(str(path)) as file:
        return list(file.decode(video=0))


def raw(frame) -> list[np.ndarray]:
    kind = np.dtype('uint8' if frame.format.components[0].bits == 8 else '<u2')
    return [
        np.frombuffer(p, kind).reshape(p.height, p.line_size // kind.itemsize)[:, : p.width].astype(int)
        for p in frame.planes
    ]


def patches(count=3) -> np.ndarray:
    """RGB [N, 96, 128, 3] in [0, 1] of flat patches, dark and light and colourful, that move by a patch a frame."""
    colours = np.random.default_rng(1).integers(0, 256, (3, 4, 3)) / 255
    colours[0, 0], colours[1, 1], colours[2, 2] = 1, 0, (1, 0, 0)
    return np.stack([np.kron(np.roll(colours, n, 1), np.ones((32, 32, 1))) for n in range(count)])


CASES = [(matrix, full, bits) for bits in (8, 10) for matrix in WEIGHTS for full in (False, True)]


@pytest.mark.parametrize('matrix, full, bits', CASES)
def test_colours_are_read_and_come_out_as_they_were(tmp_path, matrix, full, bits):
    colour = (matrix, {9: 9, 1: 1}.get(matrix, 6), 1)
    rgb = patches()
    source = lossless(tmp_path / 'in.mp4', [planes_of(p, matrix, full, bits) for p in rgb], bits, colour, full)
    for picture, (_, _, seen) in zip(rgb, read_frames(source), strict=True):
        assert np.abs(seen[16::32, 16::32] - 255 * picture[16::32, 16::32]).max() <= 3.5
    transform_video(source, tmp_path / 'out.mp4', same)
    for before, after in zip(decoded(source), decoded(tmp_path / 'out.mp4'), strict=True):
        tags = lambda f: (f.colorspace, f.color_primaries, f.color_trc, f.color_range, f.format.name)
        assert tags(before) == tags(after)
        for a, b in zip(raw(before), raw(after)):
            middle = slice(len(a) // 6, None, len(a) // 3)  # of patches: at their edges encoders lose more
            assert np.abs(a - b)[middle, middle].max() <= 2 * 2 ** (bits - 8)


def shade(frames: list) -> list[np.ndarray]:
    """A job that paints a part of the picture grey."""
    done = []
    for _, _, rgb in frames:
        rgb = rgb.copy()
        rgb[33:60, 21:70] = (150, 140, 130)
        done.append(rgb)
    return done


@pytest.mark.parametrize('marked', [False, True])
@pytest.mark.parametrize('bits, transfer', [(8, 1), (10, 1), (10, hdr.PQ), (10, hdr.HLG)])
def test_only_what_a_job_changed_differs(tmp_path, bits, transfer, marked, monkeypatch):
    if marked:
        monkeypatch.setattr(Mark, 'change', CHANGE)
    colour = (9, 9, transfer) if bits == 10 else (1, 1, 1)
    rgb = (scene(4, 96, 128) / 255.0) ** (1 if transfer == 1 else 1.5)
    source = lossless(tmp_path / 'in.mp4', [planes_of(p, colour[0], False, bits) for p in rgb], bits, colour)
    transform_video(source, tmp_path / 'same.mp4', same)
    transform_video(source, tmp_path / 'out.mp4', shade)
    top = 2**bits - 1
    for triple in zip(*(decoded(path) for path in (source, tmp_path / 'same.mp4', tmp_path / 'out.mp4'))):
        for a, b, c in zip(*map(raw, triple)):
            scale = 96 // len(a)
            outside = np.ones(a.shape, bool)
            outside[24 // scale : 70 // scale, 10 // scale : 80 // scale] = False  # encoders blur across a block
            kept, left = (10 * np.log10(top**2 / max(1e-9, np.mean((a - x)[outside] ** 2))) for x in (b, c))
            assert kept > 40 and left > (42 if marked else kept - 2)  # the invisible mark's loss, or the encoder's
    for _, _, picture in read_frames(tmp_path / 'out.mp4'):
        assert np.abs(picture[38:56, 28:64].astype(int) - (150, 140, 130)).mean() < 4


def test_planes_of_what_did_not_change_are_bit_for_bit():
    rng = np.random.default_rng(0)
    planes = [rng.integers(0, 256, (48, 64)).astype(np.uint8), *rng.integers(0, 256, (2, 24, 32)).astype(np.uint8)]
    frame = to_frame(planes, 8)
    for a, b in zip(planes, stored_planes(frame, 8, (False, False, False))):
        np.testing.assert_array_equal(a, b)
    made = to_planes(np.full((11, 7, 3), 200, np.uint8), 8, (1, 1, 1), False, 48)
    where = np.zeros((11, 7), bool)
    where[3:, 2:] = True
    got = merged([p.copy() for p in planes], made, where, (20, 10))
    inside = np.zeros((48, 64), bool)
    inside[13:21, 22:27] = True
    assert (got[0] == np.where(inside, made[0][0, 0], planes[0])).all()
    blocks = inside.reshape(24, 2, 32, 2).any((1, 3))
    for n in (1, 2):
        assert (got[n] == np.where(blocks, made[n][0, 0], planes[n])).all()


# High dynamic range


def pq(light: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: cd/m^2 to code in [0, 1]."""
    y = (np.asarray(light) / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(scene_light: np.ndarray) -> np.ndarray:
    """ARIB STD-B67: scene light in [0, 1] to code in [0, 1]."""
    e = np.asarray(scene_light, float)
    return np.where(
        e <= 1 / 12, np.sqrt(3 * e), 0.17883277 * np.log(np.maximum(12 * e - 0.28466892, 1e-9)) + 0.55991073
    )


@pytest.mark.parametrize('transfer', [hdr.PQ, hdr.HLG])
def test_greys_of_hdr_have_their_light_and_highlights_are_rolled_off(transfer):
    nits = np.array([0.1, 1, 10, 50, 100, 203, 600, 1000])
    # HLG on its reference display of 1000 cd/m^2: light = 1000 * scene ** 1.2 of a grey
    codes = pq(nits) if transfer == hdr.PQ else hlg((nits / 1000) ** (1 / 1.2))
    rgb = np.rint(codes * 65535).astype(np.uint16)[None, :, None].repeat(3, -1)
    shown = hdr.to_sdr(rgb, transfer)[0].astype(int)
    assert np.ptp(shown, axis=-1).max() <= 1 and (np.diff(shown[:, 0]) > 0).all()
    below = nits <= 100  # in the linear part: BT.1886, white at 203 cd/m^2
    np.testing.assert_allclose(shown[below, 1], 255 * (nits[below] / 203) ** (1 / 2.4), atol=1)
    assert 215 < shown[5, 1] < 250 and shown[-1, 1] <= 255
    back = hdr.from_sdr(hdr.to_sdr(rgb, transfer), transfer)[0, :, 1] / 65535
    np.testing.assert_allclose(back[2:-1], codes[2:-1], atol=0.012)


@pytest.mark.parametrize('transfer', [hdr.PQ, hdr.HLG])
def test_every_colour_that_is_shown_comes_back(transfer):
    colours = np.random.default_rng(3).integers(16, 200, (40, 40, 3)).astype(np.uint8)
    again = hdr.to_sdr(hdr.from_sdr(colours, transfer), transfer)
    assert np.abs(again.astype(int) - colours).max() <= 2


def test_hdr_is_written_as_hdr_of_any_size(tmp_path):
    picture = np.full((96, 128, 3), (180, 140, 110), np.uint8)
    planes = to_planes(picture, 10, (9, 9, hdr.HLG), False)
    source = lossless(tmp_path / 'in.mp4', [planes] * 3, 10, (9, 9, hdr.HLG))
    info = probe(source)
    assert info.hdr and info.depth == 10
    with VideoWriter(tmp_path / 'small.mp4', 25, (64, 48), like=info) as writer:
        for n in range(3):
            writer.write(picture[::2, ::2].copy(), n * 512, 512)
    frame = decoded(tmp_path / 'small.mp4')[0]
    assert (frame.color_trc, frame.color_primaries, frame.colorspace, frame.format.name) == (18, 9, 9, 'yuv420p10le')
    for _, _, seen in read_frames(tmp_path / 'small.mp4'):
        assert np.abs(seen.astype(int) - picture[0, 0]).max() <= 4


# Shape and fields


@pytest.mark.parametrize('aspect', [Fraction(16, 15), Fraction(8, 9), Fraction(4, 3), Fraction(16, 11)])
def test_pixels_that_are_not_square_are_shown_square_and_written_as_they_were(tmp_path, aspect):
    rgb = scene(3, 96, 128)
    source = lossless(tmp_path / 'in.mp4', [planes_of(p / 255.0, 1, False, 8) for p in rgb], aspect=aspect)
    with open_video(source) as (info, frames):
        shown = [frame.rgb for frame in frames]
    assert info.aspect == aspect and abs(info.width / info.height - 128 * aspect / 96) < 0.01
    assert shown[0].shape[0] >= 96 and shown[0].shape[1] >= 128
    want = cv2.resize(rgb[1], shown[1].shape[1::-1], interpolation=cv2.INTER_LINEAR)
    assert psnr(shown[1], want) > 35
    transform_video(source, tmp_path / 'out.mp4', same)
    with av.open(str(tmp_path / 'out.mp4')) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio) == (128, 96, aspect)
    for before, after in zip(decoded(source), decoded(tmp_path / 'out.mp4')):
        assert psnr(raw(before)[0], raw(after)[0]) > 40
    transform_video(source, tmp_path / 'changed.mp4', shade)
    for _, _, picture in read_frames(tmp_path / 'changed.mp4'):
        assert np.abs(picture[36:58, 26:66].astype(int) - (150, 140, 130)).mean() < 4


@pytest.mark.parametrize('bits, transfer', [(8, 1), (10, hdr.HLG)])
def test_a_turned_film_with_pixels_that_are_not_square(tmp_path, bits, transfer):
    colour = (9, 9, transfer) if bits == 10 else (1, 1, 1)
    planes = [planes_of(p / 255.0, colour[0], False, bits) for p in scene(3, 96, 128)]
    source = lossless(tmp_path / 'in.mp4', planes, bits, colour, aspect=Fraction(16, 15), turn=90)
    with open_video(source) as (info, frames):
        shown = [frame.rgb for frame in frames]
    assert info.rotation in (90, 270) and info.aspect == Fraction(15, 16)
    assert (info.size, info.stored_size) == ((96, 137), (96, 128)) and shown[0].shape == (137, 96, 3)
    transform_video(source, tmp_path / 'same.mp4', same)
    with av.open(str(tmp_path / 'same.mp4')) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio) == (96, 128, Fraction(15, 16))
    turn = -1 if info.rotation == 90 else 1
    for before, after in zip(decoded(source), decoded(tmp_path / 'same.mp4')):
        for a, b in zip(raw(before), raw(after)):
            assert psnr(np.rot90(a, turn) / 2 ** (bits - 8), b / 2 ** (bits - 8)) > 38
    transform_video(source, tmp_path / 'out.mp4', shade)
    for _, _, picture in read_frames(tmp_path / 'out.mp4'):
        assert np.abs(picture[38:56, 26:66].astype(int) - (150, 140, 130)).mean() < 5


@pytest.mark.parametrize('first', ['tff', 'bff'])
def test_fields_stay_fields(tmp_path, first):
    rgb = scene(8, 96, 128) / 255.0
    woven = [np.where(np.arange(96)[:, None, None] % 2 == 0, rgb[2 * n], rgb[2 * n + 1]) for n in range(4)]
    frames = [planes_of(p, 6, False, 8) for p in woven]
    source = lossless(tmp_path / 'in.mp4', frames, colour=(6, 6, 6), options={'x264-params': f'{first}=1'})
    assert decoded(source)[0].interlaced_frame and probe(source).interlaced == ('tt' if first == 'tff' else 'bb')
    transform_video(source, tmp_path / 'out.mp4', same)
    for before, after in zip(decoded(source), decoded(tmp_path / 'out.mp4'), strict=True):
        assert after.interlaced_frame
        assert psnr(raw(before)[0], raw(after)[0]) > 38
    assert probe(tmp_path / 'out.mp4').interlaced == ('tt' if first == 'tff' else 'bb')

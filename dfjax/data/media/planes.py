"""A frame as it is stored: planes of luma and, at half the size, of chroma; and RGB made into them.

What a job leaves as it was is written as it was stored: neither the way to RGB and back, nor squaring of pixels, nor
tone mapping touches it.
"""

import numpy as np

from dfjax.data.media.hdr import from_sdr
from dfjax.data.media.image import turned

LIMITED, FULL = 1, 2  # range of values, in H.264's numbering
BT709, UNSPECIFIED, BT601, BT2020 = 1, 2, 6, 9  # colour matrix
MATRICES = (1, 4, 5, 6, 7, 9)  # those that there are formulas for
HD_LINES = 720  # a video that names no matrix has BT.709's from this height on, and BT.601's below: as players guess

Planes = list[np.ndarray]  # luma [H, W], chroma twice [H / 2, W / 2], sides rounded up; uint8, or uint16 of 10 bits


def guessed(matrix: int, lines: int) -> int:
    """The matrix, or what players take for it where a file names none."""
    return matrix if matrix in MATRICES else BT709 if lines >= HD_LINES else BT601


def pixel_format(depth: int) -> str:
    """FFmpeg's word for planes of 8 or more bits."""
    return 'yuv420p' if depth == 8 else 'yuv420p10le'


def is_stored_so(frame) -> bool:
    """Whether a PyAV frame is of luma and chroma, without transparency: what planes can hold."""
    form = frame.format
    other = form.is_rgb or form.has_palette or len(form.components) != 3 or form.name.startswith('xyz')
    return not other and not any(part.is_alpha for part in form.components)


def stored_planes(frame, depth: int, turn: tuple[bool, bool, bool]) -> Planes:
    """The planes of a decoded frame, turned as `image.turned` does, in memory of their own."""
    whole = frame.reformat(format=pixel_format(depth), dst_color_range=frame.color_range)
    return [turned(plane, *turn).copy() for plane in _read(whole)]


def to_planes(
    rgb: np.ndarray, depth: int, colour: tuple[int, int, int], full: bool, lines: int | None = None
) -> Planes:
    """Planes of uint8 RGB [H, W, 3] as it is shown; of an HDR transfer, tone mapping is undone.

    Args:
        depth: 8 or 10 bits.
        colour: matrix, primaries and transfer.
        full: whether values have the full range.
        lines: height of the whole frame, where this is a part of it.
    """
    import av

    picture, form = rgb, 'rgb24'
    if is_hdr(colour):
        picture, form = from_sdr(rgb, colour[2]), 'rgb48le'
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=form)
    frame = frame.reformat(
        format=pixel_format(depth),
        dst_colorspace=guessed(colour[0], lines or len(rgb)),
        dst_color_range=FULL if full else LIMITED,
        interpolation='AREA',
    )
    return _read(frame)


def is_hdr(colour: tuple[int, int, int]) -> bool:
    """Whether a transfer is one of high dynamic range: PQ (16) or HLG (18)."""
    return colour[2] in (16, 18)


def merged(stored: Planes, made: Planes, changed: np.ndarray, at: tuple[int, int]) -> Planes:
    """`stored` with `made` where pixels changed: bool [h, w], a part of the frame whose corner (x, y) is even."""
    x, y = at
    blocks = np.pad(changed, [(0, n % 2) for n in changed.shape])
    blocks = blocks[::2, ::2] | blocks[1::2, ::2] | blocks[::2, 1::2] | blocks[1::2, 1::2]
    for plane, new, where, (left, top) in zip(
        stored, made, (changed, blocks, blocks), ((x, y), *[(x // 2, y // 2)] * 2)
    ):
        part = plane[top : top + where.shape[0], left : left + where.shape[1]]
        np.copyto(part, new[: part.shape[0], : part.shape[1]], where=where)
    return stored


def to_frame(planes: Planes, depth: int):
    """PyAV's frame of planes, its sides even: the last column and row are repeated."""
    import av

    height, width = (n + n % 2 for n in planes[0].shape)
    frame = av.VideoFrame(width, height, pixel_format(depth))
    for target, plane in zip(frame.planes, planes):
        missing = [(0, most - n) for most, n in zip((target.height, target.width), plane.shape)]
        values = np.frombuffer(target, plane.dtype).reshape(target.height, -1)
        values[:, : target.width] = np.pad(plane, missing, mode='edge') if any(n for _, n in missing) else plane
    return frame


def _read(frame) -> Planes:
    kind = np.dtype('uint8' if frame.format.components[0].bits == 8 else '<u2')
    return [
        np.frombuffer(plane, kind).reshape(plane.height, plane.line_size // kind.itemsize)[:, : plane.width]
        for plane in frame.planes
    ]

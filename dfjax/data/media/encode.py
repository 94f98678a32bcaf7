"""Encoding a video file: H.264 or HEVC pictures and their sound, whole or absent."""

import contextlib
from fractions import Fraction
from pathlib import Path

import numpy as np

from dfjax.data.media.audio import open_sound
from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.data.media.image import resized
from dfjax.data.media.output import atomic_path
from dfjax.data.media.planes import (
    BT601,
    FULL,
    LIMITED,
    UNSPECIFIED,
    Planes,
    guessed,
    merged,
    pixel_format,
    stored_planes,
    to_frame,
    to_planes,
)
from dfjax.errors import WriteError

CONTAINERS = {'.mp4': 'mp4', '.m4v': 'mp4', '.mov': 'mov'}  # by its suffix FFmpeg would make an m4v for old iPods
WRITTEN_SUFFIXES = tuple(CONTAINERS)
NEW = MediaInfo(Path(), 'video', 0, 0, colour=(BT601, UNSPECIFIED, UNSPECIFIED))  # what a careless reader takes any for


class VideoWriter:
    """Writes an mp4 or mov, H.264 of 8 bits, or HEVC of 10; a context manager, and the file is whole or absent.

    `fps` is a Fraction, int or float; `size` is (width, height). H.264 needs even sizes: of an odd one the last column
    or row is repeated inside the encoder, so that the file is one pixel larger and what was given is at its top left.
    `sound` is (samples [T] or [T, C] in [-1, 1], rate), encoded as AAC, or a file whose tracks are copied packet by
    packet, or encoded as AAC where the container has no place for them. `like`, the facts of another video, gives time
    base, depth and colours (dynamic range among them), and where its size is this one its pixels' shape and fields.
    Raises WriteError for another suffix and as atomic_path does.
    """

    def __init__(
        self,
        path: Path | str,
        fps: Fraction | float,
        size: tuple[int, int],
        *,
        sound: Path | str | tuple[np.ndarray, int] | None = None,
        like: MediaInfo | None = None,
        force: bool = False,
        preset: str = 'veryfast',
    ):
        self.path, self.size = Path(path), tuple(size)
        self.rate = Fraction(fps).limit_denominator(100_000)
        self._from, self._timed, self._force, self._preset = sound, like is not None, force, preset
        self._like = like or NEW
        self._same = self.size == self._like.size
        if self.path.suffix.lower() not in WRITTEN_SUFFIXES:
            raise WriteError(path, f'a video is written as {", ".join(WRITTEN_SUFFIXES)}; change the name')

    def __enter__(self):
        import av

        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path, self._force))
            container = CONTAINERS[self.path.suffix.lower()]
            self._output = av.open(str(temporary.absolute()), 'w', container, {'movflags': 'faststart'})
            stack.callback(self._output.close)
            self._stream = self._add_stream()
            self._sound = iter(()) if self._from is None else stack.enter_context(open_sound(self._from, self._output))
            self._durations, self._next, self._end, self._begin = {}, 0, 0, None
            self._waiting = next(self._sound, None)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        if error[0] is not None:
            return self._stack.__exit__(*error)
        with self._stack:
            if not self._next:
                raise ValueError(f'{self.path}: no picture was written')
            *rest, last = self._stream.encode(None)  # the encoder always looks ahead, so there is one
            self._mux(rest)
            self._mux_last(last)
            self._mux_sound(float('inf'))

    def write(self, rgb: np.ndarray, pts: int | None = None, duration: int = 0, of: Frame | None = None) -> None:
        """Appends uint8 RGB [H, W, 3]; `pts` and `duration` in units of the time base (a frame, without `like`).

        Where it equals the frame `of` that it was made of, what that file stores is written.
        """
        if rgb.shape != (self.size[1], self.size[0], 3) or rgb.dtype != np.uint8:
            raise ValueError(f'uint8 {(self.size[1], self.size[0], 3)} is written, not {rgb.dtype} {rgb.shape}')
        like = self._like
        if of is None or of.stored is None or not self._same:
            planes = self._planes(rgb)
        else:
            planes = stored_planes(of.stored, like.depth, like.turn)
            if rgb is not of.rgb and (part := _changed(rgb, of.rgb)):
                self._change(planes, rgb, of.rgb, part)
        frame = to_frame(planes, like.depth)
        frame.colorspace, frame.color_range = (
            guessed(like.colour[0], self.size[1]),
            FULL if like.full_range else LIMITED,
        )
        frame.pts = self._next if pts is None else pts
        frame.time_base = self._stream.codec_context.time_base
        self._next = frame.pts + 1
        self._durations[frame.pts] = duration or self._frame_ticks
        self._end = frame.pts + self._durations[frame.pts]
        self._mux_sound(float(frame.pts * frame.time_base))
        self._mux(self._stream.encode(frame))

    def _planes(self, rgb: np.ndarray) -> Planes:
        like = self._like
        if self._same and like.aspect != 1:
            rgb = resized(rgb, like.stored_size)
        return to_planes(rgb, like.depth, like.colour, like.full_range)

    def _change(self, planes: Planes, rgb: np.ndarray, before: np.ndarray, part: tuple[slice, slice]) -> None:
        """Puts into planes what differs between two pictures, which it does in a part of them alone."""
        like = self._like
        if like.aspect != 1:  # all of it, for corners of a part would not fall on whole pixels
            where = resized(np.where((rgb != before).any(-1), np.uint8(255), np.uint8(0)), like.stored_size) > 0
            merged(planes, self._planes(rgb), where, (0, 0))
            return
        rows, columns = part
        new = to_planes(rgb[part], like.depth, like.colour, like.full_range, self.size[1])
        merged(planes, new, (rgb[part] != before[part]).any(-1), (columns.start, rows.start))

    def _add_stream(self):
        like, deep = self._like, self._like.depth > 8
        stream = self._output.add_stream('libx265' if deep else 'libx264', rate=self.rate)
        options = {'crf': '18', 'preset': self._preset}
        if deep:
            options['x265-params'] = 'log-level=none'
        size = like.stored_size if self._same else self.size
        stream.width, stream.height = (n + n % 2 for n in size)
        stream.pix_fmt = pixel_format(like.depth)
        codec = stream.codec_context
        if deep:
            codec.codec_tag = 'hvc1'  # what Apple's players know
        if like.interlaced and self._same and not deep:
            options['x264-params'] = f'{"t" if like.interlaced == "tt" else "b"}ff=1'
        stream.options = options
        codec.time_base = like.time_base if self._timed else 1 / self.rate
        codec.color_range = FULL if like.full_range else LIMITED
        codec.colorspace, codec.color_primaries, codec.color_trc = like.colour
        codec.sample_aspect_ratio = like.aspect if self._same else Fraction(1)
        self._frame_ticks = max(1, round(1 / (self.rate * codec.time_base)))
        return stream

    def _mux(self, packets) -> None:
        for packet in packets:
            self._begin = self._begin or (packet.pts, packet.dts)
            packet.duration = self._durations.pop(packet.pts)
            self._output.mux(packet)

    def _mux_last(self, packet) -> None:
        # An mp4 stores the time from packet to packet in decoding order. The last one's is set so that all add up to
        # the video's length: with B-frames its picture need not be the last one shown.
        pts, dts = self._begin or (packet.pts, packet.dts)
        packet.duration = max(1, (self._end - pts) - (packet.dts - dts))
        self._output.mux(packet)

    def _mux_sound(self, until: float) -> None:
        while self._waiting is not None and self._waiting[0] <= until:
            for packet in self._waiting[1]:
                self._output.mux(packet)
            self._waiting = next(self._sound, None)


def _changed(rgb: np.ndarray, before: np.ndarray) -> tuple[slice, slice] | None:
    """The rows and columns within which two pictures differ, their beginnings even; None where they are equal."""
    differs = (rgb != before).any(-1)
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    if not len(rows):
        return None
    return tuple(slice(at[0] - at[0] % 2, at[-1] + 1) for at in (rows, columns))

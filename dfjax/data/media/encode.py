"""Encoding a video file: H.264 pictures and their sound, whole or absent."""

import contextlib
from fractions import Fraction
from pathlib import Path

import numpy as np

from dfjax.data.media.audio import open_sound
from dfjax.data.media.decode import MediaInfo
from dfjax.data.media.output import atomic_path
from dfjax.errors import WriteError

CONTAINERS = {'.mp4': 'mp4', '.m4v': 'mp4', '.mov': 'mov'}  # by its suffix FFmpeg would make an m4v for old iPods
WRITTEN_SUFFIXES = tuple(CONTAINERS)
BT601, LIMITED_RANGE = 6, 1  # as H.264 numbers them; BT.601 is also what a careless reader takes any video for


class VideoWriter:
    """Writes an H.264 (yuv420p, crf 18) mp4 or mov; a context manager, and the file is whole or absent.

    `fps` is a Fraction, int or float; `size` is (width, height). H.264 needs even sizes: of an odd one the last column
    or row is repeated inside the encoder, so that the file is one pixel larger and what was given is at its top left.
    `sound` is (samples [T] or [T, C] in [-1, 1], rate), encoded as AAC, or a file whose tracks are copied packet by
    packet, or encoded as AAC where the container has no place for them. `like`, the facts of another video, gives time
    base, colour and aspect.
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
        self._from, self._like, self._force, self._preset = sound, like, force, preset
        if self.path.suffix.lower() not in WRITTEN_SUFFIXES:
            raise WriteError(path, f'a video is written as {", ".join(WRITTEN_SUFFIXES)}; change the name')

    def __enter__(self):
        import av

        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path, self._force))
            container = CONTAINERS[self.path.suffix.lower()]
            self._output = av.open(str(temporary), 'w', container, {'movflags': 'faststart'})
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

    def write(self, rgb: np.ndarray, pts: int | None = None, duration: int = 0) -> None:
        """Appends uint8 RGB [H, W, 3]; `pts` and `duration` in units of the time base (a frame, without `like`)."""
        import av

        if rgb.shape != (self.size[1], self.size[0], 3) or rgb.dtype != np.uint8:
            raise ValueError(f'uint8 {(self.size[1], self.size[0], 3)} is written, not {rgb.dtype} {rgb.shape}')
        height, width = rgb.shape[:2]
        if height % 2 or width % 2:
            rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode='edge')
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format='rgb24')
        colour = self._stream.codec_context.colorspace
        frame = frame.reformat(
            format='yuv420p', dst_colorspace=colour, dst_color_range=LIMITED_RANGE, interpolation='AREA'
        )
        frame.pts = self._next if pts is None else pts
        frame.time_base = self._stream.codec_context.time_base
        self._next = frame.pts + 1
        self._durations[frame.pts] = duration or self._frame_ticks
        self._end = frame.pts + self._durations[frame.pts]
        self._mux_sound(float(frame.pts * frame.time_base))
        self._mux(self._stream.encode(frame))

    def _add_stream(self):
        stream = self._output.add_stream('libx264', rate=self.rate, options={'crf': '18', 'preset': self._preset})
        stream.width, stream.height = (n + n % 2 for n in self.size)
        stream.pix_fmt = 'yuv420p'
        codec, like = stream.codec_context, self._like
        codec.time_base = like.time_base if like else 1 / self.rate
        codec.color_range = LIMITED_RANGE
        codec.colorspace = like.colour[0] if like else BT601
        if like:
            _, codec.color_primaries, codec.color_trc = like.colour
            codec.sample_aspect_ratio = like.aspect
        self._frame_ticks = max(1, round(1 / (self.rate * codec.time_base)))
        return stream

    def _mux(self, packets) -> None:
        for packet in packets:
            self._begin = self._begin or (packet.pts, packet.dts)
            packet.duration = self._durations.pop(packet.pts)
            self._output.mux(packet)

    def _mux_last(self, packet) -> None:
        # An mp4 keeps the steps from packet to packet in the order of decoding. The one after the last, whose picture
        # need not be shown last, makes their sum the length of the video.
        pts, dts = self._begin or (packet.pts, packet.dts)
        packet.duration = max(1, (self._end - pts) - (packet.dts - dts))
        self._output.mux(packet)

    def _mux_sound(self, until: float) -> None:
        while self._waiting is not None and self._waiting[0] <= until:
            for packet in self._waiting[1]:
                self._output.mux(packet)
            self._waiting = next(self._sound, None)

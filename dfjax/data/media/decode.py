"""Decoding a video file: every frame once, upright, with a time, or one clear line that says why not."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from dfjax.data.media.image import turned
from dfjax.errors import InputError

UNSPECIFIED = 2  # as H.264 numbers a colour matrix


@dataclass(frozen=True)
class Picture:
    """A decoded frame, upright, and what a writer needs to keep of its video."""

    rgb: np.ndarray  # uint8 [H, W, 3]
    pts: int  # in units of time_base, from the start of the video's clock
    duration: int
    time_base: Fraction
    rate: Fraction
    start: float  # seconds on the file's clock that count as 0
    colour: tuple[int, int, int]  # matrix, primaries, transfer, as H.264 numbers them
    aspect: Fraction  # width of a pixel over its height

    @property
    def time(self) -> float:
        return float(self.pts * self.time_base)


class Source:
    """An open video file and its first true video stream (a cover picture is none)."""

    def __init__(self, path):
        self.path = Path(path)

    def __enter__(self):
        import av

        path = self.path
        if not path.is_file():
            raise InputError(f'{path}: {"is a folder, not a video" if path.is_dir() else "no such file"}')
        if not path.stat().st_size:
            raise InputError(f'{path}: the file is empty')
        try:
            self.container = av.open(str(path))
        except PermissionError as error:
            raise InputError(f'{path}: cannot be read ({error.strerror})') from error
        except av.error.FFmpegError as error:
            raise InputError(f'{path}: not a video that can be read, or cut short; fetch or record it again') from error
        streams = [s for s in self.container.streams.video if s.codec_context and not _is_cover(s)]
        if not streams:
            self.container.close()
            raise InputError(f'{path}: has no video stream; give a video')
        self.stream = streams[0]
        self.stream.thread_type = 'AUTO'
        self.rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        # Clocks of MPEG transport and program streams start anywhere; other files' times are kept as they are.
        moves = self.container.format.name in ('mpegts', 'mpeg') and self.container.start_time
        self.start = moves / 1e6 if moves else 0.0
        return self

    def __exit__(self, *error):
        self.container.close()

    @property
    def end(self) -> float | None:
        """Seconds at which the file says that its last frame ends."""
        stream = self.stream
        if stream.duration:
            return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
        hours, _, rest = stream.metadata.get('DURATION', '').partition(':')  # Matroska: 00:00:11.823000000
        minutes, _, seconds = rest.partition(':')
        try:
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            return None

    def frames(self) -> Iterator[tuple[int, object]]:
        """Yields (pts, PyAV frame), with a pts for every frame, always growing, from the start of the clock."""
        import av

        base, pts, end, count = self.stream.time_base, None, 0.0, 0
        step, shift = max(1, round(1 / (self.rate * base))), round(self.start / base)
        try:
            for frame in self.container.decode(self.stream):
                # A frame without a time follows the one before it; one that repeats a time comes a tick later.
                given = frame.pts - shift if frame.pts is not None else 0 if pts is None else pts + step
                pts = given if pts is None else max(given, pts + 1)
                end, count = float((pts + shift + (frame.duration or step)) * base), count + 1
                yield pts, frame
        except av.error.FFmpegError as error:
            raise InputError(f'{self.path}: damaged after {count} frames ({end:.1f} s); repair or trim it') from error
        if not count:
            raise InputError(f'{self.path}: holds no picture, or none of them can be decoded')
        missing = (self.end or 0) - end
        if missing > max(float(2 / self.rate), min(1.0, 0.1 * self.end if self.end else 0)):
            raise InputError(
                f'{self.path}: cut short: it ends after {count} frames ({end:.1f} s) of {self.end:.1f} s; '
                'fetch it again, or trim it to what is there'
            )


def pictures(source: Source) -> Iterator[Picture]:
    size = turn = None
    for pts, frame in source.frames():
        if size is None:  # what the first frame says holds for the file
            size, turn = (frame.width, frame.height), turn_of(frame)
            aspect = source.stream.sample_aspect_ratio or Fraction(1)
            aspect = 1 / aspect if turn[0] else aspect
            matrix = frame.colorspace if frame.colorspace in (1, 4, 5, 6, 7, 9) else UNSPECIFIED
            colour = (matrix, frame.color_primaries, frame.color_trc)
        rgb = turned(frame.to_ndarray(format='rgb24', width=size[0], height=size[1]), *turn)
        yield Picture(rgb, pts, frame.duration or 0, source.stream.time_base, source.rate, source.start, colour, aspect)


def turn_of(frame) -> tuple[bool, bool, bool]:
    """(swap axes, reverse rows, reverse columns) by the display matrix of a frame, whose point (x, y) is shown at
    (a x + c y, b x + d y); turns other than by right angles are left to the nearest of them."""
    data = frame.side_data.get('DISPLAYMATRIX')
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5]
    return (True, bool(b < 0), bool(c < 0)) if abs(c) > abs(a) else (False, bool(d < 0), bool(a < 0))


def _is_cover(stream) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)

"""Decoding a video file: every frame once, upright, with a time, or one clear line that says why not."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from dfjax.data.media.image import turned
from dfjax.data.media.limits import FRAME, check_pixels, most_pixels
from dfjax.errors import ReadError

UNSPECIFIED = 2  # colour matrix, in H.264's numbering
CLOCKWISE = {(True, False, True): 90, (False, True, True): 180, (True, True, False): 270}


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a file, upright.

    Attributes:
        index: its number in the file, from 0.
        rgb: uint8 [H, W, 3].
        pts: in units of the file's time base, from the start of its clock.
        duration: in the same units, 0 where it is not known.
        time: `pts` in seconds.
    """

    index: int
    rgb: np.ndarray
    pts: int = 0
    duration: int = 0
    time: float = 0.0


@dataclass(frozen=True)
class MediaInfo:
    """What a picture or video file says of itself.

    Attributes:
        path: the file.
        kind: 'image' or 'video'.
        width, height: pixels, as it is shown.
        fps: the average; None for a picture.
        frames: None where the file does not say.
        duration: seconds.
        has_audio: whether it has a sound track.
        rotation: degrees clockwise by which stored frames are turned to be shown; already applied to those read.
        time_base: seconds a unit of `Frame.pts`.
        colour: matrix, primaries and transfer in H.264's numbering.
        aspect: width of a pixel over its height.
    """

    path: Path
    kind: str
    width: int
    height: int
    fps: Fraction | None = None
    frames: int | None = 1
    duration: float = 0.0
    has_audio: bool = False
    rotation: int = 0
    time_base: Fraction = Fraction(1)
    colour: tuple[int, int, int] = (UNSPECIFIED, UNSPECIFIED, UNSPECIFIED)
    aspect: Fraction = Fraction(1)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.width, self.height


class VideoReader:
    """An open video file and its first true video stream (a cover picture is none); a context manager.

    Attributes:
        rate: frames a second, the average.
        start: seconds on the file's clock that count as 0.
    """

    def __init__(self, path):
        self.path = Path(path)

    def __enter__(self):
        path = self.path
        self.container = open_container(path, 'video')
        try:
            streams = [s for s in self.container.streams.video if s.codec_context and not _is_cover(s)]
            if not streams:
                raise ReadError(path, 'has no video stream; give a video')
            self.stream = streams[0]
            size = self.stream.codec_context
            check_pixels(path, size.width or 1, size.height or 1, FRAME)
            size.options = {'max_pixels': str(most_pixels(FRAME))}  # for frames of other sizes further on
            self.stream.thread_type = 'AUTO'
            self.rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
            self.start = clock_start(self.container)
            self._raw = self._decoded = self._decode()
        except BaseException:
            self.container.close()
            raise
        return self

    def __exit__(self, *error):
        self._raw.close()
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

    @cached_property
    def info(self) -> MediaInfo:
        """The file's facts; the first frame is decoded for them, and its size, turn and colours hold for the file."""
        pts, first = next(self._decoded)
        self._decoded = itertools.chain([(pts, first)], self._raw)
        self._turn = turn_of(first)
        size = (first.width, first.height)[:: -1 if self._turn[0] else 1]
        aspect = self.stream.sample_aspect_ratio or Fraction(1)
        matrix = first.colorspace if first.colorspace in (1, 4, 5, 6, 7, 9) else UNSPECIFIED
        return MediaInfo(
            self.path,
            'video',
            *size,
            fps=self.rate,
            frames=self.stream.frames or None,
            duration=self.end or float((self.container.duration or 0) / 1e6),
            has_audio=bool(self.container.streams.audio),
            rotation=CLOCKWISE.get(self._turn, 0),
            time_base=self.stream.time_base,
            colour=(matrix, first.color_primaries, first.color_trc),
            aspect=1 / aspect if self._turn[0] else aspect,
        )

    def frames(self) -> Iterator[Frame]:
        """Every frame once, in order.

        Raises:
            ReadError: damaged, or it ends before it says it does; after the frames that could be read.
        """
        info = self.info
        width, height = info.size[:: -1 if self._turn[0] else 1]
        for index, (pts, raw) in enumerate(self._decoded):
            rgb = turned(raw.to_ndarray(format='rgb24', width=width, height=height), *self._turn)
            yield Frame(index, rgb, pts, raw.duration or 0, float(pts * info.time_base))

    def _decode(self) -> Iterator[tuple[int, object]]:
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
            raise ReadError(self.path, f'damaged after {count} frames ({end:.1f} s); repair or trim it') from error
        if not count:
            raise ReadError(self.path, 'holds no picture, or none of them can be decoded')
        missing = (self.end or 0) - end
        if missing > max(float(2 / self.rate), min(1.0, 0.1 * self.end if self.end else 0)):
            raise ReadError(
                self.path,
                f'cut short: it ends after {count} frames ({end:.1f} s) of {self.end:.1f} s; '
                'fetch it again, or trim it to what is there',
            )


def open_container(path: Path, what: str):
    """PyAV's container of a file to read; `what` it should be is for the error.

    Raises:
        ReadError: missing, empty, or no media.
    """
    import av

    if not path.is_file():
        raise ReadError(path, f'is a folder, not a {what}' if path.is_dir() else 'no such file')
    try:
        if not path.stat().st_size:
            raise ReadError(path, 'the file is empty')
        return av.open(str(path), metadata_errors='replace')  # tags in any encoding, which do not matter
    except PermissionError as error:
        raise ReadError(path, f'cannot be read ({error.strerror})') from error
    except av.error.FFmpegError as error:
        raise ReadError(path, f'not a {what} that can be read, or cut short; fetch or record it again') from error


def clock_start(container) -> float:
    """Seconds on a file's clock that count as 0.

    Clocks of MPEG transport and program streams start anywhere; other files' times are kept as they are.
    """
    moves = container.format.name in ('mpegts', 'mpeg') and container.start_time
    return moves / 1e6 if moves else 0.0


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

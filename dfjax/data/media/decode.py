"""Decoding a video file: every frame once, upright, with a time, or one clear line that says why not."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from dfjax.data.media.choices import allow_cut
from dfjax.data.media.container import clock_start, open_container
from dfjax.data.media.hdr import to_sdr
from dfjax.data.media.image import over_white, turned
from dfjax.data.media.limits import FRAME, check_pixels, most_pixels
from dfjax.data.media.mastering import x265_words
from dfjax.data.media.planes import FULL, LIMITED, MATRICES, UNSPECIFIED, guessed, is_hdr, is_stored_so
from dfjax.data.media.progress import say
from dfjax.data.media.span import Span, seek, within
from dfjax.errors import ReadError

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
        alpha: of a picture with transparency, uint8 [H, W]; `rgb` is white where it is 0.
        stored: the decoder's frame, of which `rgb` is what is shown; None where planes cannot hold what it has.
    """

    index: int
    rgb: np.ndarray
    pts: int = 0
    duration: int = 0
    time: float = 0.0
    stored: object = None
    alpha: np.ndarray | None = None


@dataclass(frozen=True)
class MediaInfo:
    """What a picture or video file says of itself.

    Attributes:
        path: the file.
        kind: 'image' or 'video'.
        width, height: pixels, as it is shown: upright and square.
        fps: the average; None for a picture.
        frames: None where the file does not say.
        duration: seconds.
        has_audio: whether it has a sound track.
        others: kinds of its further tracks, which are not written: 'subtitle', 'data', 'attachment', 'video'.
        rotation: degrees clockwise by which stored frames are turned to be shown; already applied to those read.
        turn: the same, with mirroring, as `image.turned` takes it.
        time_base: seconds a unit of `Frame.pts`.
        colour: matrix, primaries and transfer in H.264's numbering.
        full_range: whether luma has all values, and not 16 to 235.
        depth: bits of a value, 8 or 10: what it has, and no more than is written.
        aspect: width of a stored pixel over its height.
        interlaced: 'tt' or 'bb': which field comes first; '' for whole frames.
        mastering: of HDR, the display that it was graded on and how bright it gets, see `mastering`.
    """

    path: Path
    kind: str
    width: int
    height: int
    fps: Fraction | None = None
    frames: int | None = 1
    duration: float = 0.0
    has_audio: bool = False
    others: tuple[str, ...] = ()
    rotation: int = 0
    turn: tuple[bool, bool, bool] = (False, False, False)
    time_base: Fraction = Fraction(1)
    colour: tuple[int, int, int] = (UNSPECIFIED, UNSPECIFIED, UNSPECIFIED)
    full_range: bool = False
    depth: int = 8
    aspect: Fraction = Fraction(1)
    interlaced: str = ''
    mastering: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.width, self.height

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) of upright frames as they are stored, their pixels not square."""
        if self.aspect > 1:
            return round(self.width / self.aspect), self.height
        return self.width, round(self.height * self.aspect)

    @property
    def hdr(self) -> bool:
        """Whether it is of high dynamic range."""
        return is_hdr(self.colour)


class VideoReader:
    """An open video file and its first true video stream (a cover picture is none); a context manager.

    Attributes:
        rate: frames a second, the average.
        start: seconds on the file's clock that count as 0.
    """

    def __init__(self, path):
        self.path, self._first = Path(path), 0

    def __enter__(self):
        from av.stream import Disposition

        path = self.path
        self.container = open_container(path, 'video')
        try:
            films = (s for s in self.container.streams.video if s.codec_context)
            streams = [s for s in films if not s.disposition & Disposition.attached_pic]  # no covers
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
        try:
            hours, minutes, seconds = stream.metadata.get('DURATION', '').split(':')  # Matroska: 00:00:11.823000000
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            return None

    @cached_property
    def info(self) -> MediaInfo:
        """The file's facts; the first frame is decoded for them, and its size, turn and colours hold for the file."""
        from av.sidedata.sidedata import SideDataContainer

        pts, first = next(self._decoded)
        self._decoded = itertools.chain([(pts, first)], self._raw)
        # Not `first.side_data`: frame and facts would hold each other, at 4K 36 MB until Python looks for such cycles
        beside = SideDataContainer(first)
        turn = turn_of(beside)
        aspect = _aspect(self.stream.sample_aspect_ratio)
        # Pixels become square by enlarging, so that nothing is lost
        size = round(first.width * max(aspect, 1)), round(first.height / min(aspect, 1))
        kept = is_stored_so(first)
        matrix = first.colorspace if kept and first.colorspace in MATRICES else UNSPECIFIED
        matrix = matrix if kept else guessed(matrix, first.height)  # RGB is written with a matrix, which is named
        return MediaInfo(
            self.path,
            'video',
            *size[:: -1 if turn[0] else 1],
            fps=self.rate,
            frames=self.stream.frames or None,
            duration=self.end or float((self.container.duration or 0) / 1e6),
            has_audio=bool(self.container.streams.audio),
            others=tuple(s.type for s in self.container.streams if s.type != 'audio' and s.index != self.stream.index),
            rotation=CLOCKWISE.get(turn, 0),
            turn=turn,
            time_base=self.stream.time_base,
            colour=(matrix, first.color_primaries, first.color_trc),
            full_range=kept and (first.color_range == FULL or first.format.name.startswith('yuvj')),
            depth=10 if kept and first.format.components[0].bits > 8 else 8,
            aspect=1 / aspect if turn[0] else aspect,
            interlaced=self._field_order(first) if not any(turn) else '',
            mastering=x265_words(beside),
        )

    def frames(self, span: Span | None = None) -> Iterator[Frame]:
        """Every frame once, in order, or those `within` a span; numbers and times are always those in the whole file.

        Raises:
            ReadError: damaged, or it ends before it says it does, after the frames that could be read; or there are
                none in the span.
        """
        if span and span[0] > 0:
            self.skip_to(span[0])
        for _, frame in within(self.path, self.timed(), span, float(1 / self.rate)):
            yield frame()

    def timed(self) -> Iterator[tuple[float, Callable[[], Frame]]]:
        """Yields (seconds, what makes the frame) of every frame: one that is passed over is not converted."""
        base = self.info.time_base
        for index, (pts, raw) in enumerate(self._decoded, self._first):
            yield float(pts * base), partial(self._frame, index, pts, raw)

    def _frame(self, index: int, pts: int, raw) -> Frame:
        info = self.info
        way = -1 if info.turn[0] else 1  # from upright to stored
        rgb = turned(_shown(raw, info.size[::way], info), *info.turn)
        kept = raw if is_stored_so(raw) and (raw.width, raw.height) == info.stored_size[::way] else None
        return Frame(index, rgb, pts, raw.duration or 0, float(pts * info.time_base), kept)

    def skip_to(self, seconds: float, numbered: bool = True) -> None:
        """Has `frames` begin with the last key frame before a time; unless `numbered`, with number 0, which is faster:
        nothing before it is read."""
        self.info  # noqa: B018 - of the first frame
        self._raw.close()
        before = seek(self.container, self.stream, round((seconds + self.start) / self.stream.time_base), numbered)
        self._raw = self._decode()
        pts, first = next(self._raw)
        self._decoded = itertools.chain([(pts, first)], self._raw)
        self._first = sum(time < first.pts for time in before) if before else 0

    def _field_order(self, frame) -> str:
        bottom = self.stream.codec_context.field_order in (3, 5)
        return '' if not frame.interlaced_frame else 'bb' if bottom else 'tt'

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
            self._cut(count, f'damaged after {count} frames ({end:.1f} s); repair or trim it', error)
        if not count:
            raise ReadError(self.path, 'holds no picture, or none of them can be decoded')
        missing = (self.end or 0) - end
        if missing > max(float(2 / self.rate), min(1.0, 0.1 * self.end if self.end else 0)):
            self._cut(
                count,
                f'cut short: it ends after {count} frames ({end:.1f} s) of {self.end:.1f} s; '
                'fetch it again, or trim it to what is there',
            )

    def _cut(self, count: int, fault: str, cause: Exception | None = None) -> None:
        """A file that ends too soon: refused, unless what is there is to be taken."""
        if not count or not allow_cut():
            way = ', or pass --allow-cut to take what is there' if count else ''
            raise ReadError(self.path, fault + way) from cause
        say(f'{self.path}: {fault.partition(";")[0]}; what is there is taken')


def _shown(frame, size: tuple[int, int], info: MediaInfo) -> np.ndarray:
    """A decoded frame as uint8 RGB [H, W, 3] of a size (width, height): HDR tone-mapped, transparency over white."""
    how = {'width': size[0], 'height': size[1]}
    if is_stored_so(frame):
        how |= {
            'src_colorspace': guessed(frame.colorspace, frame.height),
            'src_color_range': FULL if info.full_range else LIMITED,
        }
        if info.hdr:
            return to_sdr(frame.to_ndarray(format='rgb48le', **how), info.colour[2])
    elif any(part.is_alpha for part in frame.format.components):
        rgba = frame.to_ndarray(format='rgba', **how)
        return over_white(rgba[..., :3], rgba[..., 3])
    return frame.to_ndarray(format='rgb24', **how)


def _aspect(ratio: Fraction | None) -> Fraction:
    """Width of a pixel over its height; what no camera has is a mistake of the file."""
    return ratio if ratio and Fraction(1, 4) <= ratio <= 4 else Fraction(1)


def turn_of(beside: Mapping) -> tuple[bool, bool, bool]:
    """(swap axes, reverse rows, reverse columns) by the display matrix beside a frame, whose point (x, y) is shown at
    (a x + c y, b x + d y); other turns count as the nearest by right angles."""
    data = beside.get('DISPLAYMATRIX')
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5]
    return (True, bool(b < 0), bool(c < 0)) if abs(c) > abs(a) else (False, bool(d < 0), bool(a < 0))

"""Animated WebP, which FFmpeg does not decode, frame by frame as a video."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.data.media.image import over_white
from dfjax.data.media.limits import check_pixels
from dfjax.data.media.span import Span, within
from dfjax.errors import ReadError

STEP = 100  # ms, of a frame that says none, as browsers have it


class AnimatedPicture:
    """An open animated picture with the interface of `decode.VideoReader`; transparency is laid over white."""

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def __enter__(self) -> 'AnimatedPicture':
        from PIL import Image

        try:
            self._image = Image.open(self.path)
        except (OSError, ValueError, SyntaxError) as error:
            raise ReadError(self.path, 'not a picture that can be read, or cut short; fetch it again') from error
        check_pixels(self.path, *self._image.size)
        return self

    def __exit__(self, *error) -> None:
        self._image.close()

    @cached_property
    def info(self) -> MediaInfo:
        """The file's facts; all durations are read for them."""
        durations = [duration for duration, _ in self._frames(pictures=False)]
        total = sum(durations)
        return MediaInfo(
            self.path,
            'video',
            *self._image.size,
            fps=Fraction(1000 * len(durations), total),
            frames=len(durations),
            duration=total / 1000,
            time_base=Fraction(1, 1000),
        )

    def frames(self, span: Span | None = None) -> Iterator[Frame]:
        """Every frame once, in order, or those `within` a span; ReadError where one is damaged, after those before."""
        for _, frame in within(self.path, self.timed(), span, float(1 / self.info.fps) if span else 0.0):
            yield frame()

    def skip_to(self, seconds: float, numbered: bool = True) -> None:
        """Does nothing: every picture is drawn upon the one before it."""

    def timed(self) -> Iterator[tuple[float, Callable[[], Frame]]]:
        """Yields (seconds, what makes the frame) of every frame, as `decode.VideoReader`."""
        pts = 0
        for index, (duration, rgb) in enumerate(self._frames()):
            yield pts / 1000, partial(Frame, index, rgb, pts, duration, pts / 1000)
            pts += duration

    def _frames(self, pictures: bool = True) -> Iterator[tuple[int, np.ndarray | None]]:
        """Yields milliseconds and, where they are wanted, pictures uint8 RGB [H, W, 3]."""
        for index in range(self._image.n_frames):
            try:
                self._image.seek(index)
                self._image.load()
            except (OSError, ValueError, SyntaxError, EOFError) as error:
                raise ReadError(self.path, f'damaged after {index} frames; fetch it again') from error
            rgb = None
            if pictures:
                rgba = np.asarray(self._image.convert('RGBA'))
                rgb = over_white(rgba[..., :3], rgba[..., 3])
            yield int(self._image.info.get('duration') or STEP), rgb

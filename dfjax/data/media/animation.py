"""Moving pictures without sound: GIF with a palette of its own, WebP, or H.264, by the name."""

import contextlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from dfjax.data.media.encode import WRITTEN_SUFFIXES, VideoWriter
from dfjax.data.media.output import atomic_path
from dfjax.errors import WriteError

MOVING_SUFFIXES = ('.gif', '.webp')
ANIMATION_SUFFIXES = (*MOVING_SUFFIXES, *WRITTEN_SUFFIXES)
TICK = {'.gif': Fraction(1, 100), '.webp': Fraction(1, 1000)}  # seconds, in which times are counted


class AnimationWriter:
    """Writes a GIF or an animated WebP that plays for ever; a context manager, and the file is whole or absent.

    Frames are not held. A GIF's palette is that of all of them: until the last is seen they wait in a file.

    Args:
        fps: frames a second, of frames that are given no time.
        size: (width, height) in pixels.

    Raises:
        WriteError: as `atomic_path`.
    """

    def __init__(self, path: Path | str, fps: Fraction | float, size: tuple[int, int], force: bool = False):
        self.path, self.size, self.force = Path(path), size, force
        self._each = 1 / Fraction(fps).limit_denominator(100_000)
        self._tick = TICK[self.path.suffix.lower()]

    def __enter__(self) -> 'AnimationWriter':
        import av

        gif = self.path.suffix.lower() == '.gif'
        with contextlib.ExitStack() as stack:
            part = stack.enter_context(atomic_path(self.path, self.force))
            self._output = av.open(str(part.absolute()), 'w', options={'loop': '0'})
            stack.callback(self._output.close)
            self._stream = self._output.add_stream('gif' if gif else 'libwebp_anim', rate=1 / self._tick)
            self._stream.width, self._stream.height = self.size
            self._stream.pix_fmt = 'pal8' if gif else 'yuv420p'
            if not gif:
                self._stream.options = {'quality': '90'}
            self._palette = (
                stack.enter_context(_Palette(*self.size, self._tick, part.absolute().parent)) if gif else None
            )
            self._times: list[int] = []  # in ticks
            self._stack = stack.pop_all()
        return self

    def write(self, rgb: np.ndarray, time: float | None = None) -> None:
        """Appends uint8 RGB [H, W, 3], shown from `time` in seconds on; by default after the frame before."""
        at = round((len(self._times) * self._each if time is None else time) / self._tick)
        self._times.append(max(at, self._times[-1] + 1 if self._times else 0))
        picture = _picture(rgb, self._times[-1], self._tick)
        if self._palette:
            self._palette.push(picture)
        else:
            self._output.mux(self._stream.encode(picture))

    def __exit__(self, *error) -> None:
        if error[0] is not None:
            self._stack.__exit__(*error)
            return
        with self._stack:
            if self._palette:
                for picture in self._palette.pull(self._times):
                    self._output.mux(self._stream.encode(picture))
            self._output.mux(self._stream.encode(None))


def write_animation(path: Path | str, frames: Iterable[np.ndarray], fps: int = 25, force: bool = False) -> None:
    """Writes uint8 RGB frames, all [H, W, 3], whole or not at all, one by one; GIF and WebP play for ever.

    Raises:
        WriteError: another suffix, or as `atomic_path`.
    """
    path, frames = Path(path), iter(frames)
    if path.suffix.lower() not in ANIMATION_SUFFIXES:
        raise WriteError(path, f'an animation is written as {", ".join(ANIMATION_SUFFIXES)}; change the name')
    first = next(frames)
    moving = path.suffix.lower() in MOVING_SUFFIXES
    with (AnimationWriter if moving else VideoWriter)(path, fps, first.shape[1::-1], force=force) as writer:
        for frame in itertools.chain([first], frames):
            writer.write(frame)


class _Palette:
    """Frames in the 256 colours that suit them all best: all in, then all out. They wait in a file in `folder`."""

    def __init__(self, width: int, height: int, tick: Fraction, folder: Path):
        self._size, self._tick, self._folder = (width, height), tick, folder
        self._graph, (self._source,), self._sink = _graph('palettegen', tick, (width, height, 'rgb24'))

    def __enter__(self) -> '_Palette':
        self._waiting = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *_) -> None:
        self._waiting.close()

    def push(self, picture) -> None:
        self._source.push(picture)
        with contextlib.suppress(BlockingIOError):  # a graph runs, and lets go of a frame, when it is asked for one
            self._sink.pull()
        self._waiting.write(picture.to_ndarray().tobytes())

    def pull(self, times: Sequence[int]) -> Iterator:
        import av

        self._source.push(None)
        palette, (width, height) = self._sink.pull(), self._size
        ends = (width, height, 'rgb24'), (palette.width, palette.height, palette.format.name)
        self._graph, (source, colours), sink = _graph('paletteuse', self._tick, *ends)
        colours.push(palette)
        colours.push(None)
        self._waiting.seek(0)
        for n, time in enumerate(times, 1):
            rgb = np.frombuffer(self._waiting.read(width * height * 3), np.uint8).reshape(height, width, 3)
            source.push(_picture(rgb, time, self._tick))
            if n == len(times):
                source.push(None)
            with contextlib.suppress(BlockingIOError, av.EOFError):  # it may be one behind
                while True:
                    yield sink.pull()


def _picture(rgb: np.ndarray, time: int, tick: Fraction):
    import av

    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format='rgb24')
    picture.pts, picture.time_base = time, tick
    return picture


def _graph(name: str, tick: Fraction, *ends: tuple[int, int, str]) -> tuple:
    """A graph of one filter, which lives as long as it is held; where pictures (width, height, format) go in, and where
    those that it makes come out."""
    import av

    graph = av.filter.Graph()
    made, sink = graph.add(name), graph.add('buffersink')
    sources = [graph.add_buffer(width=w, height=h, format=format, time_base=tick) for w, h, format in ends]
    for pad, source in enumerate(sources):
        source.link_to(made, 0, pad)
    made.link_to(sink)
    graph.configure()
    return graph, sources, sink

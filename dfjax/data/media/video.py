"""Video in and out by PyAV: streaming, timestamps kept, decoding and encoding beside the work in between."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from dfjax.data.media.decode import Picture, Source, pictures, turn_of
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.threads import Behind, ahead

__all__ = ['VIDEO_SUFFIXES', 'VideoInfo', 'VideoWriter', 'probe', 'read_frames', 'transform_video']

VIDEO_SUFFIXES = (
    '.mp4',
    '.mov',
    '.m4v',
    '.mkv',
    '.webm',
    '.avi',
    '.mpg',
    '.mpeg',
    '.ts',
    '.flv',
    '.wmv',
    '.3gp',
    '.gif',
)
QUEUE_BYTES = 64 << 20  # of decoded pictures, on each side of the work
CLOCKWISE = {(True, False, True): 90, (False, True, True): 180, (True, True, False): 270}


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself, `width` and `height` as it is shown."""

    width: int
    height: int
    fps: Fraction  # the average
    frames: int | None  # None where the file does not say
    duration: float  # seconds
    has_audio: bool
    rotation: int  # degrees clockwise by which the stored pictures are turned to be shown; applied when read


def probe(path) -> VideoInfo:
    """Reads a video's facts and its first frame, so that one which cannot be read is refused before any work.

    Raises InputError for a file that is missing, empty, cut short before its first frame, not media, without pictures.
    """
    with Source(path) as source:
        _, frame = next(source.frames())
        turn = turn_of(frame)
        size = (frame.height, frame.width) if turn[0] else (frame.width, frame.height)
        return VideoInfo(
            *size,
            fps=source.rate,
            frames=source.stream.frames or None,
            duration=source.end or float((source.container.duration or 0) / 1e6),
            has_audio=bool(source.container.streams.audio),
            rotation=CLOCKWISE.get(turn, 0),
        )


def read_frames(path) -> Iterator[tuple[int, float, np.ndarray]]:
    """Yields (index, time in seconds, uint8 RGB [H, W, 3]) of every frame, upright, decoded by a thread ahead of use.

    Every picture has the size of the first. A file that ends before it says it does, or cannot be decoded to its end,
    raises InputError after the frames that could be read. (Pictures that the decoder could patch up are passed on,
    as any player does.)
    """
    with contextlib.closing(_read(path)) as decoded:
        for index, picture in enumerate(decoded):
            yield index, picture.time, picture.rgb


def transform_video(
    src,
    dst,
    fn: Callable[[list], list],
    *,
    batch: int = 1,
    force: bool = False,
    preset: str = 'veryfast',
    progress: Callable[[int, int | None], None] | None = None,
) -> int:
    """Writes `src` to `dst` with every picture passed through `fn`; returns the number of frames.

    `fn` gets a list of up to `batch` (index, time, uint8 RGB [H, W, 3]) in order, the last list being shorter, and
    returns as many uint8 RGB pictures of that size. The output has as many frames as the input, at the same times
    (those of MPEG transport streams, which start anywhere, count from the file's start), and its sound.
    Decoding, `fn` and encoding overlap in three threads; memory does not grow with the length. `progress` is called
    with the frames done and their number, None where the file does not say it. Raises InputError as read_frames,
    atomic_path and VideoWriter do, and then leaves nothing behind.
    """
    src, done = Path(src), 0
    total = probe(src).frames
    with contextlib.closing(_read(src)) as decoded:
        first = next(decoded)
        writer = VideoWriter(dst, first.rate, first.rgb.shape[1::-1], like=first, sound=src, force=force, preset=preset)
        with writer, Behind(lambda item: writer.write(*item), _depth(first.rgb)) as behind:
            for group in _groups(itertools.chain([first], decoded), batch):
                results = fn([(done + i, picture.time, picture.rgb) for i, picture in enumerate(group)])
                if len(results) != len(group):
                    raise ValueError(f'{len(group)} pictures went in and {len(results)} came out')
                for picture, rgb in zip(group, results, strict=True):
                    behind.put((rgb, picture.pts, picture.duration))
                done += len(group)
                if progress:
                    progress(done, total)
    return done


def _read(path) -> Iterator[Picture]:
    """Pictures of a video, decoded by a thread at most QUEUE_BYTES ahead."""
    with Source(path) as source:
        decoded = pictures(source)
        first = next(decoded)
        yield first
        yield from ahead(decoded, _depth(first.rgb))


def _depth(rgb: np.ndarray) -> int:
    return min(16, max(2, QUEUE_BYTES // rgb.nbytes))


def _groups(items: Iterator, size: int) -> Iterator[list]:
    while group := list(itertools.islice(items, size)):
        yield group

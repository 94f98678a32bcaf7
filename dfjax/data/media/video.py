"""Video files: what they say of themselves, and their frames, decoded by a thread ahead of use."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from dfjax.data.media.decode import Frame, MediaInfo, VideoReader
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.moving import AnimatedPicture
from dfjax.data.media.sniff import webp_moves
from dfjax.data.media.span import Span
from dfjax.data.media.threads import ahead

__all__ = [
    'VIDEO_SUFFIXES',
    'VideoWriter',
    'frame_at',
    'frames_ahead',
    'frames_at',
    'open_video',
    'probe',
    'read_frames',
]

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
SEEK = 0.5  # seconds before a frame that is sought: clocks of files are not exact
QUEUE_BYTES = 64 << 20  # decoded frames that wait, on either side of the work on them


def probe(path: Path | str) -> MediaInfo:
    """Reads a video's facts and its first frame, so that one which cannot be read is refused before any work.

    Raises:
        ReadError: missing, empty, cut short before its first frame, not media, or without pictures.
    """
    with _reader(path) as reader:
        return reader.info


@contextlib.contextmanager
def open_video(path: Path | str, span: Span | None = None) -> Iterator[tuple[MediaInfo, Iterator[Frame]]]:
    """Yields a video's facts and its frames, decoded by a thread ahead of use; the thread ends with the block.

    Every frame has the size of the first. Of a `span` those within it, see `span.within`. (Frames that the decoder
    could patch up are passed on, as any player does.)

    Raises:
        ReadError: as `probe`; by the frames, after those that could be read, damaged or ending before it says it does.
    """
    with _reader(path) as reader:
        info = reader.info
        with contextlib.closing(ahead(reader.frames(span), frames_ahead(info.size))) as frames:
            yield info, frames


def read_frames(path: Path | str) -> Iterator[tuple[int, float, np.ndarray]]:
    """Yields (index, time in seconds, uint8 RGB [H, W, 3]) of every frame, as `open_video`; close it if you stop early.

    Raises:
        ReadError: as `open_video`.
    """
    with open_video(path) as (_, frames):
        for frame in frames:
            yield frame.index, frame.time, frame.rgb


def frame_at(path: Path | str, seconds: float) -> tuple[float, np.ndarray]:
    """(time in seconds, uint8 RGB [H, W, 3]) of the frame that is shown at `seconds`; after the end, of the last one.

    Raises:
        ReadError: as `open_video`.
    """
    with contextlib.closing(frames_at(path, [seconds])) as frames:
        return next(frames)


def frames_at(path: Path | str, times: Iterable[float]) -> Iterator[tuple[float, np.ndarray]]:
    """Yields what `frame_at` gives for each of `times`, of a file that is opened once; close it if you stop early."""
    with _reader(path) as reader:
        half = 0.5 / float(reader.info.fps or 25)
        for turn, seconds in enumerate(times):
            if turn or seconds > SEEK:
                reader.skip_to(max(seconds - SEEK, 0), numbered=False)
            with contextlib.closing(reader.timed()) as frames:
                found = next(frames)
                for later in frames:
                    if later[0] > seconds + half:
                        break
                    found = later
            yield found[0], found[1]().rgb


def _reader(path: Path | str) -> VideoReader | AnimatedPicture:
    return AnimatedPicture(path) if webp_moves(path) else VideoReader(path)


def frames_ahead(size: tuple[int, int]) -> int:
    """How many frames of (width, height) may wait in a queue."""
    return min(16, max(2, QUEUE_BYTES // (5 * size[0] * size[1])))  # RGB, and what was stored, 1.5 or 3 bytes

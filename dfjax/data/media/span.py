"""A part of a video: the frames within a span, without decoding those before its key frame."""

from collections.abc import Iterator
from pathlib import Path

from dfjax.errors import ReadError

Span = tuple[float, float]  # seconds from and to


def within(path: Path, items: Iterator[tuple], span: Span | None, step: float) -> Iterator[tuple]:
    """Those of (seconds, ...) from the first time of a span on and before the second; if both are the same, the one
    that is shown then, for `step` seconds.

    Raises:
        ReadError: there is none.
    """
    start, stop = span or (-1.0, float('inf'))
    early, count = start - (step if start == stop else 0) + 1e-6 * (1 if start == stop else -1), 0
    for item in items:
        if item[0] >= stop - 1e-6 and (count or start != stop):
            break
        if item[0] >= early:
            yield item
            count += 1
            if start == stop:
                break
    if span and not count:
        raise ReadError(path, f'has no frame at {start:g} s; give a time before its end')


def seek(container, stream, target: int, numbered: bool) -> list[int]:
    """Goes to the last key frame of a stream at or before a time in its units; where packets have no times that is the
    first one.

    Returns:
        If `numbered`, the times of all packets up to there, in whose order frames are: reading them takes no decoding,
        but the whole file up to there.
    """
    start, before = stream.start_time or 0, []
    container.seek(start, stream=stream)
    for packet in container.demux(stream) if numbered else ():
        if not packet.size or (packet.dts is not None and packet.dts > target):
            break
        if packet.pts is None or packet.dts is None:
            target, before = start, []
            break
        before.append(packet.pts)
    container.seek(target, stream=stream)
    return before

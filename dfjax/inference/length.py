"""A video that lasts as long as a sound: which of its frames is shown when, and those frames in that order."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from dfjax.data.media.video import open_video

BYTES = 128 << 20  # frames that are held to be shown backwards


@dataclass(frozen=True, eq=False)
class Length:
    """What is shown.

    Attributes:
        rows: [J] numbers of the video's frames.
        times: [J] seconds at which they are shown.
        fps: frames a second; None: every frame of the video once, at its own time.
    """

    rows: np.ndarray
    times: np.ndarray
    fps: Fraction | None


def fit_length(times: np.ndarray, fps: Fraction, seconds: float, keep: bool = False, loop: bool = False) -> Length:
    """The frames of a video for a sound.

    Args:
        times: [T] seconds of its frames.
        fps: frames a second, the average.
        seconds: how long the sound is.
        keep: go on after a shorter sound.
        loop: begin again for a longer one; else the video runs forth and back, without a cut.
    """
    whole, step = times - times[0], float(1 / fps)
    end = whole[-1] + step
    if abs(seconds - end) <= step or (keep and seconds < end):
        return Length(np.arange(len(times)), np.asarray(times), None)
    at = np.arange(max(1, round(seconds * fps))) * step
    if loop:
        place = at % end
    else:
        period = 2 * max(float(whole[-1]), step)
        place = np.abs((at + period / 2) % period - period / 2)
    after = np.searchsorted(whole, place).clip(1, max(len(whole) - 1, 1)) if len(whole) > 1 else np.zeros(len(at), int)
    before = np.maximum(after - 1, 0)
    rows = np.where(place - whole[before] <= whole[after] - place, before, after)
    return Length(rows, at, fps)


def frames_in_order(path: Path | str, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The frames of a video with these numbers, uint8 [H, W, 3]; forwards as they are decoded, backwards in parts."""
    start = 0
    while start < len(rows):
        stop = start + 1
        step = 0
        while stop < len(rows) and (step * (rows[stop] - rows[stop - 1]) >= 0):
            step = step or int(np.sign(rows[stop] - rows[stop - 1]))
            stop += 1
        run = rows[start:stop]
        yield from _forwards(path, run) if step >= 0 else _backwards(path, run)
        start = stop


def _forwards(path: Path | str, rows: np.ndarray) -> Iterator[np.ndarray]:
    n = 0
    with open_video(path) as (_, frames):
        for frame in frames:
            while n < len(rows) and rows[n] == frame.index:
                yield frame.rgb
                n += 1
            if n == len(rows):
                return


def _backwards(path: Path | str, rows: np.ndarray) -> Iterator[np.ndarray]:
    n, size = 0, 1
    while n < len(rows):
        part = rows[n : n + size][::-1]
        held = list(_forwards(path, part))
        yield from reversed(held)
        n += len(part)
        size = max(1, BYTES // held[0].nbytes)

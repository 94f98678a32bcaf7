"""How late the sound of a clip is: lips seen against lips heard, on one clock of seconds.

    delay = find_delay(sound, seen, times)
    if delay.found:
        heard = hear(sound, times + delay.seconds)

Times are those of frames, whatever their rate and however they vary.
"""

from dataclasses import dataclass

import numpy as np

from dfjax.inference.lips import listen
from dfjax.inference.run import Run
from dfjax.ops.heard import moment_times

RATE = 16_000  # samples a second
FURTHEST = 1.0  # seconds that a sound may be late or early
FINE = 0.005  # seconds between the delays that are tried
SLOW = 0.7  # seconds: what changes more slowly than that says nothing
PAUSE = 0.3  # seconds round the peak that are the peak's own
LEAST = 1.5  # seconds of speech and lips that overlap, below which a delay cannot be found
WEIGHTS = np.array([1.0, 0.5, 0.5])  # opening, width and loudness


@dataclass(frozen=True)
class Delay:
    """What `find_delay` found.

    Attributes:
        seconds: by which the sound is late; below 0 it is early.
        likeness: correlation of what is seen with what is heard, once that is undone.
        sure: by how much the likeness is above that of any delay elsewhere.
    """

    seconds: float
    likeness: float
    sure: float

    @property
    def found(self) -> bool:
        """Whether sound and lips go together at all."""
        return self.likeness > 0.25 and self.sure > 0.06


def find_delay(
    sound: np.ndarray, seen: np.ndarray, times: np.ndarray, run: Run | None = None, furthest: float = FURTHEST
) -> Delay:
    """How late a sound is.

    Args:
        sound: float [n] at 16 kHz; time 0 is its first sample.
        seen: [T, 2] opening and width of the lips in frames, in any unit, NaN where they are not seen; or [T] opening.
        times: [T] seconds of the frames, rising.
        furthest: seconds that it may be late or early.
    """
    made, loud, _ = listen(sound, run)
    heard = np.stack([made[:, 0], made[:, 1], loud / 4], -1)
    seen = np.reshape(seen, (len(times), -1)).astype(np.float64)
    pairs = [(0, 0), (1, 1), (0, 2)] if seen.shape[1] > 1 else [(0, 0), (0, 2)]
    known = np.isfinite(seen).all(-1)
    delays = np.arange(-furthest, furthest + FINE / 2, FINE)
    if known.sum() < 8:
        return Delay(0.0, 0.0, 0.0)
    at = moment_times(len(made))
    flat_seen = _fast(np.where(known[:, None], seen, np.nan), times)[known]
    flat_heard = _fast(heard, at)
    score = np.array([_likeness(flat_seen, times[known] + delay, flat_heard, at, pairs) for delay in delays])
    if not np.isfinite(score).any():
        return Delay(0.0, 0.0, 0.0)
    score = np.nan_to_num(score, nan=-1.0)
    best = int(score.argmax())
    elsewhere = np.abs(delays - delays[best]) > PAUSE
    sure = float(score[best] - score[elsewhere].max()) if elsewhere.any() else float(score[best])
    return Delay(round(float(delays[best]), 3), round(float(score[best]), 4), round(sure, 4))


def _likeness(seen: np.ndarray, times: np.ndarray, heard: np.ndarray, at: np.ndarray, pairs: list) -> float:
    """Weighted mean of correlations of columns of `seen` [T, C] with those of `heard` [M, 3], at times [T]."""
    inside = (times >= at[0]) & (times <= at[-1])
    if inside.sum() < 8 or np.ptp(times[inside]) < LEAST:
        return np.nan
    total, weights = 0.0, 0.0
    for a, b in pairs:
        x, y = seen[inside, a], np.interp(times[inside], at, heard[:, b])
        x, y = x - x.mean(), y - y.mean()
        size = np.sqrt((x**2).sum() * (y**2).sum())
        total += WEIGHTS[b] * ((x * y).sum() / size if size > 1e-12 else 0.0)
        weights += WEIGHTS[b]
    return total / weights


def _fast(x: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Columns [T, C] at times [T] less their slow part, a gaussian mean over SLOW seconds; NaN are not counted."""
    known = np.isfinite(x)
    step = max(float(np.median(np.diff(times))), 1e-3)
    grid = np.arange(times[0], times[-1] + step, step)
    reach = int(np.ceil(3 * SLOW / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / SLOW) ** 2)
    within = lambda x: np.convolve(x, kernel)[reach : reach + len(x)]
    out = np.empty_like(x)
    for c, column in enumerate(x.T):
        there = known[:, c]
        if not there.any():
            out[:, c] = np.nan
            continue
        even = np.interp(grid, times[there], column[there])
        mean = within(even) / within(np.ones_like(even))
        out[:, c] = column - np.interp(times, grid, mean)
    return out

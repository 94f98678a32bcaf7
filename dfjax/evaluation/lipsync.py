"""Do the lips of a video say what its sound says? Lips as an independent landmark model sees them, frame by frame."""

from contextlib import closing
from pathlib import Path

import numpy as np

from dfjax.data.media.audio import read_sound
from dfjax.data.media.inputs import iter_frames, kind
from dfjax.errors import InputError
from dfjax.evaluation.measure import measure
from dfjax.evaluation.swap import shake
from dfjax.inference.driving import make_driver
from dfjax.inference.head import load_head
from dfjax.inference.lips import hear
from dfjax.inference.mouthpool import lip_gap
from dfjax.inference.mouthshape import shape_of
from dfjax.inference.retarget import face_shapes
from dfjax.inference.sync import RATE, find_delay

UNDESCRIBED = 10**9  # no descriptor is asked for but the first
CLOSED = 0.5  # what is heard of lips that meet, from which on they should
MET = 0.045  # gap of lips that do, in distances between the eyes: landmarks are off by as much


def evaluate_lipsync(video: str | Path, audio: str | Path | None = None, workers: int | None = None) -> dict:
    """The figures of a video whose lips should follow a sound.

    Args:
        video: what `dfjax lipsync` made, or any video of a speaker.
        audio: the sound, by default its own.

    Returns:
        See `compare`, and 'found': share of frames with a face.

    Raises:
        InputError: no face, no sound.
    """
    if kind(video) != 'video':
        raise InputError(f'{video}: no video; give what lipsync wrote')
    sound = read_sound(audio or video, RATE, mono=True)[0][:, 0]
    with closing(iter_frames(video)) as frames:
        times = np.array([time for _, time, _, _ in frames])
    seen = measure(video, every=UNDESCRIBED, workers=workers)
    return compare(str(video), seen.landmarks, times, sound) | {'found': round(float(seen.found.mean()), 4)}


def compare(name: str, landmarks: np.ndarray, times: np.ndarray, sound: np.ndarray) -> dict:
    """The figures of lips and a sound.

    Args:
        landmarks: [T, 68, 2] pixels, NaN where there is no face.
        times: [T] seconds.
        sound: float [n] at 16 kHz.

    Returns:
        delay: seconds by which the sound is late, and 'likeness' and 'sure' of that, see `inference.sync`; the rest is
            measured where the sound is, without undoing it.
        opening, width: correlation of what is seen with what is heard.
        closures: share of the moments at which lips are heard to meet, in which they do.
        rest: gap of the lips while nothing is said, in distances between the eyes.
        jitter: mean second difference over time of the landmarks, likewise.
        frames: T.

        None stands for a figure that cannot be had.
    """
    known = np.isfinite(landmarks[:, 0, 0])
    driver = make_driver(name, landmarks, times, np.zeros(len(times), int), known)
    shape = shape_of(driver.motion[driver.known])
    seen = shape.seen(driver.motion)
    seen[~driver.known] = np.nan
    delay = find_delay(sound, seen, times)
    heard = hear(sound, times)
    gap = lip_gap(face_shapes(load_head(), driver.motion)[:, 48:, :2])
    both = driver.known & (times <= len(sound) / RATE)
    meets, silent = both & (heard[:, 2] > CLOSED), both & (heard[:, 0] < 0.01)
    spoken = both & (heard[:, 0] > 0.05)
    figures = {
        'delay': delay.seconds,
        'likeness': delay.likeness,
        'sure': delay.sure,
        'opening': _correlation(seen[both, 0], heard[both, 0]),
        'width': _correlation(seen[spoken, 1], heard[spoken, 1]),
        'closures': float((gap[meets] < MET).mean()) if meets.any() else None,
        'rest': float(gap[silent].mean()) if silent.any() else None,
        'jitter': shake(landmarks),
        'frames': len(times),
    }
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 3 or min(a.std(), b.std()) < 1e-6:
        return None
    return float(np.corrcoef(a, b)[0, 1])

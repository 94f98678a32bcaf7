"""Do the lips of a video say what its sound says? Lips as an independent landmark model sees them, frame by frame.

    python -m dfjax.evaluation.lipsync anna.mp4

measures how true mouths out of a person's own video are: its last part, re-made from its first at its own landmarks.
"""

import json
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from dfjax.data.faces.analyse import Analysis, analyse
from dfjax.data.media.audio import read_sound
from dfjax.data.media.inputs import iter_frames, kind
from dfjax.errors import InputError
from dfjax.evaluation.measure import measure
from dfjax.evaluation.swap import shake
from dfjax.inference.driving import driver_of, make_driver
from dfjax.inference.head import load_head, project
from dfjax.inference.lips import hear
from dfjax.inference.lipsync import gather_pool
from dfjax.inference.mouthpool import front_lips, lip_gap, pick
from dfjax.inference.mouthshape import shape_of
from dfjax.inference.remouth import matte, remouth
from dfjax.inference.retarget import face_shapes
from dfjax.inference.sync import RATE, find_delay

KNOWN = 0.7  # share of a video that the rest is re-made from
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


def held_out(video: str | Path, analysis: Analysis | None = None) -> dict:
    """How like the true ones the mouths of a video's last part are, re-made from its first part at true landmarks.

    Returns:
        psnr: in the matte, dB, the mean over frames.
        detail: standard deviation of the Laplacian in the matte, over the true one's.
        seam: mean gradient across the rim of the matte, over the true one's.
        frames: re-made.

    Raises:
        InputError: as `analyse`; a video without a face in either part.
    """
    analysis = analysis or analyse(video)
    driver = driver_of(analysis)
    points = project(load_head(), driver.motion)[:, :68]
    cut = int(KNOWN * len(driver))
    last = np.flatnonzero(driver.known & (np.arange(len(driver)) >= cut))
    first = replace(driver, known=driver.known & (np.arange(len(driver)) < cut))
    if not len(last) or not first.known.any():
        raise InputError(f'{video}: too short a video of a face for one part to be re-made from the other')
    pool = gather_pool(video, first, analysis)
    taken = dict(zip(last, pick(pool, front_lips(driver.motion[last]), driver.motion.turn[last])))
    rows = []
    with closing(iter_frames(video)) as frames:
        for n, _, true, _ in frames:
            if n not in taken:
                continue
            row, at = taken[n], points[n]
            made = remouth(true, at, at, pool.patches[row], pool.corners[row], pool.landmarks[row], pool.gap[row])
            rows.append(_alike(made, true, at))
    psnr, detail, seam = map(float, np.mean(rows, 0))
    return {'psnr': round(psnr, 2), 'detail': round(detail, 3), 'seam': round(seam, 3), 'frames': len(rows)}


def _alike(made: np.ndarray, true: np.ndarray, points: np.ndarray) -> tuple[float, float, float]:
    """PSNR, detail and seam of one frame, see `held_out`."""
    eyes = float(np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0)))
    soft = matte(points, points, eyes, (0, 0, *true.shape[1::-1]))
    inside, rim = soft > 0.5, (soft > 0) & (soft < 0.5)
    error = ((made[inside].astype(np.float64) - true[inside]) ** 2).mean()
    grey = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY).astype(np.float32) for x in (made, true)]
    edges = [cv2.Laplacian(x, cv2.CV_32F)[inside].std() for x in grey]
    steps = [np.hypot(cv2.Sobel(x, cv2.CV_32F, 1, 0), cv2.Sobel(x, cv2.CV_32F, 0, 1))[rim].mean() for x in grey]
    psnr = 10 * np.log10(255**2 / max(error, 1e-3))
    return psnr, edges[0] / max(edges[1], 1e-6), steps[0] / max(steps[1], 1e-6)


if __name__ == '__main__':
    print(json.dumps(held_out(sys.argv[1])))

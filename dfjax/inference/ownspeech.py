"""One person's own speech: opening and width of this mouth by this voice, as far as a few seconds tell them.

A net that has heard many voices knows speech; who moves the lips how far for what, half a minute of the person says
better. Ridge regression from the spectrogram round each moment, blended with the net by how much there was to learn.
"""

from dataclasses import dataclass

import numpy as np

from dfjax.ops.heard import MOMENTS
from dfjax.ops.mel import BANDS

STEPS = range(-8, 9, 2)  # moments looked at, 0.2 s before and after
RIDGE = 10.0  # per hundred features
SECONDS = 20.0  # of speech, by which it counts as much as the net
LOUDNESS = 3.0  # weight of the loudness, one feature among many bands
FEWEST = 50  # frames that can be learnt from
MOST = 3000
PIECE = 1000  # moments at once: a sound may last for hours


@dataclass(frozen=True, eq=False)
class OwnSpeech:
    """own(features [M, 161]) -> opening and width [M, 2].

    Attributes:
        weights: [F, 2], `mean` [F] of the features and `usual` [2].
        share: how much it counts against the net, 0 to 1.
    """

    weights: np.ndarray
    mean: np.ndarray
    usual: np.ndarray
    share: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        pieces = np.split(np.arange(len(features)), range(PIECE, len(features), PIECE))
        return np.concatenate([(_around(features, rows) - self.mean) @ self.weights + self.usual for rows in pieces])


def learn(features: np.ndarray, seen: np.ndarray, times: np.ndarray) -> OwnSpeech | None:
    """What can be learnt of a person's speech; None if that is too little.

    Args:
        features: [M, 161] of the sound, see `ops.heard`.
        seen: [T, 2] opening and width of the lips, as they are heard, NaN where they are not seen.
        times: [T] seconds of those on the sound's clock.
    """
    row = np.round(times * MOMENTS - 0.25).astype(int)
    known = np.isfinite(seen).all(-1) & (row >= 0) & (row < len(features))
    if known.sum() < FEWEST:
        return None
    seconds = float(known.sum() * np.median(np.diff(times)))
    picked = np.flatnonzero(known)
    picked = picked[np.linspace(0, len(picked) - 1, min(MOST, len(picked))).astype(int)]
    x, y = _around(features, row[picked]), seen[picked]
    mean, usual = x.mean(0), y.mean(0)
    x = np.float64(x - mean)
    products = x.T @ x  # [F, F]: fewer than moments are
    products.flat[:: len(mean) + 1] += RIDGE * len(mean) / 100
    weights = np.linalg.solve(products, x.T @ (y - usual))
    return OwnSpeech(weights, mean, usual, seconds / (seconds + SECONDS))


def _around(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Bands and loudness of some moments [R], and of moments around each: [R, 9 * 81]."""
    near = features[(rows[:, None] + STEPS).clip(0, len(features) - 1)]  # [R, 9, 161]
    bands = (near[..., :BANDS] + near[..., BANDS : 2 * BANDS]) / 2
    return np.concatenate([bands, LOUDNESS / 2 * near[..., 2 * BANDS :]], -1).reshape(len(rows), -1)

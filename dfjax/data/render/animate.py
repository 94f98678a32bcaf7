"""A talking head: smooth motion, speech-like mouth, blinks, glances, brows."""

import numpy as np

from dfjax.data.render.parameters import Params, random_light


def animate(seed: int, frames: int, fps: float = 25.0) -> Params:
    """`frames` moments of someone who talks and moves: every key of MOTION, [frames] each. Light stands still.

    The motion is a function of (seed, time): more frames go on from fewer.
    """
    t = np.arange(frames) / fps
    rng = np.random.default_rng([seed, 1])
    phases = rng.uniform(0, 2 * np.pi, (16, 4))
    speeds = rng.uniform(0.7, 1.3, (16, 4))

    def drift(k: int, period: float) -> np.ndarray:
        """Smooth wandering in about [-1, 1]: four sines."""
        rate = 2 * np.pi / period * speeds[k] * np.array([0.5, 1, 1.7, 2.9])
        return (np.sin(t[:, None] * rate + phases[k]) * [0.4, 0.5, 0.3, 0.12]).sum(1)

    talks = np.clip(0.6 + 1.2 * drift(0, 5), 0, 1)
    syllable = np.abs(np.sin(np.pi * 2.1 * t + 0.8 * drift(1, 1.3) + phases[1, 0]))
    shape = 0.55 + 0.45 * drift(2, 0.9)
    smile = np.clip(0.25 + 0.6 * drift(3, 7), -0.3, 1)
    look = np.clip(0.6 * np.round(1.4 * drift(4, 4)) / 1.4 + 0.1 * drift(5, 2), -1, 1)
    motion = {
        'yaw': 14 * drift(6, 6),
        'pitch': 6 * drift(7, 5) + 1.2 * talks * drift(8, 1.2),
        'roll': 5 * drift(9, 7),
        'x': 0.02 * drift(10, 8),
        'y': 0.015 * drift(11, 7),
        'scale': 0.305 + 0.008 * drift(12, 9),
        'open': np.clip(talks * syllable * shape * 0.8, 0, 0.9),
        'smile': smile * (1 - 0.4 * talks * syllable),
        'pucker': np.clip(0.8 * drift(13, 1.1) - 0.25, 0, 0.8) * talks,
        'blink': _blinks(seed, t),
        'wink': np.zeros_like(t),
        'squint': np.clip(0.3 * drift(14, 5), 0, 1),
        'brow_raise': np.clip(0.1 + 0.55 * drift(15, 3), -0.5, 1),
        'brow_frown': np.clip(0.5 * drift(3, 6) - 0.1, 0, 1),
        'gaze_x': _settle(look),
        'gaze_y': 0.25 * drift(5, 3),
    }
    motion |= {k: np.full(frames, v) for k, v in random_light(seed).items()}
    return {k: v.astype(np.float32) for k, v in motion.items()}


def _settle(x: np.ndarray) -> np.ndarray:
    """Rounds the corners of glances: two frames of ease, with no look ahead."""
    padded = np.concatenate([x[:1], x[:1], x])
    return (padded[2:] + padded[1:-1] + padded[:-2]) / 3


def _blinks(seed: int, t: np.ndarray) -> np.ndarray:
    """Blinks every two to five seconds, a fifth of a second each."""
    rng = np.random.default_rng([seed, 2])
    out, at = np.zeros_like(t), rng.uniform(0.4, 2)
    while len(t) and at < t[-1] + 0.2:
        out = np.maximum(out, np.exp(-(((t - at) / 0.07) ** 4)))
        at += rng.uniform(2, 5)
    return out

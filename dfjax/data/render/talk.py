"""A voice whose mouth is known: syllables as sound, and how open and how wide the lips are at any time.

A vowel is a few formants (Fant 1960: resonances of the tract filter the harmonics of the voice) and a shape of the
lips; every syllable opens the mouth for one vowel and closes it again. Nothing is recorded: all of it follows from a
seed in closed form, enough to try whether a model hears lips move, not to pass for speech.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

RATE = 16_000  # samples a second
# Vowels: opening of the lips in [0, 1], width in [-1, 1], and three formants in Hz (Peterson & Barney 1952).
VOWELS = {
    'a': (0.95, 0.0, (730, 1090, 2440)),
    'e': (0.55, 0.4, (530, 1840, 2480)),
    'i': (0.3, 0.6, (270, 2290, 3010)),
    'o': (0.6, -0.5, (570, 840, 2410)),
    'u': (0.25, -0.9, (300, 870, 2240)),
}
BANDWIDTHS = (90, 120, 180)  # Hz, formants 1 to 3
TOP = 4000  # Hz, highest harmonic
SPREAD = 0.09  # seconds: how far a vowel colours its neighbours


@dataclass(frozen=True, eq=False)
class Talk:
    """Some seconds of one voice.

    Attributes:
        start, length: of its K syllables, in seconds [K]; they do not overlap.
        opening, width: of the lips, by syllable [K].
        formants: by syllable [K, 3], in Hz.
        pitch: of the voice, in Hz.
        seconds: how long it is.
    """

    start: np.ndarray
    length: np.ndarray
    opening: np.ndarray
    width: np.ndarray
    formants: np.ndarray
    pitch: float
    seconds: float

    def lips(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Opening in [0, 1] and width in [-1, 1] at times [T] in seconds: closed and at rest between syllables."""
        swell, weight = self._swell(time), self._weight(time)
        return swell @ self.opening, weight @ self.width * np.minimum(weight.sum(1) * 1.5, 1)

    @cached_property
    def sound(self) -> np.ndarray:
        """The voice, float32 [n] in [-1, 1] at RATE."""
        time = np.arange(round(self.seconds * RATE)) / RATE
        swell = self._swell(time)
        loud = np.sqrt(swell.sum(1)) * (0.4 + swell @ self.opening)
        weight = self._weight(time)
        near = weight / np.maximum(weight.sum(1, keepdims=True), 1e-9)
        formants = near @ self.formants  # [n, 3]
        pitch = self.pitch * (1 + 0.08 * np.sin(2 * np.pi * 0.7 * time) + 0.02 * np.sin(2 * np.pi * 5.3 * time))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        sound = np.zeros_like(time)
        for k in range(1, int(TOP / self.pitch)):
            away = (k * pitch[:, None] - formants) / np.array(BANDWIDTHS)
            sound += np.sin(k * phase) * ((1 / (1 + away**2)) @ (1, 0.6, 0.3) + 0.01) / k**0.5
        return (0.25 * loud * sound).clip(-1, 1).astype(np.float32)

    def _swell(self, time: np.ndarray) -> np.ndarray:
        """How much each syllable is under way at times [T]: [T, K], 0 outside it, 1 in its middle."""
        within = ((np.asarray(time)[:, None] - self.start) / self.length).clip(0, 1)
        return np.sin(np.pi * within) ** 2

    def _weight(self, time: np.ndarray) -> np.ndarray:
        """How near each syllable is at times [T]: [T, K], so that vowels colour what lies between them."""
        away = (np.asarray(time)[:, None] - self.start - self.length / 2) / (self.length / 2 + SPREAD)
        return np.exp(-0.5 * (2 * away) ** 2)


def talk(seed: int, seconds: float) -> Talk:
    """What the voice `seed` says in so many seconds, a pause now and then; more seconds go on from fewer."""
    rng = np.random.default_rng([seed, 5])
    pitch, pace = rng.uniform(90, 220), rng.uniform(0.85, 1.2)
    time, rows = rng.uniform(0.05, 0.3), []
    vowels = list(VOWELS.values())
    while time < seconds or not rows:
        opening, width, formants = vowels[rng.integers(len(vowels))]
        length, stress = pace * rng.uniform(0.16, 0.3), rng.uniform(0.75, 1.05)
        rows.append((time, length, min(opening * stress, 1), width, *formants))
        time += length + (rng.uniform(0.3, 0.7) if rng.random() < 0.15 else rng.uniform(0.03, 0.07))
    start, length, opening, width, *formants = np.array(rows).T
    return Talk(start, length, opening, width, np.stack(formants, 1), pitch, seconds)

"""Sounds of speech: how each is heard, and what the mouth does for it.

Formants are those of an adult man (vowels by Peterson & Barney 1952, the rest after Klatt 1980 and Stevens 1998); the
shapes of the lips are visemes: opening in [0, 1], width in [-1, 1] from rounded to spread.
"""

from dataclasses import dataclass

import numpy as np

STEP = 0.01  # seconds between moments of a track
# Standard deviations in seconds of the gaussians by which a sound colours its neighbours.
OPENING_SPREAD, WIDTH_SPREAD, TOUCH_SPREAD = 0.045, 0.07, 0.012
CHANNELS = ('opening', 'width', 'closed', 'teeth')


@dataclass(frozen=True)
class Phoneme:
    """One sound.

    Attributes:
        seconds: its usual length.
        formants: Hz, four.
        voice: amplitude of the vocal cords' pulses, of 1 for a vowel.
        hiss: amplitude of noise, where it lies and how wide it is, in Hz; centre 0: breath through the formants.
        opening, width: of the lips.
        hold: how much the sound insists on that against its neighbours.
        closed: lips together.
        teeth: upper teeth on the lower lip.
        burst: silent for most of its length, then a burst of its hiss.
    """

    seconds: float
    formants: tuple[float, float, float, float]
    voice: float = 1.0
    hiss: tuple[float, float, float] = (0.0, 0.0, 1.0)
    opening: float = 0.2
    width: float = 0.0
    hold: float = 1.0
    closed: bool = False
    teeth: bool = False
    burst: bool = False


def _vowel(f1: float, f2: float, f3: float, opening: float, width: float, seconds: float = 0.12) -> Phoneme:
    return Phoneme(seconds, (f1, f2, f3, 3500), opening=opening, width=width, hold=1.0)


VOWELS = {
    'i': _vowel(270, 2290, 3010, 0.3, 0.6),
    'I': _vowel(390, 1990, 2550, 0.35, 0.4, 0.09),
    'E': _vowel(530, 1840, 2480, 0.55, 0.4),
    '{': _vowel(660, 1720, 2410, 0.8, 0.4, 0.14),
    'A': _vowel(730, 1090, 2440, 0.95, 0.0, 0.14),
    'V': _vowel(640, 1190, 2390, 0.65, 0.0, 0.1),
    'O': _vowel(570, 840, 2410, 0.65, -0.5, 0.13),
    'o': _vowel(450, 800, 2400, 0.5, -0.7, 0.13),
    'U': _vowel(440, 1020, 2240, 0.35, -0.6, 0.09),
    'u': _vowel(300, 870, 2240, 0.25, -0.9),
    '3': _vowel(490, 1350, 1690, 0.4, -0.35, 0.12),
    '@': _vowel(500, 1500, 2500, 0.4, 0.0, 0.06),
    'y': _vowel(270, 1900, 2150, 0.25, -0.85),
    '2': _vowel(400, 1600, 2250, 0.4, -0.6),
}
_LIP, _TOOTH, _PALATE, _VELUM = (
    (300, 900, 2200, 3400),
    (300, 1700, 2600, 3500),
    (300, 2000, 2700, 3500),
    (300, 1600, 2000, 3300),
)
CONSONANTS = {
    'p': Phoneme(0.1, _LIP, 0.0, (0.25, 900, 1500), 0.0, 0.0, 1.0, closed=True, burst=True),
    'b': Phoneme(0.08, _LIP, 0.12, (0.12, 900, 1500), 0.0, 0.0, 1.0, closed=True, burst=True),
    'm': Phoneme(0.08, (270, 1000, 2200, 3300), 0.4, opening=0.0, closed=True),
    't': Phoneme(0.09, _TOOTH, 0.0, (0.4, 4500, 3000), 0.2, 0.1, 0.5, burst=True),
    'd': Phoneme(0.07, _TOOTH, 0.12, (0.25, 4500, 3000), 0.2, 0.1, 0.5, burst=True),
    'n': Phoneme(0.07, (270, 1500, 2500, 3400), 0.4, opening=0.22, width=0.1, hold=0.5),
    'k': Phoneme(0.1, _VELUM, 0.0, (0.35, 1900, 1200), 0.25, 0.0, 0.25, burst=True),
    'g': Phoneme(0.08, _VELUM, 0.12, (0.2, 1900, 1200), 0.25, 0.0, 0.25, burst=True),
    'N': Phoneme(0.07, (270, 1300, 2100, 3300), 0.4, opening=0.25, hold=0.25),
    'f': Phoneme(0.1, _LIP, 0.0, (0.12, 5000, 6000), 0.08, 0.1, 1.2, teeth=True),
    'v': Phoneme(0.07, _LIP, 0.4, (0.06, 5000, 6000), 0.08, 0.1, 1.2, teeth=True),
    'T': Phoneme(0.09, _TOOTH, 0.0, (0.1, 6000, 5000), 0.2, 0.1, 0.8),
    'D': Phoneme(0.05, _TOOTH, 0.4, (0.05, 6000, 5000), 0.2, 0.1, 0.7),
    's': Phoneme(0.1, _TOOTH, 0.0, (0.55, 6200, 1800), 0.14, 0.3, 0.9),
    'z': Phoneme(0.08, _TOOTH, 0.35, (0.35, 6200, 1800), 0.14, 0.3, 0.9),
    'S': Phoneme(0.11, _PALATE, 0.0, (0.55, 3200, 1500), 0.22, -0.5, 1.0),
    'Z': Phoneme(0.08, _PALATE, 0.35, (0.35, 3200, 1500), 0.22, -0.5, 1.0),
    'h': Phoneme(0.06, (500, 1500, 2500, 3500), 0.0, (0.25, 0, 1), 0.4, 0.0, 0.15),
    'l': Phoneme(0.06, (360, 1200, 2700, 3500), 0.6, opening=0.3, width=0.05, hold=0.5),
    'r': Phoneme(0.07, (400, 1150, 1550, 3300), 0.6, opening=0.27, width=-0.4, hold=0.8),
    'w': Phoneme(0.07, (300, 700, 2200, 3400), 0.6, opening=0.18, width=-0.95, hold=1.0),
    'j': Phoneme(0.06, (280, 2200, 2900, 3600), 0.6, opening=0.25, width=0.45, hold=0.6),
}
PHONEMES = VOWELS | CONSONANTS


def mouth_track(
    names: list[str], start: np.ndarray, stop: np.ndarray, stress: np.ndarray, seconds: float
) -> np.ndarray:
    """What the mouth does while sounds are said: float64 [1 + seconds / STEP, 4], CHANNELS every STEP seconds.

    Every sound pulls at the lips while it lasts and, less and less, before and after (dominances after Cohen & Massaro
    1993); where there is none the mouth is closed. Lips that have to meet do, whatever their neighbours ask for.

    Args:
        names: keys of PHONEMES, K of them.
        start, stop: [K] seconds.
        stress: [K] factors of the opening.
    """
    time = STEP * np.arange(round(seconds / STEP) + 1)
    table = [PHONEMES[name] for name in names]
    number = np.searchsorted(start, time, 'right') - 1  # the sound that was begun last
    said = (number >= 0) & (time < np.append(stop, 0.0)[number])

    def of(values: list, rest: float) -> np.ndarray:
        return np.where(said, np.append(np.array(values, np.float64), rest)[number], rest)

    hold = of([p.hold for p in table], 1.0)
    opening = of([min(p.opening * s, 1.0) for p, s in zip(table, stress)], 0.0)
    width = of([p.width for p in table], 0.0)
    spread = lambda x, sigma: _gaussian(x * hold, sigma) / _gaussian(hold, sigma)
    # A touch of the lips is known to the millisecond: over the sound, soft at its ends.
    closed, teeth = (_gaussian(of([float(getattr(p, k)) for p in table], 0.0), TOUCH_SPREAD) for k in CHANNELS[2:])
    opening = spread(opening, OPENING_SPREAD) * (1 - closed) * (1 - 0.8 * teeth)
    return np.stack([opening, spread(width, WIDTH_SPREAD), closed, teeth], -1)


def _gaussian(x: np.ndarray, sigma: float) -> np.ndarray:
    """A track [T] smoothed by a gaussian of `sigma` seconds; its ends go on."""
    reach = int(np.ceil(4 * sigma / STEP))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP / sigma) ** 2)
    return np.convolve(np.pad(x, reach, mode='edge'), kernel / kernel.sum(), 'valid')

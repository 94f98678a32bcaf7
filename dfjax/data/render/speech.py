"""Speech whose mouth is known: a formant synthesiser (Klatt 1980) that says random syllables in random voices.

    said = speak(7, 20.0)
    said.sound                    # float32 [320000] at 16 kHz
    said.mouth(times)             # [T, 4]: opening, width, lips together, teeth on the lip

Vocal cords give pulses, narrow places give noise; the tract rings at its formants. All follows from a seed: nothing is
recorded, and what is said means nothing. It is plain enough to be made by the minute in a second, and true enough that
what learns to see a mouth in it sees mouths in people's speech.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dfjax.data.render.phonemes import CONSONANTS, PHONEMES, STEP, VOWELS, mouth_track

RATE = 16_000  # samples a second
HOP, LENGTH, FOURIER = 80, 320, 1024  # samples between spectra, of each, and of its transform, in which formants ring
CHUNK = 8000  # spectra at once, for memory
BANDWIDTHS = np.array([70.0, 100.0, 140.0, 220.0])  # Hz, of the formants
FIFTH = 4500.0, 350.0  # a formant above those and its bandwidth, Hz
GLIDE = 0.016  # seconds: standard deviation over which formants move
EDGE = 0.004  # seconds: likewise amplitudes
BURST = 0.018  # seconds, at the end of a stop
PAUSE = 0.18  # probability of a pause after a syllable


@dataclass(frozen=True)
class Voice:
    """Who speaks: `tract` times the formants of PHONEMES, `pitch` in Hz and how far it moves, `pace` of the sounds'
    lengths, `breath` of noise in the voice, `open_share` of a pulse's time, `dark`, Hz above which pulses are weak."""

    tract: float
    pitch: float
    melody: float
    pace: float
    breath: float
    open_share: float
    dark: float


def random_voice(rng: np.random.Generator) -> Voice:
    """A man, woman or child: short tracts go with high voices."""
    tract = rng.uniform(0.85, 1.22)
    pitch = 85 * np.exp(np.clip((tract - 0.85) / 0.37 + rng.normal(0, 0.25), 0, 1) * np.log(240 / 85))
    pace, breath = np.exp(rng.uniform(np.log(0.75), np.log(1.3))), 10 ** rng.uniform(-2.2, -1.0)
    return Voice(
        tract, pitch, rng.uniform(0.04, 0.18), pace, breath, rng.uniform(0.5, 0.75), 10 ** rng.uniform(3.0, 3.7)
    )


@dataclass(frozen=True, eq=False)
class Speech:
    """Some seconds of one voice.

    Attributes:
        names: of its K sounds, keys of PHONEMES.
        start, stop: of each, in seconds [K]; between sounds there may be silence.
        stress: how strong each is [K].
        voice: who speaks.
        seed: of the noise.
        seconds: how long it is.
    """

    names: list[str]
    start: np.ndarray
    stop: np.ndarray
    stress: np.ndarray
    voice: Voice
    seed: int
    seconds: float

    def mouth(self, time: np.ndarray) -> np.ndarray:
        """What the mouth does at times [T] in seconds: [T, 4], see `phonemes.CHANNELS`."""
        grid = STEP * np.arange(len(self._track))
        return np.stack([np.interp(time, grid, column) for column in self._track.T], -1)

    @cached_property
    def _track(self) -> np.ndarray:
        return mouth_track(self.names, self.start, self.stop, self.stress, self.seconds)

    @cached_property
    def sound(self) -> np.ndarray:
        """The voice, float32 [n] in [-1, 1] at RATE."""
        count = round(self.seconds * RATE)
        frames = count // HOP + LENGTH // HOP
        controls = self._controls(frames)
        rng = np.random.default_rng([self.seed, 7])
        pulses, noise = (
            self._pulses(frames * HOP, controls['pitch'], rng),
            np.float32(rng.standard_normal(frames * HOP)),
        )
        out = np.zeros(frames * HOP + FOURIER + HOP, np.float32)
        for first in range(0, frames, CHUNK):
            rows = slice(first, min(first + CHUNK, frames))
            part = _render(pulses, noise, {k: v[rows] for k, v in controls.items()}, self.voice, first)
            out[first * HOP : first * HOP + len(part)] += part[: len(out) - first * HOP]
        sound = out[LENGTH // 2 : LENGTH // 2 + count]
        return np.clip(sound * (0.09 / max(float(np.sqrt((sound**2).mean())), 1e-6)), -1, 1)

    def _controls(self, frames: int) -> dict[str, np.ndarray]:
        """Formants, amplitudes and pitch at the middle of each spectrum: [frames, ...] each."""
        time = np.arange(frames) * HOP / RATE
        rows = []  # start, stop, four formants, voice, breath, hiss, its centre and width
        for name, start, stop, stress in zip(self.names, self.start, self.stop, self.stress):
            p, loud = PHONEMES[name], stress if name in VOWELS else 1.0
            level, centre, wide = p.hiss
            hiss, breath = (level, 0.0) if centre else (0.0, level)
            shape = (*p.formants, p.voice * loud, breath + self.voice.breath * p.voice)
            middle = max(stop - BURST, start) if p.burst else start
            if p.burst:
                rows.append((start, middle, *shape, 0.0, 1000.0, 1000.0))
            rows.append((middle, stop, *shape, hiss, max(centre, 200.0), wide))
        table = np.array(rows)
        number = np.clip(np.searchsorted(table[:, 0], time, 'right') - 1, 0, None)
        now, said = table[number], ((time >= table[number, 0]) & (time < table[number, 1]))[:, None]
        scale = HOP / RATE
        amplitudes = _smooth(now[:, 6:9] * said, EDGE / scale)
        formants = _smooth(now[:, 2:6], GLIDE / scale) * self.voice.tract
        bright = 0.5 + 0.5 * self.voice.tract
        return {
            'formants': formants,
            'amplitudes': amplitudes,
            'hiss': now[:, 9:11] * bright,
            'pitch': self._pitch(time),
        }

    def _pitch(self, time: np.ndarray) -> np.ndarray:
        """Hz: falls over a phrase, rises with stress."""
        sway = np.random.default_rng([self.seed, 8]).uniform(0, 2 * np.pi, 3)
        slow = sum(np.sin(2 * np.pi * f * time + s) for f, s in zip((0.31, 0.83, 1.9), sway)) / 1.7
        return self.voice.pitch * np.exp(self.voice.melody * slow)

    def _pulses(self, count: int, pitch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The change of the flow through the vocal cords (Rosenberg 1971), float32 [count]."""
        hertz = np.interp(np.arange(count), np.arange(len(pitch)) * HOP, pitch)
        hertz *= 1 + 0.01 * np.interp(np.arange(count), np.arange(len(pitch)) * HOP, rng.standard_normal(len(pitch)))
        phase = np.cumsum(hertz / RATE) % 1
        rise = self.voice.open_share * 0.67
        fall = self.voice.open_share - rise
        opens = np.sin(np.pi * phase / rise) * (phase < rise) * fall / rise
        shuts = -np.sin(np.pi / 2 * (phase - rise) / fall) * ((phase >= rise) & (phase < rise + fall))
        return np.float32(opens + shuts)


def speak(seed: int, seconds: float) -> Speech:
    """What the voice `seed` says in so many seconds, with pauses; more seconds go on from fewer."""
    rng = np.random.default_rng([seed, 6])
    voice, time = random_voice(rng), rng.uniform(0.1, 0.5)
    vowels, consonants = list(VOWELS), list(CONSONANTS)
    rows = []
    while time < seconds or not rows:
        stress = rng.uniform(0.7, 1.15)
        begin = int(rng.choice(3, p=(0.12, 0.75, 0.13)))
        end = int(rng.choice(2, p=(0.65, 0.35)))
        names = [*rng.choice(consonants, begin), rng.choice(vowels), *rng.choice(consonants, end)]
        last = rng.random() < PAUSE
        for name in names:
            length = PHONEMES[name].seconds * voice.pace * rng.uniform(0.75, 1.35) * (1.3 if last else 1.0)
            rows.append((str(name), time, time + length, stress))
            time += length
        if last:
            time += rng.uniform(0.15, 0.9)
    names, start, stop, stress = zip(*rows)
    return Speech(list(names), np.array(start), np.array(stop), np.array(stress), voice, seed, seconds)


def _smooth(x: np.ndarray, sigma: float) -> np.ndarray:
    """Columns [T, C] smoothed by a gaussian of `sigma` rows; the ends go on."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(x, ((reach, reach), (0, 0)), mode='edge')
    return np.stack([np.convolve(column, kernel / kernel.sum(), 'valid') for column in padded.T], -1)


def _resonance(
    hertz: np.ndarray, wide: np.ndarray | float, turn: np.ndarray, at: np.ndarray | float = 0.0
) -> np.ndarray:
    """The spectrum [T, F] of resonances at `hertz` [T], `wide` Hz, with gain 1 at `at` Hz; `turn` [F] is z^-1."""
    r, angle = np.exp(-np.pi * np.asarray(wide) / RATE), 2 * np.pi * hertz / RATE
    one, two = np.complex64(-2 * r * np.cos(angle)), np.broadcast_to(np.float32(r * r), hertz.shape)
    there = np.exp(-2j * np.pi * np.broadcast_to(at, hertz.shape) / RATE)
    gain = np.complex64(np.abs(1 + one * there + two * there**2))
    return gain[:, None] / (1 + one[:, None] * turn + two[:, None] * turn**2)


def _render(pulses: np.ndarray, noise: np.ndarray, now: dict, voice: Voice, first: int) -> np.ndarray:
    """The sound of spectra from number `first` on, overlapped and added; a hop a spectrum, and what rings on."""
    turn = np.complex64(np.exp(-2j * np.pi * np.arange(FOURIER // 2 + 1) / FOURIER))
    window = np.float32(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(LENGTH) / LENGTH)) * HOP * 2 / LENGTH
    count = len(now['pitch'])
    at = (first + np.arange(count))[:, None] * HOP + np.arange(LENGTH)
    source, hiss = (np.fft.rfft(x[at % len(x)] * window, FOURIER).astype(np.complex64) for x in (pulses, noise))
    tract = _resonance(np.full(count, FIFTH[0] * voice.tract).clip(0, 7000), FIFTH[1], turn)
    for hertz, wide in zip(now['formants'].T, BANDWIDTHS):
        tract *= _resonance(hertz.clip(150, 7000), wide, turn)
    dark = 1 / np.hypot(1, np.arange(FOURIER // 2 + 1) * RATE / FOURIER / voice.dark).astype(np.float32)
    centre, wide = now['hiss'].T
    narrow = _resonance(centre.clip(200, 7400), wide, turn, centre.clip(200, 7400))
    loud = now['amplitudes'].astype(np.float32)
    said = tract * (source * dark * loud[:, :1] + 0.4 * hiss * loud[:, 1:2]) + hiss * narrow * loud[:, 2:]
    sound = np.fft.irfft(said, FOURIER).astype(np.float32)
    blocks = -(-FOURIER // HOP)
    sound = np.pad(sound, ((0, 0), (0, blocks * HOP - FOURIER))).reshape(count, blocks, HOP)
    out = np.zeros((count + blocks, HOP), np.float32)
    for k in range(blocks):
        out[k : k + count] += sound[:, k]
    return out.reshape(-1)

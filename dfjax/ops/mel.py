"""What speech looks like: mel spectrograms as Wav2Lip's nets see them (Prajwal et al. 2020), 80 columns a second.

    picture = mel(sound)                        # [B, n] at 16 kHz -> [B, 80, 1 + n // 200]
    windows = mel_windows(picture[0], seconds)  # what is heard from each of those times on, 0.2 s

Loudness is in [-4, 4]: -4 for 100 dB below a reference and what is fainter, 4 for the reference.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.exact import einsum

RATE = 16_000  # samples a second
WINDOW = 800  # samples of a Fourier transform
HOP = 200  # samples from one column to the next
BANDS = 80
LOWEST, HIGHEST = 55.0, 7600.0  # Hz
COLUMNS = RATE // HOP  # a second
STEPS = 16  # columns that the nets see at once
PREEMPHASIS = 0.97
FLOOR_DB, REFERENCE_DB, PEAK = -100.0, 20.0, 4.0


def preemphasis(sound: jax.Array) -> jax.Array:
    """Sound [..., n] with its treble raised: less most of the sample before."""
    return sound - PREEMPHASIS * jnp.pad(sound, [(0, 0)] * (sound.ndim - 1) + [(1, 0)])[..., :-1]


def linear(sound: jax.Array) -> jax.Array:
    """Spectrogram of sound [..., n]: [..., 401, 1 + n // 200] in [-4, 4]."""
    return _loudness(_magnitude(sound))


def mel(sound: jax.Array) -> jax.Array:
    """The same in bands as wide as the ear's: [..., 80, 1 + n // 200] in [-4, 4].

    Args:
        sound: [..., n] in [-1, 1] at 16 kHz, n at least 401: it is mirrored at its ends.
    """
    return _loudness(einsum('mf,...ft->...mt', mel_basis(), _magnitude(sound)))


def mel_windows(picture: jax.Array, seconds: jax.Array, steps: int = STEPS) -> jax.Array:
    """Columns of a spectrogram [80, T] from times [N] on, moved inside at its ends: [N, 80, steps]."""
    first = jnp.floor(jnp.asarray(seconds) * COLUMNS + 1e-3).astype(
        jnp.int32
    )  # 0.0125 s are a column, and so is 0.01249
    first = jnp.clip(first, 0, picture.shape[-1] - steps)
    return jnp.moveaxis(picture[:, first[:, None] + jnp.arange(steps)], 0, 1)


def _magnitude(sound: jax.Array) -> jax.Array:
    """[..., n] -> [..., 401, 1 + n // HOP]: short-time Fourier transform, columns centred, the ends mirrored."""
    edges = [(0, 0)] * (sound.ndim - 1) + [(WINDOW // 2, WINDOW // 2)]
    x = jnp.pad(preemphasis(sound.astype(jnp.float32)), edges, mode='reflect')
    columns = 1 + sound.shape[-1] // HOP
    chunks = x[..., : x.shape[-1] // HOP * HOP].reshape(*x.shape[:-1], -1, HOP)
    parts = [chunks[..., i : i + columns, :] for i in range(WINDOW // HOP)]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    return jnp.abs(jnp.fft.rfft(jnp.concatenate(parts, -1) * hann)).swapaxes(-1, -2)


def _loudness(magnitude: jax.Array) -> jax.Array:
    decibels = 20 * jnp.log10(jnp.maximum(magnitude, 10 ** (FLOOR_DB / 20))) - REFERENCE_DB
    return jnp.clip(2 * PEAK * (decibels / -FLOOR_DB + 1) - PEAK, -PEAK, PEAK)


@lru_cache(1)
def mel_basis() -> np.ndarray:
    """Triangles over the frequencies of a transform, of equal area: float32 [80, 401] (Slaney's scale)."""
    edges = _from_mel(np.linspace(_to_mel(LOWEST), _to_mel(HIGHEST), BANDS + 2))
    away = edges[:, None] - np.linspace(0, RATE / 2, WINDOW // 2 + 1)  # [82, 401]
    width = np.diff(edges)[:, None]
    triangles = np.maximum(0, np.minimum(-away[:-2] / width[:-1], away[2:] / width[1:]))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def _to_mel(hertz: float) -> float:
    """Linear up to 1000 Hz, logarithmic above."""
    return hertz / (200 / 3) if hertz < 1000 else 15 + np.log(hertz / 1000) / (np.log(6.4) / 27)


def _from_mel(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))

"""What a net that watches for lips hears: a spectrogram free of level, of the room's colour and of the microphone's.

    heard(sound)        # [B, n] at 16 kHz -> [B, T, 161], 40 moments a second

The k-th moment is at `moment_times(T)[k]` seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.mel import BANDS, COLUMNS, mel

MOMENTS = COLUMNS // 2  # a second: two columns of a spectrogram each
SAMPLES = 400  # of sound a moment
FEATURES = 2 * BANDS + 1
LOUDER = 0.6  # share of the moments, the louder ones, whose mean is taken away: that of speech, not of pauses
FLOOR = 0.05  # share of the moments, the faintest, that are silence


def heard(sound: jax.Array) -> jax.Array:
    """Features [B, n // 400, 161] of sound [B, n] at 16 kHz."""
    return levelled(pairs(sound))


def pairs(sound: jax.Array) -> jax.Array:
    """Two columns of a spectrogram beside each other: sound [..., n] -> [..., n // 400, 160]."""
    picture = jnp.swapaxes(mel(sound), -1, -2)
    count = sound.shape[-1] // SAMPLES
    return picture[..., : 2 * count, :].reshape(*picture.shape[:-2], count, 2 * BANDS)


def levelled(picture: jax.Array) -> jax.Array:
    """Pairs [..., T, 160] less the mean of the louder ones, and how loud each is: [..., T, 161]."""
    loud = picture.mean(-1)
    ranked = jnp.sort(loud, -1)
    at = lambda share: ranked[..., int(share * (loud.shape[-1] - 1)), None]
    spoken = (loud >= at(1 - LOUDER))[..., None]
    mean = jnp.where(spoken, picture, 0).sum(-2, keepdims=True) / spoken.sum(-2, keepdims=True)
    above = jnp.clip((loud - at(FLOOR)) / 2, 0, 2)
    return jnp.concatenate([jnp.clip((picture - mean) / 2, -2, 2), above[..., None]], -1)


def moment_times(count: int) -> np.ndarray:
    """Seconds [count] of moments: the middle of two columns, the first of which is centred on the first sample."""
    return (np.arange(count) + 0.25) / MOMENTS

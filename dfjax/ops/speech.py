"""Windows of 'speech' batches as nets see them: mouths stacked on channels, and the mel of their time.

A window's sound begins MARGIN samples before its first frame, at 16 kHz and 25 frames a second (`data.batches`).
"""

import jax
import jax.numpy as jnp

from dfjax.ops.mel import COLUMNS, HOP, RATE, STEPS, mel, mel_windows

FPS = 25
MARGIN = 4000  # samples of sound before the first frame, and after the last one's end
FIRST = MARGIN // HOP  # the column of a spectrogram at which the first frame begins


def window_steps(frames: int) -> int:
    """Columns of a window of frames: 16 of five, as SyncNet has them, and never fewer."""
    return max(STEPS, -(-frames * COLUMNS // FPS))


def window_mels(sound: jax.Array, frames: int) -> jax.Array:
    """What is heard while windows are seen: sound [N, n] -> [N, 80, window_steps, 1]."""
    return mel(sound)[..., FIRST : FIRST + window_steps(frames), None]


def frame_mels(sound: jax.Array, frames: int, early: int = 0) -> jax.Array:
    """What is heard from each frame on, 0.2 s: sound [N, n] -> [N, T, 80, 16, 1].

    Args:
        early: frames by which what is heard begins before what is seen; 1 in Wav2Lip's training.
    """
    picture = mel(sound)
    first = [FIRST + (n - early) * COLUMNS // FPS for n in range(frames)]
    return jnp.stack([picture[..., i : i + STEPS] for i in first], 1)[..., None]


def mels_at(sound: jax.Array, seconds: jax.Array, early: int = 0) -> jax.Array:
    """What is heard from times [N] on, as `frame_mels` has it, of a whole sound [n]: [N, 80, 16, 1]."""
    padded = jnp.pad(jnp.asarray(sound), (2 * MARGIN, 2 * MARGIN))
    return mel_windows(mel(padded), seconds + 2 * MARGIN / RATE - early / FPS)[..., None]


def mouths(pictures: jax.Array, bgr: bool = False) -> jax.Array:
    """Lower halves of T frames, a frame's channels together: [N, T, S, S, C] -> [N, S // 2, S, T * C]."""
    n, t, s, _, c = pictures.shape
    lower = pictures[:, :, s - s // 2 :, :, :: -1 if bgr else 1]
    return lower.transpose(0, 2, 3, 1, 4).reshape(n, s // 2, s, t * c)

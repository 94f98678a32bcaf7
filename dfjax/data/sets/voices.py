"""Synthesised voices by name, `render:voices:SEED:COUNT:FRAMES`: COUNT voices that say FRAMES / 25 seconds each."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.data.names import Name, Rendered
from dfjax.data.render.speech import RATE, speak
from dfjax.data.sets.cache import cached
from dfjax.data.sets.dataset import Dataset
from dfjax.data.shuffle import below
from dfjax.errors import InputError
from dfjax.ops.heard import MOMENTS, SAMPLES, moment_times

FPS = 25  # frames a second that names count in


class Voices(Dataset):
    """Windows of voices: 'sound' int16 [n] at 16 kHz and 'mouth' float32 [n // 400, 4], what it does at `moment_times`.

    Args:
        seconds: of a window.

    Raises:
        InputError: if it is a name of something else, or of voices shorter than a window.
    """

    def __init__(self, name: Name, seconds: float):
        if not isinstance(name, Rendered) or name.form != 'voices':
            raise InputError(f'{name}: no voices with known mouths; write render:voices:SEED:COUNT:FRAMES')
        self.name, self.moments = str(name), round(seconds * MOMENTS)
        if name.frames * MOMENTS // FPS < self.moments or not self.moments:
            raise InputError(f'{name}: voices of {name.frames / FPS:g} s, where data.seconds is {seconds:g}')
        self._made = cached(str(name), __file__, partial(_speak, name))

    def __len__(self) -> int:
        return len(self._made['sound'])

    @property
    def nbytes(self) -> int:
        """All of every voice."""
        return sum(array.nbytes for array in self._made.values())

    def _first(self, seed, xp):
        places = self._made['mouth'].shape[1] - self.moments + 1
        return below(seed, xp.full(seed.shape, places, xp.int32), 5)

    def read(self, index: int, seed: int) -> dict[str, np.ndarray]:
        """A window of a voice, from a moment on that the seed says."""
        first = int(self._first(np.array([seed], np.uint32), np)[0])
        sound = self._made['sound'][index, first * SAMPLES : (first + self.moments) * SAMPLES]
        return {'sound': sound, 'mouth': self._made['mouth'][index, first : first + self.moments]}

    def arrays(self) -> dict:
        """'sound' int16 [N, n] and 'mouth' float32 [N, T, 4] of whole voices."""
        return dict(self._made)

    def take(self, arrays: dict, index: jax.Array, seed: jax.Array) -> dict:
        """Windows of a batch, out of `arrays`."""
        first = self._first(seed, jnp)[:, None]
        heard = first * SAMPLES + jnp.arange(self.moments * SAMPLES)
        seen = first + jnp.arange(self.moments)
        return {'sound': arrays['sound'][index[:, None], heard], 'mouth': arrays['mouth'][index[:, None], seen]}


def _speak(name: Rendered) -> dict[str, np.ndarray]:
    seconds, sounds, mouths = name.frames / FPS, [], []
    count = round(seconds * RATE) // SAMPLES
    for n in range(name.count):
        said = speak(int(np.random.default_rng([name.drawn, 9, n]).integers(2**31)), seconds)
        sounds.append(np.round(said.sound[: count * SAMPLES] * 32767).astype(np.int16))
        mouths.append(said.mouth(moment_times(count)).astype(np.float32))
    return {'sound': np.stack(sounds), 'mouth': np.stack(mouths)}

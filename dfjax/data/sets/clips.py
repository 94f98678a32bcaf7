"""What is drawn of clips: two frames of one, or windows of frames with the sound of that time.

What an item draws is a function of its seed in whole numbers, the same for NumPy and JAX, so that clips held on the
device and clips read from a disk give the same batches.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.data.media.progress import say
from dfjax.data.names import Name
from dfjax.data.render.speech import RATE
from dfjax.data.sets.clip import FACTS, FPS, Clip
from dfjax.data.sets.dataset import Dataset
from dfjax.data.shuffle import below
from dfjax.errors import InputError

SAMPLES = RATE // FPS  # samples a frame
MARGIN = RATE // 4  # samples of sound before a window of frames, and after it
APART = 3  # frames at least between the beginnings of windows of one clip
AWAY = FPS  # frames between a window and its reference, where the clip is long enough


class _FromClips(Dataset):
    """Clips of `fewest` frames or more, and the frames of all of them in a row."""

    def __init__(self, name: Name, clips: Sequence[Clip], fewest: int):
        self.name, self.clips = str(name), [clip for clip in clips if clip.count >= fewest]
        if not self.clips:
            longest = max(clip.count for clip in clips)
            raise InputError(f'{name}: clips of {longest} frames at most; at least {fewest} are needed')
        self.count = np.array([clip.count for clip in self.clips], np.int32)

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def nbytes(self) -> int:
        """Frames, landmarks and sound of all clips."""
        frame = self.clips[0].frame(0).nbytes + 68 * 2 * 4
        return int(self.count.sum()) * frame + sum(clip.sound.nbytes for clip in self.clips if clip.sound is not None)

    def arrays(self) -> dict:
        """'image' uint8 [F, S, S, 3] and 'landmarks' float32 [F, 68, 2] of all F frames, 'start' and 'count' [N]."""
        ends = np.cumsum(self.count)
        image = np.empty((ends[-1], *self.clips[0].frame(0).shape), np.uint8)
        for clip, end in zip(self.clips, ends):
            for n in range(clip.count):
                image[end - clip.count + n] = clip.frame(n)
        landmarks = np.concatenate([_landmarks(clip, np.arange(clip.count)) for clip in self.clips])
        return {'image': image, 'landmarks': landmarks, 'start': np.int32(ends - self.count), 'count': self.count}

    def _frames(self, index: int, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Frames [...] of a clip, 'image' and 'landmarks'."""
        clip = self.clips[index]
        image = np.stack([clip.frame(int(n)) for n in numbers.ravel()])
        return {'image': image.reshape(*numbers.shape, *image.shape[1:]), 'landmarks': _landmarks(clip, numbers)}


class TwoFrames(_FromClips):
    """Two different frames of a clip: 'source' and 'driving', each 'image' uint8 [S, S, 3] and 'landmarks' float32
    [68, 2] (NaN where they are not known), and 'apart', the seconds from the one to the other.

    Raises:
        InputError: if no clip has two frames.
    """

    def __init__(self, name: Name, clips: Sequence[Clip]):
        super().__init__(name, clips, 2)

    def read(self, index: int, seed: int) -> dict:
        """Two frames of a clip."""
        first, other = two_of(np.array([seed], np.uint32), self.count[index : index + 1])
        frames = self._frames(index, np.concatenate([first, other]))
        source, driving = ({k: v[n] for k, v in frames.items()} for n in range(2))
        return {'source': source, 'driving': driving, 'apart': _seconds(other - first)[0]}

    def take(self, arrays: dict, index: jax.Array, seed: jax.Array) -> dict:
        """The same for a batch, out of `arrays`."""
        start, count = (jnp.take(arrays[k], index) for k in ('start', 'count'))
        first, other = two_of(seed, count)
        pick = lambda n: {k: jnp.take(arrays[k], start + n, axis=0) for k in ('image', 'landmarks')}
        return {'source': pick(first), 'driving': pick(other), 'apart': _seconds(other - first)}


class Windows(_FromClips):
    """W windows of T frames of a clip in order of time, each with its sound and a window elsewhere as a reference.

    'frames' and 'reference', each 'image' uint8 [W, T, S, S, 3] and 'landmarks' float32 [W, T, 68, 2] (NaN where they
    are not known); 'sound' float32 [W, n] at 16 kHz, from MARGIN samples before the first frame of the window to MARGIN
    after its last one's end, silent where the clip has none; 'apart' float32 [W], the seconds to the reference: one or
    more, or as many as the clip allows.

    Clips whose sound is known not to go with their lips are left out, and it is said.

    Raises:
        InputError: if no clip has sound, or none that goes with its lips, or none enough frames.
    """

    def __init__(self, name: Name, clips: Sequence[Clip], frames: int, windows: int):
        with_sound = [clip for clip in clips if clip.sound is not None]
        if not with_sound:
            raise InputError(f'{name}: none of its {len(clips)} clips has sound')
        fitting = [clip for clip in with_sound if clip.in_sync is not False]
        if not fitting:
            raise InputError(
                f'{name}: in none of its {len(with_sound)} clips sound and lips go together; give other videos to '
                f'`dfjax extract --clips`, or delete {FACTS} to take them as they are'
            )
        if left := len(with_sound) - len(fitting):
            say(f'{name}: {left} of {len(with_sound)} clips are left out, whose sound and lips do not go together')
        super().__init__(name, fitting, frames + max(1, APART * windows - 1))
        self.frames, self.windows = frames, windows

    def read(self, index: int, seed: int) -> dict:
        """Windows of a clip."""
        first, other = windows_of(np.array([seed], np.uint32), self.count[index : index + 1], self.frames, self.windows)
        first, other = first[0], other[0]  # [W]
        steps = np.arange(self.frames)
        at = first[:, None] * SAMPLES - MARGIN + np.arange(self.samples)  # [W, n]
        sound = self.clips[index].sound
        heard = np.where((at >= 0) & (at < len(sound)), sound[at.clip(0, len(sound) - 1)], np.float32(0))
        return {
            'frames': self._frames(index, first[:, None] + steps),
            'reference': self._frames(index, other[:, None] + steps),
            'sound': heard,
            'apart': _seconds(other - first),
        }

    @property
    def samples(self) -> int:
        """Of each window's sound."""
        return self.frames * SAMPLES + 2 * MARGIN

    def arrays(self) -> dict:
        """Those of frames, and 'sound' float32 [M] of all clips in a row, 'sound_start' and 'sound_count' [N]."""
        lengths = np.array([len(clip.sound) for clip in self.clips], np.int32)
        sound = {'sound': np.concatenate([clip.sound for clip in self.clips]).astype(np.float32)}
        return (
            super().arrays() | sound | {'sound_start': np.int32(np.cumsum(lengths) - lengths), 'sound_count': lengths}
        )

    def take(self, arrays: dict, index: jax.Array, seed: jax.Array) -> dict:
        """The same for a batch, out of `arrays`."""
        start, count, sound, length = (
            jnp.take(arrays[k], index)[:, None] for k in ('start', 'count', 'sound_start', 'sound_count')
        )  # [B, 1]
        first, other = windows_of(seed, count[:, 0], self.frames, self.windows)  # [B, W]
        steps = jnp.arange(self.frames)
        at = first[..., None] * SAMPLES - MARGIN + jnp.arange(self.samples)  # [B, W, n]
        within = jnp.clip(at, 0, length[..., None] - 1)
        heard = jnp.take(arrays['sound'], sound[..., None] + within)
        pick = lambda n: {
            k: jnp.take(arrays[k], (start + n)[..., None] + steps, axis=0) for k in ('image', 'landmarks')
        }
        return {
            'frames': pick(first),
            'reference': pick(other),
            'sound': jnp.where(at == within, heard, jnp.float32(0)),
            'apart': _seconds(other - first),
        }


def two_of(seed: Any, count: Any) -> tuple[Any, Any]:
    """Two different numbers below `count`, int32 [B] each, by seeds uint32 [B]; NumPy or JAX."""
    first = below(seed, count, 1)
    return first, (first + 1 + below(seed, count - 1, 2)) % count


def windows_of(seed: Any, count: Any, frames: int, windows: int) -> tuple[Any, Any]:
    """Where windows of `frames` begin in clips of `count` frames, and their references: int32 [B, W] each.

    Each is drawn from its own W-th of the clip, so that they begin APART frames or more from each other; its reference
    begins anywhere AWAY frames or more from it, or as far away as is possible.
    """
    xp = jnp if isinstance(seed, jax.Array) else np
    places = count[:, None] - frames + 1  # [B, 1]
    number = xp.arange(windows, dtype=np.int32)
    low, high = number * places // windows, (number + 1) * places // windows
    room = xp.maximum(high - low - (APART - 1 if windows > 1 else 0), 1)
    own = seed[:, None] + number.astype(np.uint32) * np.uint32(0x9E3779B9)  # [B, W]
    first = low + below(own, room, 3)
    away = xp.minimum(AWAY, xp.maximum(first, places - 1 - first))
    before = xp.maximum(first - away + 1, 0)  # as many places lie far enough before it
    after = xp.maximum(places - first - away, 0)
    n = below(own, before + after, 4)
    return first, xp.where(n < before, n, first + away + n - before)


def _seconds(frames: Any) -> Any:
    """Frames int32 [...] as seconds float32, by a product: of quotients NumPy and XLA have other last bits."""
    return frames.astype(np.float32) * np.float32(1 / FPS)


def _landmarks(clip: Clip, numbers: np.ndarray) -> np.ndarray:
    if clip.landmarks is None:
        return np.full((*numbers.shape, 68, 2), np.nan, np.float32)
    return clip.landmarks[numbers]

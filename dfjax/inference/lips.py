"""What a mouth does, by ear: the net that comes with the package, or that of a run.

mouth = hear(sound, times)                  # [T, 4] of sound [n] at 16 kHz, see `render.phonemes.CHANNELS`
python -m dfjax.inference.lips runs/lips    writes `lips.npz` beside this file, of a run
"""

import functools
import json
import sys
from importlib import resources
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax.data.media.output import atomic_path
from dfjax.inference.ownspeech import OwnSpeech
from dfjax.inference.run import Run, load_run
from dfjax.ops.heard import FEATURES, SAMPLES, levelled, moment_times, pairs
from dfjax.systems import lips as system

FILE = Path(__file__).with_name('lips.npz')
CHUNK = 800  # moments at once, 20 s
BESIDE = 24  # moments before and after them, for what the net looks at
QUIET = 0.1  # share of the loudness's range above its floor, below which nothing is said
FAINT = -3.8  # loudness below which nothing is said in any case, in [-4, 4]
PAUSE = 4  # moments: a quiet of 0.1 s closes the mouth
CLOSING = 5  # moments, in which it closes


@functools.lru_cache(1)
def load_lips() -> tuple[ConfigDict, dict]:
    """Config and parameters of the net that comes with the package."""
    with resources.files('dfjax.inference').joinpath('lips.npz').open('rb') as file, np.load(file) as arrays:
        arrays = dict(arrays)
    cfg = system.default_config()
    cfg.model.update(json.loads(str(arrays.pop('model'))))
    params: dict = {}
    for name, array in arrays.items():
        layer, _, leaf = name.partition('/')
        params.setdefault(layer, {})[leaf] = array.astype(np.float32)
    return cfg, {'lips': params}


def hear(sound: np.ndarray, times: np.ndarray, run: Run | None = None, own: OwnSpeech | None = None) -> np.ndarray:
    """What the mouth does at `times` [T] in seconds: float64 [T, 4], closed where nothing is said.

    Args:
        sound: float [n] in [-1, 1] at 16 kHz; time 0 is its first sample.
        run: of the system that hears lips; by default the net of the package.
        own: what is known of the speaker.
    """
    made, loud, features = listen(sound, run)
    if own is not None:
        made[:, :2] += own.share * (own(features) - made[:, :2])
    said = speaking(loud)
    made = np.concatenate([made[:, :1] * said[:, None], made[:, 1:2], made[:, 2:]], 1)
    at = moment_times(len(made))
    inside = [np.interp(times, at, column, 0.0, 0.0) for column in made.T]
    return np.stack(inside, -1)


def listen(sound: np.ndarray, run: Run | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Opening, width, lips together and teeth on the lip at every moment [M, 4], how loud it is [M] in [-4, 4], and the
    features [M, 161] that this was heard by."""
    cfg, params = (run.cfg, run.params) if run else load_lips()
    count = max(len(sound) // SAMPLES, 1)
    chunks = -(-count // CHUNK)
    picture = np.empty((chunks * CHUNK, FEATURES - 1), np.float32)
    for n in range(chunks):
        first, last = (n * CHUNK - BESIDE) * SAMPLES, ((n + 1) * CHUNK + BESIDE) * SAMPLES
        part = np.float32(sound[max(first, 0) : last])
        part = np.pad(part, (max(-first, 0), last - first - max(-first, 0) - len(part)))
        picture[n * CHUNK : (n + 1) * CHUNK] = _pairs(part)[BESIDE:-BESIDE]
    picture = picture[:count]
    features, loud = np.asarray(levelled(jnp.asarray(picture))), picture.mean(-1)
    del picture  # as long as the sound
    net, made = _net(cfg.model.to_json(), cfg.dtype), []
    for n in range(chunks):
        rows = np.arange(n * CHUNK - BESIDE, (n + 1) * CHUNK + BESIDE).clip(0, count - 1)
        made.append(np.asarray(net(params, features[None, rows]))[0, BESIDE:-BESIDE])
    return np.concatenate(made)[:count].astype(np.float64), loud, features


_pairs = jax.jit(pairs)


@functools.lru_cache(4)
def _net(model: str, dtype: str):
    cfg = system.default_config()
    cfg.dtype = dtype
    cfg.model.update(json.loads(model))
    return jax.jit(functools.partial(system.listen, cfg))


def speaking(loud: np.ndarray) -> np.ndarray:
    """How much is said at every moment, 0 to 1 [M], by its loudness [M]: 0 in pauses."""
    low, high = np.quantile(loud, (0.05, 0.95))
    quiet = loud < np.maximum(low + QUIET * (high - low), FAINT)
    if not quiet.any():
        return np.ones(len(loud))
    # Quiet of fewer moments than a pause is that of a stop within speech.
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(int)))
    for first, last in zip(edges[::2], edges[1::2]):
        if last - first < PAUSE:
            quiet[first:last] = False
    said = np.pad((~quiet).astype(np.float64), CLOSING // 2, mode='edge')
    said = np.convolve(said, np.ones(CLOSING) / CLOSING, 'valid')
    return np.where(quiet, np.maximum(said - 0.2, 0), said)


def save_lips(workdir: Path | str, path: Path | str = FILE) -> None:
    """Writes the net of a run as float16, a file of some 250 kB."""
    run = load_run(workdir, 'listen')
    arrays = {f'{layer}/{leaf}': np.float16(x) for layer, p in run.params['lips'].items() for leaf, x in p.items()}
    with atomic_path(Path(path), force=True) as part:
        np.savez_compressed(part, model=np.array(run.cfg.model.to_json()), **arrays)
    print(f'{path}: {Path(path).stat().st_size / 1e3:.0f} kB, step {run.step}')


if __name__ == '__main__':
    save_lips(*sys.argv[1:])

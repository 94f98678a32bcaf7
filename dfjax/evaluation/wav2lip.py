"""Figures of Wav2Lip: how near the mouths it makes are to the true ones, and how well they go with the speech, in clips
that it has not learnt from."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.config import build
from dfjax.data.names import parse
from dfjax.data.sets.clip import open_clips
from dfjax.data.sets.clips import Windows
from dfjax.evaluation.held_out import held_out_name
from dfjax.inference.run import Run
from dfjax.ops.mouth import mouth_weights
from dfjax.ops.speech import frame_mels, mouths
from dfjax.systems import wav2lip
from dfjax.systems.syncnet import loudness, upright

CLIPS, EACH = 24, 4  # clips, and windows of each
NOISE_DB = 10  # loudness of speech over that of white noise


def figures(run: Run, *, data: str | None = None) -> dict:
    """'l1_mouth' of the mouths made, and 'l1_reference' of the reference's taken for them, in [0, 1]; 'distance' of
    embeddings by the run's own SyncNet of speech and mouths made, 'distance_real' of real ones, 'distance_wrong' of
    real ones of another time, 'distance_noise' of those made by speech with white noise 10 dB below it; 'windows'.

    Windows without speech have no distance.

    Args:
        run: of system wav2lip.
        data: clips with sound, as `config.data.source` names them; by default rendered ones of another seed.

    Raises:
        InputError: as `held_out_name`, `open_clips` and `Windows`.
    """
    cfg = build(run.cfg, {'flip': 0.0, 'silence': 0.0, 'hiss': 0.0, 'data.windows': EACH})
    name = parse(data or held_out_name(run.cfg, CLIPS))
    windows = Windows(name, open_clips(name, cfg.data.size, cfg.data.crop), cfg.data.frames, EACH)
    measure = jax.jit(functools.partial(_measure, cfg))
    rows = []
    for n in range(min(len(windows), CLIPS)):
        item = jax.tree.map(lambda x: np.asarray(x)[None], windows.read(n, n))
        noise = np.random.default_rng(n).normal(size=item['sound'].shape).astype(np.float32)
        level = np.sqrt(np.mean(np.square(item['sound']))) * 10 ** (-NOISE_DB / 20)
        item |= {'noise': noise * level, 'key': jax.random.split(jax.random.key(0), 1)}
        rows.append(jax.device_get(measure(run.params, item)))
    found = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    loud = found.pop('loud') > 0.5
    means = {k: float(np.mean(v[loud] if k.startswith('distance') and loud.any() else v)) for k, v in found.items()}
    return {k: round(v, 4) for k, v in means.items()} | {'windows': len(loud)}


def _measure(cfg, params: dict, batch: dict) -> dict[str, jax.Array]:
    """Of the windows of one clip, [W] each."""
    data = wav2lip.drawn(cfg, batch)
    n, t = data['real'].shape[:2]
    flat = lambda x: x.reshape(n * t, *x.shape[2:])
    real, reference = (2 * wav2lip.ordered(cfg, flat(data[k])) - 1 for k in ('real', 'reference'))
    make = lambda mels: wav2lip.lipsync(cfg, params, flat(mels), real, reference)
    made = make(data['mels'])
    noisy = make(frame_mels((batch['sound'] + batch['noise']).reshape(n, -1), t, cfg.model.early))
    weights = mouth_weights(flat(data['landmarks']), cfg.data.size, 1e3)
    l1 = lambda x: (weights * abs(x - real)).mean((1, 2, 3)).reshape(n, t).mean(1) / 2

    net = wav2lip.nets(cfg)['sync'].module
    variables = {'params': params['sync'], 'batch_stats': params['batch_stats']['sync']}
    heard = data['heard']

    def distance(pictures: jax.Array, heard: jax.Array = heard) -> jax.Array:
        pictures = wav2lip.ordered(cfg, pictures.reshape(n, t, *pictures.shape[1:]) / 2 + 0.5)
        shown = upright(wav2lip.sync_config(cfg), pictures, data['landmarks'])
        one, other = net.apply(variables, heard, mouths(shown))
        return jnp.sqrt(jnp.square(one - other).sum(-1))

    found = {'l1_mouth': l1(made), 'l1_reference': l1(reference), 'loud': loudness(heard)}
    found |= {'distance': distance(made), 'distance_real': distance(real)}
    return found | {'distance_wrong': distance(real, jnp.roll(heard, 1, 0)), 'distance_noise': distance(noisy)}

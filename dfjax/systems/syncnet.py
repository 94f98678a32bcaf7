"""SyncNet (Chung & Zisserman 2016; Prajwal et al. 2020): mouths and the speech that goes with them lie close together.

    sync        what it costs to find, among all of a batch, the speech of each mouth and the mouth of each speech
                (`loss.kind` 'contrastive'), or the cross entropy of a cosine with mouths of the right time and of
                another one ('bce', the original's)
    right       share of windows whose own speech is the nearest of a batch's
    likeness    (1 + cosine) / 2 of mouths with their own speech

Keys of `model`: `face` and `audio` as the modules of `models.syncnet` have them; `code`, length of an embedding;
`relu`, whether embeddings are never negative; `aligned`, whether it sees mouths upright, all in one place and of one
size, by their landmarks, or, as the original does, the lower half of whatever picture; `frames` in a window; `bgr`,
whether the net sees blue first, as the original's does; `bias`, see `models.wav2lip.Block`. `embed` is what inference
uses.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.data.faces.align import MEAN_FACE
from dfjax.errors import InputError
from dfjax.losses.sync import binary_cross_entropy, contrastive, cosine, likeness
from dfjax.models.syncnet import SyncNet
from dfjax.ops.devices import mean_over_devices, whole_batch
from dfjax.ops.image import to_float
from dfjax.ops.mel import BANDS
from dfjax.ops.mouth import STILL, aligned
from dfjax.ops.optimize import apply_grads, ema_update, learning_rate, optimizer
from dfjax.ops.speech import mouths, window_mels, window_steps
from dfjax.systems.state import Net, State, arrays, common_config, compute_dtype, init_nets, optimizer_config

BATCH = 'speech'
FIGURE = ('right', 'max')
LOSSES = ('contrastive', 'bce')
# Where nose and eyes lie in an aligned picture, in unit coordinates: its lower half reaches from the nose's base to the
# chin, and a closed mouth takes 0.42 of its width.
PLACES = (MEAN_FACE[STILL] - (0.5, 0.87)) * 0.88 + (0.5, 0.75)
FAINT, LOUD = -3.5, -2.5  # mean loudness of a window's speech, in [-4, 4], that counts for nothing and for all


def default_config() -> ConfigDict:
    """At 96 px with 11 frames, for one GPU."""
    cfg = common_config()
    cfg.system = 'syncnet'
    cfg.steps = 20_000
    cfg.batch_size = 16
    cfg.data = dict(source='', size=r.size(96), frames=r.count(11, least=1), windows=r.count(4, least=1))
    cfg.data.update(crop=r.size(0, least=0), resident_bytes=2**30)
    cfg.model = dict(
        frames=r.count(11, least=1),  # in a window
        code=r.size(512),
        relu=False,
        aligned=True,  # whether mouths are upright and in one place, by their landmarks
        bgr=False,  # whether pictures have blue first, as the original's
        bias=False,
        face=encoder_config([0, 2, 3, 2, 2]),
        audio=encoder_config([2, 2, 2, 2]),
    )
    cfg.flip = r.share(0.5)  # probability that a window is mirrored
    cfg.hiss = 1e-3  # standard deviation of noise added to sound in [-1, 1]; else quiet bands are rounding errors
    cfg.loss = dict(
        kind=r.choice('contrastive', LOSSES),  # against all windows of a batch, or each pair alone
        temperature=r.positive(1 / 13),  # at first
        smoothing=r.share(0.05),  # share by which right and wrong are drawn together
    )
    cfg.optimizer = optimizer_config(lr=1e-3, schedule='cosine', warmup=100)
    cfg.ema = r.decay(0.999)
    return cfg


def encoder_config(blocks: list[int]) -> dict:
    """The section of an encoder of pictures or of sound."""
    return dict(
        widths=r.size([32, 64, 128, 256, 512]),  # channels at each halving
        blocks=r.count(blocks),  # residual blocks at each
    )


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The two encoders as one net."""
    return {'sync': sync_net(cfg, cfg.model, cfg.data.size)}


def sync_net(cfg: ConfigDict, m: ConfigDict, size: int) -> Net:
    """The net that a section `model` describes, of faces of that side."""
    module = SyncNet(
        face={k: tuple(v) for k, v in m.face.items()},
        audio={k: tuple(v) for k, v in m.audio.items()},
        code=m.code,
        relu=m.relu,
        bias=m.bias,
        dtype=compute_dtype(cfg),
    )
    inputs = {'mel': arrays(1, BANDS, window_steps(m.frames), 1), 'face': arrays(1, size // 2, size, 3 * m.frames)}
    return Net(module, inputs, ('audio_embedding', 'face_embedding'))


def check(cfg: ConfigDict) -> None:
    """Raises InputError where windows are not those of the net."""
    if cfg.data.frames != cfg.model.frames:
        raise InputError(f'config keys data.frames {cfg.data.frames} and model.frames {cfg.model.frames} are not alike')


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters; `aux['temperature']` is the logarithm of the temperature, which is learnt too."""
    check(cfg)
    params, stats = init_nets(nets(cfg), rng)
    aux = {'temperature': jnp.log(jnp.float32(cfg.loss.temperature))}
    opt = {name: optimizer(cfg.optimizer).init(x) for name, x in (params | aux).items()}
    ema = {'sync': jax.tree.map(jnp.copy, params['sync']), 'batch_stats': stats}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=ema, aux=aux)


def embed(
    cfg: ConfigDict, params: dict, sound: jax.Array, pictures: jax.Array, landmarks: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Embeddings of speech and of mouths, [N, code] each.

    Args:
        sound: [N, n] of each window, see `ops.speech`.
        pictures: [N, T, S, S, 3] in [-1, 1].
        landmarks: [N, T, 68, 2] in unit coordinates, NaN where they are not known.
    """
    frames = upright(cfg, pictures / 2 + 0.5, landmarks)
    return embedded(cfg, params, window_mels(sound, cfg.model.frames), frames)


def embedded(cfg: ConfigDict, params: dict, mels: jax.Array, frames: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The same of mels [N, 80, M, 1] and of frames [N, T, S, S, 3] in [0, 1], upright."""
    variables = {'params': params['sync'], 'batch_stats': params['batch_stats'].get('sync', {})}
    return nets(cfg)['sync'].module.apply(variables, mels, mouths(frames, cfg.model.bgr))


def upright(cfg: ConfigDict, frames: jax.Array, landmarks: jax.Array) -> jax.Array:
    """Frames [N, T, S, S, 3] as the net sees them, by their landmarks [N, T, 68, 2]."""
    if not cfg.model.aligned:
        return frames
    flat = lambda x: x.reshape(-1, *x.shape[2:])  # [N * T, ...]
    return aligned(flat(frames), flat(landmarks), PLACES).reshape(frames.shape)


def flipped(chosen: jax.Array, frames: jax.Array) -> jax.Array:
    """Windows [N, T, S, S, C], those that are chosen, bool [N], mirrored."""
    return jnp.where(chosen[:, None, None, None, None], frames[:, :, :, ::-1], frames)


def drawn(cfg: ConfigDict, batch: dict) -> dict[str, jax.Array]:
    """The windows of a batch, those of all clips in a row, augmented.

    Returns:
        'frames' [N, T, S, S, 3] in [0, 1], upright, 'mels' [N, 80, M, 1], 'loud' [N] in [0, 1], how much a window's
        speech counts, and 'own' bool [N], whether its frames are those of its speech; with 'contrastive' all are.
    """
    rows = lambda x: x.reshape(-1, *x.shape[2:])  # [B, W, ...] -> [N, ...]
    seen, other, sound = jax.tree.map(rows, (batch['frames'], batch['reference'], batch['sound']))
    each = len(sound) // len(batch['key'])  # windows a clip
    keys = jax.vmap(lambda key: jax.random.split(key, 3))(batch['key'])  # [B, 3]
    mirrored = jax.vmap(lambda key: jax.random.bernoulli(key, cfg.flip, (each,)))(keys[:, 0]).reshape(-1)
    own = jax.vmap(lambda key: jax.random.bernoulli(key, 0.5, (each,)))(keys[:, 1]).reshape(-1)
    if cfg.loss.kind == 'contrastive':
        own = jnp.ones_like(own)
    shown = jax.tree.map(lambda x, y: jnp.where(own.reshape(-1, *[1] * (x.ndim - 1)), x, y), seen, other)
    frames = flipped(mirrored, upright(cfg, shown['image'] / 255.0, shown['landmarks']))
    mels = window_mels(hissing(cfg, keys[:, 2], sound), cfg.model.frames)
    return {'frames': frames, 'mels': mels, 'loud': loudness(mels), 'own': own}


def hissing(cfg: ConfigDict, keys: jax.Array, sound: jax.Array) -> jax.Array:
    """Sound of windows [B * W, n] with noise drawn by keys [B]."""
    hiss = jax.vmap(lambda key: jax.random.normal(key, (len(sound) // len(keys), sound.shape[-1])))(keys)
    return sound + cfg.hiss * hiss.reshape(sound.shape)


def loudness(mels: jax.Array) -> jax.Array:
    """How much the speech of windows [N, 80, M, 1] counts: [N] in [0, 1], 0 in silence, which is no mouth's own."""
    return jnp.clip((mels.mean((1, 2, 3)) - FAINT) / (LOUD - FAINT), 0, 1)


def cost(cfg: ConfigDict, p: dict, stats: dict, data: dict) -> tuple[jax.Array, tuple[dict, dict]]:
    """The loss on windows of `drawn`; its terms, and the new running moments.

    Args:
        p: the net's parameters 'sync', and 'temperature'.
        stats: its running moments.
    """
    faces = mouths(data['frames'], cfg.model.bgr)
    net, variables = nets(cfg)['sync'].module, {'params': p['sync'], 'batch_stats': stats}
    found, changed = net.apply(variables, data['mels'], faces, train=True, mutable=['batch_stats'])
    heard, shown, weight = whole_batch((*found, data['loud']))
    terms = {'likeness': likeness(heard, shown).mean()}
    if cfg.loss.kind == 'bce':
        total = binary_cross_entropy(cosine(heard, shown), whole_batch(data['own']).astype(jnp.float32))
        _, terms['right'] = contrastive(heard, shown, 1.0, weight)
    else:
        temperature = jnp.exp(p['temperature'])
        total, terms['right'] = contrastive(heard, shown, temperature, weight, cfg.loss.smoothing)
    return total, (terms | {'sync': total}, changed['batch_stats'])


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update. `batch` is 'speech' of `dfjax.data.batches`."""
    o, trained, opt = cfg.optimizer, state.params | state.aux, dict(state.opt)
    data, stats = drawn(cfg, batch), state.ema['batch_stats'].get('sync', {})
    grads, (terms, stats) = jax.grad(lambda p: cost(cfg, p, stats, data), has_aux=True)(trained)
    rate = learning_rate(o, state.step, state.horizon)
    for name in trained:
        trained[name], opt[name] = apply_grads(o, rate, trained[name], grads[name], opt[name])
    aux = {'temperature': trained.pop('temperature')}
    ema = {'sync': ema_update(state.ema['sync'], trained['sync'], cfg.ema, state.step), 'batch_stats': {'sync': stats}}
    metrics = mean_over_devices(terms | {'total': terms['sync'], 'rate': rate})
    return state.replace(step=state.step + 1, params=trained, opt=opt, ema=ema, aux=aux), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """Every example's middle frame, [B, S, S, 3], under a bar as long as its speech is like its mouth."""
    pictures, landmarks = to_float(batch['frames']['image'][:, 0]), batch['frames']['landmarks'][:, 0]
    alike = likeness(*embed(cfg, state.params | state.ema, batch['sound'][:, 0], pictures, landmarks))
    size = pictures.shape[-2]
    bar = jnp.where(jnp.arange(size) < size * alike[:, None], 1.0, -1.0)  # [B, S]
    shown = pictures[:, pictures.shape[1] // 2]
    return shown.at[:, : max(size // 16, 1)].set(bar[:, None, :, None])

"""Wav2Lip (Prajwal et al. 2020): the mouth in a picture says what is heard.

A generator repaints the lower half of a face by 0.2 s of speech; a reference, the same person with another mouth, shows
it what is hidden. SyncNet, which learns from real windows alone, says whether the mouth goes with the speech.

    g/l1, g/sync, g/adv     distance from the real frames, more in the mouth; what SyncNet and the discriminator say
    d/adv                   the discriminator's own loss
    sync/loss, sync/right   SyncNet's own, and the share of real windows whose own speech is the nearest of a batch's
    right                   that share of windows of fakes, of which SyncNet never learns
    weight                  of g/sync. The three losses of the generator share a weight of 1, as the original's do

`loss.kind` is as in `systems.syncnet`. With 'contrastive' the weight of g/sync follows a running mean of `right`, from
chance on; with 'bce', the original's, it is there once a running mean of g/sync has been below `loss.trusted`.

Keys of `model`: `g`, `d` as the modules of `models.wav2lip` have them, `sync` as in `systems.syncnet`; `frames` that
SyncNet sees; `early`, frames by which a frame's speech begins before it: 1 in the original's training, 2 has the frame
in its middle; `bgr`, whether nets see blue first, as the original's do; `bias`, see `models.wav2lip.Block`. A SyncNet
that was trained before comes by `--start-from`; with `optimizer.sync.lr` 0 it stays as it is.

`lipsync` is what inference uses.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.losses.adversarial import KINDS, d_loss, g_loss
from dfjax.losses.sync import binary_cross_entropy, contrastive, cosine
from dfjax.models.wav2lip import Discriminator, Generator
from dfjax.ops.devices import mean_over_devices, whole_batch
from dfjax.ops.mel import BANDS, STEPS
from dfjax.ops.mouth import mouth_weights, other_mouth, shape
from dfjax.ops.optimize import apply_grads, ema_update, learning_rate, optimizer
from dfjax.ops.speech import frame_mels, mouths, window_mels
from dfjax.systems import syncnet
from dfjax.systems.state import Net, State, arrays, common_config, compute_dtype, init_nets, optimizer_config

BATCH = 'speech'
COLUMNS = ('reference', 'made', 'truth')  # names of those of a preview
FOLLOWED = 0.99  # decay of the running mean that the weight of g/sync follows


def default_config() -> ConfigDict:
    """At 96 px, for one GPU."""
    cfg = common_config()
    cfg.system = 'wav2lip'
    cfg.steps = 60_000
    cfg.batch_size = 16
    cfg.data = dict(source='', size=r.size(96), frames=r.count(5, least=1), windows=r.count(2, least=1))
    cfg.data.update(crop=r.size(0, least=0), resident_bytes=2**30)
    cfg.model = dict(
        frames=r.count(5, least=1),  # in a window
        early=r.between(0, 5, 2),  # frames by which what is heard begins before what is seen
        bgr=False,  # whether pictures have blue first, as the original's
        bias=False,
        g=dict(
            encoder=r.size([16, 32, 64, 128, 256, 512, 512]),
            encoder_blocks=r.count([0, 2, 3, 2, 2, 1]),
            decoder=r.size([512, 512, 512, 384, 256, 128, 64]),
            decoder_blocks=r.count([1, 2, 2, 2, 2, 2]),
            last=r.size(32),
            outputs=r.size(3),
            audio=syncnet.encoder_config([2, 2, 2, 1]) | dict(code=r.size(512)),
        ),
        sync=dict(
            code=r.size(512),
            relu=False,
            aligned=True,  # whether mouths are upright and in one place, by their landmarks
            face=syncnet.encoder_config([0, 2, 3, 2, 2]),
            audio=syncnet.encoder_config([2, 2, 2, 2]),
        ),
        d=dict(widths=r.size([32, 64, 128, 256])),
    )
    cfg.flip = r.share(0.5)  # probability that a window is mirrored
    cfg.hiss = 1e-3  # standard deviation of noise added to sound in [-1, 1]
    cfg.silence = r.share(0.02)  # share of windows without sound, whose mouths are closed, where landmarks are known
    cfg.choose = True  # whether references are chosen, a head held alike with another mouth, where landmarks are known
    cfg.room = r.between(1, 4, 2.0)  # sides of the box of a face's landmarks that pictures of it have, at use
    cfg.loss = dict(
        kind=r.choice('contrastive', syncnet.LOSSES),  # the loss of the judge of sync
        temperature=r.positive(1 / 13),  # at first
        smoothing=r.share(0.05),  # share by which right and wrong are drawn together
        sync=r.share(0.1),  # greatest weight of g/sync
        trusted=r.positive(0.5),  # `right` from which on that weight is whole; with 'bce' the loss below which it is
        mouth=3.0,  # weight of a pixel in the mouth
        adversarial=r.choice('lsgan', KINDS),  # kind of g/adv
        gan=r.share(0.07),  # weight of g/adv
        gan_from=r.share(0.25),  # share of the steps before that
    )
    cfg.optimizer = {net: optimizer_config(lr=3e-4, schedule='cosine', warmup=100, b1=0.5) for net in 'gd'}
    cfg.optimizer.sync = optimizer_config(lr=1e-3, schedule='cosine', warmup=100)
    cfg.ema = r.decay(0.999)
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The generator g, SyncNet and the discriminator d, of pictures in [0, 1]."""
    m, size, dtype = cfg.model, cfg.data.size, compute_dtype(cfg)
    g, d = m.g.to_dict(), {k: tuple(v) for k, v in m.d.items()}
    inputs = {'mel': arrays(1, BANDS, STEPS, 1), 'face': arrays(1, size, size, 2 * m.g.outputs)}
    shown = arrays(1, m.frames, size, size, m.g.outputs)
    return {
        'g': Net(Generator(**g, bias=m.bias, dtype=dtype), inputs),
        'sync': syncnet.nets(sync_config(cfg))['sync'],
        'd': Net(Discriminator(**d, dtype=dtype), {'face': shown}, ('probability',), series=True),
    }


def sync_config(cfg: ConfigDict) -> ConfigDict:
    """The same as SyncNet's functions read it."""
    own = {'model': dict(cfg.model.sync, **{key: cfg.model[key] for key in ('frames', 'bgr', 'bias')})}
    return ConfigDict({key: cfg[key] for key in ('data', 'loss', 'dtype', 'flip', 'hiss')} | own)


def check(cfg: ConfigDict) -> None:
    """Raises InputError where windows are not SyncNet's."""
    syncnet.check(sync_config(cfg))


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters; `aux` has SyncNet's temperature, and what the weight of g/sync follows."""
    check(cfg)
    params, stats = init_nets(nets(cfg), rng)
    temperature = {'temperature': jnp.log(jnp.float32(cfg.loss.temperature))}
    opt = {name: optimizer(cfg.optimizer[name]).init(params[name]) for name in 'gd'}
    opt['sync'] = optimizer(cfg.optimizer.sync).init({'sync': params['sync']} | temperature)
    ema = {name: jax.tree.map(jnp.copy, params[name]) for name in ('g', 'sync')} if cfg.ema else {}
    worst = jnp.float32(0 if cfg.loss.kind == 'contrastive' else 2 * cfg.loss.trusted)
    aux = temperature | {'followed': worst, 'trust': jnp.float32(0)}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=ema | {'batch_stats': stats}, aux=aux)


def lipsync(cfg: ConfigDict, params: dict, mels: jax.Array, pictures: jax.Array, references: jax.Array) -> jax.Array:
    """Pictures whose mouths say what is heard, [N, S, S, 3] in [-1, 1].

    Args:
        mels: [N, 80, 16, 1], speech from `model.early` frames before each on, see `ops.speech.frame_mels`.
        pictures: [N, S, S, 3] in [-1, 1]; what is in their lower halves is not looked at.
        references: the same person with any mouth.
    """
    variables = {'params': params['g'], 'batch_stats': params['batch_stats']['g']}
    faces = masked(*(ordered(cfg, x / 2 + 0.5) for x in (pictures, references)))
    return ordered(cfg, 2 * nets(cfg)['g'].module.apply(variables, mels, faces) - 1)


def ordered(cfg: ConfigDict, x: jax.Array) -> jax.Array:
    """Pictures [..., 3], red first, as nets see them, and back."""
    return x[..., ::-1] if cfg.model.bgr else x


def masked(pictures: jax.Array, references: jax.Array) -> jax.Array:
    """What the generator sees, [N, S, S, 6]: pictures with their lower halves black, and references."""
    upper = jnp.arange(pictures.shape[1]) < pictures.shape[1] // 2
    return jnp.concatenate([pictures * upper[:, None, None], references], -1)


def drawn(cfg: ConfigDict, batch: dict) -> dict[str, jax.Array]:
    """What the generator learns from: all windows in a row, N, and of each T frames.

    Returns:
        'real', 'reference' [N, T, S, S, 3] in [0, 1], 'weights' [N, T, S, S, 1] of pixels, 'mels' [N, T, 80, 16, 1] of
        frames, 'heard' [N, 80, M, 1] of windows; 'mirrored' bool [N], and 'landmarks' [N, T, 68, 2] as before that.
    """
    b, w, t = batch['frames']['image'].shape[:3]
    flat = lambda side: {k: v.reshape(b, w * t, *v.shape[3:]) for k, v in batch[side].items()}
    own, other = flat('frames'), flat('reference')
    keys = jax.vmap(lambda key: jax.random.split(key, 3))(batch['key'])  # [B, 3]
    chance = lambda n, p: jax.vmap(lambda key: jax.random.bernoulli(key, p, (w,)))(keys[:, n])  # [B, W]
    pick = lambda x, n: jax.vmap(lambda x, n: x[n])(x, n)

    # Silence: the frame of the clip whose mouth is closed, again and again
    place = jnp.broadcast_to(jnp.arange(w * t), (b, w * t))
    gap = shape(own['landmarks'])[..., 0]  # [B, W * T]
    silent = chance(0, cfg.silence) & jnp.isfinite(gap).all(1, keepdims=True)
    place = jnp.where(silent.repeat(t, 1), gap.argmin(1, keepdims=True), place)
    own = {k: pick(v, place) for k, v in own.items()}
    sound = jnp.where(silent[..., None], 0, batch['sound']).reshape(b * w, -1)

    # References
    first = jnp.arange(w * t)
    chosen = other_mouth(own['landmarks'], other['landmarks'], first) if cfg.choose else first
    reference = pick(other['image'], jnp.broadcast_to(chosen, (b, w * t)))

    size = cfg.data.size
    weights = mouth_weights(own['landmarks'], size, cfg.loss.mouth)
    together = jnp.concatenate([own['image'] / 255.0, reference / 255.0, weights], -1).reshape(b * w, t, size, size, -1)
    mirrored = chance(1, cfg.flip).reshape(-1)
    together = syncnet.flipped(mirrored, together)
    real, reference, weights = jnp.split(together, (3, 6), -1)
    sound = syncnet.hissing(cfg, keys[:, 2], sound)
    found = {'real': ordered(cfg, real), 'reference': ordered(cfg, reference), 'weights': weights}
    found |= {'mirrored': mirrored, 'landmarks': own['landmarks'].reshape(b * w, t, 68, 2)}
    return found | {'mels': frame_mels(sound, t, cfg.model.early), 'heard': window_mels(sound, t)}


def judged(cfg: ConfigDict, params: dict, stats: dict, data: dict, fake: jax.Array) -> tuple[jax.Array, jax.Array]:
    """SyncNet's loss of windows of fakes [N, T, S, S, 3], and the share whose own speech is the nearest."""
    shown = syncnet.upright(sync_config(cfg), syncnet.flipped(data['mirrored'], fake), data['landmarks'])
    net = nets(cfg)['sync'].module
    found = net.apply({'params': params['sync'], 'batch_stats': stats['sync']}, data['heard'], mouths(shown))
    heard, shown, weight = whole_batch((*found, syncnet.loudness(data['heard'])))
    loss, right = contrastive(heard, shown, jnp.exp(params['temperature']), weight, cfg.loss.smoothing)
    return (loss if cfg.loss.kind == 'contrastive' else binary_cross_entropy(cosine(heard, shown), 1.0)), right


def g_cost(cfg: ConfigDict, g: dict, params: dict, stats: dict, data: dict, weights: tuple) -> tuple[jax.Array, tuple]:
    """The generator's loss; its terms, the share that is `right`, its new running moments and the fakes.

    Args:
        g: its parameters.
        params: those of all nets, and SyncNet's temperature.
        weights: of g/sync and g/adv.
    """
    net, real = nets(cfg), data['real']
    mels, *pictures = (data[k].reshape(-1, *data[k].shape[2:]) for k in ('mels', 'real', 'reference'))
    variables = {'params': g, 'batch_stats': stats['g']}
    made, changed = net['g'].module.apply(variables, mels, masked(*pictures), train=True, mutable=['batch_stats'])
    made = made.reshape(real.shape)
    loss, right = judged(cfg, params, stats, data, made)
    compared = (made, real) if cfg.loss.adversarial == 'relativistic' else (made,)
    logits = discriminate(cfg, params['d'], *compared)
    sync, adv = weights
    terms = {
        'g/l1': (1 - sync - adv) * (data['weights'] * abs(made - real)).mean(),
        'g/sync': sync * loss,
        'g/adv': adv * g_loss(cfg.loss.adversarial, *logits),
    }
    return sum(terms.values()), (terms, loss, right, changed['batch_stats'], made)


def discriminate(cfg: ConfigDict, d: dict, *pictures: jax.Array) -> list[jax.Array]:
    """The discriminator's logits [N * T, 1] of each of some pictures [N, T, S, S, 3]."""
    together = jnp.concatenate([x.reshape(-1, *x.shape[2:]) for x in pictures])
    return jnp.split(nets(cfg)['d'].module.clone(logits=True).apply({'params': d}, together), len(pictures))


def trust(cfg: ConfigDict, before: jax.Array, followed: jax.Array, windows: int) -> jax.Array:
    """How far SyncNet is believed, in [0, 1]; `windows` it has to choose among."""
    if cfg.loss.kind == 'bce':
        return jnp.maximum(before, followed < cfg.loss.trusted)
    return jnp.clip((followed - 1 / windows) / (cfg.loss.trusted - 1 / windows), 0, 1)


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of all nets. `batch` is 'speech' of `dfjax.data.batches`."""
    params, opt, stats, aux = dict(state.params), dict(state.opt), dict(state.ema['batch_stats']), dict(state.aux)
    rates = {net: learning_rate(cfg.optimizer[net], state.step, state.horizon) for net in opt}
    keys = jax.vmap(jax.random.split)(batch['key'])  # [B, 2]
    data = drawn(cfg, batch | {'key': keys[:, 0]})

    # Generator
    begun = state.step >= jnp.round(cfg.loss.gan_from * state.horizon)
    weights = cfg.loss.sync * aux['trust'], cfg.loss.gan * begun
    fixed = params | {'temperature': aux['temperature']}
    cost = lambda g: g_cost(cfg, g, fixed, stats, data, weights)
    grads, (metrics, loss, right, stats_g, fake) = jax.grad(cost, has_aux=True)(params['g'])
    params['g'], opt['g'] = apply_grads(cfg.optimizer.g, rates['g'], params['g'], grads, opt['g'])

    # Discriminator
    def d_cost(d: dict) -> jax.Array:
        made, true = discriminate(cfg, d, fake, data['real'])
        return d_loss(cfg.loss.adversarial, true, made)

    metrics['d/adv'], grads = jax.value_and_grad(d_cost)(params['d'])
    params['d'], opt['d'] = apply_grads(cfg.optimizer.d, rates['d'], params['d'], grads, opt['d'])

    # SyncNet
    if cfg.optimizer.sync.lr:
        own, p = sync_config(cfg), {'sync': params['sync'], 'temperature': aux['temperature']}
        windows, before = syncnet.drawn(own, batch | {'key': keys[:, 1]}), stats['sync']
        grads, (terms, stats['sync']) = jax.grad(lambda p: syncnet.cost(own, p, before, windows), has_aux=True)(p)
        p, opt['sync'] = apply_grads(cfg.optimizer.sync, rates['sync'], p, grads, opt['sync'])
        params['sync'], aux['temperature'] = p['sync'], p['temperature']
        metrics |= {'sync/loss': terms['sync'], 'sync/right': terms['right']}

    # The rest
    metrics['total'] = sum(metrics[name] for name in metrics if name != 'sync/right')
    watched = right if cfg.loss.kind == 'contrastive' else loss
    aux['followed'] = FOLLOWED * aux['followed'] + (1 - FOLLOWED) * watched
    aux['trust'] = trust(cfg, aux['trust'], aux['followed'], len(whole_batch(data['heard'])))
    stats['g'] = stats_g
    ema = {name: params[name] for name in state.ema if name in params}
    ema = ema_update({name: state.ema[name] for name in ema}, ema, cfg.ema, state.step) | {'batch_stats': stats}
    metrics = mean_over_devices(metrics | {'right': right, 'weight': weights[0]})
    metrics |= {f'rate/{net}': rate for net, rate in rates.items()}
    return state.replace(step=state.step + 1, params=params, opt=opt, ema=ema, aux=aux), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example the reference, the middle frame with a mouth made for it, and as it was: [3B, S, S, 3]."""
    still = cfg.copy_and_resolve_references()
    still.flip = still.silence = still.hiss = 0.0
    data, at = drawn(still, batch), cfg.data.frames // 2
    windows = slice(None, None, cfg.data.windows)  # the first of each clip
    real, reference = (2 * ordered(cfg, data[k][windows, at]) - 1 for k in ('real', 'reference'))
    made = lipsync(cfg, state.params | state.ema, data['mels'][windows, at], real, reference)
    return jnp.stack([reference, made, real], 1).reshape(-1, *real.shape[1:])

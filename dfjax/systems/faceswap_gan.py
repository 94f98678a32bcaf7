"""faceswap-GAN v2.2 (Lu 2018): a shared encoder, a decoder a person with a mask of its own, and two discriminators.

Side `a` is the person in the video, `b` the person put in. A decoder paints a face and a mask alpha; what is shown is
alpha of the face and the rest of the warped picture that the encoder saw. So what lies before a face, as a hand, may be
left as it is. Discriminators see the result beside that picture, mixed with the real face at random (Zhang et al.
2018), and the face alone likewise.

What is asked for changes over a run, at the shares of it in `schedule.at`:

    perceptual  whether features of what is shown count, after a fifth of the run
    margin      0: masks cost what they cover; else: they cost what they leave out below that, so that they grow
    rate        what learning rates are multiplied by
    exchange    the share of the run at which the decoders change places; 1 for never

Other than in the original, encoder and decoders have one optimiser, both people are learnt in one step, and moments
stay when a stage begins.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.data import augment
from dfjax.data.faces.align import FACE_TYPES
from dfjax.errors import InputError
from dfjax.losses import faceswap_gan as losses
from dfjax.losses.identity import identity, identity_net
from dfjax.models import faceswap_gan as models
from dfjax.models import vgg
from dfjax.models.features import LEAST, extract, octaves
from dfjax.ops.colour import match_colour
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.image import resize, to_float
from dfjax.ops.optimize import apply_grads, ema_update, learning_rate, optimizer
from dfjax.systems.state import Net, State, arrays, common_config, compute_dtype, init_nets, optimizer_config
from dfjax.weights.vgg import read_features

BATCH = 'faces_ab'
COLUMNS = ('b', 'b again', 'a', 'a again', 'a as b: the swap', 'its mask')  # names of those of a preview
SIDES = ('a', 'b')
DEVIATE = 0.2  # both parameters of the beta distribution that the share of real in a mixture is drawn from


def default_config() -> ConfigDict:
    """v2.2 at 64 px, with its weights and its schedule of 40,000 steps."""
    cfg = common_config()
    cfg.system = 'faceswap_gan'
    cfg.steps = 40_000
    cfg.batch_size = 8  # faces of each person
    cfg.data = dict(
        a='render:1:256',
        b='render:2:256',
        size=r.size(64),
        face_type=r.choice('full', FACE_TYPES),
        canonical=False,  # whether faces are bent to the shape of the mean face first
        uniform_yaw=False,  # whether faces that look to any side come equally often
        resident_bytes=2**30,
    )
    cfg.features = ''  # VGG-19: torchvision's file or Keras's, or what `dfjax stylize` makes of it; '' is a filter bank
    cfg.model = models.default_config()
    cfg.augment = augment.default_config()
    cfg.augment.update(warp=5 / 160, scale=0.1)
    cfg.colour = r.share(0.5)  # probability that a face takes over the colours of one of the other person
    cfg.loss = dict(
        l1=1.0,  # weight of the mean difference of pixels
        features=30.0,  # L1 over eyes and mouth
        edges=0.1,  # weight of the difference of the steps between neighbours
        identity=0.0,  # weight of how much further a swap is from b than b's own faces are, by dlib's descriptor
        gan=0.1,  # weight of what fools the discriminators, by the face alone and by what is shown of it
        perceptual=[0.01, 0.1, 0.3, 0.1],  # weights of maps' differences, from the coarsest map to the finest
        mask=0.01,  # weight of a mask's mean, where it is to be small
        missing=0.1,  # weight of what a mask lacks of the margin, where it is to be large
        variation=0.1,  # weight of the steps between neighbours in a mask
        decay=1e-4,  # weight of the squares of kernels
    )
    cfg.schedule = dict(
        at=r.share([0.2, 0.3, 0.4, 0.5, 2 / 3, 0.8, 0.9]),  # where the second stage begins, and those after it
        perceptual=r.share([0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),  # how much features count in each stage
        # what a mask is to have at least in each stage; 0: it is to be small
        margin=r.share([0.0, 0.0, 0.5, 0.2, 0.4, 0.0, 0.1, 0.1]),
        rate=r.share([1.0, 1.0, 1.0, 1.0, 1.0, 0.3, 0.3, 0.1]),  # what learning rates are times in each stage
        exchange=r.share(0.8),  # share of the run at which the decoders change places; 1 for never
    )
    cfg.optimizer = {net: optimizer_config(lr=lr, b1=0.5) for net, lr in (('g', 1e-4), ('d', 2e-4))}
    cfg.ema = r.decay(0.995)
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The nets by name."""
    size, model = cfg.data.size, cfg.model
    shared = dict(norm=model.norm, squeeze=model.squeeze, dtype=compute_dtype(cfg))
    own = model.encoder
    encoder = models.Encoder(widths=own.widths, code=own.code, up_to=own.up, attend=own.attend, **shared)
    decoder = models.Decoder(**model.decoder, **shared)
    side = 2 * size // 2 ** (len(own.widths) - 1)
    outputs = ('y', 'mask', *(f'y_{early}' for early in decoder.early(side)))
    found = {'encoder': Net(encoder, {'x': arrays(1, size, size, 3)}, ('code',))}
    found |= {f'decoder_{s}': Net(decoder, {'code': arrays(1, side, side, own.up)}, outputs) for s in SIDES}
    discriminator = models.Discriminator(**model.discriminator, **shared)
    found |= {f'discriminator_{s}': Net(discriminator, {'x': arrays(1, size, size, 6)}) for s in SIDES}
    return found


def check(cfg: ConfigDict) -> None:
    """Raises InputError if sides or the schedule's lists do not go together, or the features cannot be read."""
    size, halvings, stages = cfg.data.size, len(cfg.model.encoder.widths) - 1, cfg.schedule
    if size % 2**halvings or len(cfg.model.decoder.widths) != halvings - 1:
        raise InputError(
            f'config key data.size is a multiple of {2**halvings} with this model.encoder.widths, not {size}; '
            f'model.decoder.widths are {halvings - 1}, one less than the encoder halves its picture'
        )
    if cfg.data.canonical:
        raise InputError('config key data.canonical is false for this system, which learns faces as they are')
    count = len(stages.at) + 1
    if any(len(stages[name]) != count for name in ('perceptual', 'margin', 'rate')) or sorted(stages.at) != stages.at:
        raise InputError(
            f'config key schedule.at is rising, and {count} values each are of perceptual, margin and rate'
        )
    least, maps = (vgg.LEAST, len(vgg.STYLE)) if cfg.features else (LEAST, 2 * octaves(size))
    if size < least or len(cfg.loss.perceptual) > maps:
        raise InputError(f'config key loss.perceptual: pictures of {size} pixels have {maps} maps at most')
    if cfg.features:
        read_features(cfg.features)


def frozen(cfg: ConfigDict) -> dict:
    """Weights of the net whose features are compared, where one is given and its file is there, and of identity's."""
    vgg = read_features(cfg.features) if cfg.features and Path(cfg.features).exists() else {}
    return {'vgg': vgg} | identity_net(cfg.loss.identity)


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters; both decoders start alike, so that a code means the same to both; raises as `check`."""
    check(cfg)
    params, _ = init_nets(nets(cfg), rng)
    params['decoder_b'] = jax.tree.map(jnp.copy, params['decoder_a'])
    parts = {'g': _generator(params), 'd': _discriminators(params)}
    opt = {name: optimizer(cfg.optimizer[name]).init(part) for name, part in parts.items()}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=jax.tree.map(jnp.copy, parts['g']))


def _generator(params: dict) -> dict:
    return {name: params[name] for name in ('encoder', 'decoder_a', 'decoder_b')}


def _discriminators(params: dict) -> dict:
    return {name: params[name] for name in ('discriminator_a', 'discriminator_b')}


def applied(cfg: ConfigDict, params: dict, name: str, x: jax.Array) -> jax.Array | tuple[jax.Array, ...]:
    """What the net of that name gives."""
    return nets(cfg)[name].module.apply({'params': params[name]}, x)


def swap(
    cfg: ConfigDict,
    params: dict,
    frozen: dict,
    pictures: jax.Array,
    landmarks: jax.Array,
    side: str = 'b',
    person: dict | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The face of person `side` with the pose and expression of `pictures` [B, S, S, 3] in [-1, 1].

    Returns:
        Faces [B, S, S, 3] in [-1, 1] and how much of them is to be shown, [B, S, S, 1] in [0, 1].
    """
    face, mask, *_ = applied(cfg, params, f'decoder_{side}', applied(cfg, params, 'encoder', pictures))
    return face, mask


def stage(cfg: ConfigDict, step: jax.Array, horizon: jax.Array) -> dict[str, jax.Array]:
    """What holds at a step of a run of `horizon` steps: 'perceptual', 'margin' and 'rate', scalars, and 'exchange',
    whether decoders change places before it."""
    at = jnp.round(jnp.asarray([*cfg.schedule.at, cfg.schedule.exchange], jnp.float32) * horizon)
    now = (step >= at[:-1]).sum()
    values = {name: jnp.asarray(cfg.schedule[name], jnp.float32)[now] for name in ('perceptual', 'margin', 'rate')}
    return values | {'exchange': step == at[-1]}


def exchanged(here: jax.Array, state: State) -> State:
    """The state with its decoders, their moments and averages in each other's place, if `here`."""

    def other(tree: dict) -> dict:
        if not (isinstance(tree, dict) and 'decoder_a' in tree):
            return tree
        pairs = (('decoder_a', 'decoder_b'), ('decoder_b', 'decoder_a'))
        return tree | {to: jax.tree.map(lambda x, y: jnp.where(here, y, x), tree[to], tree[of]) for to, of in pairs}

    parts = {'params': state.params, 'opt': state.opt, 'ema': state.ema}
    return state.replace(**jax.tree.map(other, parts, is_leaf=lambda x: isinstance(x, dict) and 'decoder_a' in x))


def augmented(cfg: ConfigDict, batch: dict) -> dict:
    """Both sides' training pairs, as `augment.warped_pair` returns them, some in the other person's colours."""
    pair, size = {}, cfg.data.size
    keys = [jax.vmap(lambda key, n=n: jax.random.fold_in(key, n))(batch['key']) for n in range(4)]
    pictures = {side: batch[side]['image'] for side in SIDES}
    if cfg.colour:
        own = jnp.concatenate([pictures[side].astype(jnp.float32) / 255 for side in SIDES])
        whole = jnp.ones_like(own[..., :1])
        coloured = match_colour('reinhard', own, jnp.roll(own, len(own) // 2, 0), whole, whole)
        chosen = jax.vmap(lambda key: jax.random.bernoulli(key, cfg.colour))(jnp.concatenate(keys[2:]))
        pictures = dict(zip(SIDES, jnp.split(255 * jnp.where(chosen[:, None, None, None], coloured, own), 2)))
    for side, key in zip(SIDES, keys):
        pair[side] = augment.warped_pair(cfg.augment, key, batch[side] | {'image': pictures[side]}, size, size)
    return pair


def judge(cfg: ConfigDict, judges: dict, side: str) -> Callable[[jax.Array], jax.Array]:
    """The discriminator of that person, with its parameters."""
    return functools.partial(applied, cfg, judges, f'discriminator_{side}')


def generate(cfg: ConfigDict, params: dict, state: State, now: dict, pair: dict, judges: dict) -> tuple[dict, dict]:
    """The generator's terms, and both persons' fakes [2B, S, S, 3]: what is shown, and then the faces alone."""
    w, size, terms, fakes = cfg.loss, cfg.data.size, {}, {}
    codes = applied(cfg, params, 'encoder', jnp.concatenate([pair[side]['input'] for side in SIDES]))
    for side, code in zip(SIDES, jnp.split(codes, 2)):
        face, mask, *early = applied(cfg, params, f'decoder_{side}', code)
        seen, target = pair[side]['input'], pair[side]['target']
        fakes[side] = jnp.concatenate([mask * face + (1 - mask) * seen, face])
        far = jnp.abs(face - target)
        found = {'l1': far.mean() + sum(jnp.abs(x - resize(target, x.shape[1])).mean() for x in early)}
        found['features'] = (far * losses.features_weight(pair[side]['landmarks'], size)).mean()
        found['edges'] = losses.edge_distance(face, target)
        found['gan'] = 2 * losses.fooled(judge(cfg, judges, side), fakes[side], losses.twice(seen))  # two kinds
        found = {name: w[name] * value for name, value in found.items()}
        found['mask'] = losses.mask_size(mask, now['margin'], w.mask, w.missing)
        found['variation'] = w.variation * losses.variation(mask)
        terms |= {f'{side}/{name}': value for name, value in found.items()}
    if w.perceptual:
        pictures = [fakes[side][: len(codes) // 2] for side in SIDES] + [pair[side]['target'] for side in SIDES]
        maps = extract(state.frozen['vgg'], jnp.concatenate(pictures), octaves(size))[0][::-1][: len(w.perceptual)]
        shown, real = zip(*(jnp.split(x, 2) for x in maps))
        terms['g/perceptual'] = now['perceptual'] * 2 * losses.perceptual(shown, real, w.perceptual)  # two people
    swapped = lambda: applied(cfg, params, 'decoder_b', codes[: len(codes) // 2])[0]
    terms |= identity(w.identity, state.frozen, swapped, pair['b']['target'], pair)
    return terms | {'g/decay': w.decay * losses.kernel_decay(params)}, fakes


def discriminate(cfg: ConfigDict, judges: dict, fakes: dict, pair: dict, share: jax.Array) -> dict[str, jax.Array]:
    """The discriminators' terms."""
    terms = {'d/decay': cfg.loss.decay * losses.kernel_decay(judges)}
    for side in SIDES:
        real, seen = losses.twice(pair[side]['target']), losses.twice(pair[side]['input'])
        terms[f'd/{side}'] = 2 * losses.mixup(judge(cfg, judges, side), real, fakes[side], seen, share)
    return terms


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of everything, augmentation included. `batch` is 'faces_ab' of `dfjax.data.batches`."""
    now = stage(cfg, state.step, state.horizon)
    state = exchanged(now['exchange'], state) if cfg.schedule.exchange < 1 else state
    pair = augmented(cfg, batch)
    generator, judges = _generator(state.params), _discriminators(state.params)
    rate = {f'rate/{o}': now['rate'] * learning_rate(cfg.optimizer[o], state.step, state.horizon) for o in 'gd'}

    # Encoder and decoders
    def generator_loss(params: dict) -> tuple[jax.Array, tuple[dict, dict]]:
        terms, fakes = generate(cfg, params, state, now, pair, judges)
        return sum(terms.values()), (terms, fakes)

    grads, (metrics, fakes) = jax.grad(generator_loss, has_aux=True)(generator)
    generator, g = apply_grads(cfg.optimizer.g, rate['rate/g'], generator, grads, state.opt['g'])

    # Discriminators
    share = jax.random.beta(batch['step_key'], DEVIATE, DEVIATE)

    def discriminator_loss(params: dict) -> tuple[jax.Array, dict]:
        terms = discriminate(cfg, params, fakes, pair, share)
        return sum(terms.values()), terms

    grads, terms = jax.grad(discriminator_loss, has_aux=True)(judges)
    judges, d = apply_grads(cfg.optimizer.d, rate['rate/d'], judges, grads, state.opt['d'])

    # The rest
    metrics |= terms
    metrics = mean_over_devices(metrics | {'total': sum(metrics.values())}) | rate
    ema = ema_update(state.ema, generator, cfg.ema, state.step)
    done = {'params': generator | judges, 'opt': {'g': g, 'd': d}, 'ema': ema}
    return state.replace(step=state.step + 1, **done), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example b, b again, a, a again, a as b by its mask, and that mask: [6B, S, S, 3]."""
    size, rows = cfg.data.size, []
    real = {side: resize(to_float(batch[side]['image']), size) for side in SIDES}
    for side, whose in (('b', 'b'), ('a', 'a'), ('a', 'b')):
        face, mask = swap(cfg, state.ema, {}, real[side], batch[side]['landmarks'], whose)
        shown = mask * face + (1 - mask) * real[side]
        rows += [real[side], face] if side == whose else [shown, jnp.repeat(2 * mask - 1, 3, -1)]
    return jnp.clip(jnp.stack(rows, 1).reshape(-1, size, size, 3), -1, 1)

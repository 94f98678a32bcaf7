"""CycleGAN (Zhu et al. 2017): pictures of two kinds become each other, learnt without pairs.

    g_ab, g_ba    generators                 d_a, d_b    discriminators of pictures a and of pictures b
    ab/adv, ba/adv              the adversarial loss of the fakes
    ab/cycle, ba/cycle          10 times the mean distance of a picture that went there and back; of a, of b
    ab/identity, ba/identity    5 times that of a picture that is already of the target's kind
    d_a/real, d_a/fake, ...     half of a discriminator's loss each

A discriminator sees fakes of the last fifty or so, not the newest alone: `replayed`. The replay buffers are
`aux['replay']`, by kind.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.errors import InputError
from dfjax.losses.adversarial import SEPARATE, d_fake, d_real, g_loss
from dfjax.models import patchgan
from dfjax.ops.devices import mean_over_devices, own_part, whole_batch
from dfjax.ops.image import to_float
from dfjax.ops.jitter import jitter
from dfjax.ops.optimize import apply_grads, ema_update, learning_rate, optimizer
from dfjax.systems import pix2pix
from dfjax.systems.state import Net, State, common_config, init_nets, optimizer_config

BATCH = 'unpaired'
COLUMNS = ('a', 'a as b', 'and back', 'b', 'b as a', 'and back')  # names of those of a preview
DIRECTIONS = {'ab': 'g_ab', 'ba': 'g_ba'}  # in which it translates, and the net that does
SIDES = (('a', 'b'), ('b', 'a'))


def default_config() -> ConfigDict:
    """The original's, at 256 px."""
    cfg = common_config()
    cfg.system = 'cyclegan'
    cfg.steps = 266_800
    cfg.batch_size = 1
    cfg.data = dict(a='', b='', size=r.size(256), resident_bytes=2**30)
    cfg.model = dict(
        inputs=r.size(3),  # channels of pictures a
        outputs=r.size(3),  # channels of pictures b
        g=pix2pix.generator_config(
            kind='resnet', norm='instance', dropout=0.0, blocks=0
        ),  # blocks: see residual_blocks
        d=patchgan.default_config(norm='instance'),
    )
    cfg.jitter = r.between(1, 4, 286 / 256)  # how much pictures are enlarged before the former size is cut out of them
    cfg.flip = r.share(0.5)  # probability that a picture is mirrored
    cfg.replay = r.size(
        50, least=0
    )  # fakes of each kind that are kept for the discriminators; 0 shows them the newest alone
    cfg.loss = dict(
        kind=r.choice('lsgan', SEPARATE),  # the form of the adversarial loss
        cycle=10.0,  # weight of the way there and back
        identity=0.5,  # in units of `cycle`
    )
    cfg.optimizer = optimizer_config(lr=2e-4, schedule='linear', b1=0.5)
    cfg.ema = r.decay(0.0)  # decay of the generators' averages; 0 leaves them out
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The nets by name: g_ab, g_ba, d_a, d_b; keys of `model` are as in `systems.pix2pix`."""
    m, a, b = cfg.model, cfg.model.inputs, cfg.model.outputs
    g = m.g.to_dict() | {'blocks': residual_blocks(cfg)}
    return {
        'g_ab': pix2pix.generator(cfg, g, a, b),
        'g_ba': pix2pix.generator(cfg, g, b, a),
        'd_a': pix2pix.discriminator(cfg, m.d, a),
        'd_b': pix2pix.discriminator(cfg, m.d, b),
    }


def residual_blocks(cfg: ConfigDict) -> int:
    """`model.g.blocks`; where that is 0, six, and nine from 256 pixels on (Zhu et al. 2017, appendix 7.2)."""
    return cfg.model.g.blocks or (9 if cfg.data.size >= 256 else 6)


def check(cfg: ConfigDict) -> None:
    """Raises InputError unless pictures are in colour, and norm and dropout of a kind that it trains with."""
    pix2pix.check(cfg)
    for net in 'gd':
        if cfg.model[net].norm == 'batch' or cfg.model[net].get('dropout'):
            raise InputError(
                f"config key model.{net}: CycleGAN trains with norm 'instance', 'affine' or 'none' and dropout 0"
            )


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters, and empty pools.

    Raises:
        InputError: as `check`; if the nets do not take pictures of `data.size`.
    """
    check(cfg)
    params, _ = init_nets(nets(cfg), rng)
    opt = {side: optimizer(cfg.optimizer).init({k: v for k, v in params.items() if k[0] == side}) for side in 'gd'}
    ema = {name: jax.tree.map(jnp.copy, params[name]) for name in ('g_ab', 'g_ba')} if cfg.ema else {}
    seen = {side: nets(cfg)[f'd_{side}'].inputs['x'].shape[1:] for side in 'ab'}
    aux = {'replay': {side: jnp.zeros((cfg.replay, *shape)) for side, shape in seen.items()}} if cfg.replay else {}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=ema, aux=aux)


def translate(cfg: ConfigDict, params: dict, pictures: jax.Array, condition: str = 'ab') -> jax.Array:
    """Pictures [B, H, W, C] in [-1, 1] of the other kind; the condition 'ab' makes b of a, 'ba' a of b."""
    return nets(cfg)[f'g_{condition}'].module.apply({'params': params[f'g_{condition}']}, pictures)


def replayed(replay: jax.Array, fake: jax.Array, draws: jax.Array, seen: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Fakes for a discriminator, and the replay buffer after them (Shrivastava et al. 2017): one after another.

    As long as the buffer is not full each joins it, and is shown. Then each is shown, or, by even chance, takes the
    place of one in the buffer, which is shown instead.

    Args:
        replay: [P, S, S, C], the buffer, of which min(seen, P) are filled.
        fake: [B, S, S, C].
        draws: [B, 2] in [0, 1): one for the chance, one for the place.
        seen: how many fakes there were before these.

    Returns:
        The fakes shown [B, S, S, C], and the buffer.
    """
    size = len(replay)

    def one(carry: tuple, item: tuple) -> tuple:
        replay, seen = carry
        new, draw = item
        fills = seen < size
        swaps = fills | (draw[0] < 0.5)
        place = jnp.where(fills, seen, (draw[1] * size).astype(jnp.int32))
        old = replay[place]
        replay = replay.at[place].set(jnp.where(swaps, new, old))
        return (replay, jnp.minimum(seen + 1, size)), jnp.where(swaps & ~fills, old, new)

    (replay, _), shown = jax.lax.scan(one, (replay, jnp.minimum(seen, size)), (fake, draws))
    return shown, replay


def replayed_batch(replay: jax.Array, fake: jax.Array, keys: jax.Array, step: jax.Array) -> tuple:
    """`replayed` on the whole batch, wherever it is: the fakes shown in place of these, and the buffer."""
    draws = jax.vmap(lambda key: jax.random.uniform(key, (2,)))(keys)
    count = len(fake)
    fake, draws = whole_batch((fake, draws))  # the buffer has to stay the same on all devices
    seen = jnp.minimum(step, len(replay)) * len(fake)
    shown, replay = replayed(replay, fake, draws, seen)
    return own_part(shown, count), replay


def generate(cfg: ConfigDict, params: dict, discriminators: dict, real: dict) -> tuple[dict, dict]:
    """The generators' loss terms, and the fakes: {'b': of pictures a, 'a': of pictures b}."""
    net, w = nets(cfg), cfg.loss
    apply = lambda name, x: net[name].module.apply({'params': (params | discriminators)[name]}, x)
    distance = lambda x, y: jnp.abs(x - y).mean()
    terms, fake = {}, {}
    for one, other in SIDES:
        there, back = f'g_{one}{other}', f'g_{other}{one}'
        fake[other] = apply(there, real[one])
        terms[f'{one}{other}/adv'] = g_loss(w.kind, apply(f'd_{other}', fake[other]))
        terms[f'{one}{other}/cycle'] = w.cycle * distance(apply(back, fake[other]), real[one])
        if w.identity:
            same = distance(apply(there, real[other]), real[other])
            terms[f'{one}{other}/identity'] = w.cycle * w.identity * same
    return terms, fake


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of the generators, then one of the discriminators. `batch` is 'unpaired' of `dfjax.data.batches`."""
    net = nets(cfg)
    params, opt = dict(state.params), dict(state.opt)
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)
    part = lambda side: {name: params[name] for name in params if name[0] == side}

    def update(side: str, grads: dict) -> None:
        moved, opt[side] = apply_grads(cfg.optimizer, rate, part(side), grads, opt[side])
        params.update(moved)

    # The data of this step
    draws = jax.vmap(lambda key: jax.random.split(key, 4))(batch['key'])  # [B, 4] keys
    real = {
        side: jitter(draws[:, i], to_float(batch[side]['image']), cfg.jitter, cfg.flip) for i, side in enumerate('ab')
    }

    # Generators
    def g_cost(p: dict) -> tuple[jax.Array, tuple[dict, dict]]:
        terms, fake = generate(cfg, p, part('d'), real)
        return sum(terms.values()), (terms, fake)

    grads, (terms, fake) = jax.grad(g_cost, has_aux=True)(part('g'))
    update('g', grads)

    # Discriminators
    replay = {}
    for i, side in enumerate('ab' if cfg.replay else ''):
        buffer = state.aux['replay'][side]
        fake[side], replay[side] = replayed_batch(buffer, fake[side], draws[:, 2 + i], state.step)

    def d_cost(p: dict) -> tuple[jax.Array, dict]:
        terms, kind = {}, cfg.loss.kind
        for side in 'ab':
            discriminate = lambda x, name=f'd_{side}': net[name].module.apply({'params': p[name]}, x)
            terms[f'd_{side}/real'] = 0.5 * d_real(kind, discriminate(real[side]))
            terms[f'd_{side}/fake'] = 0.5 * d_fake(kind, discriminate(fake[side]))
        return sum(terms.values()), terms

    grads, d_terms = jax.grad(d_cost, has_aux=True)(part('d'))
    update('d', grads)

    # The rest
    metrics = terms | {'total': sum(terms.values())} | d_terms
    ema = ema_update(state.ema, {k: params[k] for k in state.ema}, cfg.ema, state.step)
    aux = {'replay': replay} if cfg.replay else {}
    metrics = mean_over_devices(metrics) | {'rate': rate}
    return state.replace(step=state.step + 1, params=params, opt=opt, ema=ema, aux=aux), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example a, a as b, and that as a again; then the same of b: [6B, S, S, 3]."""
    params, rows = state.params | state.ema, []
    for one, other in SIDES:
        real = to_float(batch[one]['image'])
        made = translate(cfg, params, real, one + other)
        rows += [real, made, translate(cfg, params, made, other + one)]
    return jnp.stack(rows, 1).reshape(-1, *real.shape[1:])

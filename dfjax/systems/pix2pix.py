"""pix2pix (Isola et al. 2017): pictures of one kind become pictures of another, learnt from aligned pairs.

    g/adv      what it costs that the discriminator tells the made picture b from the true one, both seen beside a
    g/l1       100 times the mean distance to the true picture
    d/real, d/fake    half of the discriminator's loss each

Generators are a U-Net, a residual net, or a light one for CPUs (`models.translation`). The averages of batch
normalisation are in `aux['batch_stats']` by net; without it that is empty.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from dfjax.errors import InputError
from dfjax.losses.gan import adversarial
from dfjax.models import translation
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.jitter import jitter
from dfjax.ops.schedule import linear_decay
from dfjax.systems.state import State, common_config, compute_dtype

BATCH = 'aligned'


def default_config() -> ConfigDict:
    """The original's, at 256 px."""
    cfg = common_config()
    cfg.system = 'pix2pix'
    cfg.steps = 80_000
    cfg.batch_size = 1
    cfg.data = dict(source='', a='', b='', size=256, resident_bytes=2**30)  # source, or a and b: see data.batches
    cfg.model = translation.MODELS['pix2pix']
    cfg.jitter = 286 / 256  # how much pictures are enlarged before the former size is cut out of them
    cfg.flip = 0.5  # probability that a pair is mirrored
    cfg.loss = dict(kind='vanilla', gan=1.0, l1=100.0)  # kind: one of losses.gan.LOSSES
    cfg.optimizer = dict(lr=2e-4, b1=0.5, b2=0.999, constant=0.5)  # constant: share of the steps before the decay
    cfg.ema = 0.0  # of the generator; 0 leaves the average out
    return cfg


def nets(cfg: ConfigDict) -> dict:
    """The Linen modules by name: g, d."""
    return translation.nets('pix2pix', cfg.model, compute_dtype(cfg))


def optimizer(cfg: ConfigDict) -> optax.GradientTransformation:
    """Adam, the rate constant and then falling to 0 in a straight line."""
    o = cfg.optimizer
    return optax.adam(linear_decay(o.lr, cfg.steps, o.constant), b1=o.b1, b2=o.b2)


def check(cfg: ConfigDict) -> None:
    """Raises InputError unless the nets take and make the pictures that data has, which are RGB."""
    for key in ('inputs', 'outputs'):
        if cfg.model[key] != 3:
            raise InputError(f'config key model.{key}: pictures are trained on in 3 channels, not {cfg.model[key]}')


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters.

    Raises:
        InputError: if the nets do not take colour pictures of `data.size`.
    """
    check(cfg)
    size, a, b = cfg.data.size, cfg.model.inputs, cfg.model.outputs
    params, stats, opt = {}, {}, {}
    for (name, net), key, channels in zip(nets(cfg).items(), jax.random.split(rng), (a, a + b)):
        made = net.init(key, jnp.zeros((1, size, size, channels)))
        params[name], opt[name] = made['params'], optimizer(cfg).init(made['params'])
        if 'batch_stats' in made:
            stats[name] = made['batch_stats']
    ema = {'g': jax.tree.map(jnp.copy, params['g'])} if cfg.ema else {}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=ema, aux={'batch_stats': stats})


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of each. `batch` is 'aligned' of `dfjax.data.batches`."""
    net, w = nets(cfg), cfg.loss
    loss = adversarial(w.kind)
    params, opt, stats = dict(state.params), dict(state.opt), dict(state.aux['batch_stats'])

    # The data of this step
    a, b = (jitter(batch['key'], batch[side]['image'] / 127.5 - 1, cfg.jitter, cfg.flip) for side in 'ab')
    dropped = {'dropout': jax.random.fold_in(jax.random.key(cfg.seed), state.step)}  # one key for all devices

    def applied(name: str, p: dict, averages: dict, x: jax.Array) -> tuple[jax.Array, dict]:
        variables = {'params': p, 'batch_stats': averages}
        y, changed = net[name].apply(variables, x, train=True, mutable=['batch_stats'], rngs=dropped)
        return y, changed.get('batch_stats', {})

    def updated(name: str, grads: dict) -> None:
        moved, opt[name] = optimizer(cfg).update(mean_over_devices(grads), opt[name], params[name])
        params[name] = optax.apply_updates(params[name], moved)

    # Discriminator, with the picture that the generator is judged by below
    def make(p: dict) -> tuple[jax.Array, dict]:
        return applied('g', p, stats.get('g', {}), a)

    made, back, averages = jax.vjp(make, params['g'], has_aux=True)
    fixed = jax.lax.stop_gradient(made)

    def judged(p: dict) -> tuple[jax.Array, tuple[dict, dict]]:
        fake, moved = applied('d', p, stats.get('d', {}), jnp.concatenate([a, fixed], -1))
        real, moved = applied('d', p, moved, jnp.concatenate([a, b], -1))
        terms = {'d/real': 0.5 * loss(real, True), 'd/fake': 0.5 * loss(fake, False)}
        return sum(terms.values()), (terms, moved)

    grads, (critic, moved) = jax.grad(judged, has_aux=True)(params['d'])
    updated('d', grads)

    # Generator
    def cost(made: jax.Array) -> tuple[jax.Array, dict]:
        fake, _ = applied('d', params['d'], moved, jnp.concatenate([a, made], -1))
        terms = {'g/adv': w.gan * loss(fake, True), 'g/l1': w.l1 * jnp.abs(made - b).mean()}
        return sum(terms.values()), terms

    grads, terms = jax.grad(cost, has_aux=True)(made)
    updated('g', back(grads)[0])

    # The rest
    metrics = terms | {'total': sum(terms.values())} | critic
    decay = jnp.minimum(cfg.ema, (1.0 + state.step) / (10.0 + state.step))
    ema = jax.tree.map(lambda e, p: e + (1 - decay) * (p - e), state.ema, {k: params[k] for k in state.ema})
    stats = {k: v for k, v in (('g', averages), ('d', moved)) if v}
    state = State(step=state.step + 1, params=params, opt=opt, ema=ema, aux={'batch_stats': stats})
    return state, mean_over_devices(metrics)


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example a, what is made of it, and b: [3B, S, S, 3]."""
    a, b = (batch[side]['image'] / 127.5 - 1 for side in 'ab')
    variables = {'params': (state.params | state.ema)['g'], 'batch_stats': state.aux['batch_stats'].get('g', {})}
    made = nets(cfg)['g'].apply(variables, a)
    return jnp.stack([a, made, b], 1).reshape(-1, *a.shape[1:])

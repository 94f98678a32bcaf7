"""A generative adversarial network: pictures from noise.

The default trains reliably: relativistic pairs with zero-centred gradient penalties on both sides (R1 and R2; Huang et
al. 2024), averaged parameters, and augmentation of what the discriminator sees, for sets of a few thousand pictures.
`model.kind` 'classic' is DCGAN (Radford et al. 2016).

`total` is the discriminator's loss alone: the generator's is its opposite, and rises as the other falls.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.losses.adversarial import KINDS, d_loss, g_loss, r1_estimate, r1_penalty
from dfjax.models import gan as models
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.diffaugment import diffaugment
from dfjax.ops.image import to_float
from dfjax.ops.jitter import flipped
from dfjax.ops.keys import preview_key
from dfjax.ops.optimize import apply_grads, ema_update, learning_rate, optimizer
from dfjax.systems.state import (
    Net,
    State,
    arrays,
    common_config,
    compute_dtype,
    init_nets,
    optimizer_config,
)

BATCH = 'labelled'
COLUMNS = ('sample', 'truncated')  # names of those of a preview
MODELS = ('modern', 'classic')
MANY = 2048  # styles whose mean is the mean style


def default_config() -> ConfigDict:
    """64 px, for one CPU core and an hour."""
    cfg = common_config()
    cfg.system = 'gan'
    cfg.steps = 4000
    cfg.batch_size = 16
    cfg.data = dict(
        source='render:people:1:4096', labels=[], size=r.size(64), crop=r.size(0, least=0), resident_bytes=2**30
    )
    cfg.model = dict(
        kind=r.choice('modern', MODELS),  # 'classic' has no patch, and no max_width
        latent=r.size(128),
        patch=r.size(4),
        width=r.size(96),
        max_width=r.size(192),
    )
    cfg.discriminator = dict(width=r.size(64), max_width=r.size(192))  # its patch is the generator's
    cfg.flip = r.share(0.5)  # probability that a real picture is mirrored
    cfg.augment = dict(colour=0.0, translate=r.share(0.125), cutout=r.share(0.25))  # see ops.diffaugment
    cfg.loss = dict(
        kind=r.choice('relativistic', KINDS),  # the form of the adversarial loss
        r1=0.1,  # weight of the penalty on real pictures: with 1 the discriminator hardly beats chance
        r2=0.1,  # weight of the penalty on fakes
        sigma=0.02,  # standard deviation of the noise along which they are measured; 0 measures them exactly
    )
    cfg.optimizer = optimizer_config(lr=5e-4, schedule='constant', warmup=100, b1=0.0, b2=0.99, clip=10.0)
    cfg.ema = r.decay(0.998)
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The nets by name."""
    m, d, dtype, size = cfg.model, cfg.discriminator, compute_dtype(cfg), cfg.data.size
    if m.kind == 'classic':
        generator = models.ClassicGenerator(size, m.latent, m.width, dtype)
        discriminator = models.ClassicDiscriminator(d.width, dtype)
    else:
        generator = models.Generator(size, m.latent, m.patch, m.width, m.max_width, dtype)
        discriminator = models.Discriminator(m.patch, d.width, d.max_width, dtype)
    return {
        'generator': Net(generator, {'z': arrays(1, m.latent)}),
        'discriminator': Net(discriminator, {'x': arrays(1, size, size, 3)}),
    }


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters; `ema['batch_stats']` has the generator's averages, if it has batch norm."""
    params, stats = init_nets(nets(cfg), rng)
    opt = {name: optimizer(cfg.optimizer).init(params[name]) for name in params}
    stats.pop('discriminator', None)  # it always goes by the batch at hand
    ema = {'generator': jax.tree.map(jnp.copy, params['generator']), 'batch_stats': stats}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=ema)


def styles(cfg: ConfigDict, params: dict, noise: jax.Array, truncation: float = 1.0) -> jax.Array:
    """Styles [B, latent] of noise [B, latent], drawn towards the mean style: the smaller `truncation`, the nearer."""
    to_style = lambda z: nets(cfg)['generator'].module.apply(_variables(params), z, method='mapping')
    if truncation == 1:
        return to_style(noise)
    mean = to_style(jax.random.normal(jax.random.key(0), (MANY, cfg.model.latent))).mean(0)
    return mean + truncation * (to_style(noise) - mean)


def decode(cfg: ConfigDict, params: dict, styles: jax.Array) -> jax.Array:
    """Pictures [B, S, S, 3] in [-1, 1] of styles [B, latent]."""
    return nets(cfg)['generator'].module.apply(_variables(params), styles, method='synthesis')


def _variables(params: dict) -> dict:
    return {'params': params['generator'], 'batch_stats': params['batch_stats'].get('generator', {})}


def noise_shape(cfg: ConfigDict) -> tuple[int, ...]:
    """The shape of one picture's noise."""
    return (cfg.model.latent,)


def from_noise(cfg: ConfigDict, params: dict, noise: jax.Array, truncation: float = 1.0) -> jax.Array:
    """Pictures [B, S, S, 3]; arguments as in `styles`."""
    return decode(cfg, params, styles(cfg, params, noise, truncation))


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of each. `batch` is 'labelled' of `dfjax.data.batches`; labels are not looked at."""
    net, w = nets(cfg), cfg.loss
    params, opt, stats = dict(state.params), dict(state.opt), state.ema['batch_stats']

    # The data of this step
    draws = jax.vmap(lambda key: jax.random.split(key, 6))(batch['key'])  # [B, 6] keys
    pictures = flipped(to_float(batch['image']), draws[:, 0], cfg.flip)
    noise = jax.vmap(lambda key: jax.random.normal(key, (2, cfg.model.latent)))(draws[:, 1])
    augmented = lambda x, i: diffaugment(x, draws[:, i], **cfg.augment)
    real = augmented(pictures, 2)

    def generate(p: dict, noise: jax.Array) -> tuple[jax.Array, dict]:
        variables = {'params': p, 'batch_stats': stats.get('generator', {})}
        fake, changed = net['generator'].module.apply(variables, noise, train=True, mutable=['batch_stats'])
        averages = changed.get('batch_stats')
        return fake, {'generator': averages} if averages else {}

    def discriminate(p: dict, x: jax.Array) -> jax.Array:
        return net['discriminator'].module.apply({'params': p}, x, mutable=['batch_stats'])[0]

    # Discriminator
    fake = augmented(generate(params['generator'], noise[:, 0])[0], 3)
    direction = jax.vmap(lambda key: jax.random.normal(key, real.shape[1:]))(draws[:, 5])

    def penalty(p: dict, x: jax.Array) -> jax.Array:
        if w.sigma:
            return r1_estimate(lambda x: discriminate(p, x), x, direction, w.sigma)
        return r1_penalty(lambda x: discriminate(p, x), x)

    def d_cost(p: dict) -> tuple[jax.Array, dict]:
        terms = {'d/adv': d_loss(w.kind, discriminate(p, real), discriminate(p, fake))}
        terms |= {f'd/{name}': w[name] / 2 * penalty(p, x) for name, x in (('r1', real), ('r2', fake)) if w[name]}
        return sum(terms.values()), terms

    (total, terms), grads = jax.value_and_grad(d_cost, has_aux=True)(params['discriminator'])
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)
    update = lambda name, grads: apply_grads(cfg.optimizer, rate, params[name], grads, opt[name])
    params['discriminator'], opt['discriminator'] = update('discriminator', grads)

    # Generator
    def g_cost(p: dict) -> tuple[jax.Array, dict]:
        fake, changed = generate(p, noise[:, 1])
        logits = (discriminate(params['discriminator'], x) for x in (augmented(fake, 4), real))
        return g_loss(w.kind, *logits), changed

    (terms['g/adv'], stats), grads = jax.value_and_grad(g_cost, has_aux=True)(params['generator'])
    params['generator'], opt['generator'] = update('generator', grads)

    # The rest
    average = ema_update(state.ema['generator'], params['generator'], cfg.ema, state.step)
    metrics = mean_over_devices(terms | {'total': total}) | {'rate': rate}
    ema = {'generator': average, 'batch_stats': stats}
    return state.replace(step=state.step + 1, params=params, opt=opt, ema=ema), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """As many samples as there are examples, and as many again with truncation 0.7: [2B, S, S, 3]."""
    noise = jax.random.normal(preview_key(cfg.seed), (len(batch['image']), cfg.model.latent))
    full, near = (from_noise(cfg, state.ema, noise, truncation) for truncation in (1.0, 0.7))
    return jnp.stack([full, near], 1).reshape(-1, *full.shape[1:])

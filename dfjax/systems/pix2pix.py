"""pix2pix (Isola et al. 2017): pictures of one kind become pictures of another, learnt from aligned pairs.

    g/adv             the adversarial loss of the fake b, seen beside a
    g/l1              100 times its mean distance to the real b
    d/real, d/fake    half of the discriminator's loss each

Keys of `model`, and what the original calls them: `g.kind` 'unet' or 'resnet' is netG, 'light' is for CPUs, see
`models.light`; `g.width` ngf; `g.depth`, halvings of a U-Net, num_downs; `g.blocks`, residual blocks of the others,
n_blocks; `g.norm`, `d.norm` 'instance', 'batch' or 'none'; `g.dropout` 0.5, or 0 for no_dropout; `g.pad`
padding_type; `d.kind` 'patch' or 'pixel' netD, `d.width`, `d.layers` ndf and n_layers; `inputs`, `outputs`, channels,
input_nc and output_nc. Averages of batch normalisation are in `ema['batch_stats']` by net; without it that is empty.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.errors import InputError
from dfjax.losses.adversarial import SEPARATE, d_fake, d_real, g_loss
from dfjax.models import patchgan
from dfjax.models.light import LightGenerator
from dfjax.models.norm import NORMS
from dfjax.models.patchgan import PatchGAN
from dfjax.models.resnet import ResNet
from dfjax.models.unet import UNet
from dfjax.models.upconv import UPSAMPLES
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.image import to_float
from dfjax.ops.jitter import jitter
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

BATCH = 'aligned'
COLUMNS = ('a', 'made of a', 'b')  # names of those of a preview
GENERATORS = ('unet', 'resnet', 'light')
DIRECTIONS = {'': 'g'}  # in which it translates, and the net that does


def default_config() -> ConfigDict:
    """The original's, at 256 px."""
    cfg = common_config()
    cfg.system = 'pix2pix'
    cfg.steps = 80_000
    cfg.batch_size = 1
    cfg.data = dict(
        source='', a='', b='', size=r.size(256), resident_bytes=2**30
    )  # source, or a and b: see data.batches
    cfg.model = dict(
        inputs=r.size(3),  # channels of pictures a
        outputs=r.size(3),  # channels of pictures b
        g=generator_config(kind='unet', norm='batch', dropout=0.5, blocks=9),
        d=patchgan.default_config(norm='batch'),
    )
    cfg.jitter = r.between(1, 4, 286 / 256)  # how much pictures are enlarged before the former size is cut out of them
    cfg.flip = r.share(0.5)  # probability that a pair is mirrored
    cfg.loss = dict(
        kind=r.choice('vanilla', SEPARATE),  # the form of the adversarial loss
        gan=1.0,  # its weight
        l1=100.0,  # weight of the mean difference of pixels
    )
    cfg.optimizer = optimizer_config(lr=2e-4, schedule='linear', b1=0.5)
    cfg.ema = r.decay(0.0)  # decay of the generator's average; 0 leaves it out
    return cfg


def generator_config(kind: str, norm: str, dropout: float, blocks: int) -> dict:
    """The section `model.g`: `depth` is the U-Net's, `blocks` the others', `pad` that of a ResNet's blocks."""
    return dict(
        kind=r.choice(kind, GENERATORS),
        width=r.size(64),
        depth=r.count(8, least=1),  # halvings of a U-Net
        blocks=r.count(blocks),
        norm=r.choice(norm, NORMS),
        dropout=r.share(dropout),
        pad=r.choice('reflect', ('reflect', 'replicate', 'zeros')),  # what is beyond the edge, in a ResNet's blocks
        upsample=r.choice('transposed', UPSAMPLES),  # how sides are doubled
    )


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The generator g and the discriminator d, which sees both pictures of a pair."""
    m = cfg.model
    pair = m.inputs + m.outputs
    return {'g': generator(cfg, m.g, m.inputs, m.outputs), 'd': discriminator(cfg, m.d, pair)}


def generator(cfg: ConfigDict, g: Mapping, inputs: int, outputs: int) -> Net:
    """The generator that a section `model.g` describes, from channels in to channels out."""
    shared = dict(width=g['width'], norm=g['norm'], outputs=outputs, dropout=g['dropout'])
    shared |= dict(dtype=compute_dtype(cfg))
    if g['kind'] == 'unet':
        module, multiple = UNet(depth=g['depth'], upsample=g['upsample'], **shared), 2 ** g['depth']
    elif g['kind'] == 'resnet':
        module, multiple = ResNet(blocks=g['blocks'], pad=g['pad'], upsample=g['upsample'], **shared), 4
    else:
        module, multiple = LightGenerator(blocks=g['blocks'], **shared), 4
    return Net(module, {'x': arrays(1, cfg.data.size, cfg.data.size, inputs)}, multiple=multiple)


def discriminator(cfg: ConfigDict, d: Mapping, channels: int) -> Net:
    """The patch discriminator that a section `model.d` describes, of pictures with that many channels."""
    module = PatchGAN(**d, dtype=compute_dtype(cfg))
    return Net(module, {'x': arrays(1, cfg.data.size, cfg.data.size, channels)}, multiple=1)


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
    params, stats = init_nets(nets(cfg), rng)
    opt = {name: optimizer(cfg.optimizer).init(params[name]) for name in params}
    ema = {'g': jax.tree.map(jnp.copy, params['g'])} if cfg.ema else {}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=ema | {'batch_stats': stats})


def translate(cfg: ConfigDict, params: dict, pictures: jax.Array, condition: None = None) -> jax.Array:
    """Pictures b [B, H, W, C] in [-1, 1] of pictures a; there is no condition."""
    variables = {'params': params['g'], 'batch_stats': params.get('batch_stats', {}).get('g', {})}
    return nets(cfg)['g'].module.apply(variables, pictures)


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of each. `batch` is 'aligned' of `dfjax.data.batches`."""
    net, w = nets(cfg), cfg.loss

    params, opt, stats = dict(state.params), dict(state.opt), state.ema['batch_stats']
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)

    # The data of this step
    a, b = (jitter(batch['key'], to_float(batch[side]['image']), cfg.jitter, cfg.flip) for side in 'ab')
    dropped = {'dropout': batch['step_key']}

    def applied(name: str, p: dict, averages: dict, x: jax.Array) -> tuple[jax.Array, dict]:
        variables = {'params': p, 'batch_stats': averages}
        y, changed = net[name].module.apply(variables, x, train=True, mutable=['batch_stats'], rngs=dropped)
        return y, changed.get('batch_stats', {})

    def updated(name: str, grads: dict) -> None:
        params[name], opt[name] = apply_grads(cfg.optimizer, rate, params[name], grads, opt[name])

    # Discriminator, with the fake that the generator's loss is computed from below
    def generate(p: dict) -> tuple[jax.Array, dict]:
        return applied('g', p, stats.get('g', {}), a)

    fake, backward, g_stats = jax.vjp(generate, params['g'], has_aux=True)
    fixed = jax.lax.stop_gradient(fake)

    def d_cost(p: dict) -> tuple[jax.Array, tuple[dict, dict]]:
        fakes, d_stats = applied('d', p, stats.get('d', {}), jnp.concatenate([a, fixed], -1))
        reals, d_stats = applied('d', p, d_stats, jnp.concatenate([a, b], -1))
        terms = {'d/real': 0.5 * d_real(w.kind, reals), 'd/fake': 0.5 * d_fake(w.kind, fakes)}
        return sum(terms.values()), (terms, d_stats)

    grads, (d_terms, d_stats) = jax.grad(d_cost, has_aux=True)(params['d'])
    updated('d', grads)

    # Generator
    def g_cost(fake: jax.Array) -> tuple[jax.Array, dict]:
        logits, _ = applied('d', params['d'], d_stats, jnp.concatenate([a, fake], -1))
        terms = {'g/adv': w.gan * g_loss(w.kind, logits), 'g/l1': w.l1 * jnp.abs(fake - b).mean()}
        return sum(terms.values()), terms

    grads, terms = jax.grad(g_cost, has_aux=True)(fake)
    updated('g', backward(grads)[0])

    # The rest
    metrics = terms | {'total': sum(terms.values())} | d_terms
    ema = {'g': ema_update(state.ema['g'], params['g'], cfg.ema, state.step)} if cfg.ema else {}
    ema['batch_stats'] = {k: v for k, v in (('g', g_stats), ('d', d_stats)) if v}
    metrics = mean_over_devices(metrics) | {'rate': rate}
    return state.replace(step=state.step + 1, params=params, opt=opt, ema=ema), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example a, what is made of it, and b: [3B, S, S, 3]."""
    a, b = (to_float(batch[side]['image']) for side in 'ab')
    made = translate(cfg, state.params | state.ema, a)
    return jnp.stack([a, made, b], 1).reshape(-1, *a.shape[1:])

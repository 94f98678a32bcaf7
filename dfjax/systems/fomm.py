"""First Order Motion Model (Siarohin et al. 2019): a picture moves as a driving video does, whatever they show.

    g/perceptual    distance of the driving frame from what is made of another frame of its clip, in features
    g/value, g/jacobian     how far keypoints are from moving with a picture that is bent (equivariance)
    g/adv, g/matching       the adversarial loss of the fake, and distance in the discriminator's features
    g/background    how far the background's maps there and back are from undoing each other
    d/adv           the discriminator's own loss, least squares

Past the original are `model.g.motion.points`, `model.g.skips`, `model.background` and `drop` (Zhao & Zhang 2022).

Pictures are in [0, 1] inside. `keypoints` and `animate` are what inference uses.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.data.augment import jitter_colour
from dfjax.errors import InputError
from dfjax.losses import equivariance
from dfjax.losses.adversarial import d_loss, g_loss
from dfjax.losses.perceptual import feature_distance, picture_distance
from dfjax.models import fomm
from dfjax.models.fomm import LEAST_SCALE, Generator, KeypointDetector
from dfjax.models.fomm_discriminator import MultiScaleDiscriminator, least
from dfjax.models.fomm_motion import STILL, Background, left_motions, round_trip
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.image import to_float
from dfjax.ops.jitter import jitter
from dfjax.ops.motion import sample, shrink, stretch
from dfjax.ops.optimize import apply_grads, ema_update, learning_rate, optimizer
from dfjax.systems.state import Net, State, arrays, common_config, compute_dtype, init_nets, optimizer_config
from dfjax.weights.vgg import read_features

BATCH = 'clips'
COLUMNS = ('source', 'driving', 'moved')  # names of those of a preview
ANIMATES = ('kp', 'g')  # the nets that inference uses
PAIR = ('kp_source_value', 'kp_source_jacobian', 'kp_driving_value', 'kp_driving_jacobian')


def default_config() -> ConfigDict:
    """The original's for VoxCeleb with a discriminator, at 256 px."""
    cfg = common_config()
    cfg.system = 'fomm'
    cfg.steps = 131_000
    cfg.batch_size = 36
    cfg.features = ''  # VGG-19, torchvision's file, Keras's or `dfjax stylize --features`'s; none is the filter bank
    cfg.data = dict(source='', size=r.size(256), crop=r.size(0, least=0), resident_bytes=2**30)
    cfg.model = fomm.default_config()
    cfg.augment = dict(flip=r.share(0.5), brightness=r.share(0.1), contrast=r.share(0.1), saturation=r.share(0.1))
    cfg.augment.update(hue=r.share(0.1), enlarge=r.between(1, 4, 1.0))
    cfg.bend = dict(affine=0.05, spline=0.005)  # standard deviations
    cfg.bend.points = r.between(2, 100, 5)  # control points a side
    cfg.loss = dict(
        # sides of the pictures whose features are compared, shares of the whole side
        scales=r.between(LEAST_SCALE, 1, [1.0, 0.5, 0.25, 0.125]),
        perceptual=[10.0] * 5,  # VGG-19's five layers
        bank=10.0,  # each layer of the filter bank
        value=10.0,  # weight of how far keypoints are from moving with a picture that is bent
        jacobian=10.0,  # likewise of the affine maps round them
        gan=1.0,  # 0 leaves the discriminator out
        matching=[10.0] * 4,  # a block of the discriminator each
        background=10.0,  # weight of how far its maps there and back are from undoing each other
    )
    cfg.background_from = r.share(0.1)  # share of the steps before the background moves
    # share of the motions that a picture is made without, but never the background's, and share of the steps with that
    cfg.drop = dict(motions=r.share(0.0), until=r.share(0.35))
    cfg.optimizer = optimizer_config(lr=2e-4, b1=0.5)
    cfg.rate_kp = 1.0  # the detector's learning rate, in terms of the others'
    cfg.ema = r.decay(0.0)  # decay of the averages of detector and generator; 0 leaves them out
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The keypoint detector kp, the generator g with its dense motion, bg of a background that moves, and the
    discriminator d, unless `loss.gan` is 0."""
    m, size, dtype = cfg.model, cfg.data.size, compute_dtype(cfg)
    k, picture = m.keypoints, arrays(1, size, size, m.channels)
    points = {name: arrays(1, k, 2, 2) if name.endswith('jacobian') else arrays(1, k, 2) for name in PAIR}
    grid = dict(align_corners=m.align_corners, bias=m.bias, dtype=dtype)
    found = {
        'kp': Net(
            KeypointDetector(keypoints=k, bias=m.bias, dtype=dtype, **m.kp),
            {'x': picture},
            ('value', 'jacobian'),
            round(2**m.kp.blocks / m.kp.scale),
        ),
        'g': Net(
            Generator(outputs=m.channels, **grid, **m.g.to_dict()),
            {'source': picture} | points,
            Generator.OUTPUTS,
            max(round(2**m.g.motion.blocks / m.g.motion.scale), 2**m.g.downs),
        ),
    }
    if m.background:
        bg, seen = Background(bias=m.bias, dtype=dtype, **m.bg), {'source': picture, 'driving': picture}
        found['bg'] = Net(bg, seen, ('matrix',))
    if cfg.loss.gan:
        d = m.d.to_dict()
        levels = {f'prediction_{s:g}': arrays(1, round(size * s), round(size * s), m.channels) for s in d['scales']}
        inputs = levels | ({'kp_value': arrays(1, k, 2)} if d['points'] else {})
        outputs = []
        for s in d['scales']:
            outputs += [f'prediction_map_{s:g}', *(f'feature_maps_{s:g}.{i}' for i in range(d['blocks']))]
        d['scales'] = tuple(d['scales'])
        found['d'] = Net(MultiScaleDiscriminator(dtype=dtype, **d), inputs, tuple(outputs), int(len(levels) == 1))
    return found


def check(cfg: ConfigDict) -> None:
    """Raises InputError where pictures do not fit the nets, or a file of features cannot be read."""
    size, m = cfg.data.size, cfg.model
    for name, net in nets(cfg).items():
        if net.multiple and size % net.multiple:
            raise InputError(f'config key data.size: {name} takes multiples of {net.multiple} pixels, not {size}')
    if m.g.motion.points and m.keypoints % m.g.motion.points:
        raise InputError(f'config key model.keypoints: {m.keypoints} are no whole splines of {m.g.motion.points}')
    if cfg.loss.gan and len(cfg.loss.matching) != m.d.blocks:
        raise InputError(f'config key loss.matching has {len(cfg.loss.matching)} weights for {m.d.blocks} blocks of d')
    if cfg.loss.gan and size * min(m.d.scales) < least(m.d.blocks):
        raise InputError(f'config key data.size: d needs {least(m.d.blocks)} pixels at each scale')
    frozen(cfg)


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters.

    Raises:
        InputError: if the nets do not take pictures of `data.size`.
    """
    params, stats = init_nets(nets(cfg), rng)
    opt = {name: optimizer(cfg.optimizer).init(params[name]) for name in params}
    ema = {name: jax.tree.map(jnp.copy, params[name]) for name in ('kp', 'g')} if cfg.ema else {}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=ema | {'batch_stats': stats})


def frozen(cfg: ConfigDict) -> dict:
    """VGG-19's weights, if the config names a file of them.

    Raises:
        InputError: if it cannot be read.
    """
    return {'vgg': read_features(cfg.features)} if cfg.features else {}


def keypoints(cfg: ConfigDict, params: dict, pictures: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of pictures [B, S, S, 3] in [-1, 1]: value [B, K, 2] and jacobian [B, K, 2, 2], see `ops.motion`."""
    return nets(cfg)['kp'].module.apply(_variables(params, 'kp'), pictures / 2 + 0.5)


def animate(
    cfg: ConfigDict,
    params: dict,
    pictures: jax.Array,
    source: tuple[jax.Array, ...],
    driving: tuple[jax.Array, ...],
    large: jax.Array | None = None,
) -> jax.Array:
    """Pictures [B, S, S, 3] in [-1, 1] whose keypoints were `source`, with `driving`; each (value, jacobian).

    Args:
        large: the same pictures with more pixels, [B, P, P, 3]. What is made has as many then: the net's motion moves
            them too, and their detail is laid over what the net makes wherever nothing hides it.
    """
    inputs = (pictures / 2 + 0.5, *source, *driving)
    made, moved, seen, _, grid = nets(cfg)['g'].module.apply(_variables(params, 'g'), *inputs)
    if large is None:
        return 2 * made - 1
    side = large.shape[1]
    made, moved, seen, grid = (stretch(x, side, side) for x in (made, moved, seen[..., -1:], grid))
    detail = sample(large / 2 + 0.5, grid, cfg.model.align_corners) - moved
    return 2 * jnp.clip(made + seen * detail, 0, 1) - 1


def _variables(params: dict, name: str) -> dict:
    return {'params': params[name], 'batch_stats': params['batch_stats'].get(name, {})}


def drawn(cfg: ConfigDict, batch: dict) -> tuple[jax.Array, jax.Array, equivariance.Bend]:
    """Source and driving frames [B, S, S, 3] in [0, 1], augmented alike, and the bends of this step."""
    keys = jax.vmap(lambda key: jax.random.split(key, 3))(batch['key'])  # [B, 3]
    a, frames = cfg.augment, []
    for side in ('source', 'driving'):
        picture = jitter_colour(a, keys[:, 0], batch[side]['image'] / 255)
        frames.append(jitter(keys[:, 1], picture, a.enlarge, a.flip))
    return *frames, equivariance.random_bends(keys[:, 2], cfg.bend.affine, cfg.bend.spline, cfg.bend.points)


def past(cfg: ConfigDict, state: State, net: dict, applied: Callable, batch: dict, pictures: tuple) -> tuple:
    """Past the original: how the background moves, which motions are left, None each where they do not, and terms.

    Args:
        applied: (net, *inputs) -> what it gives.
        pictures: source and driving, [B, S, S, 3] in [0, 1].
    """
    camera, left, terms, source, driving = None, None, {}, *pictures
    if cfg.drop.motions:
        count = cfg.model.keypoints // max(cfg.model.g.motion.points, 1)
        share = jnp.where(state.step < cfg.drop.until * state.horizon, cfg.drop.motions, 0)
        left = left_motions(batch['key'], share, count)
    if 'bg' in net:
        both = jnp.concatenate([source, driving]), jnp.concatenate([driving, source])
        camera, back = jnp.split(applied('bg', *both), 2)
        terms['g/background'] = cfg.loss.background * round_trip(camera, back)
        camera = jnp.where(state.step < cfg.background_from * state.horizon, STILL, camera)
    return camera, left, terms


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of all nets. `batch` is 'clips' of `dfjax.data.batches`."""
    net, o = nets(cfg), cfg.optimizer
    params, opt, stats = dict(state.params), dict(state.opt), dict(state.ema['batch_stats'])

    source, driving, bend = drawn(cfg, batch)

    # Detector and generator
    def run(trained: dict, averages: dict) -> Callable:
        def applied(name: str, *inputs: jax.Array) -> tuple[jax.Array, ...]:
            variables = {'params': trained[name], 'batch_stats': averages.get(name, {})}
            out, changed = net[name].module.apply(variables, *inputs, train=True, mutable=['batch_stats'])
            averages.update({name: changed['batch_stats']} if changed.get('batch_stats') else {})
            return out

        return applied

    def cost(trained: dict) -> tuple[jax.Array, tuple]:
        averages = dict(stats)
        applied = run(params | trained, averages)
        bent = equivariance.bend_pictures(bend, driving, cfg.model.align_corners)
        found = applied('kp', jnp.concatenate([source, driving, bent]))  # its norms share their moments
        here, there, bent = zip(*(jnp.split(x, 3) for x in found))
        camera, left, terms = past(cfg, state, net, applied, batch, (source, driving))
        made = applied('g', source, *here, *there, camera, left)[0]
        terms |= {
            'g/perceptual': picture_distance(state.frozen.get('vgg'), made, driving, cfg.loss),
            'g/value': cfg.loss.value * equivariance.value_loss(bend, there[0], bent[0]),
        }
        if cfg.model.kp.jacobian:
            terms['g/jacobian'] = cfg.loss.jacobian * equivariance.jacobian_loss(bend, there[1], *bent)
        points = jax.lax.stop_gradient(there[0])
        if 'd' in net:
            terms |= adversarial_terms(cfg, run(params, dict(stats)), made, driving, points)
        return sum(terms.values()), (terms, averages, made, points)

    trained = {name: params[name] for name in net if name != 'd'}
    grads, (terms, averages, made, points) = jax.grad(cost, has_aux=True)(trained)
    rate = learning_rate(o, state.step, state.horizon)
    for name in trained:
        own = cfg.rate_kp * rate if name == 'kp' else rate
        params[name], opt[name] = apply_grads(o, own, params[name], grads[name], opt[name])
    metrics = terms | {'total': sum(terms.values()), 'rate': rate}

    # Discriminator
    if 'd' in net:

        def d_cost(d: dict) -> tuple[jax.Array, dict]:
            own = dict(averages)
            scales = zip(*discriminate(cfg, run({'d': d}, own), made, driving, points))
            return cfg.loss.gan * sum(d_loss('lsgan', real[0], fake[0]) for fake, real in scales), own

        (metrics['d/adv'], averages), grads = jax.value_and_grad(d_cost, has_aux=True)(params['d'])
        params['d'], opt['d'] = apply_grads(o, rate, params['d'], grads, opt['d'])

    # The rest
    ema = {name: params[name] for name in ('kp', 'g') if name in state.ema}
    ema = ema_update({name: state.ema[name] for name in ema}, ema, cfg.ema, state.step)
    averages = mean_over_devices(averages)
    state = state.replace(step=state.step + 1, params=params, opt=opt, ema=ema | {'batch_stats': averages})
    return state, mean_over_devices(metrics)


def adversarial_terms(cfg: ConfigDict, applied: Callable, made: jax.Array, real: jax.Array, points: jax.Array) -> dict:
    """'g/adv' and 'g/matching' of pictures [B, S, S, C] in [0, 1]; `applied(net, *inputs)` runs a net."""
    scales = list(zip(*discriminate(cfg, applied, made, real, points)))
    near = sum(feature_distance(fake[1:], true[1:], cfg.loss.matching) for fake, true in scales)
    return {'g/adv': cfg.loss.gan * sum(g_loss('lsgan', fake[0]) for fake, _ in scales), 'g/matching': near}


def discriminate(
    cfg: ConfigDict, applied: Callable, fake: jax.Array, real: jax.Array, points: jax.Array
) -> tuple[list, list]:
    """The discriminator's logits and feature maps at each scale, of fakes and of real pictures."""
    d, pictures = cfg.model.d, jnp.concatenate([fake, real])
    shown = [jnp.concatenate([points, points])] if d.points else []
    out = [jnp.split(x, 2) for x in applied('d', *(shrink(pictures, scale) for scale in d.scales), *shown)]
    each = d.blocks + 1  # arrays a scale
    return tuple([[x[side] for x in out[i : i + each]] for i in range(0, len(out), each)] for side in range(2))


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example the source, the driving frame, and the source moved as that: [3B, S, S, 3]."""
    params = state.params | state.ema
    source, driving = (to_float(batch[side]['image']) for side in ('source', 'driving'))
    made = animate(cfg, params, source, keypoints(cfg, params, source), keypoints(cfg, params, driving))
    return jnp.stack([source, driving, made], 1).reshape(-1, *source.shape[1:])

"""AMP, DeepFaceLab's morphable swap: from the person in the video to the one put in by as much as is asked for.

Side `a` is the person in the video, DeepFaceLab's dst, and side `b` the person put in, its src. An encoder and a
decoder serve both; each person has an inter, whose map of `model.inter` channels the decoder paints a face from. Faces
of a are learnt from a's map. Those of b are learnt from maps of which each channel comes from b's inter with
probability `mixed` and else from a's, drawn anew for every face: so every channel means the same in both. In a swap the
first share `morph` of the channels is b's: 0 is a, 1 is b, and between them is somebody who resembles both.

Losses are SAEHD's of pictures in [0, 1], with priority for eyes and mouth, and for a's what is off the face, faintly.
The original's inters never learnt; here they do, as its authors meant.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.data import augment
from dfjax.data.faces.align import FACE_TYPES
from dfjax.errors import InputError
from dfjax.losses import saehd as losses
from dfjax.losses.adversarial import d_loss, g_loss
from dfjax.losses.identity import identity, identity_net
from dfjax.losses.image import total_variation
from dfjax.models import amp, saehd
from dfjax.ops.colour import COLOURS
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.image import resize, to_float
from dfjax.ops.optimize import apply_grads, dropped, ema_update, optimizer
from dfjax.systems.saehd import augmented, rate_of, shown
from dfjax.systems.state import Net, State, arrays, common_config, compute_dtype, init_nets, optimizer_config

BATCH = 'faces_ab'
COLUMNS = ('b', 'a', 'a again', 'half-way to b', 'three quarters', 'b: the swap')  # names of those of a preview
SIDES = ('a', 'b')
GENERATOR = ('encoder', 'inter_a', 'inter_b', 'decoder')


def default_config() -> ConfigDict:
    """DeepFaceLab's defaults: 224 px, the whole face."""
    cfg = common_config()
    cfg.system = 'amp'
    cfg.batch_size = 8  # faces of each person
    cfg.data = dict(
        a='render:1:256',
        b='render:2:256',
        size=r.between(saehd.SMALLEST, saehd.LARGEST, 224),  # a multiple of 32
        face_type=r.choice('whole_face', FACE_TYPES),
        canonical=False,  # whether faces are bent to the shape of the mean face first
        uniform_yaw=False,  # whether faces that look to any side come equally often
        resident_bytes=2**30,
    )
    cfg.model = amp.default_config()
    cfg.discriminator = dict(
        patch=r.size(28),  # pixels, the side of what a logit of the first head sees
        width=r.size(16),
    )
    cfg.augment = augment.default_config()
    cfg.augment.flip = 0.0
    cfg.colour = r.choice('none', COLOURS)  # how a face of b takes over the colours of one of a before it is learnt
    cfg.mixed = r.share(0.5)  # probability that a channel is of b's own inter, where faces of b are learnt
    cfg.morph = r.share(1.0)  # share of channels that a swap has of b's
    cfg.loss = dict(
        masked=True,  # whether what is off the face counts for nothing but the mask, and faintly
        dssim=10.0,  # weight of the structural dissimilarity
        mse=10.0,  # weight of the mean squared difference of pixels
        mask=10.0,  # weight of the mean squared difference of masks
        features=300.0,  # over eyes and mouth
        background=0.1,  # what is off a's face
        spots=1e-6,  # total variation there
        gan=0.0,  # 0.1 is usual
        identity=0.0,  # weight of how much further a swap is from b than b's own faces are, by dlib's descriptor
    )
    cfg.optimizer = optimizer_config(kind='adabelief_uncorrected', lr=5e-5, eps=1e-6)
    cfg.dropout = r.share(0.0)  # share of parameters that a step leaves as they are; 0.7 in the original, with a wave
    cfg.ema = r.decay(0.995)
    return cfg


def frozen(cfg: ConfigDict) -> dict:
    """The net that tells people apart, where the loss asks for it."""
    return identity_net(cfg.loss.identity)


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The nets by name; a discriminator only where `loss.gan` asks for one."""
    size, dtype = cfg.data.size, compute_dtype(cfg)
    side = size // amp.STEP
    given = {
        'encoder': ({'x': arrays(1, size, size, 3)}, ('code',)),
        'inter': ({'code': arrays(1, cfg.model.code)}, ('map',)),
        'decoder': ({'map': arrays(1, side, side, cfg.model.inter)}, ('y', 'mask')),
    }
    modules = amp.generator(cfg.model, size, dtype)
    found = {name: Net(module, *given[name.partition('_')[0]]) for name, module in modules.items()}
    if cfg.loss.gan:
        module = saehd.UNetDiscriminator(**cfg.discriminator, dtype=dtype)
        found['discriminator'] = Net(module, {'x': arrays(1, size, size, 3)}, ('patches', 'pixels'))
    return found


def check(cfg: ConfigDict) -> None:
    """Raises InputError if the nets cannot take pictures of `data.size`."""
    amp.check(cfg.data.size)
    if cfg.data.canonical:
        raise InputError('config key data.canonical is false for this system, which learns faces as they are')


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters; raises as `check`."""
    check(cfg)
    params, _ = init_nets(nets(cfg), rng)
    generator = {name: params[name] for name in GENERATOR}
    start = optimizer(cfg.optimizer).init
    opt = {'nets': start(generator)} | ({'discriminator': start(params['discriminator'])} if cfg.loss.gan else {})
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=jax.tree.map(jnp.copy, generator))


def applied(cfg: ConfigDict, params: dict, name: str, x: jax.Array) -> jax.Array | tuple[jax.Array, jax.Array]:
    """What the net of that name gives."""
    return nets(cfg)[name].module.apply({'params': params[name]}, x)


def morph(cfg: ConfigDict, params: dict, codes: jax.Array, share: float | jax.Array) -> jax.Array:
    """The maps of codes [B, N] whose first share of channels is of b's inter: [B, s, s, C]."""
    of_b = jnp.arange(cfg.model.inter) < jnp.floor(share * cfg.model.inter)
    return jnp.where(of_b, applied(cfg, params, 'inter_b', codes), applied(cfg, params, 'inter_a', codes))


def swap(
    cfg: ConfigDict,
    params: dict,
    frozen: dict,
    pictures: jax.Array,
    landmarks: jax.Array,
    side: str = 'b',
    person: dict | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The faces of `pictures` [B, S, S, 3] in [-1, 1], by `cfg.morph` those of person b; with `side` 'a' those of a.

    Returns:
        Faces [B, S, S, 3] in [-1, 1] and where they may be pasted, [B, S, S, 1] in [0, 1].
    """
    maps = morph(cfg, params, applied(cfg, params, 'encoder', pictures), cfg.morph if side == 'b' else 0.0)
    return applied(cfg, params, 'decoder', maps)


def learnt(cfg: ConfigDict, params: dict, keys: jax.Array, pair: dict) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Both persons' faces in [0, 1] and masks, as they are learnt; `keys` [B] draw the channels of b's own inter."""
    codes = applied(cfg, params, 'encoder', jnp.concatenate([pair[side]['input'] for side in SIDES]))
    _, code = jnp.split(codes, 2)
    own = jax.vmap(lambda key: jax.random.bernoulli(key, cfg.mixed, (1, 1, cfg.model.inter)))(keys)  # [B, 1, 1, C]
    of_a, other = jnp.split(applied(cfg, params, 'inter_a', codes), 2)
    maps = jnp.concatenate([of_a, jnp.where(own, applied(cfg, params, 'inter_b', code), other)])
    faces, masks = applied(cfg, params, 'decoder', maps)
    return dict(zip(SIDES, zip(jnp.split((faces + 1) / 2, 2), jnp.split(masks, 2))))


def terms_of(cfg: ConfigDict, made: dict, pair: dict) -> dict[str, jax.Array]:
    """The terms of both reconstructions."""
    w, found = cfg.loss, {}
    for side in SIDES:
        found |= {f'{side}/{k}': v for k, v in losses.reconstruction(w, *made[side], pair[side]).items()}
    if w.masked:
        off = 1 - losses.inside(losses.softened(pair['a']['mask']))
        found['a/background'] = w.background * losses.off_the_face(made['a'][0], pair['a'])
        found['a/spots'] = w.spots * total_variation(made['a'][0] * off).mean()
    return found


def heads(cfg: ConfigDict, params: dict, faces: dict, pair: dict) -> list[jax.Array]:
    """What the discriminator says of both persons' faces in [0, 1]: two maps of logits each."""
    return [x for s in SIDES for x in applied(cfg, params, 'discriminator', shown(cfg, faces[s], pair[s]))]


def discriminate(cfg: ConfigDict, params: dict, faces: dict, pair: dict) -> jax.Array:
    """The discriminator's loss: the mean of its cross entropies over heads, people, and real and made faces."""
    real = heads(cfg, params, {side: pair[side]['target'] for side in SIDES}, pair)
    fake = heads(cfg, params, faces, pair)
    return sum(d_loss('vanilla', *both) for both in zip(real, fake)) / (2 * len(real))


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of everything, augmentation included. `batch` is 'faces_ab' of `dfjax.data.batches`."""
    # The data of this step
    pair, params, opt = augmented(cfg, batch), dict(state.params), dict(state.opt)
    channels = jax.vmap(lambda key: jax.random.fold_in(key, len(SIDES)))(batch['key'])
    rate, keys = rate_of(cfg, state), jax.random.split(batch['step_key'])

    def update(key: jax.Array, own: dict, grads: dict, moments: dict) -> tuple[dict, dict]:
        new, moments = apply_grads(cfg.optimizer, rate, own, grads, moments)
        return dropped(key, cfg.dropout, own, new) if cfg.dropout else new, moments

    # Encoder, inters and decoder
    def generator_loss(own: dict) -> tuple[jax.Array, tuple[dict, dict]]:
        made = learnt(cfg, own, channels, pair)
        terms, faces = terms_of(cfg, made, pair), {side: face for side, (face, _) in made.items()}
        if cfg.loss.gan:
            terms['g/adv'] = cfg.loss.gan * sum(g_loss('vanilla', head) for head in heads(cfg, params, faces, pair))
        codes = lambda: applied(cfg, own, 'encoder', pair['a']['input'])
        swapped = lambda: applied(cfg, own, 'decoder', morph(cfg, own, codes(), 1.0))[0]
        terms |= identity(cfg.loss.identity, state.frozen, swapped, 2 * pair['b']['target'] - 1, pair)
        return sum(terms.values()), (terms, faces)

    own = {name: params[name] for name in GENERATOR}
    grads, (metrics, faces) = jax.grad(generator_loss, has_aux=True)(own)
    new, opt['nets'] = update(keys[0], own, grads, opt['nets'])

    # Discriminator
    if cfg.loss.gan:
        cost = lambda own: discriminate(cfg, {'discriminator': own}, faces, pair)
        metrics['d/adv'], grads = jax.value_and_grad(cost)(params['discriminator'])
        judge, opt['discriminator'] = update(keys[1], params['discriminator'], grads, opt['discriminator'])
        new |= {'discriminator': judge}

    # The rest
    metrics = mean_over_devices(metrics | {'total': sum(metrics.values())}) | {'rate': rate}
    ema = ema_update(state.ema, {name: new[name] for name in GENERATOR}, cfg.ema, state.step)
    return state.replace(step=state.step + 1, params=new, opt=opt, ema=ema), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example b, a, a again, half-way to b, three quarters, and b: [6B, S, S, 3]."""
    size, ema = cfg.data.size, state.ema
    real = {side: resize(to_float(batch[side]['image']), size) for side in SIDES}
    codes = applied(cfg, ema, 'encoder', real['a'])
    made = [applied(cfg, ema, 'decoder', morph(cfg, ema, codes, share))[0] for share in (0.0, 0.5, 0.75, 1.0)]
    return jnp.clip(jnp.stack([real['b'], real['a'], *made], 1).reshape(-1, size, size, 3), -1, 1)

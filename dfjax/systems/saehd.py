"""SAEHD, DeepFaceLab's face swap (Perov et al. 2020): faces as they are, with masks that it learns.

Side `a` is the person in the video, DeepFaceLab's dst, and side `b` the person put in, its src. One encoder serves
both. With `model.kind` 'df' so does one inter, and each person has a decoder. With 'liae' the decoder serves both too,
and of two inters `inter_a` sees a's faces alone: b's faces are decoded from the other's map, twice. So is a swap, which
takes over more of a's light and shape than df's.

Losses are of pictures in [0, 1] with the original's weights. Terms that an option adds: `loss.features` over eyes and
mouth, `loss.face_style` and `loss.background_style` that give the swap a's colours, `loss.true_face` (df) that makes
codes of both people alike, and `loss.gan` by patches and by pixels. With `colour` b's faces are given a's colours as
they are learnt, which a swap then has by itself.
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
from dfjax.models import saehd
from dfjax.ops.colour import COLOURS, match_colour
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.image import resize
from dfjax.ops.optimize import apply_grads, dropped, ema_update, learning_rate, optimizer
from dfjax.systems.state import Net, State, arrays, common_config, compute_dtype, init_nets, optimizer_config

BATCH = 'faces_ab'
COLUMNS = ('b', 'b again', 'a', 'a again', 'a as b: the swap')  # names of those of a preview
WAVE = 500  # steps of a wave of the rate, where parameters are left as they are


def default_config() -> ConfigDict:
    """DeepFaceLab's defaults: liae-ud at 128 px."""
    cfg = common_config()
    cfg.system = 'saehd'
    cfg.batch_size = 8  # faces of each person
    cfg.data = dict(
        a='render:1:256',
        b='render:2:256',
        size=r.between(saehd.SMALLEST, saehd.LARGEST, 128),  # a multiple of 16, or of 32 with option d or t
        face_type=r.choice('full', FACE_TYPES),
        canonical=False,  # whether faces are bent to the shape of the mean face first
        uniform_yaw=False,  # whether faces that look to any side come equally often
        resident_bytes=2**30,
    )
    cfg.model = saehd.default_config()
    cfg.discriminator = dict(
        patch=r.size(16),  # side of the part of a picture that a logit sees, in pixels
        width=r.size(16),  # channels of its first map
    )
    cfg.augment = augment.default_config()  # without a warp liae's inter_ab learns no more, but for `pretrain`
    cfg.colour = r.choice('none', COLOURS)  # how a face of b takes over the colours of one of a before it is learnt
    cfg.pretrain = False  # whether this is of many people, to begin other runs with
    cfg.loss = dict(
        masked=True,  # whether what is off the face counts for nothing but the mask
        dssim=10.0,  # weight of the structural dissimilarity
        mse=10.0,  # weight of the mean squared error
        mask=10.0,  # weight of the error of masks
        features=0.0,  # over eyes and mouth; 300 in the original, where they have priority
        face_style=0.0,  # percent
        background_style=0.0,  # percent
        true_face=0.0,  # df alone; 0.01 is usual
        gan=0.0,  # 0.1 is usual
        identity=0.0,  # weight of how much further a swap is from b than b's own faces are, by dlib's descriptor
        spots=1e-6,  # total variation, against bright dots by a GAN
        background=0.02,  # likewise, what is off the face
    )
    cfg.optimizer = optimizer_config(kind='adabelief_uncorrected', lr=5e-5, eps=1e-6)
    cfg.dropout = r.share(0.0)  # share of parameters that a step leaves as they are; 0.7 in the original, with a wave
    cfg.ema = r.decay(0.995)
    return cfg


def frozen(cfg: ConfigDict) -> dict:
    """The net that tells people apart, where the loss asks for it."""
    return identity_net(cfg.loss.identity)


def generator_nets(cfg: ConfigDict) -> dict[str, Net]:
    """Encoder, inters and decoders."""
    size = cfg.data.size
    side, _, width = saehd.code_shape(cfg.model, size)
    code = arrays(1, side, side, width if cfg.model.kind == 'df' else 2 * width)
    given = {
        'encoder': ({'x': arrays(1, size, size, 3)}, ('row',)),
        'inter': ({'row': arrays(1, saehd.row_length(cfg.model, size))}, ('code',)),
        'decoder': ({'code': code}, ('y', 'mask')),
    }
    modules = saehd.generator(cfg.model, size, compute_dtype(cfg))
    return {name: Net(module, *given[name.partition('_')[0]]) for name, module in modules.items()}


def discriminator_nets(cfg: ConfigDict) -> dict[str, Net]:
    """Those that the loss asks for."""
    found, size, dtype = {}, cfg.data.size, compute_dtype(cfg)
    if cfg.loss.gan:
        module = saehd.UNetDiscriminator(**cfg.discriminator, dtype=dtype)
        found['discriminator'] = Net(module, {'x': arrays(1, size, size, 3)}, ('patches', 'pixels'))
    if cfg.loss.true_face:
        code = arrays(1, *saehd.code_shape(cfg.model, size))
        found['code_discriminator'] = Net(saehd.CodeDiscriminator(dtype=dtype), {'code': code})
    return found


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The nets by name."""
    return generator_nets(cfg) | discriminator_nets(cfg)


def trained(cfg: ConfigDict) -> list[str]:
    """The generator's nets that learn."""
    still = not cfg.augment.warp and not cfg.pretrain
    return [name for name in generator_nets(cfg) if not (still and name == 'inter_ab')]


def check(cfg: ConfigDict) -> None:
    """Raises InputError if size, options and losses do not go together."""
    saehd.check(cfg.model, cfg.data.size)
    if cfg.loss.true_face and cfg.model.kind != 'df':
        raise InputError(f"config key loss.true_face is for model.kind 'df', not {cfg.model.kind!r}")
    if cfg.data.canonical:
        raise InputError('config key data.canonical is false for this system, which learns faces as they are')


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters; df's decoders start alike. Raises InputError as `check`."""
    check(cfg)
    params, _ = init_nets(nets(cfg), rng)
    if 'decoder_a' in params:
        params['decoder_b'] = jax.tree.map(jnp.copy, params['decoder_a'])
    start = optimizer(cfg.optimizer).init
    opt = {'nets': start({name: params[name] for name in trained(cfg)})}
    opt |= {name: start(params[name]) for name in discriminator_nets(cfg)}
    ema = {name: jax.tree.map(jnp.copy, params[name]) for name in generator_nets(cfg)}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=ema)


def applied(cfg: ConfigDict, params: dict, name: str, x: jax.Array) -> jax.Array | tuple[jax.Array, jax.Array]:
    """What the net of that name gives."""
    return nets(cfg)[name].module.apply({'params': params[name]}, x)


def code_of(cfg: ConfigDict, params: dict, rows: jax.Array, side: str) -> jax.Array:
    """What rows [B, N] of the encoder are decoded from as a face of `side`: [B, s, s, C]."""
    if cfg.model.kind == 'df':
        return applied(cfg, params, 'inter', rows)
    shared = applied(cfg, params, 'inter_ab', rows)
    return jnp.concatenate([applied(cfg, params, 'inter_a', rows) if side == 'a' else shared, shared], -1)


def decode(cfg: ConfigDict, params: dict, code: jax.Array, side: str) -> tuple[jax.Array, jax.Array]:
    """Faces [B, S, S, 3] in [-1, 1] and masks [B, S, S, 1] in [0, 1]."""
    return applied(cfg, params, f'decoder_{side}' if cfg.model.kind == 'df' else 'decoder', code)


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
        Faces [B, S, S, 3] in [-1, 1] and where they may be pasted, [B, S, S, 1] in [0, 1].
    """
    return decode(cfg, params, code_of(cfg, params, applied(cfg, params, 'encoder', pictures), side), side)


def generate(cfg: ConfigDict, params: dict, frozen: dict, pair: dict) -> tuple[dict, dict, dict]:
    """The terms of both reconstructions and of styles; both persons' faces in [0, 1]; both persons' codes."""
    w, sides = cfg.loss, ('a', 'b')
    rows = applied(cfg, params, 'encoder', jnp.concatenate([pair[side]['input'] for side in sides]))
    rows = dict(zip(sides, jnp.split(rows, 2)))
    codes = {side: code_of(cfg, params, rows[side], side) for side in sides}
    if cfg.model.kind == 'df':
        made = {side: decode(cfg, params, codes[side], side) for side in sides}
    else:  # one decoder, at once
        both = decode(cfg, params, jnp.concatenate([codes[side] for side in sides]), 'b')
        made = dict(zip(sides, zip(*(jnp.split(x, 2) for x in both))))
    made = {side: ((face + 1) / 2, mask) for side, (face, mask) in made.items()}
    terms = {}
    for side in sides:
        terms |= {f'{side}/{k}': v for k, v in losses.reconstruction(w, *made[side], pair[side]).items()}
    if w.face_style or w.background_style:
        code = code_of(cfg, params, rows['a'], 'b')
        still = jax.lax.stop_gradient
        if w.face_style:
            face, mask = decode(cfg, params, still(code), 'b')
            like = still(made['a'][0] * made['a'][1])
            terms['style/face'] = losses.face_style(w.face_style / 100, (face + 1) / 2 * still(mask), like)
        if w.background_style:
            face, soft = decode(cfg, params, code, 'b')[0], losses.softened(pair['a']['mask'])
            power = w.background_style / 100
            terms['style/background'] = losses.background_style(w, power, (face + 1) / 2, pair['a']['target'], soft)
    swapped = lambda: decode(cfg, params, code_of(cfg, params, rows['a'], 'b'), 'b')[0]
    terms |= identity(w.identity, frozen, swapped, 2 * pair['b']['target'] - 1, pair)
    return terms, {side: face for side, (face, _) in made.items()}, codes


def shown(cfg: ConfigDict, faces: jax.Array, pair: dict) -> jax.Array:
    """What the discriminator sees of b's faces in [0, 1]."""
    return faces * losses.inside(losses.softened(pair['mask'])) if cfg.loss.masked else faces


def adversarial(cfg: ConfigDict, params: dict, faces: jax.Array, codes: dict, pair: dict) -> dict:
    """The generator's terms by the discriminators."""
    w, terms = cfg.loss, {}
    if w.gan:
        heads = applied(cfg, params, 'discriminator', shown(cfg, faces, pair))
        terms['g/adv'] = w.gan * sum(g_loss('vanilla', head) for head in heads)
        if w.masked:
            terms['g/spots'] = w.spots * total_variation(faces).mean()
            terms['g/background'] = w.background * losses.off_the_face(faces, pair)
    if w.true_face:
        terms['g/code'] = w.true_face * g_loss('vanilla', applied(cfg, params, 'code_discriminator', codes['b']))
    return terms


def discriminate(cfg: ConfigDict, params: dict, faces: jax.Array, codes: dict, pair: dict) -> dict[str, jax.Array]:
    """The discriminators' losses, by their names."""
    costs = {}
    if cfg.loss.gan:
        real, fake = (applied(cfg, params, 'discriminator', shown(cfg, x, pair)) for x in (pair['target'], faces))
        costs['discriminator'] = sum(d_loss('vanilla', *heads) for heads in zip(real, fake)) / 2
    if cfg.loss.true_face:
        logits = (applied(cfg, params, 'code_discriminator', codes[side]) for side in ('a', 'b'))
        costs['code_discriminator'] = d_loss('vanilla', *logits) / 2
    return costs


def augmented(cfg: ConfigDict, batch: dict) -> dict:
    """Both sides' training pairs, as `augment.warped_pair` returns them, with targets in [0, 1]."""
    pair, faces = {}, {side: batch[side] for side in ('a', 'b')}
    if cfg.colour != 'none':
        own, other = (batch[side]['image'].astype(jnp.float32) / 255 for side in ('b', 'a'))
        whole = jnp.ones_like(own[..., :1])
        faces['b'] = faces['b'] | {'image': 255 * match_colour(cfg.colour, own, other, whole, whole)}
    for i, side in enumerate(('a', 'b')):
        keys = jax.vmap(lambda key, i=i: jax.random.fold_in(key, i))(batch['key'])
        pair[side] = augment.warped_pair(cfg.augment, keys, faces[side], cfg.data.size, cfg.data.size)
        pair[side]['target'] = (pair[side]['target'] + 1) / 2
    return pair


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of everything, augmentation included. `batch` is 'faces_ab' of `dfjax.data.batches`."""
    pair, params, opt = augmented(cfg, batch), dict(state.params), dict(state.opt)
    rate = rate_of(cfg, state)

    def generator_loss(own: dict) -> tuple[jax.Array, tuple]:
        terms, faces, codes = generate(cfg, params | own, state.frozen, pair)
        terms |= adversarial(cfg, params | own, faces['b'], codes, pair['b'])
        return sum(terms.values()), (terms, faces['b'], codes)

    def update(key: jax.Array, own: dict, grads: dict, moments: dict) -> tuple[dict, dict]:
        new, moments = apply_grads(cfg.optimizer, rate, own, grads, moments)
        return dropped(key, cfg.dropout, own, new) if cfg.dropout else new, moments

    keys = jax.random.split(batch['step_key'], 3)
    own = {name: params[name] for name in trained(cfg)}
    grads, (metrics, faces, codes) = jax.grad(generator_loss, has_aux=True)(own)
    new, opt['nets'] = update(keys[0], own, grads, opt['nets'])
    for key, name in zip(keys[1:], discriminator_nets(cfg)):
        cost = lambda p, name=name: discriminate(cfg, params | {name: p}, faces, codes, pair['b'])[name]
        metrics[f'd/{name}'], grads = jax.value_and_grad(cost)(params[name])
        new[name], opt[name] = update(key, params[name], grads, opt[name])

    params |= new
    metrics = mean_over_devices(metrics | {'total': sum(metrics.values())}) | {'rate': rate}
    ema = ema_update(state.ema, {name: params[name] for name in state.ema}, cfg.ema, state.step)
    return state.replace(step=state.step + 1, params=params, opt=opt, ema=ema), metrics


def rate_of(cfg: ConfigDict, state: State) -> jax.Array:
    """The learning rate of this step, which falls to 0 and rises again where parameters are left as they are."""
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)
    return rate * (jnp.cos(2 * jnp.pi / WAVE * state.step) + 1) / 2 if cfg.dropout else rate


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example b, b again, a, a again, a as b: [5B, S, S, 3]."""
    size, rows = cfg.data.size, []
    real = {side: resize(batch[side]['image'].astype(jnp.float32), size) / 127.5 - 1 for side in ('a', 'b')}
    for side, whose in (('b', 'b'), ('a', 'a'), ('a', 'b')):
        made, _ = swap(cfg, state.ema, {}, real[side], batch[side]['landmarks'], whose)
        rows += [made] if side != whose else [real[side], made]
    return jnp.clip(jnp.stack(rows, 1).reshape(-1, size, size, 3), -1, 1)

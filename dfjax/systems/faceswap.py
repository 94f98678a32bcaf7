"""Face swap: one encoder for everybody, one decoder a person (Perov et al. 2020, DeepFaceLab, and before it).

Side `a` is the person in the video, side `b` the person put in. Each decoder learns to undo a random warp of its own
person's faces; the encoder serves both, so its code keeps what the two share: pose, expression, light. A face of `a`
through the encoder and decoder `b` is the swap.

What this adds to the classic recipe: landmarks. Faces are bent to the shape of a mean face before the nets see them,
and what the decoder paints is bent to where the landmarks are to be: b's mean and a's offsets from his own, so that the
face has b's proportions and a's expression, even where b never opened the mouth so wide. The nets learn looks alone,
gaze, teeth and light, at places that never move. The encoder is shown by how much a picture differs from its person's
mean picture, and told the offsets: whose face it is hardly enters, so that decoder b finds in the code of a's face what
it knows from b's. Code and offsets that are far from b's usual are brought nearer: a decoder paints stains further out.
Past its outline a face is plain skin to the decoders: they paint no hair, and serve every outline.

A decoder begins with reference pictures of its person, chosen when the run starts and mixed place by place by how near
their landmarks lie. It learns where and how much of each, and paints what is in none of them; before the first step the
swap is that mixture. See `ops.references`.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.data import augment
from dfjax.data.faces.align import FACE_TYPES
from dfjax.data.faces.canonical import mean_features, mean_shape
from dfjax.data.faces.references import references_of, resized
from dfjax.data.sets.open import open_dataset
from dfjax.errors import InputError
from dfjax.losses.adversarial import d_loss, g_loss
from dfjax.losses.identity import identity, identity_net
from dfjax.losses.image import reconstruction
from dfjax.models import autoencoder, patchgan
from dfjax.models.patchgan import PatchGAN
from dfjax.ops import moments, references
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.exact import einsum
from dfjax.ops.expression import limited, transfer_expression
from dfjax.ops.image import pooled, resize, sample_smaller, smaller, to_float
from dfjax.ops.optimize import apply_grads, ema_update, learning_rate, optimizer
from dfjax.ops.skin import COARSER
from dfjax.ops.thinplate import bend, spline_basis
from dfjax.systems.state import Net, State, arrays, common_config, compute_dtype, init_nets, optimizer_config

BATCH = 'faces_ab'
COLUMNS = ('a', 'a again', 'a as b: the swap', 'b', 'b again', 'b as a')  # names of those of a preview
SIDES = ('a', 'b')
SEEN = 400  # faces of each person that references are chosen from
KNOWN = 64  # batches that the moments of these faces count for
REACH = 1.1  # standard deviations of a person's own from the mean, which codes hardly leave in a swap
MOVES = 1.8  # likewise of landmarks: with more a face is moved better, and less like the person


def default_config() -> ConfigDict:
    """The light network and the recipe that two CPU cores train in minutes."""
    cfg = common_config()
    cfg.system = 'faceswap'
    cfg.batch_size = 16  # faces of each person
    cfg.data = dict(
        a='render:1:256',
        b='render:2:256',
        size=r.size(160),
        face_type=r.choice('full', FACE_TYPES),
        canonical=True,  # whether faces are bent to the shape of the mean face first
        uniform_yaw=False,  # whether faces that look to any side come equally often
        resident_bytes=2**30,
    )
    cfg.input_size = r.size(64)  # side of the picture that the encoder sees
    cfg.model = autoencoder.default_config()
    cfg.references = dict(
        count=r.between(0, 64, 16),  # pictures of each person; 0 for none
        size=r.between(1, 1024, 320),  # their side in pixels, and that of converted faces; a multiple of data.size
    )
    cfg.discriminator = patchgan.default_config(norm='instance')
    cfg.augment = augment.default_config()
    cfg.augment.update(flip=0.0, warp=3 / 256)
    cfg.loss = dict(
        l1=1.0,  # weight of the mean difference of pixels
        dssim=2.0,  # weight of the structural dissimilarity
        window=r.size(7),  # side of the SSIM window, in pixels
        mask=0.0,  # for a decoder with a mask, which faces without shape do not need
        gan=0.0,  # 0 leaves the discriminator out
        identity=0.0,  # weight of how much further a swap is from b than b's own faces are, by dlib's descriptor
        outside=0.05,  # weight of pixels off the face, against 1 on it
        features=2.0,  # what is added over eyes and mouth
    )
    cfg.optimizer = optimizer_config(lr=2e-3, schedule='cosine', warmup=100, b1=0.9, b2=0.99, clip=1.0)
    cfg.ema = r.decay(0.995)
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The nets by name; a discriminator only where `loss.gan` asks for one."""
    dtype, size, count = compute_dtype(cfg), cfg.input_size, cfg.references.count
    encoder = autoencoder.Encoder(**cfg.model.encoder, dtype=dtype)
    decoder = autoencoder.Decoder(**cfg.model.decoder, references=count, dtype=dtype)
    offsets = {'offsets': arrays(1, 68, 2)} if cfg.data.canonical else {}
    outputs = ('y', 'mask', 'mixture') if count else ('y', 'mask')
    decoder = Net(decoder, {'code': arrays(1, *encoder.code_shape())}, outputs)
    found = {
        'encoder': Net(encoder, {'x': arrays(1, size, size, 3)} | offsets, ('code',)),
        'decoder_a': decoder,
        'decoder_b': decoder,
    }
    if cfg.loss.gan:
        pictures = {'x': arrays(1, cfg.data.size, cfg.data.size, 3)}
        found['discriminator'] = Net(PatchGAN(**cfg.discriminator, dtype=dtype), pictures, multiple=1)
    return found


def check(cfg: ConfigDict) -> None:
    """Raises InputError if `input_size` does not suit the encoder; if `data.size` is not what the decoder makes, or
    does not suit `ops.skin.extended`; if `loss.window` does not suit it; if there cannot be such references."""
    size, window, net = cfg.data.size, cfg.loss.window, nets(cfg)
    jax.eval_shape(net['encoder'].module.init, jax.random.key(0), *net['encoder'].inputs.values())
    if not 3 <= window <= size or window % 2 == 0:
        raise InputError(f'config key loss.window is odd and from 3 to data.size, {size}, not {window}')
    decoded = net['decoder_b'].module.side(net['decoder_b'].inputs['code'].shape[1])
    if decoded != size:
        raise InputError(f'config key data.size is {decoded} with this model.decoder, not {size}')
    if cfg.data.canonical and size % COARSER:
        raise InputError(f'config key data.size is a multiple of {COARSER} for canonical faces, not {size}')
    count, large = cfg.references.count, cfg.references.size
    if count and (not cfg.data.canonical or large % size):
        raise InputError(f'config key references.size is a multiple of {size}; count is 0 unless faces are canonical')


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters; both decoders start alike, so that a code means the same to both; raises as `check`."""
    check(cfg)
    net, count = nets(cfg), cfg.references.count
    params, _ = init_nets({name: net[name] for name in net if name != 'decoder_b'}, rng)
    generator = {name: params[name] for name in ('encoder', 'decoder_a')}
    generator['decoder_b'] = jax.tree.map(jnp.copy, params['decoder_a'])
    opt = {'nets': optimizer(cfg.optimizer).init(generator)}
    if cfg.loss.gan:
        opt['discriminator'] = optimizer(cfg.optimizer).init(params['discriminator'])
    nobody = moments.blank(net['encoder'].inputs['x'].shape[1:], net['encoder'].module.code_shape())
    ema = jax.tree.map(jnp.copy, generator) | {'stats': {side: nobody for side in SIDES}}
    known = {side: references.blank(count, cfg.data.size, cfg.references.size) for side in SIDES}
    aux = {'references': known} if count else {}
    return State(step=jnp.zeros((), jnp.int32), params=params | generator, opt=opt, ema=ema, aux=aux)


def begin(cfg: ConfigDict, state: State, data: Any) -> State:
    """The state at the start of a run: with references, and the moments of some of both people's faces."""
    if not cfg.references.count:
        return state
    known, stats = {}, state.ema['stats']
    for side, (index, faces) in data.some(SEEN).items():
        source = open_dataset(cfg.data[side], cfg.references.size, cfg.data.face_type)
        again = lambda n, source=source, index=index: source[int(index[n])]
        known[side] = references_of(faces, again, cfg.data.face_type, cfg.references.size, cfg.references.count)
        seen = moments.of_faces(faces['landmarks'], to_float(resized(faces['image'], cfg.input_size)))
        stats = stats | {side: stats[side] | moments.measured(seen)}
    return state.replace(aux={'references': known}, ema=state.ema | {'stats': stats})


def frozen(cfg: ConfigDict) -> dict:
    """The bases of the splines that give faces the shape of the mean face, 'input' for what the encoder sees, and take
    it from them, 'output': float32 [S, S, 68]; and the net that tells people apart, where the loss asks for it."""
    if not cfg.data.canonical:
        return identity_net(cfg.loss.identity)
    shape = mean_shape(cfg.data.face_type)
    bases = {'input': spline_basis(shape, cfg.input_size), 'output': spline_basis(shape, cfg.data.size)}
    side = cfg.data.size // cfg.model.decoder.shuffle
    shares = {'shares': references.landmark_shares(shape, side)} if cfg.references.count else {}
    return bases | shares | identity_net(cfg.loss.identity)


def swap(
    cfg: ConfigDict,
    params: dict,
    frozen: dict,
    pictures: jax.Array,
    landmarks: jax.Array,
    side: str = 'b',
    person: dict | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The face of person `side` with the pose and expression of `pictures`.

    Args:
        params: `state.ema`, or `state.params` with its 'stats'; and 'references' of `state.aux`, where there are any.
        pictures: [B, S, S, 3] aligned faces in [-1, 1], S `cfg.data.size`; their landmarks [B, 68, 2] in units of it.
        person: the one in the pictures, as one of `params['stats']`; by default that of the other side.

    Returns:
        Faces [B, T, T, 3] in [-1, 1], T the side of references, or S; and where they may be pasted, [B, S, S, 1] in
        [0, 1]: the decoder's masks, and everywhere for faces without shape, whose skin goes on past their outline.
    """
    encode = functools.partial(nets(cfg)['encoder'].module.apply, {'params': params['encoder']})
    decode = functools.partial(nets(cfg)['decoder_b'].module.apply, {'params': params[f'decoder_{side}']})
    if not cfg.data.canonical:
        return decode(encode(smaller(pictures, cfg.input_size)))
    at = einsum('hwk,bkd->bhwd', frozen['input'], landmarks)  # [B, s, s, 2]
    seen = sample_smaller(pictures, at * cfg.data.size - 0.5)
    person, other = person or params['stats']['a' if side == 'b' else 'b'], params['stats'][side]
    mean, known = person['landmarks']['mean'], other['code']
    code = encode(moments.differences(person, seen), landmarks - mean)
    code = known['mean'] + limited(code - known['mean'], REACH * moments.spread(known))
    # Who hardly moves in a few pictures may do so half as much as the one in the video.
    reach = MOVES * jnp.maximum(moments.spread(other['landmarks']), moments.spread(person['landmarks']) / 2)
    lids = tuple(x['lids']['mean'] + moments.spread(x['lids']) for x in (person, other))  # gaps of open eyes
    points = transfer_expression(landmarks, mean, other['landmarks']['mean'], reach, lids)
    face, _, *mixture = decode(code)
    if mixture:
        face = references.paint(params['references'][side], frozen['shares'], points, face, *mixture, large=True)
    bent = bend(face, frozen['output'], points)  # [B, T, T, 3]
    return jnp.clip(bent, -1, 1), jnp.ones_like(pictures[..., :1])


def generate(cfg: ConfigDict, params: dict, state: State, stats: dict, pair: dict) -> tuple[dict, jax.Array, dict]:
    """The loss terms of both reconstructions, side b's pictures [B, S, S, 3], and both sides' codes."""
    net = nets(cfg)
    pictures, offsets = [pair[side]['input'] for side in SIDES], None
    if cfg.data.canonical:
        pictures = [moments.differences(stats[side], pair[side]['input']) for side in SIDES]
        offsets = jnp.concatenate([pair[side]['landmarks'] - stats[side]['landmarks']['mean'] for side in SIDES])
    codes = net['encoder'].module.apply({'params': params['encoder']}, jnp.concatenate(pictures), offsets)
    codes, terms = dict(zip(SIDES, jnp.split(codes, 2))), {}
    shape = mean_shape(cfg.data.face_type).astype(jnp.float32)[None] if cfg.data.canonical else None

    def decoded(code: jax.Array, side: str, points: jax.Array) -> tuple[jax.Array, jax.Array]:
        face, mask, *mixture = net['decoder_b'].module.apply({'params': params[f'decoder_{side}']}, code)
        if mixture:
            face = references.paint(state.aux['references'][side], state.frozen['shares'], points, face, *mixture)
        return face, mask

    moved = lambda: transfer_expression(pair['a']['landmarks'], *(stats[s]['landmarks']['mean'] for s in SIDES))
    swapped = lambda: decoded(codes['a'], 'b', moved())[0]
    terms |= identity(cfg.loss.identity, state.frozen, swapped, pair['b']['target'], pair, shape)
    for side, code in codes.items():
        picture, mask = decoded(code, side, points := pair[side]['landmarks'])
        found = reconstruction(cfg.loss, picture, mask, pair[side], points if shape is None else shape)
        terms |= {f'{side}/{name}': value for name, value in found.items()}
    return terms, picture, codes


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of everything, augmentation included. `batch` is 'faces_ab' of `dfjax.data.batches`."""
    # The data of this step
    pair, sides = {}, (cfg.input_size, cfg.data.size)
    features = mean_features(cfg.data.face_type, cfg.data.size) if cfg.data.canonical else None
    for i, side in enumerate(SIDES):
        keys = jax.vmap(lambda key, i=i: jax.random.fold_in(key, i))(batch['key'])
        pair[side] = augment.training_pair(cfg.augment, keys, batch[side], *sides, features)
    pace = jnp.maximum(1 / (1 + state.step), 0.005)  # the plain mean at first, then over some 200 steps
    onward = jnp.minimum(pace, 1 / KNOWN) if cfg.references.count else pace
    seen = {side: moments.of_faces(pair[side]['landmarks'], pair[side]['input']) for side in SIDES}
    stats = {side: moments.update(state.ema['stats'][side], seen[side], onward) for side in SIDES}

    # Encoder and decoders
    params, opt = dict(state.params), dict(state.opt)
    discriminator = params.pop('discriminator', None)
    discriminate = lambda p, x: nets(cfg)['discriminator'].module.apply({'params': p}, x)

    def generator_loss(params: dict) -> tuple[jax.Array, tuple[dict, jax.Array, dict]]:
        terms, faces, codes = generate(cfg, params, state, stats, pair)
        if cfg.loss.gan:
            terms['g/adv'] = cfg.loss.gan * g_loss('hinge', discriminate(discriminator, faces))
        return sum(terms.values()), (terms, faces, codes)

    grads, (metrics, faces, codes) = jax.grad(generator_loss, has_aux=True)(params)
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)
    params, opt['nets'] = apply_grads(cfg.optimizer, rate, params, grads, opt['nets'])
    stats = {side: moments.update(known, {'code': codes[side]}, pace) for side, known in stats.items()}

    # Discriminator
    if cfg.loss.gan:
        cost = lambda p: d_loss('hinge', discriminate(p, pair['b']['target']), discriminate(p, faces))
        metrics['d/adv'], grads = jax.value_and_grad(cost)(discriminator)
        before = opt['discriminator']
        params['discriminator'], opt['discriminator'] = apply_grads(cfg.optimizer, rate, discriminator, grads, before)

    # The rest
    metrics = mean_over_devices(metrics | {'total': sum(metrics.values())}) | {'rate': rate}
    ema = {k: v for k, v in state.ema.items() if k in params}
    ema = ema_update(ema, {k: params[k] for k in ema}, cfg.ema, state.step)
    return state.replace(step=state.step + 1, params=params, opt=opt, ema=ema | {'stats': stats}), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example a, a again, a as b, b, b again, b as a: [6B, S, S, 3]."""
    size, params, rows = cfg.data.size, state.ema | state.aux, []
    for side, other in (('a', 'b'), ('b', 'a')):
        landmarks = batch[side]['landmarks']
        whole = jnp.concatenate([batch[side]['image'], batch[side]['mask'][..., None]], -1).astype(jnp.float32) / 255
        whole = resize(whole, size)
        if cfg.data.canonical:
            whole = jnp.clip(bend(whole, state.frozen['output'], landmarks), 0, 1)
        real, mask = 2 * whole[..., :3] - 1, whole[..., 3:]
        person = state.ema['stats'][side]
        made = [swap(cfg, params, state.frozen, real, landmarks, to, person)[0] for to in (side, other)]
        made = [pooled(face, size) for face in made]
        rows += [real, *(real + mask * (face - real) for face in made)]
    return jnp.stack(rows, 1).reshape(-1, size, size, 3)

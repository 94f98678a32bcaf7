"""Face swap conditioned on landmarks (Hegde 2020): a shared encoder, a decoder a person, both told where things are.

Side `a` is the person in the video, `b` the person put in. Landmarks say where lids, lips and brows are to be, so that
the code of the encoder is left with light, gaze and teeth. In a swap they are a's, moved to where b's would be: b's
mean and a's offsets from a's own mean, with the gap between the lips kept; b's decoder so is asked for nothing that its
training has not shown it. Crops are loose, with hair and neck, so that a detector finds a face in what is painted, too;
`evaluation.landmark_swap` counts how often.

With `model.drawn` decoders see landmarks as lines beside each of their maps; the original has their coordinates alone,
in the code.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.data import augment
from dfjax.data.faces.align import FACE_TYPES
from dfjax.data.faces.canonical import mean_shape
from dfjax.errors import InputError
from dfjax.losses.identity import identity, identity_net
from dfjax.losses.image import reconstruction
from dfjax.models import landmark_swap as models
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.expression import transfer_expression
from dfjax.ops.image import resize, to_float
from dfjax.ops.optimize import apply_grads, ema_update, learning_rate, optimizer
from dfjax.systems.state import Net, State, arrays, common_config, compute_dtype, init_nets, optimizer_config

BATCH = 'faces_ab'
COLUMNS = ('b', 'b again', 'a', 'a again', 'a as b: the swap', 'its landmarks')  # names of those of a preview
SIDES = ('a', 'b')


def default_config() -> ConfigDict:
    """A light network for two CPU cores, at 128 px with room around the face."""
    cfg = common_config()
    cfg.system = 'landmark_swap'
    cfg.batch_size = 16  # faces of each person
    cfg.data = dict(
        a='render:1:256',
        b='render:2:256',
        size=r.size(128),
        face_type=r.choice('whole_face', FACE_TYPES),
        canonical=False,  # whether faces are bent to the shape of the mean face first
        uniform_yaw=False,  # whether faces that look to any side come equally often
        resident_bytes=2**30,
    )
    cfg.model = models.default_config()
    cfg.augment = augment.default_config()
    cfg.augment.update(flip=0.0, warp=3 / 256)
    cfg.loss = dict(
        l1=1.0,  # weight of the mean difference of pixels
        dssim=2.0,  # weight of the structural dissimilarity
        window=r.size(7),  # side of the SSIM window, in pixels
        mask=0.5,  # weight of the difference of masks
        outside=0.3,  # weight of pixels off the face, against 1 on it: hair and neck are to be seen
        features=2.0,  # what is added over eyes and mouth
        identity=0.0,  # weight of how much further a swap is from b than b's own faces are, by dlib's descriptor
    )
    cfg.optimizer = optimizer_config(lr=2e-3, schedule='cosine', warmup=100, b1=0.9, b2=0.99, clip=1.0)
    cfg.ema = r.decay(0.995)
    return cfg


def frozen(cfg: ConfigDict) -> dict:
    """The net that tells people apart, where the loss asks for it."""
    return identity_net(cfg.loss.identity)


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The nets by name."""
    size, dtype, (side, width) = cfg.data.size, compute_dtype(cfg), cfg.model.encoder.grid
    encoder = models.Encoder(**cfg.model.encoder, dtype=dtype)
    decoder = models.Decoder(**cfg.model.decoder, dtype=dtype)
    given, large = {'code': arrays(1, side, side, width)}, decoder.drawn(side)
    given |= {'drawn': arrays(1, large, large, len(models.COLOURS))} if cfg.model.drawn else {}
    found = {'encoder': Net(encoder, {'x': arrays(1, size, size, 3), 'landmarks': arrays(1, 68, 2)}, ('code',))}
    return found | {f'decoder_{s}': Net(decoder, given, ('y', 'mask')) for s in SIDES}


def check(cfg: ConfigDict) -> None:
    """Raises InputError if sides of pictures, codes and windows do not go together."""
    size, window, model = cfg.data.size, cfg.loss.window, cfg.model
    models.Encoder(**model.encoder).room()
    if size % model.encoder.patch:
        raise InputError(
            f'config key data.size is a multiple of model.encoder.patch, {model.encoder.patch}, not {size}'
        )
    decoded = models.Decoder(**model.decoder).drawn(model.encoder.grid[0]) * model.decoder.shuffle
    if decoded != size:
        raise InputError(
            f'config key data.size is {decoded} with this model.encoder.grid and model.decoder, not {size}'
        )
    if not 3 <= window <= size or window % 2 == 0:
        raise InputError(f'config key loss.window is odd and from 3 to data.size, {size}, not {window}')
    if cfg.data.canonical:
        raise InputError('config key data.canonical is false for this system, which learns faces as they are')


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters; both decoders start alike, so that a code means the same to both; raises as `check`."""
    check(cfg)
    params, _ = init_nets(nets(cfg), rng)
    params['decoder_b'] = jax.tree.map(jnp.copy, params['decoder_a'])
    shape = jnp.asarray(mean_shape(cfg.data.face_type), jnp.float32)
    ema = jax.tree.map(jnp.copy, params) | {'shape': {side: shape for side in SIDES}}
    return State(
        step=jnp.zeros((), jnp.int32), params=params, opt={'nets': optimizer(cfg.optimizer).init(params)}, ema=ema
    )


def code_of(cfg: ConfigDict, params: dict, pictures: jax.Array, landmarks: jax.Array) -> jax.Array:
    """Codes of pictures [B, S, S, 3] whose faces are to be painted at landmarks [B, 68, 2]."""
    return nets(cfg)['encoder'].module.apply({'params': params['encoder']}, pictures, landmarks)


def decoded(
    cfg: ConfigDict, params: dict, code: jax.Array, landmarks: jax.Array, side: str
) -> tuple[jax.Array, jax.Array]:
    """Faces [B, S, S, 3] in [-1, 1] and masks [B, S, S, 1] in [0, 1]."""
    net = nets(cfg)[f'decoder_{side}']
    drawn = [models.draw(landmarks, net.inputs['drawn'].shape[1])] if cfg.model.drawn else []
    return net.module.apply({'params': params[f'decoder_{side}']}, code, *drawn)


def moved(params: dict, landmarks: jax.Array, side: str) -> jax.Array:
    """Where the landmarks [B, 68, 2] of the other person would be in the face of `side`."""
    shape = params['shape']
    return transfer_expression(landmarks, shape['a' if side == 'b' else 'b'], shape[side])


def swap(
    cfg: ConfigDict,
    params: dict,
    frozen: dict,
    pictures: jax.Array,
    landmarks: jax.Array,
    side: str = 'b',
    person: dict | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The face of person `side` with the pose and expression of the other's.

    Args:
        params: `state.ema`, or `state.params` with its 'shape'.
        pictures: [B, S, S, 3] in [-1, 1].
        landmarks: [B, 68, 2] of the pictures, in units of the side.

    Returns:
        Faces [B, S, S, 3] in [-1, 1] and where they may be pasted, [B, S, S, 1] in [0, 1].
    """
    points = moved(params, landmarks, side)
    return decoded(cfg, params, code_of(cfg, params, pictures, points), points, side)


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of everything, augmentation included. `batch` is 'faces_ab' of `dfjax.data.batches`."""
    pair, size = {}, cfg.data.size
    for i, side in enumerate(SIDES):
        keys = jax.vmap(lambda key, i=i: jax.random.fold_in(key, i))(batch['key'])
        pair[side] = augment.warped_pair(cfg.augment, keys, batch[side], size, size)
    join = lambda name: jnp.concatenate([pair[side][name] for side in SIDES])

    def loss(params: dict) -> tuple[jax.Array, dict]:
        codes, terms = jnp.split(code_of(cfg, params, join('input'), join('landmarks')), 2), {}
        for side, code in zip(SIDES, codes):
            points = pair[side]['landmarks']
            found = reconstruction(cfg.loss, *decoded(cfg, params, code, points, side), pair[side], points)
            terms |= {f'{side}/{name}': value for name, value in found.items()}
        there = pair | {'a': pair['a'] | {'landmarks': moved(state.ema, pair['a']['landmarks'], 'b')}}
        given = params | {'shape': state.ema['shape']}, {}, pair['a']['input'], pair['a']['landmarks']
        swapped = lambda: swap(cfg, *given)[0]
        terms |= identity(cfg.loss.identity, state.frozen, swapped, pair['b']['target'], there)
        return sum(terms.values()), terms

    grads, metrics = jax.grad(loss, has_aux=True)(state.params)
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)
    params, moments = apply_grads(cfg.optimizer, rate, state.params, grads, state.opt['nets'])

    metrics = mean_over_devices(metrics | {'total': sum(metrics.values())}) | {'rate': rate}
    pace = jnp.maximum(1 / (1 + state.step), 0.005)  # the plain mean at first, then over some 200 steps
    seen = mean_over_devices({side: batch[side]['landmarks'].mean(0) for side in SIDES})
    shape = jax.tree.map(lambda mean, new: mean + pace * (new - mean), state.ema['shape'], seen)
    ema = ema_update({name: state.ema[name] for name in params}, params, cfg.ema, state.step)
    return state.replace(step=state.step + 1, params=params, opt={'nets': moments}, ema=ema | {'shape': shape}), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example b, b again, a, a again, a as b, and where its landmarks were to be: [6B, S, S, 3]."""
    size, ema, rows = cfg.data.size, state.ema, []
    real = {side: resize(to_float(batch[side]['image']), size) for side in SIDES}
    points = {side: batch[side]['landmarks'] for side in SIDES}
    for side in ('b', 'a'):
        code = code_of(cfg, ema, real[side], points[side])
        rows += [real[side], decoded(cfg, ema, code, points[side], side)[0]]
    lines = models.draw(moved(ema, points['a'], 'b'), size).max(-1, keepdims=True)
    rows += [swap(cfg, ema, {}, real['a'], points['a'])[0], jnp.repeat(2 * lines - 1, 3, -1)]
    return jnp.clip(jnp.stack(rows, 1).reshape(-1, size, size, 3), -1, 1)

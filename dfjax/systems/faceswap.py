"""Face swap: one encoder for everybody, one decoder a person (Perov et al. 2020, DeepFaceLab, and before it).

Side `a` is the person in the video, side `b` the person put in. Each decoder learns to undo a random warp of its own
person's faces; the encoder serves both, so its code keeps what the two share: pose, expression, light. A face of `a`
through the encoder and decoder `b` is the swap.

What this adds to the classic recipe: a landmark net `r` learns, from real faces alone, where eyes, brows and mouth are;
the swap is then asked to move them about its own person's mean as the input moves them about its own. Training sees the
thing that is wanted, not only reconstructions.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from dfjax.data import augment
from dfjax.losses.image import ssim_map, weighted_mean
from dfjax.models import autoencoder
from dfjax.models.landmarks import LandmarkNet
from dfjax.ops.image import resize
from dfjax.systems.state import State, common_config, compute_dtype, mean_over_devices

BATCH = 'pairs'
SIDES = ('a', 'b')
EXPRESSION = np.r_[17:27, 36:68]  # brows, eyes, mouth


def default_config() -> ConfigDict:
    """The light network and the recipe that two CPU cores train in minutes."""
    cfg = common_config()
    cfg.system = 'faceswap'
    cfg.data = dict(a='render:1:256', b='render:2:256', size=128, face_type='full')
    cfg.input_size = 64  # side of the picture that the encoder sees
    cfg.model = autoencoder.LIGHT
    cfg.augment = augment.default_config()
    cfg.augment.flip = 0.0
    cfg.loss = dict(l1=1.0, dssim=2.0, mask=0.1, expression=5.0, outside=0.2, features=2.0, window=7)
    cfg.optimizer = dict(lr=1e-3, warmup=100, b1=0.9, b2=0.99, clip=1.0)
    cfg.ema = 0.995
    return cfg


def nets(cfg: ConfigDict) -> dict:
    """The Linen modules by name: encoder, decoder (used for both sides) and the landmark net."""
    dtype = compute_dtype(cfg)
    return {
        'encoder': autoencoder.Encoder(**cfg.model.encoder, dtype=dtype),
        'decoder': autoencoder.Decoder(**cfg.model.decoder, dtype=dtype),
        'r': LandmarkNet(len(EXPRESSION), dtype=dtype),
    }


def optimizer(cfg: ConfigDict) -> optax.GradientTransformation:
    """Adam with warm-up and cosine decay to zero over `cfg.steps`."""
    o = cfg.optimizer
    rate = optax.warmup_cosine_decay_schedule(0.0, o.lr, min(o.warmup, cfg.steps // 2), cfg.steps)
    return optax.chain(optax.clip_by_global_norm(o.clip), optax.adam(rate, b1=o.b1, b2=o.b2))


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters; both decoders start alike, so that the code means the same to both."""
    net = nets(cfg)
    keys = jax.random.split(rng, 3)
    picture = jnp.zeros((1, cfg.input_size, cfg.input_size, 3))
    encoder = net['encoder'].init(keys[0], picture)['params']
    code = jax.eval_shape(lambda: net['encoder'].apply({'params': encoder}, picture))
    decoder = net['decoder'].init(keys[1], jnp.zeros(code.shape))['params']
    params = {
        'encoder': encoder,
        'decoder_a': decoder,
        'decoder_b': jax.tree.map(jnp.copy, decoder),
        'r': net['r'].init(keys[2], picture)['params'],
    }
    centre = {side: jnp.full((len(EXPRESSION), 2), 0.5) for side in SIDES}
    return State(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt={'all': optimizer(cfg).init(params)},
        ema=jax.tree.map(jnp.copy, params),
        aux={'centre': centre},
    )


def swap(cfg: ConfigDict, params: dict, pictures: jax.Array, side: str = 'b') -> tuple[jax.Array, jax.Array]:
    """The face of person `side` with the pose and expression of `pictures`.

    Args:
        params: `state.ema` or `state.params`.
        pictures: [B, S, S, 3] aligned faces in [-1, 1]; S is `cfg.data.size`.

    Returns:
        Faces [B, S, S, 3] in [-1, 1] and masks [B, S, S, 1] in [0, 1].
    """
    net = nets(cfg)
    code = net['encoder'].apply({'params': params['encoder']}, resize(pictures, cfg.input_size))
    return net['decoder'].apply({'params': params[f'decoder_{side}']}, code)


def pixel_weight(cfg: ConfigDict, mask: jax.Array, landmarks: jax.Array) -> jax.Array:
    """How much each pixel counts [B, S, S, 1]: `outside` off the face, 1 on it, `features` more on eyes and mouth."""
    side = mask.shape[1]
    at = (jnp.arange(side) + 0.5) / side
    total = cfg.loss.outside + (1 - cfg.loss.outside) * mask[..., 0]  # [B, S, S]
    for points, wide, high in ((slice(36, 42), 0.10, 0.06), (slice(42, 48), 0.10, 0.06), (slice(48, 68), 0.16, 0.12)):
        middle = landmarks[:, points].mean(1)  # [B, 2]
        x = jnp.exp(-0.5 * ((at - middle[:, :1]) / wide) ** 2)  # [B, S]
        y = jnp.exp(-0.5 * ((at - middle[:, 1:]) / high) ** 2)
        total += cfg.loss.features * y[:, :, None] * x[:, None, :]
    return total[..., None]


def reconstruction(cfg: ConfigDict, picture: jax.Array, mask: jax.Array, pair: dict) -> dict:
    """Loss terms of one side's reconstruction."""
    weight = pixel_weight(cfg, pair['mask'], pair['landmarks'])
    blend = pair['mask'] if cfg.loss.outside == 0 else 1.0
    crop = (cfg.loss.window - 1) // 2
    similar = ssim_map(picture * blend, pair['target'] * blend, size=cfg.loss.window, sigma=cfg.loss.window / 4.7)
    return {
        'l1': cfg.loss.l1 * weighted_mean(jnp.abs(picture - pair['target']), weight).mean(),
        'dssim': cfg.loss.dssim * weighted_mean((1 - similar) / 2, weight[:, crop:-crop, crop:-crop]).mean(),
        'mask': cfg.loss.mask * jnp.abs(mask - pair['mask']).mean(),
    }


def loss_terms(cfg: ConfigDict, params: dict, centre: dict, pair: dict) -> dict:
    """All loss terms of a step: {'recon_a/l1': scalar, ...}."""
    net = nets(cfg)

    def find(p: dict, x: jax.Array) -> jax.Array:
        return net['r'].apply({'params': p}, resize(x, cfg.input_size))

    n = pair['a']['input'].shape[0]
    inputs = jnp.concatenate([pair['b']['input'], pair['a']['input']])
    code = net['encoder'].apply({'params': params['encoder']}, inputs)  # [2B, s, s, C]
    picture_b, mask_b = net['decoder'].apply({'params': params['decoder_b']}, code)  # b itself, then the swap of a
    picture_a, mask_a = net['decoder'].apply({'params': params['decoder_a']}, code[n:])

    terms = {f'a/{k}': v for k, v in reconstruction(cfg, picture_a, mask_a, pair['a']).items()}
    terms |= {f'b/{k}': v for k, v in reconstruction(cfg, picture_b[:n], mask_b[:n], pair['b']).items()}
    truth = {side: pair[side]['landmarks'][:, EXPRESSION] for side in SIDES}
    real = jnp.concatenate([pair['a']['target'], pair['b']['target']])
    terms['r/real'] = 10 * jnp.abs(find(params['r'], real) - jnp.concatenate([truth['a'], truth['b']])).mean()
    wanted = truth['a'] - centre['a'] + centre['b']
    moved = find(jax.lax.stop_gradient(params['r']), picture_b[n:])
    terms['swap/expression'] = cfg.loss.expression * jnp.abs(moved - wanted).mean()
    return terms


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of everything, augmentation included. `batch` is 'pairs' of `dfjax.data.batches`."""
    pair = {
        side: augment.warped_pair(
            cfg.augment,
            jax.vmap(lambda k, i=i: jax.random.fold_in(k, i))(batch['key']),
            batch[side],
            cfg.input_size,
            cfg.data.size,
        )
        for i, side in enumerate(SIDES)
    }
    seen = {side: pair[side]['landmarks'][:, EXPRESSION].mean(0) for side in SIDES}
    rate = jnp.where(state.step == 0, 1.0, 0.01)
    centre = jax.tree.map(lambda old, new: old + rate * (new - old), state.aux['centre'], mean_over_devices(cfg, seen))

    def total(params: dict) -> tuple[jax.Array, dict]:
        terms = loss_terms(cfg, params, centre, pair)
        return sum(terms.values()), terms

    grads, metrics = jax.grad(total, has_aux=True)(state.params)
    grads, metrics = mean_over_devices(cfg, (grads, metrics))
    updates, opt = optimizer(cfg).update(grads, state.opt['all'], state.params)
    params = optax.apply_updates(state.params, updates)
    decay = jnp.minimum(cfg.ema, (1.0 + state.step) / (10.0 + state.step))
    ema = jax.tree.map(lambda e, p: e + (1 - decay) * (p - e), state.ema, params)
    metrics['total'] = sum(metrics.values())
    new = state.replace(step=state.step + 1, params=params, opt={'all': opt}, ema=ema, aux={'centre': centre})
    return new, metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """Rows of a, a again, a as b, b, b again, b as a: [6B, S, S, 3]."""
    size = cfg.data.size
    real = {side: resize(batch[side]['image'].astype(jnp.float32) / 127.5 - 1, size) for side in SIDES}
    rows = []
    for side, other in (('a', 'b'), ('b', 'a')):
        rows += [real[side], *(swap(cfg, state.ema, real[side], to)[0] for to in (side, other))]
    return jnp.stack(rows, 1).reshape(-1, size, size, 3)

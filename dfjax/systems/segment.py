"""A mask net, the job of DeepFaceLab's XSeg: where the bare skin of a face is seen, less all that is in front of it.

It learns on faces with known masks, rendered ones or a face set with corrected outlines, in front of which things are
laid whose alpha is known (`data.render.things`): hands, hair, glasses, microphones, cups, flat things, up to two at a
time, in any size, light and colour. Terms of the loss, for logits of masks in [0, 1]:

    cross   binary cross-entropy, the mean over pixels
    iou     1 - intersection over union, soft, the mean over faces (Rahman & Wang 2016)
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.data import augment
from dfjax.data.faces.align import FACE_TYPES
from dfjax.errors import InputError
from dfjax.models.segment import MaskNet
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.image import affine_grid, gaussian_blur, grid_sample, resize
from dfjax.ops.optimize import apply_grads, ema_update, learning_rate, optimizer
from dfjax.systems.state import Net, State, arrays, common_config, compute_dtype, init_nets, optimizer_config

BATCH = 'masked'
COLUMNS = ('covered', 'what it sees', 'what is seen')  # names of those of a preview
SECOND = 0.3  # share of pictures with a second thing, of what `covered` is
NOISE = 0.04  # greatest noise of a picture, of [0, 1]
BLURRED = 0.5  # share of pictures that are out of focus


def default_config() -> ConfigDict:
    """128 px, half an hour on two CPU cores."""
    cfg = common_config()
    cfg.system = 'segment'
    cfg.steps = 4000
    cfg.batch_size = 16
    cfg.data = dict(
        source='render:people:1:1500',
        things='render:things:1:1200',  # what is laid in front of faces
        size=r.size(128),
        face_type=r.choice('whole_face', FACE_TYPES),
        resident_bytes=2**30,
    )
    cfg.model = dict(width=r.size(24, least=8), depth=r.count(4, least=1))
    cfg.augment = augment.default_config()
    cfg.augment.update(scale=0.3, rotate=25.0, shift=0.08, brightness=0.15, contrast=0.3, saturation=0.4, hue=0.04)
    cfg.covered = r.share(0.8)  # share of the faces that something is in front of
    cfg.loss = dict(iou=1.0)  # weight of 1 - intersection over union, beside the cross entropy
    cfg.optimizer = optimizer_config(kind='adamw', lr=2e-3, schedule='cosine', warmup=100, weight_decay=1e-4)
    cfg.ema = r.decay(0.998)
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The one net."""
    module = MaskNet(**cfg.model, dtype=compute_dtype(cfg))
    multiple = 2 ** (cfg.model.depth + 1)
    return {'net': Net(module, {'x': arrays(1, cfg.data.size, cfg.data.size, 3)}, ('logits',), multiple=multiple)}


def check(cfg: ConfigDict) -> None:
    """Raises InputError unless the net takes pictures of `data.size`."""
    multiple = 2 ** (cfg.model.depth + 1)
    if cfg.data.size % multiple or cfg.model.width % 8:
        raise InputError(
            f'config keys data.size {cfg.data.size} and model.width {cfg.model.width}: give multiples of {multiple} '
            'and of 8'
        )


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters. Raises InputError as `check`."""
    check(cfg)
    params, _ = init_nets(nets(cfg), rng)
    opt = {'net': optimizer(cfg.optimizer).init(params['net'])}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=jax.tree.map(jnp.copy, params))


def mask(cfg: ConfigDict, params: dict, pictures: jax.Array) -> jax.Array:
    """Where the bare face is seen [B, S, S, 1] in [0, 1], of aligned faces [B, S, S, 3] in [-1, 1], of any S."""
    small = resize(pictures, cfg.data.size)
    return jax.nn.sigmoid(resize(logits(cfg, params, small), pictures.shape[1]))


def logits(cfg: ConfigDict, params: dict, pictures: jax.Array) -> jax.Array:
    """[B, S, S, 1] of [B, S, S, 3] in [-1, 1], S being that of the config."""
    return nets(cfg)['net'].module.apply({'params': params['net']}, pictures)


def covered_faces(cfg: ConfigDict, batch: dict) -> tuple[jax.Array, jax.Array]:
    """Faces with things in front of them, [B, S, S, 3] in [-1, 1], and what is still seen of them [B, S, S, 1]."""
    keys = jax.vmap(lambda key: jax.random.split(key, 10))(batch['key'])
    pair = augment.warped_pair(cfg.augment, keys[:, 0], batch['face'], cfg.data.size, cfg.data.size)
    picture, seen = augment.jitter_colour(cfg.augment, keys[:, 1], (pair['target'] + 1) / 2), pair['mask']
    things = batch['thing']['rgba'].astype(jnp.float32) / 255
    things = jnp.concatenate([things[..., :3] * things[..., 3:], things[..., 3:]], -1)
    for n, share in enumerate((cfg.covered, cfg.covered * SECOND)):
        chance, place, light = keys[:, 4 + 3 * n : 7 + 3 * n].T
        there = jax.vmap(lambda key, share=share: jax.random.bernoulli(key, share))(chance)[:, None, None, None]
        moved = augment.random_similarity(cfg.augment, place, cfg.data.size)
        own = things[:, :, ::-1] if n else things  # the second is the first, mirrored and elsewhere
        laid = grid_sample(own, affine_grid(moved, cfg.data.size), outside='zeros')
        alpha = laid[..., 3:] * there
        colour = augment.jitter_colour(cfg.augment, light, laid[..., :3] / jnp.maximum(laid[..., 3:], 1e-3))
        picture, seen = picture + alpha * (colour - picture), seen * (1 - alpha)
    return 2 * jnp.clip(camera(keys[:, 2], keys[:, 3], picture), 0, 1) - 1, seen


def camera(keys: jax.Array, others: jax.Array, pictures: jax.Array) -> jax.Array:
    """Pictures [B, S, S, 3] in [0, 1] as some lens and sensor have them: out of focus and noisy, by chance."""
    soft = gaussian_blur(pictures, 1.0)
    share = jax.vmap(jax.random.uniform)(keys)[:, None, None, None]
    pictures = pictures + jnp.clip((share - 1 + BLURRED) / BLURRED, 0, 1) * (soft - pictures)
    level = NOISE * jax.vmap(jax.random.uniform)(others)[:, None, None, None] ** 2
    return pictures + level * jax.vmap(lambda key: jax.random.normal(key, pictures.shape[1:]))(others)


def terms_of(cfg: ConfigDict, made: jax.Array, seen: jax.Array) -> dict[str, jax.Array]:
    """The terms of the loss of logits for masks, both [B, S, S, 1]."""
    cross = jnp.maximum(made, 0) - made * seen + jnp.log1p(jnp.exp(-jnp.abs(made)))
    share = jax.nn.sigmoid(made)
    both, either = (x.sum((1, 2, 3)) for x in (share * seen, share + seen - share * seen))
    return {'cross': cross.mean(), 'iou': cfg.loss.iou * (1 - (both + 1) / (either + 1)).mean()}


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update. `batch` is 'masked' of `dfjax.data.batches`."""
    pictures, seen = covered_faces(cfg, batch)

    def cost(params: dict) -> tuple[jax.Array, dict]:
        terms = terms_of(cfg, logits(cfg, params, pictures), seen)
        return sum(terms.values()), terms

    grads, terms = jax.grad(cost, has_aux=True)(state.params)
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)
    params, opt = apply_grads(cfg.optimizer, rate, state.params['net'], grads['net'], state.opt['net'])
    ema = ema_update(state.ema, {'net': params}, cfg.ema, state.step)
    metrics = mean_over_devices(terms | {'total': sum(terms.values())}) | {'rate': rate}
    return state.replace(step=state.step + 1, params={'net': params}, opt={'net': opt}, ema=ema), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example the covered face, what is seen of it by the net, and in truth: [3B, S, S, 3]."""
    pictures, seen = covered_faces(cfg, batch)
    found = mask(cfg, state.ema, pictures)
    shown = [pictures, *((pictures + 1) * x - 1 for x in (found, seen))]
    return jnp.stack(shown, 1).reshape(-1, *pictures.shape[1:])

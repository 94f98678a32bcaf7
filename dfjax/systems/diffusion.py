"""A diffusion model (Ho et al. 2020): a net that guesses the picture under noise, from which pictures are made.

Prediction of the picture, of v or of the noise, weighted by min-SNR; a cosine or linear schedule (`losses.diffusion`).
Labels are a condition of -1 (no), 0 (not known) and 1 (yes) each: they are dropped at random, all of them or one by
one, so that one net knows every combination, and guidance without a classifier is possible (Ho & Salimans 2022).

    guess = denoiser(cfg, params, labels, guidance=2.0)             for `inference.samplers.sample`
    bits = bound(cfg, params, pictures, key)                        likelihood, an upper bound in bits a value
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.losses import diffusion as losses
from dfjax.models.denoiser import Denoiser
from dfjax.ops.devices import mean_over_devices
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
SHOWN = (0.2, 0.4, 0.6, 0.8)  # shares of all noise times that a preview shows the guesses of
COLUMNS = ('picture', *(f'noise at {share:.0%}' for share in SHOWN))  # names of those of a preview


def default_config() -> ConfigDict:
    """64 px, for one CPU core and an hour."""
    cfg = common_config()
    cfg.system = 'diffusion'
    cfg.steps = 8000
    cfg.batch_size = 16
    cfg.data = dict(
        source='render:people:1:4096', labels=[], size=r.size(64), crop=r.size(0, least=0), resident_bytes=2**30
    )
    cfg.model = dict(
        patch=r.size(4),
        widths=r.size([64, 128, 256]),
        blocks=r.count(1),
        attention=r.size([8]),  # sides of the grids with attention
        embedding=r.size(256),
    )
    cfg.times = r.between(1, 100_000, 1000)  # steps of the noise schedule
    cfg.schedule = r.choice('cosine', losses.SCHEDULES)  # how the noise grows over times
    cfg.prediction = r.choice('x', losses.PREDICTIONS)  # what the net gives: the picture, the noise, or v
    cfg.snr = 5.0  # the most that an error of the picture counts, min-SNR; 0 weighs no time
    cfg.drop = dict(
        all=r.share(0.1),  # how often no label is told
        each=r.share(0.3),  # how often each of them is not told otherwise
    )
    cfg.flip = r.share(0.5)  # probability that a picture is mirrored
    cfg.optimizer = optimizer_config(lr=8e-4, schedule='cosine', warmup=200, b1=0.9, b2=0.99, clip=1.0)
    cfg.ema = r.decay(0.998)
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The one net: it takes noisy pictures, times in [0, 1] and labels."""
    size, labels = cfg.data.size, len(cfg.data.labels)
    inputs = {'x': arrays(1, size, size, 3), 't': arrays(1), 'labels': arrays(1, labels)}
    return {'denoiser': Net(Denoiser(**cfg.model, dtype=compute_dtype(cfg)), inputs)}


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters."""
    params, _ = init_nets(nets(cfg), rng)
    opt = {'denoiser': optimizer(cfg.optimizer).init(params['denoiser'])}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=jax.tree.map(jnp.copy, params))


def table(cfg: ConfigDict) -> np.ndarray:
    """`losses.diffusion.alpha_bar` of the config: float64 [T]."""
    return losses.alpha_bar(cfg.schedule, cfg.times)


def predict(cfg: ConfigDict, params: dict, x: jax.Array, t: jax.Array, labels: jax.Array) -> jax.Array:
    """What the net says of pictures x [B, S, S, 3] at integer times t [B] under labels [B, K] in {-1, 0, 1}."""
    return nets(cfg)['denoiser'].module.apply({'params': params['denoiser']}, x, (t + 1) / cfg.times, labels)


def guess(cfg: ConfigDict, params: dict, x: jax.Array, t: jax.Array, labels: jax.Array) -> jax.Array:
    """The picture behind x, in [-1, 1]; arguments as in `predict`."""
    a, s = losses.amplitudes(table(cfg), t)
    return jnp.clip(losses.clean(cfg.prediction, predict(cfg, params, x, t, labels), x, a, s), -1, 1)


def noise_shape(cfg: ConfigDict) -> tuple[int, ...]:
    """The shape of one picture's noise."""
    return (cfg.data.size, cfg.data.size, 3)


def denoiser(cfg: ConfigDict, params: dict, labels: jax.Array | None = None, guidance: float = 1.0) -> Callable:
    """A compiled function (x [B, S, S, 3], t) -> guess of the pictures, for samplers.

    Args:
        params: `state.ema`.
        labels: [B, K] in {-1, 0, 1}: no, not told, yes. None tells nothing.
        guidance: how far to go from the guess without labels to the one with them; 1 is the latter.
    """

    @jax.jit
    def compiled(params: dict, x: jax.Array, t: jax.Array, labels: jax.Array) -> jax.Array:
        t = jnp.full(x.shape[0], t)
        if guidance == 1:
            return guess(cfg, params, x, t, labels)
        twice = lambda v: jnp.concatenate([v, v])
        both = guess(cfg, params, twice(x), twice(t), jnp.concatenate([labels, 0 * labels]))
        told, untold = jnp.split(both, 2)
        return jnp.clip(untold + guidance * (told - untold), -1, 1)

    return lambda x, t: compiled(params, x, t, _labels(cfg, labels, len(x)))


def _labels(cfg: ConfigDict, labels: jax.Array | None, count: int) -> jax.Array:
    return jnp.zeros((count, len(cfg.data.labels))) if labels is None else labels


def bound(cfg: ConfigDict, params: dict, pictures: jax.Array, key: jax.Array, labels: jax.Array | None = None):
    """An estimate of the likelihood bound [B], bits a value, of 8-bit pictures [B, S, S, 3] in [-1, 1].

    One time is drawn for each picture: take the mean over many.
    """
    count, levels = len(pictures), table(cfg)
    keys = jax.random.split(key, 3)
    # One time a stratum: less variance, the same mean.
    place = (jax.random.permutation(keys[0], count) + jax.random.uniform(keys[1], (count,))) / count
    ends = jnp.asarray(np.cumsum(losses.bound_times(levels)), jnp.float32)
    t = jnp.clip(jnp.searchsorted(ends, place, side='right'), 1, cfg.times - 1)
    noise, first = jax.random.normal(keys[2], (2, *pictures.shape))
    a, s = losses.amplitudes(levels, t)
    x = a * pictures + s * noise
    seen = guess(cfg, params, x, t, _labels(cfg, labels, count))
    seen = losses.refined(seen, x, a, s) if cfg.prediction == 'x' else seen
    return losses.bits_at(levels, t, pictures, seen) + losses.bits_of_ends(levels, pictures, first)


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update. `batch` is 'labelled' of `dfjax.data.batches`."""

    # The data of this step
    draws = jax.vmap(lambda key: jax.random.split(key, 5))(batch['key'])  # [B, 5] keys
    pictures = flipped(to_float(batch['image']), draws[:, 0], cfg.flip)
    t = jax.vmap(lambda key: jax.random.randint(key, (), 0, cfg.times))(draws[:, 1])
    noise = jax.vmap(lambda key: jax.random.normal(key, pictures.shape[1:]))(draws[:, 2])
    told = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - cfg.drop.all))(draws[:, 3])[:, None]
    kept = jax.vmap(lambda key, row: jax.random.bernoulli(key, 1 - cfg.drop.each, row.shape))(
        draws[:, 4], batch['label']
    )
    labels = (2 * batch['label'] - 1) * batch['known'] * told * kept  # [B, K]
    a, s = losses.amplitudes(table(cfg), t)
    wanted = losses.target(cfg.prediction, pictures, noise, a, s)
    weight = jnp.asarray(losses.weight(cfg.prediction, table(cfg), cfg.snr), jnp.float32)[t]

    # The net
    def loss(params: dict) -> tuple[jax.Array, jax.Array]:
        error = ((predict(cfg, params, a * pictures + s * noise, t, labels) - wanted) ** 2).mean((1, 2, 3))
        return (weight * error).mean(), error.mean()

    (total, error), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)
    old, moments = state.params['denoiser'], state.opt['denoiser']
    net, moments = apply_grads(cfg.optimizer, rate, old, grads['denoiser'], moments)
    params, opt = {'denoiser': net}, {'denoiser': moments}

    # The rest
    ema = ema_update(state.ema, params, cfg.ema, state.step)
    metrics = mean_over_devices({'error': error, 'total': total}) | {'rate': rate}
    return state.replace(step=state.step + 1, params=params, opt=opt, ema=ema), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example the picture, and what is guessed of it under more and more noise: [5B, S, S, 3]."""
    real = to_float(batch['image'])
    count, levels = len(real), len(SHOWN)
    t = jnp.repeat(jnp.array([int(share * cfg.times) for share in SHOWN]), count)  # [4B]
    many = lambda v: jnp.tile(v, (levels, *[1] * (v.ndim - 1)))
    a, s = losses.amplitudes(table(cfg), t)
    x = a * many(real) + s * jax.random.normal(preview_key(cfg.seed), (levels * count, *real.shape[1:]))
    labels = (2 * batch['label'] - 1) * batch['known']
    guesses = guess(cfg, state.ema, x, t, many(labels)).reshape(levels, *real.shape)
    return jnp.concatenate([real[None], guesses]).swapaxes(0, 1).reshape(-1, *real.shape[1:])

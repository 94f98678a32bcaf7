"""Lips by ear: what a mouth does in speech, learnt from a synthesiser that knows it (`data.render.speech`).

    mouth   mean squared error of opening, width, lips together and teeth on the lip
    motion  the same of their changes from one moment to the next, which keeps closures sharp

Every window is heard in another room, among other noise and music, by another microphone (`ops.noisy`): any voice, and
any recording of one. `listen` is what inference uses.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.models.lips import Lips
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.heard import FEATURES, heard
from dfjax.ops.noisy import spoil
from dfjax.ops.optimize import apply_grads, ema_update, learning_rate, optimizer
from dfjax.systems.state import Net, State, arrays, common_config, compute_dtype, init_nets, optimizer_config

BATCH = 'voices'
FIGURE = ('opening', 'max')
COLOURS = ((0.3, 1.0, 0.3), (0.3, 0.6, 1.0), (1.0, 0.3, 0.3), (1.0, 1.0, 0.3))  # RGB, curves in previews


def default_config() -> ConfigDict:
    """The net that comes with the package; a quarter of an hour on two CPU cores."""
    cfg = common_config()
    cfg.system = 'lips'
    cfg.steps = 2500
    cfg.batch_size = 32
    cfg.data = dict(source='render:voices:1:120:500', seconds=r.between(0.5, 60, 3.0), resident_bytes=2**30)
    cfg.model = dict(width=r.size(96), kernels=r.count([5, 5, 3], least=1), dilations=r.size([1, 2, 4]))
    cfg.spoil = True  # rooms, noise, music, microphones
    cfg.loss = dict(motion=2.0)  # weight of the error of what changes from frame to frame
    cfg.optimizer = optimizer_config(kind='adamw', lr=2e-3, schedule='cosine', warmup=100, weight_decay=1e-3)
    cfg.ema = r.decay(0.998)
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The one net, at the length of the training's windows; it takes any."""
    m = cfg.model
    module = Lips(m.width, tuple(m.kernels), tuple(m.dilations), dtype=compute_dtype(cfg))
    return {'lips': Net(module, {'x': arrays(1, 40, FEATURES)}, ('mouth',))}


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters."""
    params, _ = init_nets(nets(cfg), rng)
    opt = {'lips': optimizer(cfg.optimizer).init(params['lips'])}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=jax.tree.map(jnp.copy, params))


def listen(cfg: ConfigDict, params: dict, features: jax.Array) -> jax.Array:
    """What the mouth does [B, T, 4] (see `phonemes.CHANNELS`), by features [B, T, 161] of `ops.heard`."""
    return nets(cfg)['lips'].module.apply({'params': params['lips']}, features)


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update. `batch` is 'voices' of `dfjax.data.batches`."""
    sound = batch['sound'].astype(jnp.float32) / 32768
    if cfg.spoil:
        sound = jax.vmap(spoil)(batch['key'], sound)
    features, truth = heard(sound), batch['mouth']

    def cost(params: dict) -> tuple[jax.Array, dict]:
        wrong = listen(cfg, params, features) - truth
        terms = {'mouth': (wrong**2).mean(), 'motion': cfg.loss.motion * (jnp.diff(wrong, axis=1) ** 2).mean()}
        return sum(terms.values()), terms

    grads, terms = jax.grad(cost, has_aux=True)(state.params)
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)
    params, opt = apply_grads(cfg.optimizer, rate, state.params['lips'], grads['lips'], state.opt['lips'])
    ema = ema_update(state.ema, {'lips': params}, cfg.ema, state.step)
    metrics = mean_over_devices(terms | {'total': sum(terms.values()), 'rate': rate})
    return state.replace(step=state.step + 1, params={'lips': params}, opt={'lips': opt}, ema=ema), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """Every example's curves over time, [B, 128, 128, 3]: what the mouth does above, what was heard of it below."""
    sound = batch['sound'].astype(jnp.float32) / 32768
    made = listen(cfg, state.params | state.ema, heard(sound))
    both = jnp.stack([batch['mouth'], made], 1)  # [B, 2, T, 4]
    at = jnp.arange(128) * both.shape[2] // 128
    height = 63 - 60 * jnp.clip(0.2 + 0.6 * both[:, :, at], 0, 1)  # [B, 2, 128, 4] rows
    drawn = jnp.exp(-((jnp.arange(64)[:, None, None] - height[:, :, None]) ** 2))  # [B, 2, 64, 128, 4]
    picture = (drawn[..., None] * jnp.array(COLOURS)).max(-2)
    return 2 * jnp.clip(picture, 0, 1).reshape(made.shape[0], 128, 128, 3) - 1

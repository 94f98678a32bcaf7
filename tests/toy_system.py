"""A system and data small enough to train in milliseconds, for the tests of the loop. It is not a test."""

import contextlib
import math
import sys
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax import systems
from dfjax.data.batches import Resident
from dfjax.data.shuffle import Draw
from dfjax.errors import InputError
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.keys import batch_keys
from dfjax.systems.state import State, common_config

BATCH = 'faces_ab'
FIGURE = ('total', 'min')
FEATURES = 12


def default_config() -> ConfigDict:
    cfg = common_config()
    cfg.update(system='toy', steps=40, batch_size=16, checkpoint_every=10, preview_every=20, log_every=10)
    cfg.lr = 1e-2
    cfg.explode_at = -1  # the step whose loss is infinite
    cfg.width = r.size(16)
    return cfg


def optimizer(cfg: ConfigDict) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(cfg.lr, 10_000)))


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    k1, k2 = jax.random.split(rng)
    params = {
        'net': {
            'w': jax.random.normal(k1, (FEATURES, cfg.width)) / FEATURES**0.5,
            'v': jax.random.normal(k2, (cfg.width, FEATURES)) / cfg.width**0.5,
        }
    }
    opt = {'net': optimizer(cfg).init(params['net'])}
    aux = {'key': rng, 'mean': jnp.zeros(())}
    return State(jnp.zeros((), jnp.int32), params, opt, jax.tree.map(jnp.copy, params), aux)


def frozen(cfg: ConfigDict) -> dict:
    return {'matrix': np.eye(FEATURES, dtype=np.float32)[::-1]}


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    x = batch['a']['image'].astype(jnp.float32) / 127.5 - 1  # [B, FEATURES]
    noise = jax.vmap(lambda key: jax.random.normal(key, (FEATURES,)))(batch['key'])
    noise += jax.random.normal(batch['step_key'], (FEATURES,))

    def loss(params: dict) -> jax.Array:
        y = jnp.tanh((x + 0.1 * noise) @ params['w']) @ params['v']
        return jnp.mean((y - x @ state.frozen['matrix']) ** 2)

    value, grads = jax.value_and_grad(loss)(state.params['net'])
    value, grads = mean_over_devices((value, grads))
    value = jnp.where(state.step == cfg.explode_at, jnp.inf, value)
    updates, opt = optimizer(cfg).update(grads, state.opt['net'], state.params['net'])
    params = {'net': optax.apply_updates(state.params['net'], updates)}
    ema = jax.tree.map(lambda e, p: 0.9 * e + 0.1 * p, state.ema, params)
    aux = {'key': jax.random.fold_in(state.aux['key'], 1), 'mean': 0.9 * state.aux['mean'] + 0.1 * value}
    new = state.replace(step=state.step + 1, params=params, opt={'net': opt}, ema=ema, aux=aux)
    return new, {'fit': value, 'total': value}


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    x = batch['a']['image'].astype(jnp.float32) / 127.5 - 1
    shown = jnp.tile(x[:, None, :, None], (1, FEATURES, 1, 3))  # [B, FEATURES, FEATURES, 3]
    return jnp.concatenate([shown, -shown])


def rows(count: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, FEATURES), np.uint8)


class Stream:
    """Streamed data with the interface of `dfjax.data.batches`: the same batches as `resident`."""

    resident = False
    batch_axis = 1

    def __init__(self, cfg: ConfigDict, process: int = 0, processes: int = 1):
        self.cfg, self.process, self.processes = cfg, process, processes
        self.rows = rows()
        self.draw = Draw(len(self.rows), cfg.seed)
        self.position, self.last = 0, math.inf

    def feed(self, steps: int) -> dict:
        if self.position > self.last:
            raise InputError('picture.png: cannot be read')
        # NumPy alone, as in `dfjax.data.batches`: a step of several processes is under way, and each waits for all.
        size = self.cfg.batch_size // self.processes
        example = self.process * size + np.arange(size)
        batches = []
        for _ in range(steps):
            position = (self.position * self.cfg.batch_size + example).astype(np.uint32)
            batches.append(self.rows[self.draw.index(position)])
            self.position += 1
        return {'a': {'image': np.stack(batches)}}

    def first(self) -> dict:
        before, self.position = self.position, 0
        feed = self.feed(1)
        self.position = before
        return feed

    def sample(self, feed: dict, step: jax.Array, i: jax.Array, part: int = 0, parts: int = 1) -> dict:
        size = self.cfg.batch_size // parts
        keys = batch_keys(self.cfg.seed, step, (part * size + jnp.arange(size)).astype(jnp.uint32))
        return jax.tree.map(lambda x: x[i], feed) | keys

    def get_state(self) -> dict:
        return {'next': self.position}

    def set_state(self, state: dict) -> None:
        self.position = state['next']

    def close(self) -> None:
        pass


def resident(cfg: ConfigDict) -> Resident:
    return Resident({'a': {'image': rows()}}, cfg.seed, cfg.batch_size)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Makes it a system by the name of 'toy' for a while."""
    before = systems.SYSTEMS
    systems.SYSTEMS = (*before, 'toy')
    sys.modules['dfjax.systems.toy'] = sys.modules[__name__]
    try:
        yield
    finally:
        systems.SYSTEMS = before
        del sys.modules['dfjax.systems.toy']

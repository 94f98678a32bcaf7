"""The smallest whole system: one matrix that gives grey pictures a colour.

`docs/pages/adding_a_system.md` goes through it.

l1      mean distance to the true picture
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.optimize import apply_grads, learning_rate, optimizer
from dfjax.systems.state import Net, State, arrays, common_config, compute_dtype, init_nets, optimizer_config

BATCH = 'aligned'
DIRECTIONS = {'': 'g'}  # in which it translates, and the net that does


def default_config() -> ConfigDict:
    """Pictures of 32 px."""
    cfg = common_config()
    cfg.system = 'tint'
    cfg.data = dict(source='pair:grey:render:person:1:0:32', a='', b='', size=r.size(32), resident_bytes=2**30)
    cfg.model = dict(kernel=r.size(1))  # pixels a side, odd
    cfg.optimizer = optimizer_config(lr=0.05)
    return cfg


class Tint(nn.Module):
    """Pictures [B, H, W, 3] in [-1, 1] -> [B, H, W, 3]: every pixel by one affine map of those about it."""

    kernel: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Conv(3, (self.kernel, self.kernel), dtype=self.dtype, name='colour')(x).astype(jnp.float32)


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The one net; it takes pictures of any size."""
    size = cfg.data.size
    return {'g': Net(Tint(cfg.model.kernel, compute_dtype(cfg)), {'x': arrays(1, size, size, 3)}, multiple=1)}


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters."""
    params, _ = init_nets(nets(cfg), rng)
    opt = {'g': optimizer(cfg.optimizer).init(params['g'])}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt)


def translate(cfg: ConfigDict, params: dict, pictures: jax.Array, condition: None = None) -> jax.Array:
    """Coloured pictures [B, H, W, 3] in [-1, 1]; there is no condition."""
    return nets(cfg)['g'].module.apply({'params': params['g']}, pictures)


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update. `batch` is 'aligned' of `dfjax.data.batches`."""
    a, b = (batch[name]['image'].astype(jnp.float32) / 127.5 - 1 for name in 'ab')  # [B, S, S, 3]
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)
    loss = lambda p: jnp.abs(translate(cfg, {'g': p}, a) - b).mean()
    value, grads = jax.value_and_grad(loss)(state.params['g'])
    g, moments = apply_grads(cfg.optimizer, rate, state.params['g'], grads, state.opt['g'])
    metrics = mean_over_devices({'l1': value, 'total': value}) | {'rate': rate}
    return state.replace(step=state.step + 1, params={'g': g}, opt={'g': moments}), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example a, what is made of it, and b: [3B, S, S, 3]."""
    a, b = (batch[name]['image'].astype(jnp.float32) / 127.5 - 1 for name in 'ab')
    return jnp.stack([a, translate(cfg, state.params, a), b], 1).reshape(-1, *a.shape[1:])

"""What every system shares: its state and its optimiser.

A system is a plain module:

    BATCH = 'faces_ab'                            which batch of `dfjax.data.batches` it eats
    default_config() -> ConfigDict              every key, with its default
    init(cfg, rng) -> State                     nets, optimiser states, frozen nets
    step(cfg, state, batch) -> (State, dict)    pure: every update of one step, augmentation included
    preview(cfg, state, batch) -> [N, H, W, 3]  pictures in [-1, 1] for a person to look at
    check(cfg)                                  optional: InputError where a file that training needs cannot be read
"""

from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from dfjax.ops import backend

DTYPES = ('auto', 'float32', 'bfloat16', 'float16')
SCHEDULES = ('constant', 'cosine')


@flax.struct.dataclass
class State:
    """All that a run is. `frozen` (pretrained feature nets) is rebuilt by `init` and never saved.

    Attributes:
        step: int32 scalar, the number of updates done.
        params: trainable parameters by net name.
        opt: optimiser states by net name.
        ema: averaged parameters by net name, the ones inference uses.
        aux: everything else that a step carries on (pools, batch statistics, running switches).
        frozen: parameters that never change.
    """

    step: jax.Array
    params: dict[str, Any] = flax.struct.field(default_factory=dict)
    opt: dict[str, Any] = flax.struct.field(default_factory=dict)
    ema: dict[str, Any] = flax.struct.field(default_factory=dict)
    aux: dict[str, Any] = flax.struct.field(default_factory=dict)
    frozen: dict[str, Any] = flax.struct.field(default_factory=dict)


def common_config() -> ConfigDict:
    """The keys that the loop reads, present in every system's config."""
    return ConfigDict(
        dict(
            system='',
            seed=0,
            steps=10_000,
            batch_size=16,
            checkpoint_every=1000,  # steps
            preview_every=500,  # steps
            log_every=50,  # steps
            parallel='jit',  # 'jit' over a mesh, or 'pmap': each device its own part of the batch, by `jax.shard_map`
            dtype='auto',  # one of DTYPES, to compute in: 'auto' is bfloat16 on accelerators, float32 on a CPU
        )
    )


def compute_dtype(cfg: ConfigDict) -> jnp.dtype:
    """The type that nets compute in; parameters stay float32."""
    if cfg.dtype == 'auto':
        return backend.compute_dtype()
    return jnp.dtype(cfg.dtype)


def optimizer(cfg: ConfigDict) -> optax.GradientTransformation:
    """Adam; the rate warms up and then stays, or falls to zero over `cfg.steps` as a cosine (SCHEDULES). Gradients
    longer than `clip` are shortened; 0 leaves them as they are."""
    o = cfg.optimizer
    warmup = min(o.warmup, cfg.steps // 2)
    rate = optax.warmup_constant_schedule(0.0, o.lr, warmup)
    if o.schedule == 'cosine':
        rate = optax.warmup_cosine_decay_schedule(0.0, o.lr, warmup, cfg.steps)
    clip = optax.clip_by_global_norm(o.clip) if o.clip else optax.identity()
    return optax.chain(clip, optax.adam(rate, b1=o.b1, b2=o.b2))

"""What every system shares: its state, how its nets are described, its optimiser.

A system is a plain module:

    BATCH = 'labelled'                          which batch of `dfjax.data.kinds` it eats
    default_config() -> ConfigDict              every key, with its default and range (`dfjax.ranges`)
    nets(cfg) -> {name: Net}                    every net by its name in `State.params`
    init(cfg, rng) -> State                     fresh parameters and optimiser states; `frozen` stays empty
    frozen(cfg) -> tree of host arrays          optional: pretrained nets, references, large tables; read outside jit
    begin(cfg, state, data) -> State            optional: a fresh state with what depends on the data, host arrays
    step(cfg, state, batch) -> (State, dict)    pure: every update of one step, augmentation included
    preview(cfg, state, batch) -> [N, H, W, 3]  pictures in [-1, 1] for a person to look at
    COLUMNS = ('picture', 'again')              optional: names of a preview's columns; further ones are the labels'
    check(cfg)                                  optional: InputError where a file that training needs cannot be read

All randomness comes from streams of keys that never coincide (`ops.keys`). `init` draws from `rng`; `step` from its
batch alone, `batch['key']` [B] for each example and `batch['step_key']`, a scalar that is the same on all devices, for
the step as a whole, as dropout or an order of the batch; `preview` from `preview_key(cfg.seed)`.

Metrics are scalars: every term of the loss, their sum as 'total', and the learning rate as 'rate', or as 'rate/g' and
'rate/d' where there are several. Nothing in a step depends on `cfg.steps`: rates follow `State.horizon`.

What a trained system can do is a further function each; a verb asks for those that it calls. `params` are
`State.params` with `State.ema` over them, and `State.aux` under them where the system has a `begin`; pictures are
[B, S, S, 3] in [-1, 1]:

    swap(cfg, params, frozen, pictures, landmarks, side, person) -> (faces, masks)
    morph(cfg, params, codes, share) -> maps                and `cfg.morph`, the share of the way that `swap` goes
    mask(cfg, params, pictures) -> masks [B, S, S, 1]       in [0, 1], where a bare face is seen; of any S
    encode(cfg, params, pictures) -> codes                  decode(cfg, params, codes) -> pictures
    noise_shape(cfg) -> shape of one picture's noise        from_noise(cfg, params, noise, truncation) -> pictures
    denoiser(cfg, params, labels, guidance) -> function     of noisy pictures and times, for `inference.solvers`
    translate(cfg, params, pictures, condition) -> pictures condition: CycleGAN's 'ab' or 'ba', StarGAN's [B, K], None
    paint(cfg, params, pictures) -> pictures                of any H and W
    keypoints(cfg, params, pictures) -> points              animate(cfg, params, pictures, source, driving, large)
                                                            -> pictures; by the nets ANIMATES
    lipsync(cfg, params, mels, pictures, references) -> pictures, of `cfg.room` round a face; its mels are those of
                                                            `ops.speech.mels_at(sound, seconds, cfg.model.early)`
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.ops import backend
from dfjax.ops.optimize import KINDS, SCHEDULES

DTYPES = ('auto', 'float32', 'bfloat16')
PARALLEL = ('jit', 'pmap')


@dataclass(frozen=True)
class Net:
    """A net and its arrays.

    Attributes:
        module: called with `inputs` in their order.
        inputs: shapes and types by name, for one example.
        outputs: names of what it gives.
        multiple: above 0, pictures of other sides are taken too, if H and W are multiples of it. Pictures are those
            inputs [1, H, W, C] that are square; a spectrogram is not one.
        series: whether inputs are [B, T, ...] of any number of frames T, and outputs [T * B, ...], time first.
    """

    module: nn.Module
    inputs: dict[str, jax.ShapeDtypeStruct]
    outputs: tuple[str, ...] = ('y',)
    multiple: int = 0
    series: bool = False

    def pictures(self) -> list[str]:
        """The pictures whose sides are free."""
        sides = {name: x.shape[1:3] for name, x in self.inputs.items() if self.multiple and len(x.shape) == 4}
        return [name for name, (h, w) in sides.items() if h == w and h % self.multiple == 0]


@flax.struct.dataclass
class State:
    """All that a run is. `frozen` and `horizon` follow from its config, and are never saved.

    Attributes:
        step: int32 scalar, the number of updates done.
        params: trainable parameters by net name.
        opt: optimiser states by net name.
        ema: averaged parameters by net name, the ones inference uses, and running statistics that go with them.
        aux: everything else that a step carries on.
        frozen: what never changes, as the system's `frozen` gave it.
        horizon: int32 scalar, the steps that learning rates are scheduled over: `cfg.steps`, set by the loop.
    """

    step: jax.Array
    params: dict[str, Any] = flax.struct.field(default_factory=dict)
    opt: dict[str, Any] = flax.struct.field(default_factory=dict)
    ema: dict[str, Any] = flax.struct.field(default_factory=dict)
    aux: dict[str, Any] = flax.struct.field(default_factory=dict)
    frozen: dict[str, Any] = flax.struct.field(default_factory=dict)
    horizon: jax.Array = flax.struct.field(default_factory=lambda: jnp.zeros((), jnp.int32))


def arrays(*shape: int) -> jax.ShapeDtypeStruct:
    """The float32 array of that shape, as `Net.inputs` has it."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def init_nets(nets: Mapping[str, Net], rng: jax.Array) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fresh parameters, and batch normalisation's averages where a net has them, both by the nets' names."""
    keys = jax.random.split(rng, len(nets)) if len(nets) > 1 else [rng]
    made = {}
    for key, (name, net) in zip(keys, nets.items()):
        made[name] = net.module.init(key, *(jnp.zeros(x.shape, x.dtype) for x in net.inputs.values()))
    params = {name: variables['params'] for name, variables in made.items()}
    return params, {name: v['batch_stats'] for name, v in made.items() if 'batch_stats' in v}


def common_config() -> ConfigDict:
    """The keys that the loop reads, present in every system's config."""
    return ConfigDict(
        dict(
            system='',  # what is trained, a module of dfjax.systems
            seed=r.between(0, 2**31 - 1, 0),  # all random numbers of a run follow from it
            steps=r.steps(10_000, least=1),  # updates; learning rates are scheduled over them
            batch_size=r.size(16),
            checkpoint_every=r.steps(1000),  # steps; 0: at the end alone
            preview_every=r.steps(500),  # steps, besides the first ones and the clock's; 0: no previews
            log_every=r.steps(50),  # steps that a row of metrics.jsonl is the mean of
            # 'jit' over a mesh, or 'pmap': each device its own part of the batch, by `jax.shard_map`
            parallel=r.choice('jit', PARALLEL),
            # computed in: 'auto' is bfloat16 on accelerators, float32 on a CPU
            dtype=r.choice('auto', DTYPES),
            # whether blocks of nets are computed again in the backward pass: less memory, a third more arithmetic
            remat=False,
        )
    )


def compute_dtype(cfg: ConfigDict) -> jnp.dtype:
    """The type that nets compute in; parameters stay float32."""
    if cfg.dtype == 'auto':
        return backend.compute_dtype()
    return jnp.dtype(cfg.dtype)


def optimizer_config(**changes: Any) -> ConfigDict:
    """A section for `ops.optimize`: its defaults, but for `changes`."""
    o = ConfigDict(
        dict(
            kind=r.choice('adam', KINDS),  # the rule of the update
            lr=1e-3,  # greatest learning rate
            schedule=r.choice('constant', SCHEDULES),  # how the rate changes over the steps
            warmup=r.steps(0),  # steps over which the rate rises from 0
            constant=r.share(0.5),  # share of the steps before the rate of 'linear' falls
            # shares of the steps, after each of which the rate of 'milestones' is times gamma
            milestones=r.share([0.6, 0.9]),
            gamma=0.1,  # see milestones
            b1=r.decay(0.9),  # decay of the mean gradient
            b2=r.decay(0.999),  # decay of the mean squared gradient
            eps=1e-8,  # added to what the update is divided by
            clip=0.0,  # greatest norm of a gradient; 0 for any
            weight_decay=0.0,  # for 'adamw' alone
        )
    )
    o.update(changes)
    return o

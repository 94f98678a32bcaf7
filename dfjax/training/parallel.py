"""A run's arrays and its step on all devices of all processes.

    devices = Devices(cfg, system, data)
    devices.prepare()                                         compiles the step in a thread: begins to, and returns
    state = devices.init()                                    a fresh state, replicated
    feed = devices.feed(n)                                    what the next n steps need
    state, metrics = devices.advance(state, metrics, feed, n, stop) n steps; the state given is used up

The state is replicated over a mesh of all devices, the batch is split over it. `cfg.parallel` says who splits a step:
    'jit'     XLA: the program is written for the whole batch
    'pmap'    `jax.shard_map`, which `jax.pmap` itself is made of: the program is written for one device's part, and the
              system takes means over devices (`dfjax.ops.devices`)

The metrics that `advance` carries are those of the steps since the loop last looked: {'sum': of each by its name,
'nonfinite': the first step at which one was not finite, -1 if none, 'stop': whether a process wanted to stop when it
dispatched the last of them}.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.errors import InputError
from dfjax.models.recompute import recomputing
from dfjax.ops import backend
from dfjax.ops.devices import DEVICE_AXIS
from dfjax.ops.keys import init_key
from dfjax.systems import load_system
from dfjax.systems.state import State

# Simulated devices on a CPU lock up when more than 32 steps are under way at once.
UNSYNCHRONISED = 8


def enable_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, so that the second run starts at once."""
    if not jax.config.jax_compilation_cache_dir:  # else JAX_COMPILATION_CACHE_DIR or the caller has chosen one
        jax.config.update('jax_compilation_cache_dir', str(cache_folder()))
        jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)  # many small ones are seconds together


def cache_folder() -> Path:
    """Where compiled programs are kept."""
    usual = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'dfjax' / 'compiled'
    return Path(jax.config.jax_compilation_cache_dir or usual)


@contextlib.contextmanager
def memory_errors(cfg: ConfigDict) -> Iterator[None]:
    """Turns a device that is out of memory into the line that says which batch size to try."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not out_of_memory(error):
            raise
        smaller = smaller_batch(cfg)
        hint = f'try --config.batch_size={smaller}' if smaller else 'try a smaller model or picture size'
        kind = jax.devices()[0].device_kind
        raise InputError(f'{kind} ran out of memory with batch_size {cfg.batch_size}; {hint}') from None


def out_of_memory(error: Exception) -> bool:
    """Whether JAX failed for want of memory."""
    return 'RESOURCE_EXHAUSTED' in str(error) or 'Out of memory' in str(error)


def smaller_batch(cfg: ConfigDict) -> int:
    """The greatest batch size of half of `cfg`'s or less that its system takes and all devices share; 0 if none."""
    check, devices = getattr(load_system(cfg.system), 'check', lambda cfg: None), jax.device_count()
    for size in range(cfg.batch_size // 2 // devices * devices, 0, -devices):
        with contextlib.suppress(InputError):
            check(build(cfg, {'batch_size': size}))
            return size
    return 0


def strip_weak_types(tree: Any) -> Any:
    """Arrays without JAX's weak types: a state must keep its types from step to step, or it is traced again."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), tree)


def on_first_device(tree: Any) -> Any:
    """What this process's first device holds: of a replicated array all, of a split one its part."""
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


@jax.jit
def finite(tree: Any) -> jax.Array:
    """Whether all numbers of a tree are finite."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


class Devices:
    """All devices of all processes, and the step of a system over them.

    Raises:
        InputError: if the batch does not split evenly over the devices.
    """

    scan_steps = property(lambda self: backend.loops_are_fast())  # whether several steps are one program

    def __init__(self, cfg: ConfigDict, system: ModuleType, data: Any):
        count = jax.device_count()
        if cfg.batch_size % count:
            better = max(cfg.batch_size // count, 1) * count
            raise InputError(
                f'batch_size {cfg.batch_size} does not split over {count} devices; try --config.batch_size={better}'
            )
        self.cfg, self.system, self.data = cfg, system, data
        self.mesh = Mesh(np.array(jax.devices()), (DEVICE_AXIS,))
        self.replicated = NamedSharding(self.mesh, P())
        self._feed_spec = P() if data.resident else P(*[None] * data.batch_axis, DEVICE_AXIS)
        self.rows = NamedSharding(self.mesh, P(DEVICE_AXIS))
        self._resident = self._prepared = None
        # Traced once, for its metrics' names and for the program.
        self._update_once = jax.jit(self._system_step, inline=True)
        self._step, self._init = self._compiled(), self._compiled_init()
        flags = np.zeros(jax.local_device_count(), np.int32)
        self._flags = [jax.make_array_from_process_local_data(self.rows, flags + stop) for stop in (0, 1)]

    def _system_step(self, state: State, batch: dict) -> tuple[State, dict]:
        with recomputing(self.cfg.remat):
            return self.system.step(self.cfg, state, batch)

    def _compiled(self) -> Callable:
        by_device = self.cfg.parallel == 'pmap'

        def one(state: State, metrics: dict, feed: Any, i: jax.Array) -> tuple[State, dict]:
            if by_device:
                part = jax.lax.axis_index(DEVICE_AXIS)
                batch = self.data.sample(feed, state.step, i, part, self.mesh.size)
            else:
                batch = self._whole(feed, state.step, i)
            return self._update(state, metrics, batch)

        def many(state: State, metrics: dict, feed: Any, steps: jax.Array) -> tuple[State, dict]:
            # The number of steps is an argument: one program, and the same bits however a run is cut up.
            return jax.lax.fori_loop(0, steps, lambda i, carry: one(*carry, feed, i), (state, metrics))

        program = many if self.scan_steps else one
        if by_device:
            # Without `check_vma`, which would sum the gradients of replicated parameters by itself.
            specs = (P(), P(), self._feed_spec, P())
            program = jax.shard_map(program, mesh=self.mesh, in_specs=specs, out_specs=P(), check_vma=False)

        def advance(
            state: State, frozen: Any, metrics: dict, feed: Any, n: jax.Array, flags: jax.Array
        ) -> tuple[State, dict]:  # flags [devices]
            metrics = {name: metrics[name] for name in ('sum', 'nonfinite')}
            state, sums = program(state.replace(frozen=frozen), metrics, feed, n)
            return state.replace(frozen={}), sums | {'stop': flags.max()}

        options = backend.recomputing() if self.cfg.remat else None
        return jax.jit(advance, donate_argnums=0, out_shardings=self.replicated, compiler_options=options)

    def _compiled_init(self) -> Callable:
        return jax.jit(
            lambda key: strip_weak_types(self.system.init(self.cfg, key)),
            out_shardings=self.replicated,
            compiler_options=backend.quick_compilation(),
        )

    def _whole(self, feed: Any, step: jax.Array, i: jax.Array | int) -> dict:
        """The batch of a step, split over the devices."""
        batch = self.data.sample(feed, step, i)
        where = {name: self.replicated if name == 'step_key' else self.rows for name in batch}
        return jax.lax.with_sharding_constraint(batch, where)

    def _update(self, state: State, metrics: dict, batch: dict) -> tuple[State, dict]:
        new, values = self._update_once(state, batch)
        finite = jnp.stack([jnp.isfinite(value).all() for value in values.values()]).all()
        nonfinite = jnp.where((metrics['nonfinite'] < 0) & ~finite, state.step, metrics['nonfinite'])
        total = {name: metrics['sum'][name] + value.astype(jnp.float32) for name, value in values.items()}
        return strip_weak_types(new), {'sum': total, 'nonfinite': nonfinite}

    def init(self) -> State:
        """A fresh state, from `cfg.seed`, and from the data where the system has a `begin`."""
        state = self.blank()
        if hasattr(self.system, 'begin'):
            begun = self.system.begin(self.cfg, state, self.data)
            state = jax.tree.map(lambda old, new: old if new is old else self.replicate(new), state, begun)
        return state

    def blank(self) -> State:
        """A fresh state, from `cfg.seed` alone."""
        state = self._init(init_key(self.cfg.seed))
        return self.completed(jax.block_until_ready(state))  # jaxlib 0.10 waits forever to copy what had no memory

    @functools.cached_property
    def frozen(self) -> Any:
        """What the system's `frozen` gives, on all devices: read once, and never a constant of a program."""
        return jax.tree.map(self.replicate, self.system.frozen(self.cfg) if hasattr(self.system, 'frozen') else {})

    def completed(self, state: State) -> State:
        """The state with what is not saved: `frozen`, and the horizon, which thus no program depends on."""
        return state.replace(frozen=self.frozen, horizon=self.replicate(np.int32(self.cfg.steps)))

    @functools.cached_property
    def abstract(self) -> State:
        """The state's shapes, types and shardings; `frozen` as it is."""
        shapes = self._init.eval_shape(init_key(self.cfg.seed))  # which is traced once for this and for `blank`
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.replicated), shapes)
        return shapes.replace(frozen=self.frozen)

    def feed(self, steps: int) -> Any:
        """The data of the next steps, on the devices; a resident set goes there once."""
        if not self.data.resident:
            return self._split(self.data.feed(steps))
        if self._resident is None:
            self._resident = jax.tree.map(self.replicate, self.data.feed(steps))
        return self._resident

    def _split(self, feed: Any) -> Any:  # [n, B / processes, ...]
        split = NamedSharding(self.mesh, self._feed_spec)
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(split, x), feed)

    def replicate(self, x: Any) -> jax.Array:
        """A host array that every process holds, as one array on all devices."""
        x = np.asarray(x)
        return jax.make_array_from_callback(x.shape, self.replicated, lambda index: x[index])

    @functools.cached_property
    def first(self) -> Any:
        """The feed of step 0, on the devices."""
        return self.feed(1) if self.data.resident else self._split(self.data.first())

    def prepare(self) -> Future:
        """Traces and compiles the step in a thread, beside what is done before the first one; what fails there fails
        in `zeros` and `advance`, which wait for it."""
        if self._prepared is None:
            thread = ThreadPoolExecutor(1)
            self._prepared = thread.submit(self._compile, self.abstract, self.first)
            thread.shutdown(wait=False)
        return self._prepared

    def _compile(self, state: State, feed: Any) -> dict:
        """Puts the program where `_step` finds it; returns the metrics of no steps."""
        values = jax.eval_shape(
            lambda state, feed: self._update_once(state, self._whole(feed, state.step, 0))[1], state, feed
        )
        zeros = {'sum': dict.fromkeys(values, np.float32(0)), 'nonfinite': np.int32(-1), 'stop': np.int32(0)}
        zeros = jax.tree.map(self.replicate, zeros)
        program = self._step.lower(state.replace(frozen={}), state.frozen, zeros, feed, 0, self._flags[0]).compile()
        self.memory = program.memory_analysis()  # what a step takes of a device; set by `prepare`
        return zeros

    def advance(self, state: State, metrics: dict, feed: Any, steps: int, stop: bool = False) -> tuple[State, dict]:
        """`steps` updates, under way when this returns.

        All processes call it alike, but for `stop`: whether this one wants to stop. That all of them know, without
        waiting for each other, by what they read of these metrics later.
        """
        self.prepare().result()
        flags = self._flags[stop]
        # Apart from the state, whose buffers are given away to the new one: these serve every state of these devices.
        frozen, state = state.frozen, state.replace(frozen={})
        for i in [steps] if self.scan_steps else range(steps):
            state, metrics = self._step(state, frozen, metrics, feed, i, flags)
            if not self.scan_steps and self.mesh.size > 1 and i % UNSYNCHRONISED == 0:
                jax.block_until_ready(metrics)
        return state.replace(frozen=frozen), metrics

    def zeros(self) -> dict:
        """The metrics of no steps."""
        return self.prepare().result()

    def previewer(self, most: int) -> Callable:
        """A function of `on_first_device(state)`: the preview [N, H, W, 3], and of how many examples it is.

        The state may lack `opt`. The examples are the first of step 0's batch, `most` at most (of a streamed one, of
        the first device's part): the same whenever it is asked, also in a run that goes on.
        """
        parts = 1 if self.data.resident else self.mesh.size
        examples = min(most, self.cfg.batch_size // parts)

        @jax.jit
        def picture(state: State, feed: Any) -> jax.Array:
            batch = self.data.sample(feed, jnp.int32(0), 0, 0, parts)
            few = lambda x: x[:examples] if x.ndim else x  # the step's key is a scalar
            return self.system.preview(self.cfg, state, jax.tree.map(few, batch))

        return lambda state: (np.asarray(picture(state.replace(opt={}), on_first_device(self.first))), examples)

    def read(self, metrics: dict) -> dict:
        """The metrics as numbers on the host, in one transfer: waits for their steps."""
        return jax.tree.map(lambda x: x.item(), jax.device_get(on_first_device(metrics)))

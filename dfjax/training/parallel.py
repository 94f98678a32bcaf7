"""Where a run's arrays live and how its step is split over devices: `jit` over a mesh, or `pmap`; one process or many.

Both ways give the loop the same four operations, so that it does not know which one it has:

    place = placement(cfg, system, data)
    place.init()                               a fresh state, on every device
    place.feed(n)                              what the next n steps need, on the devices
    place.advance(state, tally, feed, n)       n steps; the state given is used up
    place.whole(state), place.split(state)     to and from the replicated form that checkpoints hold

A tally is what the loop learns of the steps since it last looked: the sum of each metric and the first step at which
one of them was not finite.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from dfjax.errors import InputError
from dfjax.systems.state import DEVICE_AXIS, State

# Simulated devices on a CPU lock up when more than 32 steps are under way at once.
UNSYNCHRONISED = 8


def enable_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, so that the second run starts at once."""
    if not jax.config.jax_compilation_cache_dir:  # else JAX_COMPILATION_CACHE_DIR or the caller has chosen one
        cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'dfjax' / 'compiled'
        jax.config.update('jax_compilation_cache_dir', str(cache))
        jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.3)


@contextlib.contextmanager
def memory_errors(cfg: ConfigDict) -> Iterator[None]:
    """Turns a device that is out of memory into the line that says which batch size to try."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if 'RESOURCE_EXHAUSTED' not in str(error) and 'Out of memory' not in str(error):
            raise
        devices = jax.device_count()
        smaller = cfg.batch_size // 2 // devices * devices
        hint = f'try --config.batch_size={smaller}' if smaller else 'try a smaller model or picture size'
        kind = jax.devices()[0].device_kind
        raise InputError(f'{kind} ran out of memory with batch_size {cfg.batch_size}; {hint}') from None


def placement(cfg: ConfigDict, system: ModuleType, data: Any) -> 'Meshed | Mapped':
    """The way of `cfg.parallel` over all devices of all processes.

    Raises:
        InputError: if there is no such way, or the batch does not split evenly over the devices.
    """
    ways = {'jit': Meshed, 'pmap': Mapped}
    if cfg.parallel not in ways:
        raise InputError(f"config key 'parallel' is 'jit' or 'pmap', not {cfg.parallel!r}")
    devices = jax.device_count()
    if cfg.batch_size % devices:
        better = max(cfg.batch_size // devices, 1) * devices
        raise InputError(
            f'batch_size {cfg.batch_size} does not split over {devices} devices; try --config.batch_size={better}'
        )
    return ways[cfg.parallel](cfg, system, data)


def agree(stop: bool, count: int) -> tuple[bool, int]:
    """What all processes do next: stop if any has to, and the smallest count."""
    if jax.process_count() == 1:
        return stop, count
    told = multihost_utils.process_allgather(np.array([stop, count], np.int32))  # [P, 2]
    return bool(told[:, 0].any()), int(told[:, 1].min())


def put_everywhere(x: Any, sharding: NamedSharding) -> jax.Array:
    """A host array that every process holds, as one array on all devices."""
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def strong(tree: Any) -> Any:
    """Arrays without JAX's weak types: a state must keep its types from step to step, or it is traced again."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), tree)


class Meshed:
    """`jax.jit` over a mesh of all devices: the state is on each, the batch is split, and XLA adds the rest."""

    # The loop of several steps in one program pays on an accelerator. On a CPU, XLA runs a convolution inside a loop
    # more than ten times slower than outside.
    looped = property(lambda self: jax.default_backend() != 'cpu')

    def __init__(self, cfg: ConfigDict, system: ModuleType, data: Any):
        self.cfg, self.system, self.data = cfg, system, data
        self.mesh = Mesh(np.array(jax.devices()), (DEVICE_AXIS,))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self.rows = NamedSharding(self.mesh, PartitionSpec(DEVICE_AXIS))
        self._resident = None
        self._step = self._compiled()

    def _compiled(self) -> Callable:
        def one(state: State, tally: dict, feed: Any, i: jax.Array) -> tuple[State, dict]:
            batch = self.data.sample(feed, state.step, i)
            return self._update(state, tally, jax.lax.with_sharding_constraint(batch, self.rows))

        def many(state: State, tally: dict, feed: Any, steps: jax.Array) -> tuple[State, dict]:
            # The number of steps is an argument: one program, and the same bits however a run is cut up.
            return jax.lax.fori_loop(0, steps, lambda i, carry: one(*carry, feed, i), (state, tally))

        return jax.jit(many if self.looped else one, donate_argnums=0, out_shardings=self.replicated)

    def _update(self, state: State, tally: dict, batch: dict) -> tuple[State, dict]:
        new, metrics = self.system.step(self.cfg, state, batch)
        finite = jnp.stack([jnp.isfinite(value).all() for value in metrics.values()]).all()
        bad = jnp.where((tally['bad'] < 0) & ~finite, state.step, tally['bad'])
        total = {name: tally['sum'][name] + value.astype(jnp.float32) for name, value in metrics.items()}
        return strong(new), {'sum': total, 'bad': bad}

    def init(self) -> State:
        """A fresh state, from `cfg.seed`."""
        # It runs once, so on a CPU, where it takes longest, it is compiled in a hurry.
        options = {'xla_backend_optimization_level': 0} if jax.default_backend() == 'cpu' else None
        init = jax.jit(
            lambda key: strong(self.system.init(self.cfg, key)), out_shardings=self.replicated, compiler_options=options
        )
        return self.split(init(jax.random.key(self.cfg.seed)))

    def abstract(self) -> State:
        """What `whole` gives of any state of this run, as shapes."""
        shapes = jax.eval_shape(lambda key: self.system.init(self.cfg, key), jax.random.key(0))
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.replicated), shapes)

    def whole(self, state: Any) -> Any:
        """The state as checkpoints hold it: replicated over the mesh."""
        return state

    def split(self, state: Any) -> Any:
        """The state as steps take it."""
        return state

    def feed(self, steps: int) -> Any:
        """The data of the next steps, on the devices; a resident set goes there once."""
        if not self.data.resident:
            return jax.tree.map(self._place_stream, self.data.feed(steps))
        if self._resident is None:
            arrays = jax.tree.map(lambda x: put_everywhere(x, self.replicated), self.data.feed(steps))
            self._resident = self.split(arrays)
        return self._resident

    def peek(self) -> Any:
        """What `feed(1)` will give."""
        position = self.data.get_state()
        feed = self.feed(1)
        self.data.set_state(position)
        return feed

    def _place_stream(self, x: np.ndarray) -> jax.Array:  # [n, B, ...]
        split = NamedSharding(self.mesh, PartitionSpec(*[None] * self.data.batch_axis, DEVICE_AXIS))
        return jax.make_array_from_process_local_data(split, x)

    def advance(self, state: Any, tally: dict, feed: Any, steps: int) -> tuple[Any, dict]:
        """`steps` updates, under way when this returns."""
        if self.looped:
            return self._step(state, tally, feed, steps)
        for i in range(steps):
            state, tally = self._step(state, tally, feed, i)
            if self.mesh.size > 1 and i % UNSYNCHRONISED == 0:
                jax.block_until_ready(tally)
        return state, tally

    def zeros(self, state: Any) -> dict:
        """An empty tally."""
        cfg = self.cfg.copy_and_resolve_references()
        cfg.parallel = 'jit'  # outside pmap there are no devices to take means over
        metrics = jax.eval_shape(
            lambda state, feed: self.system.step(cfg, state, self.sample_local(feed))[1],
            self.local(state),
            self.local(self.peek()),
        )
        tally = {'sum': dict.fromkeys(metrics, np.float32(0)), 'bad': np.int32(-1)}
        return self.split(jax.tree.map(lambda x: put_everywhere(x, self.replicated), tally))

    def sample_local(self, feed: Any) -> dict:
        """A batch from `local(feed)`: of a streamed one, the first device's part."""
        return self.data.sample(feed, jnp.int32(0), 0, 0, 1 if self.data.resident else self.mesh.size)

    def read(self, tally: dict) -> dict:
        """The tally's numbers, on the host: waits for its steps."""
        return jax.tree.map(lambda x: np.asarray(x).item(), self.local(tally))

    def local(self, tree: Any) -> Any:
        """What the first device of this process holds."""
        return jax.tree.map(lambda x: x.addressable_data(0), tree)


class Mapped(Meshed):
    """`jax.pmap`: every device runs the step on its own part of the batch, and the system takes means over devices.

    Arrays have a leading axis, which stands for this process's devices.
    """

    looped = False

    def __init__(self, cfg: ConfigDict, system: ModuleType, data: Any):
        self.local_rows = NamedSharding(Mesh(np.array(jax.local_devices()), (DEVICE_AXIS,)), PartitionSpec(DEVICE_AXIS))
        super().__init__(cfg, system, data)

    def _compiled(self) -> Callable:
        def one(state: State, tally: dict, feed: Any, i: jax.Array) -> tuple[State, dict]:
            part = jax.lax.axis_index(DEVICE_AXIS)
            return self._update(state, tally, self.data.sample(feed, state.step, i, part, self.mesh.size))

        return jax.pmap(one, DEVICE_AXIS, in_axes=(0, 0, 0, None), donate_argnums=0)

    def whole(self, state: Any) -> Any:
        """The state as checkpoints hold it: replicated over the mesh."""

        def gather(x: jax.Array) -> jax.Array:
            parts = [part.data[0] for part in x.addressable_shards]
            return jax.make_array_from_single_device_arrays(x.shape[1:], self.replicated, parts)

        return jax.tree.map(gather, state)

    def split(self, state: Any) -> Any:
        """The state as steps take it: a copy for each device."""

        def spread(x: jax.Array) -> jax.Array:
            parts = [part.data[None] for part in x.addressable_shards]
            return jax.make_array_from_single_device_arrays((len(parts), *x.shape), self.local_rows, parts)

        return jax.tree.map(spread, state)

    def _place_stream(self, x: np.ndarray) -> jax.Array:  # [n, B, ...] -> [devices, n, B / devices, ...]
        x = np.moveaxis(x.reshape(x.shape[0], jax.local_device_count(), -1, *x.shape[2:]), 1, 0)
        return jax.device_put(x, self.local_rows)

    def local(self, tree: Any) -> Any:
        """What the first device of this process holds."""
        return jax.tree.map(lambda x: x.addressable_data(0)[0], tree)

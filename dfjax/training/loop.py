"""The one training loop, for every system.

    state = train(cfg, 'W')         starts, or goes on with, the run in W

A run that is killed and started again ends with the same parameters, bit for bit, as one that never stopped: its data
and random keys follow from (seed, step) alone.
"""

import math
import signal
import threading
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax.data.batches import make_data
from dfjax.data.media.output import FULL
from dfjax.errors import InputError
from dfjax.systems import load_system
from dfjax.systems.state import State
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.parallel import Devices, agree, enable_compilation_cache, memory_errors, on_first_device
from dfjax.training.report import Report
from dfjax.training.workdir import check_fits, claim, say

SECONDS_PER_DISPATCH = 0.5  # also how long a signal to stop may wait, twice
PREVIEWED = 8  # at most; examples


def train(
    cfg: ConfigDict, workdir: str | Path, *, data: Any = None, deadline: float | None = None, progress: bool = True
) -> State:
    """Trains to `cfg.steps`, from the newest checkpoint in `workdir` if there is one.

    SIGTERM and Ctrl-C save, say how to go on, and raise SystemExit(143) and KeyboardInterrupt.

    Args:
        data: of `dfjax.data.batches.make_data`, where the caller has made it already.
        deadline: seconds of wall clock, from now, after which to save and return with fewer steps.
        progress: a line on the terminal with step rate, losses and time left.

    Returns:
        The state, on all devices. Its `step` is below `cfg.steps` only if the deadline came first.

    Raises:
        InputError: if the folder holds another run, cannot be written, or its checkpoints cannot be read; as the
            system's `check`; if a loss is not finite; if the device runs out of memory. What was saved before stays.
    """
    until = math.inf if deadline is None else time.monotonic() + deadline
    try:
        with memory_errors(cfg), Stop(until) as stop:
            state = _train(cfg, workdir, data, stop, progress)
    except OSError as error:
        said = 'the disk is full; free some space and' if error.errno in FULL else f'{error.strerror or error};'
        raise InputError(f'{error.filename or workdir}: {said} run the same command again') from error
    stop.leave()
    return state


def _train(cfg: ConfigDict, workdir: str | Path, data: Any, stop: 'Stop', progress: bool) -> State:
    check_fits(workdir, cfg)
    if check := getattr(load_system(cfg.system), 'check', None):
        check(cfg)
    devices = _devices(cfg, data)
    try:
        shapes = devices.abstract()  # before anything is written: data and config may be refused
        claim(workdir, cfg)
        with Checkpoints(workdir) as checkpoints:
            state, step = _first_state(devices, checkpoints, shapes)
            with Report(workdir, cfg, step, progress) as report:
                run = _Run(cfg, devices, checkpoints, report, step)
                state = run.steps(state, stop)
    finally:
        if data is None:
            devices.data.close()
    if run.step < cfg.steps:
        say(f'stopped at step {run.step} of {cfg.steps}, saved in {workdir}; the same command goes on')
    return state


def steps_for(cfg: ConfigDict, data: Any, seconds: float) -> int:
    """How many steps of `train` fit into so many seconds from now, compilation included.

    Times a few steps and leaves a margin. Set `cfg.steps` to the result before training: schedules follow it, and the
    run's folder remembers it (`checkpoint.read_config`), so that a resumed run keeps it.
    """
    started = time.monotonic()
    with memory_errors(cfg):
        devices = _devices(cfg, data)
        position = devices.data.get_state()
        state = devices.init()
        metrics = devices.zeros()
        state, metrics = devices.advance(state, metrics, devices.feed(1), 1)
        devices.read(metrics)
        setup = time.monotonic() - started
        done, began = 0, time.monotonic()
        while done < 3 or time.monotonic() - began < min(5.0, seconds / 50):
            state, metrics = devices.advance(state, metrics, devices.feed(1), 1)
            devices.read(metrics)
            done += 1
        devices.data.set_state(position)  # what was timed is not to be missing from the run
    each = (time.monotonic() - began) / done
    left = seconds - (time.monotonic() - started) - setup  # `train` compiles again: the schedule is another one
    return max(1, int(0.95 * left / each))


def _devices(cfg: ConfigDict, data: Any) -> Devices:
    enable_compilation_cache()
    system = load_system(cfg.system)
    if data is None:
        data = make_data(cfg, system.BATCH, jax.process_index(), jax.process_count())
    return Devices(cfg, system, data)


def _first_state(devices: Devices, checkpoints: Checkpoints, shapes: State) -> tuple[Any, int]:
    """The state to go on from, and its step; `shapes` are its arrays."""
    restored = checkpoints.restore(shapes)
    if restored is None:
        return devices.init(), 0
    state, position = restored
    devices.data.set_state(position)
    step = int(np.asarray(state.step.addressable_data(0)))
    say(f'going on from step {step} of {devices.cfg.steps}')
    return devices.completed(state), step


class Stop:
    """Notices signals and the deadline while it is entered; a second Ctrl-C interrupts at once."""

    def __init__(self, until: float):
        self.until = until
        self.signal = None

    def __enter__(self) -> 'Stop':
        self._before = {}
        if threading.current_thread() is threading.main_thread():  # Python allows it nowhere else
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        self.signal = number
        signal.signal(number, self._before[number] or signal.SIG_DFL)

    def wanted(self) -> bool:
        """Whether it is time to stop."""
        return self.signal is not None or time.monotonic() > self.until

    def leave(self) -> None:
        """Ends the program as the signal asked, if there was one."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


class _Run:
    """The steps of one call of `train`."""

    def __init__(self, cfg: ConfigDict, devices: Devices, checkpoints: Checkpoints, report: Report, step: int):
        self.cfg, self.devices, self.checkpoints, self.report = cfg, devices, checkpoints, report
        self.step = self.saved = self.logged = step
        self.loss = math.inf  # of the newest row
        self.waited, self.row_began = 0.0, time.monotonic()
        self._picture = _previewer(cfg, devices)

    def steps(self, state: Any, stop: Stop) -> Any:
        """Updates `state` until the run is complete or told to stop, and saves it."""
        cfg, devices = self.cfg, self.devices
        metrics = empty = devices.zeros()
        timed = None  # when the first dispatch was done, and its step
        pace = SECONDS_PER_DISPATCH  # seconds a step takes
        while self.step < cfg.steps:
            goal = min(cfg.steps, *(self._next(n) for n in (cfg.log_every, cfg.checkpoint_every, cfg.preview_every)))
            count = min(goal - self.step, max(1, int(SECONDS_PER_DISPATCH / pace)))
            stopping, count = agree(stop.wanted(), count if devices.data.resident else 1)
            if stopping:
                break
            before, asked = metrics, time.monotonic()
            feed = devices.feed(count)
            if before['nonfinite'].is_ready():  # so the devices had nothing to do
                self.waited += time.monotonic() - asked
            state, metrics = devices.advance(state, before, feed, count)
            self.step += count
            drained = self.step == goal or timed is None
            sums = devices.read(
                metrics if drained else before
            )  # unless something is due, this dispatch stays under way
            self._check(sums['nonfinite'])
            done = self.step if drained else self.step - count
            if timed is None:
                timed = time.monotonic(), done
            elif done > timed[1]:
                pace = (time.monotonic() - timed[0]) / (done - timed[1])
            self.report.advance(count)
            if self.step == goal and self._due(cfg.log_every):
                self._log(sums['sum'])
                metrics = empty
            if self.step == goal and self._due(cfg.preview_every):
                self._show(state)
            if self.step == goal and self._due(cfg.checkpoint_every):
                self._save(state, sums['sum'])
        self._check(devices.read(metrics)['nonfinite'])
        self._save(state, devices.read(metrics)['sum'])
        self.checkpoints.finish()
        return state

    def _next(self, every: int) -> float:
        """The next step at which something is done that is done every so many steps (0: never)."""
        return (self.step // every + 1) * every if every else math.inf

    def _due(self, every: int) -> bool:
        return self.step == self.cfg.steps or (every and self.step % every == 0)

    def _check(self, nonfinite: int) -> None:
        if nonfinite >= 0:
            kept = f'step {self.saved} is kept' if self.saved else 'nothing had been saved'
            raise InputError(
                f'the loss was not finite at step {nonfinite}: training stopped, {kept} in {self.checkpoints.workdir}; '
                'start another folder with a lower learning rate, or look at the data with `dfjax check`'
            )

    def _log(self, sums: dict[str, float]) -> None:
        now, count = time.monotonic(), self.step - self.logged
        means = {name: value / count for name, value in sums.items()}
        self.loss = means.get('total', 0.0)
        self.report.row(self.step, count, now - self.row_began, self.waited, means)
        self.logged, self.row_began, self.waited = self.step, now, 0.0

    def _save(self, state: Any, sums: dict[str, float]) -> None:
        if self.step == self.saved:
            return
        if not _finite(on_first_device(state.params)):  # a bad gradient shows in the loss only at the next step
            self._check(self.step)
        count = self.step - self.logged
        loss = sums.get('total', 0.0) / count if count else self.loss
        self.checkpoints.save(self.step, state, loss, self.devices.data.get_state())
        self.saved = self.step

    def _show(self, state: Any) -> None:
        if self.report.speaks:
            pictures, examples = self._picture(on_first_device(state))
            n = len(pictures)
            columns = n // examples if n > examples and n % examples == 0 else math.ceil(n**0.5)
            self.report.preview(self.step, pictures, columns)


@jax.jit
def _finite(tree: Any) -> jax.Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def _previewer(cfg: ConfigDict, devices: Devices) -> Any:
    """A function of a local state: the preview of the same few examples each time, and how many they are."""
    feed = on_first_device(devices.peek())
    examples = jax.eval_shape(devices.sample_first, feed)['key'].shape[0]
    count = min(PREVIEWED, examples)

    @jax.jit
    def picture(state: State, feed: Any) -> jax.Array:
        batch = jax.tree.map(lambda x: x[:count], devices.sample_first(feed))
        return devices.system.preview(cfg, state, batch)

    return lambda state: (np.asarray(picture(state, feed)), count)

"""The one training loop, for every system.

    state = train(cfg, 'W')         starts, or goes on with, the run in W

A run that is killed and started again ends with the same parameters, bit for bit, as one that never stopped: its data
and random keys follow from (seed, step) alone.
"""

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from dfjax.data.batches import make_data
from dfjax.data.media.output import reason
from dfjax.data.own import Own
from dfjax.errors import InputError
from dfjax.systems import load_system
from dfjax.systems.state import State
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.header import header
from dfjax.training.lock import locked
from dfjax.training.log import logged
from dfjax.training.parallel import Devices, finite, memory_errors, on_first_device
from dfjax.training.previews import Previews
from dfjax.training.processes import from_first, together
from dfjax.training.profile import Profile
from dfjax.training.references import begin_with, without_deleted
from dfjax.training.report import Report, say_rates
from dfjax.training.restore import start_from as started_from
from dfjax.training.stop import Stop
from dfjax.training.timed import devices_of, forget
from dfjax.training.trackers import check_trackers
from dfjax.training.workdir import check_fits, claim, last_step, noted, read_config, say

SECONDS_PER_DISPATCH = 0.5  # also how long a signal to stop may wait, twice


def train(
    cfg: ConfigDict,
    workdir: str | Path,
    *,
    data: Any = None,
    start_from: str | Path | None = None,
    deadline: float | None = None,
    progress: bool = True,
    profile: str | Path | None = None,
    log: Sequence[Any] = (),
    change: bool = False,
) -> State:
    """Trains to `cfg.steps`, from the newest checkpoint in `workdir` if there is one.

    SIGTERM and Ctrl-C save, say how to go on, and raise SystemExit(143) and KeyboardInterrupt: with several processes
    in all of them, whichever got the signal.

    Args:
        workdir: the run's folder, or a place in a bucket, as gs://bucket/W.
        data: of `dfjax.data.batches.make_data` or `dfjax.data.own.Own`, made by the caller, who will close it.
        start_from: the folder of another run, trained or imported, whose parameters a new run begins with, where name
            and shape are the same; one that goes on does not look at it.
        deadline: seconds of wall clock, from now, after which to save and return with fewer steps.
        progress: say what runs and where to look, and show a bar with losses, step rate and time left.
        profile: a folder to write a trace of a few steps to, see `training.profile`.
        log: 'wandb', 'mlflow', and objects of one's own, see `training.trackers`.
        change: go on although keys of the config are others than before; the run notes them, see `workdir.noted`.

    Returns:
        The state, on all devices. Its `step` is below `cfg.steps` only if the deadline came first.

    Raises:
        InputError: if the folder holds another run, is another process's, cannot be written, or its checkpoints cannot
            be read; as the system's `check`; if nothing of `start_from` fits; if a loss is not finite; if the device
            runs out of memory. What was saved before stays. What fails in one process ends all.
    """
    until = math.inf if deadline is None else time.monotonic() + deadline
    with logged(workdir):
        try:
            with memory_errors(cfg), Stop(until, workdir) as stop:
                state = _train(cfg, workdir, data, start_from, stop, profile, change, progress=progress, log=log)
                stop.share()
        except OSError as error:
            where = error.filename or workdir
            raise InputError(f'{where}: {reason(error)}; mend that and run the same command again') from error
        finally:
            forget()
    stop.leave()
    return state


def _train(
    cfg: ConfigDict,
    workdir: str | Path,
    data: Any,
    start_from: str | Path | None,
    stop: Stop,
    profile: str | Path | None,
    change: bool,
    **shown: Any,
) -> State:
    system = load_system(cfg.system)
    with contextlib.ExitStack() as stack:
        with together():
            check_fits(workdir, cfg, change)
            check_trackers(shown['log'])
            if check := getattr(system, 'check', None):
                check(cfg)
            if data is None:
                data = make_data(cfg, system.BATCH, jax.process_index(), jax.process_count())
                stack.callback(data.close)
            devices = devices_of(cfg, data)
            shapes = devices.abstract  # before anything is written: data and config may be refused
            if not stop.wanted() and (last_step(workdir) or 0) < cfg.steps:
                devices.prepare()
        with together():
            stack.enter_context(locked(workdir))
        before = read_config(workdir).steps if last_step(workdir) else cfg.steps
        with noted(workdir, cfg):
            claim(workdir, cfg, change)
            checkpoints = stack.enter_context(Checkpoints(workdir, getattr(system, 'FIGURE', None)))
            state, step = _first_state(devices, checkpoints, shapes, before, start_from)
        with together():
            report = stack.enter_context(Report(workdir, cfg, step, **shown))
            traced = stack.enter_context(Profile(profile, step))
        begin_with(checkpoints, state, data.get_state())
        run = _Run(cfg, devices, checkpoints, report, traced, step)
        state = run.steps(state, stop)
    if run.step < cfg.steps:
        say(f'stopped at step {run.step} of {cfg.steps}, saved in {workdir}; the same command goes on')
    return state


def _first_state(
    devices: Devices, checkpoints: Checkpoints, shapes: State, before: int, start_from: str | Path | None
) -> tuple[State, int]:
    """The state to go on from, and its step; `shapes` are its arrays, `before` the run's number of steps until now."""
    restored = checkpoints.restore(shapes)
    if restored is None:
        state = devices.init()
        return (started_from(start_from, state) if start_from else state), 0
    state, position = restored
    with together():
        if 'own' in position and not isinstance(devices.data, Own):
            raise InputError(
                f'{checkpoints.workdir}: was trained on batches of its caller; give them: train(batches=…)'
            )
        state = without_deleted(checkpoints.workdir, state, devices.replicate)
    devices.data.set_state(position)
    step = int(np.asarray(state.step.addressable_data(0)))
    say(
        f'going on from step {step} of {devices.cfg.steps}'
        if step < devices.cfg.steps
        else f'all {step} steps are done'
    )
    say_rates(devices.cfg, step, before)
    return devices.completed(state), step


class _Run:
    """The steps of one call of `train`."""

    def __init__(
        self, cfg: ConfigDict, devices: Devices, checkpoints: Checkpoints, report: Report, profile: Profile, step: int
    ):
        self.cfg, self.devices, self.checkpoints, self.report, self.profile = cfg, devices, checkpoints, report, profile
        self.step = self.saved = self.logged = step
        self.figure = None  # the newest row's, by which the best checkpoint is kept
        self.fault, self._feed_before = None, None
        self.waited, self.row_began = 0.0, time.monotonic()
        self.previews = Previews(cfg, devices, report, step)

    def steps(self, state: State, stop: Stop) -> State:
        """Updates `state` until the run is complete or told to stop, and saves it."""
        cfg, devices = self.cfg, self.devices
        alone, stopping = jax.process_count() == 1, False
        if self.step == cfg.steps or (alone and stop.wanted()):
            return state
        self._say_begin()
        show_fresh = self.previews.later(state, 0) if self.step == 0 else lambda: None
        metrics = empty = devices.zeros()
        timed, each = None, 1  # when the first dispatch was done, and its step; steps of a dispatch
        while self.step < cfg.steps and not stopping:
            due = (self._next(n) for n in (cfg.log_every, cfg.checkpoint_every))
            goal = min(cfg.steps, self.profile.next(self.step), self.previews.next(self.step), *due)
            wanted = stop.wanted()
            if wanted and alone:
                break
            count = min(goal - self.step, each)
            before, asked = metrics, time.monotonic()
            feed = self._feed(count)
            if before['nonfinite'].is_ready():  # so the devices had nothing to do
                self.waited += time.monotonic() - asked
            state, metrics = devices.advance(state, before, feed, count, wanted or self.fault is not None)
            self.step += count
            drained = self.step == goal or timed is None
            sums = devices.read(metrics if drained else before)  # unless something is due, this dispatch is under way
            self._check(sums['nonfinite'])
            stopping = bool(sums['stop'])
            done = self.step if drained else self.step - count
            if timed is None:
                self.report.begin(self.step)
                with together():
                    show_fresh()
                self.report.restart_clock()
                timed = time.monotonic(), done
            elif done > timed[1] and devices.data.resident and (alone or self.step == goal):
                pace = (time.monotonic() - timed[0]) / (done - timed[1])  # seconds a step
                each = from_first(max(1, int(SECONDS_PER_DISPATCH / pace)))
            self.report.advance(self.step)
            if self.step == goal:
                metrics = self._at_goal(state, metrics, sums['sum'], count) or empty
            elif self.previews.overdue():
                self.previews.show(state, self.step)
        with together():
            if self.fault is not None:
                raise self.fault
        sums = devices.read(metrics)
        self._check(sums['nonfinite'])
        self._save(state, sums['sum'])
        self.checkpoints.finish()
        if self.step == cfg.steps:
            self.previews.finish()
        return state

    def _say_begin(self) -> None:
        if self.report.shows:
            say(header(self.cfg, self.checkpoints.workdir))
            say('compiling the step: once, then kept; the clock starts after it')

    def _feed(self, count: int) -> Any:
        """The next data. A process that cannot read it goes on with what it had until all have stopped."""
        try:
            self._feed_before = self.devices.feed(count)
        except (InputError, OSError) as error:
            if jax.process_count() == 1 or self._feed_before is None:
                raise
            self.fault = error
        return self._feed_before

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

    def _at_goal(self, state: State, metrics: dict, sums: dict[str, float], count: int) -> dict | None:
        """Does what is due at this step; the metrics to go on with, None for none."""
        logs = self._due(self.cfg.log_every)
        with together():
            if self.fault is not None:
                raise self.fault
            if logs:
                self._log(sums, count)
            if self.previews.due(self.step) or self.previews.overdue():
                self.previews.show(state, self.step)
        if self._due(self.cfg.checkpoint_every):
            self._save(state, sums)
        return None if logs else metrics

    def _log(self, sums: dict[str, float], dispatch: int) -> None:
        now, count = time.monotonic(), self.step - self.logged
        means = {name: value / count for name, value in sums.items()}
        if self.checkpoints.figure:
            self.figure = means.get(self.checkpoints.figure[0])
        self.report.row(self.step, count, now - self.row_began, self.waited, dispatch, means)
        self.logged, self.row_began, self.waited = self.step, now, 0.0

    def _save(self, state: Any, sums: dict[str, float]) -> None:
        if self.step == self.saved:
            return
        if not finite(on_first_device(state.params)):  # a bad gradient shows in the loss only at the next step
            self._check(self.step)
        count, name = self.step - self.logged, (self.checkpoints.figure or ('',))[0]
        figure = sums[name] / count if count and name in sums else self.figure
        self.checkpoints.save(self.step, state, figure, self.devices.data.get_state())
        with together():
            self.report.flush()
        self.saved = self.step

"""What a person sees of a run: a bar on the terminal, `metrics.jsonl`, TensorBoard (`W/tb`), previews.

A row of `metrics.jsonl` holds `step`, `seconds` since the row before it, `steps_per_second`, `examples_per_second`,
`data_wait` (the share of the time in which the devices had nothing to do because the next data was not there; an upper
bound), `steps_per_dispatch`, and each of the system's metrics, averaged over the row's steps.

Where W is in a bucket, files that grow are written to a folder of this machine, and copied there now and then.
"""

import contextlib
import json
import math
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from dfjax.data.media.progress import say as say_above
from dfjax.data.media.progress import spoken
from dfjax.foreign import parse, whole
from dfjax.ops.optimize import learning_rate
from dfjax.training.trackers import Trackers
from dfjax.training.workdir import folder_of, is_remote, say

SHOWN = 4  # losses on the terminal's line
FLUSHED = 30  # seconds after which TensorBoard sees what is new
TIMED = 5  # seconds of steps, after which it is said how long the others take
COPIED = 120  # seconds after which a bucket sees what is new

_IMPORTING = threading.Lock()


class Report:
    """Writes and shows what happens; a context manager. Only the first process writes."""

    def __init__(self, workdir: str | Path, cfg: ConfigDict, step: int, progress: bool = True, log: Sequence[Any] = ()):
        """Goes on after `step`: what an earlier, interrupted run wrote beyond it is out; `log`: see `Trackers`."""
        self.workdir = folder_of(workdir)
        self.cfg = cfg
        self.speaks = jax.process_index() == 0
        self.shows = progress and self.speaks
        self._bar = self._trackers = None
        self._told = False
        with contextlib.ExitStack() as stack:
            if self.speaks:
                self._trackers = stack.enter_context(Trackers(log, self.workdir, cfg))
                self._local = Path(self.workdir)
                if is_remote(self.workdir):
                    self._local = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                    stack.callback(self._copy)
                self._copied = time.monotonic()
                self._trim(step)
                self._rows = stack.enter_context((self._local / 'metrics.jsonl').open('a'))
                self._board = stack.enter_context(contextlib.closing(_Board(self._local / 'tb', step)))
            self._stack = stack.pop_all()

    def __enter__(self) -> 'Report':
        return self

    def __exit__(self, kind: type | None, *error: object) -> None:
        try:
            self._stack.close()
        except OSError:
            if kind is None:  # else another error is on its way
                raise

    def flush(self) -> None:
        """Makes what is written visible to others, in a bucket too."""
        if self.speaks:
            self._rows.flush()
            self._board.flush()
            self._copy()

    def _copy(self) -> None:
        if is_remote(self.workdir):
            for path in (p for p in self._local.rglob('*') if p.is_file()):
                target = self.workdir / str(path.relative_to(self._local))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        self._copied = time.monotonic()

    def _trim(self, step: int) -> None:
        path = self.workdir / 'metrics.jsonl'
        if not path.exists():
            return
        kept, damaged = [], 0
        for line in path.read_bytes().splitlines():
            try:
                if whole(parse(line)['step']) <= step:
                    kept.append(line + b'\n')
            except (ValueError, KeyError, TypeError):  # as the line that was being written at a kill or a power cut
                damaged += 1
        if damaged:
            say(f'{path}: {damaged} damaged line{"s" * (damaged > 1)} left out')
        part = self._local / 'metrics.part'
        part.write_bytes(b''.join(kept))
        part.replace(self._local / 'metrics.jsonl')

    def begin(self, step: int) -> None:
        """The first step is done: the bar's clock starts, so that compilation is not in its rate."""
        self._began, self._first = time.monotonic(), step
        self._bar = self._stack.enter_context(
            tqdm(
                desc=self.cfg.system,
                total=self.cfg.steps,
                initial=step,
                bar_format='{desc} {n_fmt}/{total_fmt} {bar} {elapsed}, {remaining} left, {rate_noinv_fmt}{postfix}',
                unit=' steps',
                file=sys.stderr,
                disable=not self.shows,
                dynamic_ncols=True,
                mininterval=0.2 if sys.stderr.isatty() else float(os.environ.get('TQDM_MININTERVAL', '30')),
            )
        )

    def restart_clock(self) -> None:
        """What took time since `begin` was no step."""
        self._began = time.monotonic()
        self._bar.unpause()

    def advance(self, step: int) -> None:
        """So many steps are done. Once it is known, how long the others take is said."""
        if self._bar is None:
            return
        self._bar.update(step - self._bar.n)
        seconds, done = time.monotonic() - self._began, step - self._first
        if self.shows and not self._told and seconds > TIMED and done > 1:
            self._told = True
            left = self.cfg.steps - step
            say_above(f'about {spoken(left * seconds / done)} for the {left} steps left')

    def row(self, step: int, steps: int, seconds: float, waited: float, dispatch: int, metrics: dict) -> None:
        """The means of the last `steps` steps, which took `seconds`, waited so long for data, `dispatch` at a time."""
        if not self.speaks:
            return
        rate = steps / seconds
        row = {
            'step': step,
            'seconds': round(seconds, 3),
            'steps_per_second': round(rate, 3),
            'examples_per_second': round(rate * self.cfg.batch_size, 2),
            'data_wait': round(waited / seconds, 5),
            'steps_per_dispatch': dispatch,
        } | metrics
        self._rows.write(json.dumps(row) + '\n')
        self._rows.flush()
        if time.monotonic() - self._copied > COPIED:
            self._copy()
        for name, value in row.items():
            if name != 'step':
                self._board.scalar(step, name if '/' in name else f'run/{name}', value)
        self._trackers.row(step, row)
        shown = ['total', *(name for name in metrics if name != 'total')][:SHOWN]
        if self._bar is not None:
            self._bar.set_postfix({name: f'{metrics[name]:.4g}' for name in shown if name in metrics}, refresh=False)

    def preview(self, step: int, picture: np.ndarray, keep: bool = True) -> None:
        """Shows a sheet, uint8 [H, W, 3], as the newest; `keep`: also among those of the run."""
        _, data = cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        places = [self.workdir / 'preview.jpg'] + [self.workdir / 'previews' / f'{step:08d}.jpg'] * keep
        for path in places:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix('.part')
            part.write_bytes(data.tobytes())
            part.replace(path)
        if keep:
            self._board.picture(step, 'preview', picture)
            self._trackers.picture(step, picture)


class _Board:
    """A file for TensorBoard, written here and now.

    tensorboardX's own SummaryWriter leaves it to a thread: a full disk ends that with a traceback, and the run then
    waits for it for ever.
    """

    def __init__(self, folder: Path, step: int):
        with _without_torch():
            from tensorboardX import event_file_writer, summary
            from tensorboardX.proto import event_pb2
        self._summary, self._event = summary, event_pb2
        folder.mkdir(parents=True, exist_ok=True)
        self._file = event_file_writer.EventsWriter(str(folder / 'events'))
        self._flushed = time.monotonic()
        if step:  # what an earlier, interrupted run wrote after it does not count
            self._write(step + 1, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))

    def scalar(self, step: int, name: str, value: float) -> None:
        """A point of a curve."""
        self._write(step, summary=self._summary.scalar(name, value))

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """A picture, uint8 [H, W, 3]."""
        self._write(step, summary=self._summary.image(name, picture, dataformats='HWC'))

    def flush(self) -> None:
        """Makes all of it visible to TensorBoard."""
        self._file.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        self._file.close()

    def _write(self, step: int, **what: Any) -> None:
        self._file.write_event(self._event.Event(wall_time=time.time(), step=step, **what))
        if time.monotonic() - self._flushed > FLUSHED:
            self.flush()


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """tensorboardX takes torch along wherever that is installed, which costs seconds and is not needed."""
    with _IMPORTING:
        hidden = sys.modules.setdefault('torch', None) is None  # else it is imported already
        try:
            yield
        finally:
            if hidden and sys.modules.get('torch') is None:
                sys.modules.pop('torch', None)


def say_rates(cfg: ConfigDict, step: int, before: int) -> None:
    """Says how the learning rates of a run go on whose number of steps has changed, where they change with it."""
    sections = {'optimizer': cfg.get('optimizer', {})} | dict(cfg.get('optimizer', {}))
    for name, o in sections.items():
        if step < cfg.steps != before and isinstance(o, ConfigDict) and 'schedule' in o:
            then, now = (float(learning_rate(o, jnp.int32(step), jnp.int32(steps))) for steps in (before, cfg.steps))
            if not math.isclose(then, now, rel_tol=1e-3):
                what = 'the learning rate' if name == 'optimizer' else f'the learning rate of {name}'
                say(f'{what} goes on at {now:.2g} instead of {then:.2g}: steps are {cfg.steps}, and were {before}')

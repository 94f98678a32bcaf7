"""Writing the checkpoints of a run: W/checkpoints/N/ is the state after N steps (Orbax), all that is in `SAVED`.

The newest two are kept, and the best by the figure that the system names. A checkpoint appears whole or not at all,
`seal.json` in it with a checksum of each of its files: Orbax itself restores a damaged array without a word.
"""

import contextlib
import errno
import json
import shutil
import time
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from dfjax.errors import InputError
from dfjax.systems.state import State
from dfjax.training.processes import together
from dfjax.training.restore import SAVED, SEAL, checksums, newest_state, quiet, silent
from dfjax.training.workdir import folder_of, is_remote, say, write_whole

NEWEST = 2


class Checkpoints:
    """The checkpoints of a run: a context manager, which waits for the last save to be written.

    Args:
        workdir: the run's folder.
        figure: by what the best is kept: a metric's name and 'min' or 'max'. None: the newest are kept alone.
    """

    def __init__(self, workdir: str | Path, figure: tuple[str, str] | None = None):
        self.workdir = folder_of(workdir)
        self.folder = self.workdir / 'checkpoints'
        self.figure = figure
        self._saving = 0  # the step
        keep = ocp.checkpoint_managers
        policies, best = [keep.LatestN(NEWEST)], {}
        if figure:
            name, mode = figure
            value = lambda metrics: metrics.get(name, float('inf' if mode == 'min' else '-inf'))
            policies.append(keep.BestN(get_metric_fn=value, n=1, reverse=mode == 'min'))
            best = {'best_fn': value, 'best_mode': mode}  # without it Orbax does not store the figures
        options = ocp.CheckpointManagerOptions(
            preservation_policy=keep.AnyPreservationPolicy(policies),
            async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
            **best,
        )
        with quiet():
            self._manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> 'Checkpoints':
        self._silence = contextlib.ExitStack()
        self._silence.enter_context(silent())
        return self

    def __exit__(self, kind: type | None, *error: object) -> None:
        try:
            self.finish()
        except InputError:
            if kind is None:  # else another error is on its way
                raise
        finally:
            with self._silence, quiet():
                self._manager.close()

    def save(self, step: int, state: State, figure: float | None, position: dict) -> None:
        """Saves in the background; the state may be used up at once.

        Args:
            state: replicated over all devices.
            figure: the value by which the best is kept; None where there is none.
            position: of the data (`get_state`).

        Raises:
            InputError: if this, or the save before it, cannot be written; in all processes if in one.
        """
        tree = {name: getattr(state, name) for name in SAVED}
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
        try:
            with quiet():
                self._manager.wait_until_finished()
                with together():  # what can be known before Orbax lets the processes wait for each other
                    if not is_remote(self.workdir) and shutil.disk_usage(self.workdir).free < needed:
                        raise self._unwritable(OSError(errno.ENOSPC, f'{needed / 1e6:.0f} MB are needed'))
                self._saving = step
                self._manager.save(
                    step,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardSave(tree), meta=ocp.args.JsonSave({'data': position})
                    ),
                    metrics={self.figure[0]: figure} if self.figure and figure is not None else None,
                )
        except Exception as error:
            raise self._unwritable(error) from error

    def finish(self) -> None:
        """Waits until all is written.

        Raises:
            InputError: if it cannot be.
        """
        try:
            with quiet():
                self._manager.wait_until_finished()
        except Exception as error:
            raise self._unwritable(error) from error

    def restore(self, shapes: State) -> tuple[State, dict] | None:
        """The newest good state and the position of its data; None if there is no checkpoint.

        A damaged checkpoint is reported and put aside, and the one before it taken.

        Args:
            shapes: the state's shapes, types and shardings. What is not saved of it is taken over as it is.

        Raises:
            InputError: if there are checkpoints, and none can be read.
        """
        found, damaged = newest_state(self.workdir, shapes)
        for path, fault in damaged:
            say(f'{path} {fault}; going on from step {found[0]}')
            if jax.process_index() == 0:
                path.rename(self.workdir / f'damaged-checkpoint-{path.name}-{time.time_ns()}')
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices('damaged checkpoints are put aside')
        self._manager.reload()
        return found and found[1:]

    def _seal(self) -> None:
        """Adds the checksums, in Orbax's thread, to a checkpoint that is complete and has not yet its name."""
        if jax.process_index() == 0:
            for folder in self.folder.iterdir():
                if folder.name.split('.')[0] == str(self._saving):
                    write_whole(folder / SEAL, json.dumps(checksums(folder)))

    def _unwritable(self, error: Exception) -> InputError:
        full = getattr(error, 'errno', None) == errno.ENOSPC or 'RESOURCE_EXHAUSTED' in str(error)
        reason = 'the disk is full' if full else (str(error) or type(error).__name__).splitlines()[0][:200]
        if isinstance(error, InputError) and str(error).startswith(str(self.folder)):  # another process's
            return error
        return InputError(f'{self.folder}: a checkpoint cannot be written: {reason}; mend that and run the same again')

"""Checkpoints of a run: W/checkpoints/N/ is the state after N steps (Orbax), all of it but `frozen`.

The newest two and the best are kept. A checkpoint appears whole or not at all. When the next one is saved, `seal.json`
with a checksum of each of its files is added to it: Orbax itself restores a damaged array without a word.
"""

import contextlib
import errno
import json
import logging
import shutil
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from flax.traverse_util import flatten_dict

from dfjax.errors import InputError
from dfjax.systems import load_system
from dfjax.systems.state import State
from dfjax.training.workdir import read_config, saved_steps, say, write_whole

NEWEST = 2
SAVED = ('step', 'params', 'opt', 'ema', 'aux')


def load_params(workdir: str | Path) -> State:
    """The newest good state of a run for inference, on this process's first device: `step`, `params`, `ema` and `aux`.

    Raises:
        InputError: if there is none.
    """
    cfg = read_config(workdir)
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.eval_shape(lambda key: load_system(cfg.system).init(cfg, key), jax.random.key(0))
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), shapes)
    with _quiet():
        found, damaged = _newest(Path(workdir).absolute(), shapes.replace(opt={}, frozen={}))
    if found is None:
        raise InputError(f'{workdir}: the run has no checkpoint yet; train it first')
    for path, fault in damaged:
        say(f'{path} {fault}; using step {found[0]}')
    return found[1]


class Checkpoints:
    """The checkpoints of a run: a context manager, which waits for the last save to be written."""

    def __init__(self, workdir: str | Path):
        self.workdir = Path(workdir).absolute()
        self.folder = self.workdir / 'checkpoints'
        keep = ocp.checkpoint_managers
        options = ocp.CheckpointManagerOptions(
            # Both: without best_fn the losses are not stored, without the policy the newest may be deleted.
            best_fn=_loss,
            best_mode='min',
            preservation_policy=keep.AnyPreservationPolicy(
                [keep.LatestN(NEWEST), keep.BestN(get_metric_fn=_loss, n=1, reverse=True)]
            ),
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> 'Checkpoints':
        self._quiet = _quiet()
        self._quiet.__enter__()
        return self

    def __exit__(self, kind: type | None, *error: object) -> None:
        try:
            self.finish()
        except InputError:
            if kind is None:  # else another error is on its way
                raise
        finally:
            self._manager.close()
            self._quiet.__exit__(None, None, None)

    def save(self, step: int, state: State, loss: float, position: dict) -> None:
        """Saves in the background; the state may be used up at once.

        Args:
            state: replicated, as `place.whole` gives it.
            loss: what the best checkpoint has least of.
            position: of the data (`get_state`).

        Raises:
            InputError: if this, or the save before it, cannot be written.
        """
        tree = {name: getattr(state, name) for name in SAVED}
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
        try:
            if shutil.disk_usage(self.workdir).free < needed:
                raise OSError(errno.ENOSPC, f'{needed / 1e6:.0f} MB are needed')
            self._manager.wait_until_finished()
            self._seal()
            self._manager.save(
                step,
                args=ocp.args.Composite(state=ocp.args.StandardSave(tree), meta=ocp.args.JsonSave({'data': position})),
                metrics={'loss': loss},
            )
        except Exception as error:
            raise self._unwritable(error) from error

    def finish(self) -> None:
        """Waits until all is written.

        Raises:
            InputError: if it cannot be.
        """
        try:
            self._manager.wait_until_finished()
            self._seal()
        except Exception as error:
            raise self._unwritable(error) from error

    def restore(self, shapes: State) -> tuple[State, dict] | None:
        """The newest good state and the position of its data; None if there is no checkpoint.

        A damaged checkpoint is reported and put aside, and the one before it taken.

        Args:
            shapes: the state's shapes, types and shardings. Its `frozen` is taken over as it is.

        Raises:
            InputError: if there are checkpoints, and none can be read.
        """
        found, damaged = _newest(self.workdir, shapes)
        for path, fault in damaged:
            say(f'{path} {fault}; going on from step {found[0]}')
            if jax.process_index() == 0:
                path.rename(self.workdir / f'damaged-checkpoint-{path.name}-{time.time_ns()}')
        if damaged:
            self._manager.reload()
        return found and found[1:]

    def _seal(self) -> None:
        """Adds checksums to the checkpoints that have none."""
        if jax.process_index() != 0:
            return
        for step in saved_steps(self.workdir):
            if not (self.folder / str(step) / 'seal.json').exists():
                write_whole(self.folder / str(step) / 'seal.json', json.dumps(_checksums(self.folder / str(step))))

    def _unwritable(self, error: Exception) -> InputError:
        full = getattr(error, 'errno', None) == errno.ENOSPC or 'RESOURCE_EXHAUSTED' in str(error)
        reason = 'the disk is full' if full else str(error).splitlines()[0][:200]
        return InputError(f'{self.folder}: a checkpoint cannot be written: {reason}; mend that and run the same again')


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Orbax from writing the tracebacks of errors that it also raises."""
    log = logging.getLogger('absl')
    level, hook = log.level, sys.unraisablehook
    log.setLevel('CRITICAL')
    sys.unraisablehook = lambda *error: None
    try:
        yield
    finally:
        log.setLevel(level)
        sys.unraisablehook = hook


def _loss(metrics: dict) -> float:
    return metrics['loss']


def _newest(workdir: Path, shapes: State) -> tuple[tuple[int, State, dict] | None, list[tuple[Path, str]]]:
    """(step, state, position of the data) of the newest good checkpoint; the damaged ones after it, with their faults.

    Raises:
        InputError: if there are checkpoints, and none can be read; if one is of another model.
    """
    tree = {name: getattr(shapes, name) for name in SAVED if getattr(shapes, name) != {}}
    arguments = ocp.args.PyTreeRestore(
        tree, restore_args=ocp.checkpoint_utils.construct_restore_args(tree), partial_restore=True
    )
    damaged = []
    for step in reversed(saved_steps(workdir)):
        folder = workdir / 'checkpoints' / str(step)
        fault = _fault(folder)
        if not fault:
            if other := _other(folder, shapes):  # Orbax passes over parameters that only one of them has
                raise InputError(
                    f'{workdir}: it was trained with another version of the model ({other} is not the same); '
                    'train it anew, in another folder'
                )
            try:
                with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
                    position = reader.restore(folder / 'meta')['data']
                with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
                    restored = reader.restore(folder / 'state', args=arguments)
            except (ValueError, OSError, KeyError, TypeError) as error:  # TypeError: a dict where an array was
                fault = f'cannot be read ({str(error).splitlines()[0][:100]})'
            except Exception as error:
                if type(error) is not Exception:  # the bare class is what Orbax raises for arrays that it cannot read
                    raise
                fault = 'holds arrays that cannot be read'
            else:
                return (step, shapes.replace(**restored), position), damaged
        damaged.append((folder, fault))
    if damaged:
        faults = '; '.join(f'{path} {fault}' for path, fault in damaged)
        raise InputError(f'no checkpoint can be read: {faults}; bring back a copy, or use another folder')
    return None, damaged


def _other(folder: Path, shapes: State) -> str:
    """The first parameter that a checkpoint or the model has and the other has not, or not in this size; '' if none."""
    with contextlib.suppress(Exception), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
        trees = reader.metadata(folder / 'state').item_metadata.tree['params'], shapes.params
        there, here = ({'.'.join(k): v.shape for k, v in flatten_dict(tree).items()} for tree in trees)
        return min((name for name in there.keys() | here if there.get(name) != here.get(name)), default='')
    return ''  # it cannot be read, as restoring it will say


def _fault(folder: Path) -> str:
    """What is wrong with a sealed checkpoint's files; '' if nothing is."""
    seal = folder / 'seal.json'
    try:
        expected = json.loads(seal.read_text()) if seal.exists() else {}
    except ValueError:
        return 'has a damaged seal.json'
    found = _checksums(folder)
    wrong = [name for name, checksum in expected.items() if found.get(name) != checksum]
    return f'is damaged ({wrong[0]})' if wrong else ''


def _checksums(folder: Path) -> dict[str, int]:
    files = sorted(p for p in folder.rglob('*') if p.is_file() and p.name != 'seal.json')
    return {str(p.relative_to(folder)): _checksum(p) for p in files}


def _checksum(path: Path) -> int:
    value = 0
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value

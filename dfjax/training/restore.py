"""Reading the checkpoints of a run: the newest good one, for going on, for inference, or for another run to start from.

With several processes, process 0 decides which checkpoint that is and tells the others.
"""

import contextlib
import logging
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from etils import epath
from flax.traverse_util import flatten_dict, unflatten_dict

from dfjax.errors import InputError, ReadError
from dfjax.foreign import read_json, read_npz, said
from dfjax.systems import load_system
from dfjax.systems.state import State
from dfjax.training.processes import any_text, from_first, together
from dfjax.training.references import without_deleted
from dfjax.training.workdir import folder_of, read_config, saved_steps, say

SAVED = ('step', 'params', 'opt', 'ema', 'aux')
SEAL = 'seal.json'
UNSEALED = (SEAL, '_CHECKPOINT_METADATA')  # Orbax writes the time of the commit into the latter, after the seal
LINGERING = 0.5  # seconds in which reads of a damaged checkpoint come to their ends, noisily
LISTED = 10  # names of arrays that a line shows


def load_params(workdir: str | Path) -> State:
    """The newest good state of a run for inference, on this process's first device: `step`, `params`, `ema` and `aux`.

    Raises:
        InputError: if there is none; as `without_deleted`.
    """
    cfg = read_config(workdir)
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.eval_shape(lambda key: load_system(cfg.system).init(cfg, key), jax.random.key(0))
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), shapes)
    found, damaged = newest_state(folder_of(workdir), shapes.replace(opt={}, frozen={}))
    if found is None:
        raise InputError(f'{workdir}: the run has no checkpoint yet; train it first')
    for path, fault in damaged:
        say(f'{path} {fault}; using step {found[0]}')
    return without_deleted(workdir, found[1])


def newest_state(
    workdir: epath.Path, shapes: State
) -> tuple[tuple[int, State, dict] | None, list[tuple[epath.Path, str]]]:
    """(step, state, position of the data) of the newest good checkpoint; the damaged ones after it, with their faults.

    Raises:
        InputError: if there are checkpoints, and none can be read; if one is of another model.
    """
    tree = {name: getattr(shapes, name) for name in SAVED if getattr(shapes, name) != {}}
    arguments = ocp.args.PyTreeRestore(
        tree, restore_args=ocp.checkpoint_utils.construct_restore_args(tree), partial_restore=True
    )

    def read(folder: epath.Path) -> tuple[int, State, dict]:
        if other := _other(folder, shapes):  # Orbax passes over parameters that only one of them has
            raise InputError(
                f'{workdir}: it was trained with another version of the model ({other} is not the same); '
                'train it anew, in another folder'
            )
        with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
            position = reader.restore(folder / 'meta')['data']
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            restored = reader.restore(folder / 'state', args=arguments)
        return int(folder.name), shapes.replace(**restored), position

    return _newest(workdir, read)


def start_from(source: str | Path, state: State) -> State:
    """A fresh state with another run's parameters and their averages, where name and shape are the same.

    Says how many they are, and lists the parameters that only one of the two has, or has in another shape. An average
    that the other run has not is its parameter.

    Args:
        source: the folder of a run, trained or imported.

    Raises:
        InputError: if there is no run, it has no checkpoint, or nothing of it fits.
    """
    source, wanted = folder_of(source), _arrays(state.params, state.ema)

    def chosen(there: dict) -> dict:
        """Which array of the other run each of this one's takes."""
        fits = lambda name, path: path in there and tuple(there[path].shape) == wanted[name].shape
        places = {name: [path for path in (name, ('params', *name[1:])) if fits(name, path)] for name in wanted}
        return {name: paths[0] for name, paths in places.items() if paths}

    if (source / 'nets').is_dir() and not (source / 'checkpoints').is_dir():
        nets = read_nets(Path(source / 'nets'))
        stats = {name: tree['batch_stats'] for name, tree in nets.items() if 'batch_stats' in tree}
        there = _arrays({name: tree['params'] for name, tree in nets.items()}, {'batch_stats': stats} if stats else {})
        step = 0
        choice = chosen(there)
        values = {path: there[path] for path in choice.values()}
    else:
        if not saved_steps(source):
            read_config(source)
            raise InputError(f'{source}: the run has no checkpoint to start from')

        def read(folder: epath.Path) -> tuple:
            with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
                tree = reader.metadata(folder / 'state').item_metadata.tree
                there = _arrays(tree.get('params') or {}, tree.get('ema') or {})
                choice = chosen(there)
                wants = {path: wanted[name] for name, path in choice.items()}
                shapes = {p: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding) for p, x in wants.items()}
                shapes = unflatten_dict(shapes)
                restore = ocp.checkpoint_utils.construct_restore_args(shapes)
                arguments = ocp.args.PyTreeRestore(shapes, restore_args=restore, partial_restore=True)
                values = reader.restore(folder / 'state', args=arguments) if shapes else {}
            return int(folder.name), there, choice, flatten_dict(values)

        (step, there, choice, values), _ = _newest(source, read)
    _say_fit(source, step, there, wanted, choice)
    place = lambda name, x: jnp.asarray(x, wanted[name].dtype, copy=True, device=wanted[name].sharding)
    taken = wanted | {name: place(name, values[path]) for name, path in choice.items()}
    trees = unflatten_dict(taken)
    return state.replace(params=trees['params'], ema=trees.get('ema', {}))


def _arrays(params: dict, ema: dict) -> dict[tuple, Any]:
    return flatten_dict({'params': params} | ({'ema': ema} if ema else {}), keep_empty_nodes=False)


def _say_fit(source: epath.Path, step: int, there: dict, wanted: dict, choice: dict) -> None:
    """Says what is taken over, and lists what is not; raises InputError if that is all."""
    shapes = [
        {'.'.join(path[1:]): tuple(x.shape) for path, x in tree.items() if path[0] == 'params'}
        for tree in (there, wanted)
    ]
    theirs, ours = shapes
    same = [name for name in ours if theirs.get(name) == ours[name]]
    say(f'starting from {source}, step {step}: {len(same)} of {len(ours)} arrays of parameters')
    others = [f'{n} {theirs[n]}, here {ours[n]}' for n in sorted(ours.keys() & theirs.keys()) if ours[n] != theirs[n]]
    lists = {'of another shape': others}
    lists |= {'here alone, as new': sorted(ours.keys() - theirs), f'in {source} alone': sorted(theirs.keys() - ours)}
    for what, names in lists.items():
        more = f', and {len(names) - LISTED} more' if len(names) > LISTED else ''
        if names:
            say(f'  {what}: {", ".join(names[:LISTED])}{more}')
    if not choice:
        raise InputError(f'{source}: none of its parameters has the name and shape of one of this model')


def read_nets(folder: Path) -> dict[str, dict]:
    """The variables of the nets that an import wrote, by name.

    Raises:
        InputError: if a file is damaged.
    """
    found = {}
    for path in sorted(folder.glob('*.npz')):
        try:
            found[path.stem] = unflatten_dict(read_npz(path), sep='/')
            found[path.stem]['params']
        except (InputError, KeyError, ValueError, TypeError) as error:  # names of arrays that are no tree
            raise InputError(f'{path}: damaged ({said(error)}); import it again') from None
    return found


def _newest(workdir: epath.Path, read: Callable[[epath.Path], Any]) -> tuple[Any, list[tuple[epath.Path, str]]]:
    """What `read` gives of the newest good checkpoint, None if there is none; the damaged ones after it.

    Raises:
        InputError: if there are checkpoints, and none can be read; as `read`.
    """
    steps, damaged = saved_steps(workdir), []
    while True:
        step = -1
        with together():
            if jax.process_index() == 0:
                step = _newest_sealed(workdir, steps, damaged)
        if (step := from_first(step)) < 0:
            return None, damaged
        folder, fault = workdir / 'checkpoints' / str(step), ''
        try:
            with quiet():
                result = read(folder)
        except (ValueError, OSError, KeyError, TypeError) as error:  # TypeError: a dict where an array was
            fault = f'cannot be read ({str(error).splitlines()[0][:100]})'
        except Exception as error:
            if type(error) is not Exception:  # the bare class is what Orbax raises for arrays that it cannot read
                raise
            fault = 'holds arrays that cannot be read'
        if not (fault := any_text(fault)):
            return result, damaged
        damaged.append((folder, fault))
        with quiet():
            time.sleep(LINGERING)


def _newest_sealed(workdir: epath.Path, steps: list[int], damaged: list[tuple[epath.Path, str]]) -> int:
    """Takes the newest of `steps` off it whose files are as they were written; -1 if there never was one."""
    while steps:
        folder = workdir / 'checkpoints' / str(steps.pop())
        if not (fault := _fault(folder)):
            return int(folder.name)
        damaged.append((folder, fault))
    if damaged:
        faults = '; '.join(f'{path} {fault}' for path, fault in damaged)
        raise InputError(f'no checkpoint can be read: {faults}; bring back a copy, or use another folder')
    return -1


def _other(folder: epath.Path, shapes: State) -> str:
    """The first parameter that a checkpoint or the model has and the other has not, or not in this size; '' if none."""
    with contextlib.suppress(Exception), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
        trees = reader.metadata(folder / 'state').item_metadata.tree['params'], shapes.params
        there, here = ({'.'.join(k): v.shape for k, v in flatten_dict(tree).items()} for tree in trees)
        return min((name for name in there.keys() | here if there.get(name) != here.get(name)), default='')
    return ''  # it cannot be read, as restoring it will say


def _fault(folder: epath.Path) -> str:
    """What is wrong with a sealed checkpoint's files; '' if nothing is."""
    seal = folder / SEAL
    try:
        expected = read_json(seal, '') if seal.exists() else {}
        found = checksums(folder)
    except ReadError:
        return f'has a damaged {SEAL}'
    except OSError as error:
        return f'cannot be read ({error.strerror or error})'
    wrong = [name for name, checksum in expected.items() if name not in UNSEALED and found.get(name) != checksum]
    return f'is damaged ({wrong[0]})' if wrong else ''


def checksums(folder: epath.Path) -> dict[str, int]:
    """CRC-32 of the files of a checkpoint by their names in its folder; of UNSEALED none."""
    sums = {}
    for place, _, names in folder.walk():
        paths = [epath.Path(place) / name for name in names if name not in UNSEALED]
        sums |= {str(path.relative_to(folder)): _checksum(path) for path in paths}
    return dict(sorted(sums.items()))


def _checksum(path: epath.Path) -> int:
    value = 0
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps Orbax from writing the tracebacks of errors that it also raises; interrupts pass."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if issubclass(lost.exc_type, Exception) else hook(lost)
    try:
        with silent():
            yield
    finally:
        sys.unraisablehook = hook


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keeps Orbax from logging, in threads of its own too."""
    log = logging.getLogger('absl')
    level = log.level
    log.setLevel('CRITICAL')
    try:
        yield
    finally:
        log.setLevel(level)

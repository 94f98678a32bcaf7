"""A run's folder and its config: what a run is, and whether it may go on.

W/config.json       every key of the run, its system among them
W/checkpoints/N/    see `checkpoint.py`
W/changes.jsonl     keys that were changed on going on: a line each time, with the step
W/metrics.jsonl, W/tb: see `report.py`; W/preview.jpg, W/previews, W/timelapse.webp: see `previews.py`
W/log.txt: see `log.py`; W/references, of some systems: see `references.py`
W/consent.txt       what was said of the consent of the people shown, if anything was

W may be a folder, or a place that `etils.epath` can write to, as gs://bucket/W.
"""

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
from etils import epath
from ml_collections import ConfigDict

from dfjax.config import build, flatten
from dfjax.data.media.choices import consent
from dfjax.data.media.output import reason
from dfjax.errors import InputError, ReadError
from dfjax.foreign import read_json
from dfjax.systems import load_system
from dfjax.training.processes import together

# What is kept in a run's folder, and whether that is a folder.
PLACES = {
    'config.json': False,
    'metrics.jsonl': False,
    'checkpoints': True,
    'previews': True,
    'preview.jpg': False,
    'timelapse.webp': False,
    'changes.jsonl': False,
    'tb': True,
    'references': True,
    'consent.txt': False,
    'log.txt': False,
}

# What may change when a run goes on: it says how long and how to watch, and not what is learnt.
FREE_KEYS = {'steps', 'log_every', 'preview_every', 'checkpoint_every', 'parallel'}


def say(text: str) -> None:
    """A line for the person at the terminal; one process speaks for all."""
    if jax.process_index() == 0:
        print(text, file=sys.stderr, flush=True)


def folder_of(workdir: str | Path) -> epath.Path:
    """The folder of a run as a path that is read and written alike on a disk and in a bucket; absolute."""
    path = epath.Path(workdir)
    return path if is_remote(path) else epath.Path(Path(path).absolute())


def is_remote(path: epath.Path) -> bool:
    """Whether a path is a bucket's: files there appear when they are closed, and nothing can be added to them."""
    return '://' in str(path)


def read_config(workdir: str | Path) -> ConfigDict:
    """The config of the run in `workdir`.

    Raises:
        InputError: if there is no run, or its config is not one that this version knows.
    """
    path = folder_of(workdir) / 'config.json'
    if not path.exists():
        raise InputError(f'{workdir}: not a run; it has no config.json')
    stored = read_json(path, 'write it again from the config that the run was started with')
    if not isinstance(stored.get('system'), str):
        raise ReadError(
            path, 'damaged (it names no system); write it again from the config that the run was started with'
        )
    try:
        return build(load_system(stored['system']).default_config(), stored)
    except InputError as error:
        raise InputError(f'{path}: {error}') from None


def check_fits(workdir: str | Path, cfg: ConfigDict, change: bool = False) -> None:
    """Raises InputError if checkpoints of another system are in `workdir`, or, unless `change`, of another config."""
    workdir = folder_of(workdir)
    if any(saved_steps(workdir)):
        stored = dict(flatten(read_config(workdir)))
        asked = dict(flatten(cfg))
        if stored['system'] != asked['system']:
            raise InputError(
                f'{workdir}: a run of system {stored["system"]!r}, not {asked["system"]!r}; give another folder'
            )
        differing = _differing(stored, asked)
        if differing and not change:
            changes = ', '.join(f'{k} ({stored.get(k)!r}, now {asked.get(k)!r})' for k in differing)
            raise InputError(
                f'{workdir}: a run with another config: {changes}; use that config, another folder, or --change'
            )


def _differing(stored: dict, asked: dict) -> list[str]:
    return [k for k in sorted(stored | asked) if k not in FREE_KEYS and stored.get(k) != asked.get(k)]


def last_step(workdir: str | Path) -> int | None:
    """The step of the newest checkpoint in a run's folder; None if there is none."""
    return max(saved_steps(folder_of(workdir)), default=None)


def claim(workdir: str | Path, cfg: ConfigDict, change: bool = False) -> None:
    """Makes `workdir` the folder of the run of `cfg`: writes config.json, or finds that it fits.

    Raises:
        InputError: as `check_fits`, or if the folder cannot be written or a file is in the way of what is kept there;
            in all processes if in one.
    """
    workdir = folder_of(workdir)
    with together():
        check_fits(workdir, cfg, change)
        _check_places(workdir)
        if jax.process_index() == 0:
            try:
                workdir.mkdir(parents=True, exist_ok=True)
                _drop_beginning(workdir, cfg)
                write_whole(workdir / 'config.json', json.dumps(cfg.to_dict(), indent=1, sort_keys=True))
                if consent():
                    write_whole(workdir / 'consent.txt', f'{consent()}\n')
            except OSError as error:
                raise InputError(f'{workdir}: cannot be written: {reason(error)}') from None


@contextlib.contextmanager
def noted(workdir: str | Path, cfg: ConfigDict) -> Iterator[None]:
    """A block that claims `workdir` for the run of `cfg` and restores it.

    Keys that are others than before are noted in W/changes.jsonl: {'step': that it goes on from, 'changed': {key:
    [before, now]}}. If the block fails, as where the saved state does not fit, config.json is as it was.
    """
    workdir = folder_of(workdir)
    step, path = last_step(workdir), workdir / 'config.json'
    if not step or jax.process_index():
        yield
        return
    before, stored, asked = path.read_text(), dict(flatten(read_config(workdir))), dict(flatten(cfg))
    changed = {key: [stored.get(key), asked.get(key)] for key in _differing(stored, asked)}
    try:
        yield
    except BaseException:
        write_whole(path, before)
        raise
    if changed:
        log = workdir / 'changes.jsonl'
        line = json.dumps({'step': step, 'changed': changed}) + '\n'
        write_whole(log, (log.read_text() if log.exists() else '') + line)
        say(f'changed from step {step} on: {", ".join(f"{k} {a} -> {b}" for k, (a, b) in changed.items())}')


def _drop_beginning(workdir: epath.Path, cfg: ConfigDict) -> None:
    """Removes a checkpoint before the first step, where it is all there is, and of another config."""
    if saved_steps(workdir) == [0]:
        stored = dict(flatten(read_config(workdir)))
        if _differing(stored, dict(flatten(cfg))):
            (workdir / 'checkpoints' / '0').rmtree()


def _check_places(workdir: epath.Path) -> None:
    """Raises InputError for a file where training keeps a folder, and for a folder where it keeps a file."""
    for name, folder in PLACES.items():
        path = workdir / name
        if path.exists() and path.is_dir() != folder:
            there, wanted = ('file', 'folder') if folder else ('folder', 'file')
            raise InputError(f'{path}: is a {there}, where a run keeps a {wanted}; delete it, or move it elsewhere')


def saved_steps(workdir: epath.Path) -> list[int]:
    """The steps of the complete checkpoints in a run's folder."""
    folder = workdir / 'checkpoints'
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if re.fullmatch('0|[1-9][0-9]{0,17}', name))  # no other digits, as ²


def write_whole(path: epath.Path, text: str) -> None:
    """Writes a file whole or not at all."""
    part = path.with_name(f'.{path.name}.part')
    part.write_text(text)
    part.replace(path)

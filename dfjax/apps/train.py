"""`dfjax train`: trains a system by one of its named runs, from any folder, and says what to do with the result."""

import argparse
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dfjax.apps import config
from dfjax.errors import InputError

EXAMPLE = 'dfjax train faceswap:laptop -o runs/swap --a faces/anna --b faces/bert'
SOURCES = {'a': 'data.a', 'b': 'data.b', 'data': 'data.source'}  # options, and the keys that they set
NEXT = {  # what a system can do, and the verb that does it
    'swap': 'dfjax convert --run {} --into VIDEO -o OUT.mp4',
    'animate': 'dfjax animate --run {} --image PICTURE --driving VIDEO -o OUT.mp4',
    'lipsync': 'dfjax lipsync --run {} --face VIDEO --audio SOUND -o OUT.mp4',
    'translate': 'dfjax translate --run {} PICTURE -o OUT.png',
    'paint': 'dfjax stylize --run {} PICTURE -o OUT.png',
    'encode': 'dfjax edit --run {} --vector smile=1.5 PICTURE -o OUT.png',
    'noise_shape': 'dfjax sample --run {} -o sheet.png',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'The same command goes on with a run that was stopped; `dfjax train -o W` alone goes on as it was begun.\n'
        '`dfjax config` lists the named runs, `dfjax config SYSTEM` the keys, set as --config.batch_size=8.\n'
        'Several machines: python -m train.main in a checkout, and the launch scripts in train/.'
    )
    what = parser.add_argument(
        'what',
        nargs='?',
        metavar='SYSTEM[:VARIANT]',
        help='a named run, or FILE.py[:VARIANT]; a system alone: laptop on a CPU, gpu on an accelerator',
    )
    what.completer = config.names  # type: ignore[attr-defined]  # argcomplete's
    parser.add_argument('-o', '--out', required=True, metavar='W', help='the folder of the run, or gs://bucket/W')
    parser.add_argument('--a', metavar='DATA', help='of systems with two sides: data.a, as the person in the video')
    parser.add_argument('--b', metavar='DATA', help='data.b, as the person put in')
    parser.add_argument('--data', metavar='DATA', help='of the other systems: data.source')
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument('--steps', type=int, metavar='N', help="default: the config's")
    how_long.add_argument('--minutes', type=float, metavar='M', help='as many steps as fit, compilation included')
    parser.add_argument('--start-from', metavar='RUN', help='begin with the parameters of another run, where they fit')
    add_fit(parser)
    parser.set_defaults(config=None)  # --config.key=value is taken
    parser.add_argument(
        '--change',
        action='store_true',
        help='go on with other config keys than before, as --config.optimizer.lr=1e-4; W/changes.jsonl notes them',
    )
    parser.add_argument(
        '--log', action='append', choices=('wandb', 'mlflow'), default=[], help='rows and previews there as well'
    )
    parser.add_argument('--profile', metavar='FOLDER', help='trace steps 10 to 20, for TensorBoard with xprof')


def add_fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--fit',
        nargs='?',
        const=True,
        default=False,
        metavar='SIZE',
        help='a batch that fits into memory, blocks recomputed if need be; into so much of it, as 8GB',
    )


def run(args: argparse.Namespace) -> dict:
    """Trains as the arguments say; returns the report."""
    changes = {key: getattr(args, name) for name, key in SOURCES.items() if getattr(args, name) is not None}
    names = ('steps', 'minutes', 'overrides', 'fit', 'start_from', 'change', 'log', 'profile')
    return train(args.what, args.out, changes, **{name: getattr(args, name) for name in names})


def train(
    what,
    workdir: Path | str,
    changes: dict | None = None,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    overrides: Sequence[str] = (),
    fit: bool | str = False,
    start_from: Path | str | None = None,
    batches: Iterable[Mapping] | None = None,
    **options,
) -> dict:
    """Trains a run in a folder, or goes on with the one that is there.

        train('faceswap:laptop', 'runs/swap', {'data.a': 'faces/anna', 'data.b': 'faces/bert'}, minutes=10)

    Args:
        what: a named run, see `config.full_name`; a complete ConfigDict; or None: as the run in `workdir` was begun.
        workdir: the run's folder, or a place in a bucket.
        changes: values of config keys by their dotted names.
        steps: of training; by default the config's.
        minutes: as many steps as fit instead. A run that was stopped gets so many minutes again: up to the steps that
            it was planned with, or beyond them if it has done those.
        overrides: further changes, as '--config.batch_size=8'.
        fit: choose the batch, and whether blocks are recomputed, by the memory at hand, or by so much, as '8GB': see
            `training.fit`. A run that is there keeps what was chosen.
        start_from: another run, whose parameters a new one begins with.
        batches: an iterable of batches of one's own to train on instead of the sets that the config names; what can be
            iterated again, as a list, is gone on with exactly where it was, see `data.own.Own`.
        options: `change`, `log` (objects that get rows and previews, too), `profile` and `progress` of
            `training.loop.train`.

    Returns:
        'workdir', 'system', 'steps' done, 'seconds', 'loss' of the last row, 'next': commands that use the run.

    Raises:
        InputError: as `load_config` and `training.loop.train` do; a time or a number of steps that cannot be.
    """
    from dfjax.apps.swap import check_length
    from dfjax.config import build, load_config, parse_overrides
    from dfjax.training.fit import kept
    from dfjax.training.workdir import last_step, read_config

    began = time.monotonic()
    check_length(minutes, steps)
    if steps == 0:
        raise InputError('--steps 0: give 1 or more')
    if fit and batches is not None:
        raise InputError('fit: batches are of the size that they are; choose fit or batches')
    stored = read_config(workdir) if what is None or last_step(workdir) else None
    cfg = stored if what is None else load_config(what) if isinstance(what, str) else what
    changes = checked(changes or {}, cfg) | parse_overrides(overrides, cfg)
    cfg = build(cfg, (kept(stored) if fit and stored is not None else {}) | changes)
    if stored is not None and 'steps' not in changes and steps is None:
        cfg = build(cfg, {'steps': max(cfg.steps, stored.steps) if minutes is None else stored.steps})
    seconds = None if minutes is None else 60 * minutes
    step = train_for(cfg, workdir, steps, seconds, fit, batches, start_from=start_from, **options)
    report = {'workdir': str(workdir), 'system': cfg.system, 'steps': step}
    return report | {'seconds': round(time.monotonic() - began, 1), 'next': next_steps(workdir, cfg.system)}


def checked(changes: dict, cfg) -> dict:
    """The changes; InputError where an option is of another kind of system."""
    from dfjax.config import flatten

    known = dict(flatten(cfg))
    names = {key: name for name, key in SOURCES.items()}
    for key in changes:
        if key in names and key not in known:
            there = ' and '.join(f'--{name}' for name, other in SOURCES.items() if other in known)
            raise InputError(f'--{names[key]}: {cfg.system} has no {key}; its data are given by {there}')
    return changes


def train_for(
    cfg,
    workdir: Path | str,
    steps: int | None,
    seconds: float | None,
    fit: bool | str = False,
    batches: Iterable[Mapping] | None = None,
    **options,
) -> int:
    """Trains for so many steps or seconds, or as the config says; returns the run's step.

    With `steps` 0 a run is begun and not trained, as far as its system can be used so. A run that is there is not
    fitted again. `options` are those of `training.loop.train`.
    """
    from dfjax.config import build
    from dfjax.data.batches import make_data
    from dfjax.data.own import Own
    from dfjax.systems import load_system
    from dfjax.training.fit import fitted, read_size
    from dfjax.training.loop import train
    from dfjax.training.timed import steps_for
    from dfjax.training.workdir import check_fits, last_step

    until = None if seconds is None else time.monotonic() + seconds
    done = last_step(workdir) or 0
    cfg = build(cfg, {'steps': steps}) if steps else cfg
    size, fits = read_size(fit) if isinstance(fit, str) else None, bool(fit) and not done and steps != 0
    own = None if batches is None else Own(batches, cfg.seed, cfg.batch_size)
    if until is None and steps != 0 and not fits:
        return int(train(cfg, workdir, data=own, **options).step)
    check_fits(workdir, cfg, options.get('change', False))
    # Nothing is trained: some faces will do, and streamed ones are read when they are asked for.
    named = build(cfg, {'data.resident_bytes': 0}) if steps == 0 else cfg
    data = own or make_data(named, load_system(cfg.system).BATCH)
    with contextlib.ExitStack() as stack:
        stack.callback(data.close)
        if fits:
            cfg, data = fitted(cfg, data, size)
            stack.callback(data.close)
        left = 0.0 if steps == 0 else None
        if until is not None:
            if not done or done >= cfg.steps:
                cfg = build(cfg, {'steps': done + steps_for(cfg, data, max(until - time.monotonic(), 1.0))})
            left = max(until - time.monotonic(), 1.0)
        return int(train(cfg, workdir, data=data, deadline=left, **options).step)


def next_steps(workdir: Path | str, system: str) -> list[str]:
    """The commands that a person may go on with."""
    from dfjax.apps.evaluate import has_figures
    from dfjax.systems import load_system

    module = load_system(system)
    commands = [command.format(workdir) for name, command in NEXT.items() if hasattr(module, name)]
    return commands + ([f'dfjax evaluate --run {workdir}'] if has_figures(system) else [])

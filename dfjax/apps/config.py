"""`dfjax config`: what can be trained, and what every key of a config means."""

import argparse
import ast
from collections.abc import Sequence
from pathlib import Path

EXAMPLE = 'dfjax config faceswap:gpu'
WIDTH = 38  # characters of a range


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'Without a name it lists all systems with their named runs. Keys are set as --config.batch_size=8 of\n'
        '`dfjax train` and `dfjax swap`; with such words here, the listing shows them set.'
    )
    what = parser.add_argument('what', nargs='?', metavar='SYSTEM[:VARIANT]', help='a named run, or FILE.py[:VARIANT]')
    what.completer = names  # type: ignore[attr-defined]  # argcomplete's
    parser.set_defaults(config=None)  # --config.key=value is taken


def names(prefix: str, **_) -> list[str]:
    """The named runs that begin so, for a shell; found without JAX."""
    package = Path(__file__).parents[1]
    folder = next(path for path in (package / 'configs', package.parent / 'configs') if path.is_dir())
    found = []
    for path in sorted(folder.glob('[!_]*.py')):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'VARIANTS':
                found += [f'{path.stem}:{key.value}' for key in node.value.keys]
    return [name for name in found if name.startswith(prefix)]


def run(args: argparse.Namespace) -> dict:
    """The keys of a named run; without a name, all named runs."""
    return {'keys': [vars(key) for key in keys_of(args.what, args.overrides)]} if args.what else named_runs()


def spoken(report: dict, args: argparse.Namespace) -> dict:
    """A line a key, or a named run."""
    if args.what:
        return {key['name']: _line(key) for key in report['keys']}
    return {system: [_row(**row) for row in rows] for system, rows in report.items()}


def named_runs() -> dict[str, list[dict]]:
    """Of every system its named runs: name, side of the pictures, steps, batch, what the config file says of them."""
    from dfjax.config import config_file, load_config
    from dfjax.explain import variants_of
    from dfjax.systems import SYSTEMS

    report = {}
    for system in SYSTEMS:
        report[system] = []
        for variant, said in variants_of(str(config_file(system))).items():
            name = f'{system}:{variant}'
            cfg = load_config(name)
            row = {'name': name, 'size': cfg.data.get('size'), 'steps': cfg.steps, 'batch': cfg.batch_size}
            report[system].append(row | {'about': said})
    return report


def keys_of(name: str, overrides: Sequence[str] = ()) -> list:
    """Every key of a named run, see `explain.Key`."""
    from dfjax.config import load_config
    from dfjax.explain import explain

    return explain(load_config(name, overrides))


def _row(name: str, size: int | None, steps: int, batch: int, about: str) -> str:
    return f'{name:<19} {f"{size} px" if size else "":>7} {steps:>8} steps of {batch:<4} {about}'


def _line(key: dict) -> str:
    value = repr(key['value']) if key['value'] in ('', []) else str(key['value'])
    value += '' if key['value'] == key['default'] else f' (default {key["default"]})'
    return f'{value:<22}  {key["range"] or key["kind"]:<{WIDTH}}  {key["comment"]}'

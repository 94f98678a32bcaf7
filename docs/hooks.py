"""What the pages have from the code itself: named runs, config keys, commands. MkDocs calls `on_page_markdown`."""

import contextlib
import importlib
import io
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
MARK = re.compile(r'\{\{ (\w+)(?: (\w+))? \}\}')


def on_page_markdown(markdown: str, **_) -> str:
    """The page with every {{ what }} and {{ what name }} replaced by what it asks for."""
    return MARK.sub(lambda found: PARTS[found[1]](*[found[2]] * bool(found[2])), markdown)


def systems() -> str:
    """A table of all systems, by the first line of their modules."""
    from dfjax.systems import SYSTEMS, load_system

    lines = [f'| [{name}]({name}.md) | {load_system(name).__doc__.splitlines()[0]} |' for name in SYSTEMS]
    return '\n'.join(['| system | what it is |', '|---|---|', *lines])


def runs(system: str) -> str:
    """A table of a system's named runs, and where its keys are."""
    rows = [
        f'| `{row["name"]}` | {row["size"] or ""} | {row["steps"]} | {row["batch"]} | {cell(row["about"])} |'
        for row in importlib.import_module('dfjax.apps.config').named_runs()[system]
    ]
    head = ['## Named runs', '', '| run | px | steps | batch | what it is |', '|---|---|---|---|---|']
    return '\n'.join([*head, *rows, '', f'Every key of them: [Config keys](../keys.md#{system}).'])


def keys() -> str:
    """Of every system a table of all keys."""
    from dfjax.systems import SYSTEMS

    keys_of, parts = importlib.import_module('dfjax.apps.config').keys_of, []
    for system in SYSTEMS:
        rows = [
            f'| `{key.name}` | `{key.default!r}` | {cell(key.range or key.kind)} | {cell(key.comment)} |'
            for key in keys_of(system)
        ]
        parts += [f'## {system}', '', '| key | default | range | what it is |', '|---|---|---|---|', *rows, '']
    return '\n'.join(parts)


def commands() -> str:
    """The help of every verb."""
    from dfjax.apps.cli import VERBS, build_parser

    parts = []
    for verb in VERBS:
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            build_parser(verb).print_help()
        parts += [f'## dfjax {verb}', '', '```text', text.getvalue().strip(), '```', '']
    return '\n'.join(parts)


def cell(text: str) -> str:
    """A text that may stand in a table."""
    return ' '.join(str(text).split()).replace('|', '\\|')


PARTS = {'systems': systems, 'runs': runs, 'keys': keys, 'commands': commands}

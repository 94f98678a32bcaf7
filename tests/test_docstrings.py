"""The examples in docstrings: every call fits its function, and those that are soon done are run."""

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_faces import FACE, write_faces
from untrained import smooth_picture

from dfjax.data.media.image import write_image

ROOT = Path(__file__).parents[1]

SKETCHES = {'data.batches'}  # not of one function
RUN = {'config', 'inference.head', 'inference.solvers', 'ops.mel'}
RUN |= {'apps.check', 'apps.sort'}


def examples() -> dict[str, list[str]]:
    """The indented blocks of docstrings that are code with a call in it, by module."""
    found = {}
    for path in sorted((ROOT / 'dfjax').rglob('*.py')):
        name = '.'.join(path.relative_to(ROOT / 'dfjax').with_suffix('').parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
                continue
            for block in re.findall(r'(?:^|\n\n)((?:    [^\n]*\n?)+)', ast.get_docstring(node) or ''):
                code = textwrap.dedent(block)
                try:
                    calls = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call)]
                except SyntaxError:  # a command line, a table, a tree
                    continue
                if calls and name not in SKETCHES:
                    found.setdefault(name, []).append(code)
    return found


EXAMPLES = examples()


@pytest.fixture(scope='module')
def workspace(tmp_path_factory):
    """A folder with the files that the examples name."""
    folder = tmp_path_factory.mktemp('workspace')
    write_image(folder / 'anna.jpg', smooth_picture(48, 48))
    write_faces(folder / 'faces' / 'anna')
    (folder / 'configs').symlink_to(ROOT / 'configs')
    return folder


def values() -> dict:
    return {
        'np': np,
        'jnp': jnp,
        'pictures': jnp.zeros((4, 32, 32, 3)),
        'labels': jnp.zeros((4, 5)),
        'landmarks': jnp.tile(jnp.asarray(FACE * 100, jnp.float32), (4, 1, 1)),
        'sound': jnp.zeros((1, 16000)),
        'seconds': jnp.array([0.1, 0.2]),
        'noise': jax.random.normal(jax.random.key(0), (1, 8, 8, 3)),
        'alpha_bar': np.linspace(1, 0.01, 1001)[1:],
        'denoise': lambda x, *_: 0 * x,
        'paint': lambda pictures: pictures,
    }


def known(module: str) -> dict:
    """What an example may name: what its module has or imports inside functions, and what the package offers."""
    names = {}
    for source in (ROOT / 'dfjax').rglob('*.py'):
        if 'bench' in source.parts or source.stem == 'worker':
            continue
        for node in ast.parse(source.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != '_':
                names[node.name] = '.'.join(source.relative_to(ROOT).with_suffix('').parts)
    own = vars(importlib.import_module(f'dfjax.{module}'))
    written = [n for code in EXAMPLES[module] for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name)]
    used = {n.id for n in written} - {n.id for n in written if isinstance(n.ctx, ast.Store)}
    found = {name: own[name] for name in used if name in own}
    for name in used - found.keys():
        if name in names:
            found[name] = getattr(importlib.import_module(names[name]), name)
    return found | {'faceswap': importlib.import_module('dfjax.systems.faceswap')}


def calls(module: str) -> list[ast.Call]:
    return [n for code in EXAMPLES[module] for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call)]


@pytest.mark.parametrize('module', sorted(EXAMPLES))
def test_calls_fit_their_functions(module):
    names = known(module)
    for call in calls(module):
        function = names.get(getattr(call.func, 'id', ''))
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value).endswith('.system'):
            function = getattr(names['faceswap'], call.func.attr)
        if callable(function):
            words = {word.arg: None for word in call.keywords}
            inspect.signature(function).bind(*[None] * len(call.args), **words)


@pytest.mark.parametrize('module', sorted(RUN))
def test_examples_run(module, workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    for code in EXAMPLES[module]:
        exec(compile(code, f'docstring of {module}', 'exec'), known(module) | values())


def test_there_are_examples():
    assert len(EXAMPLES) > 25

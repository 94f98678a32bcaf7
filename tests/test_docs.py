"""The documentation: what it shows in Python runs or is of functions as they are, and every system has its page."""

import ast
import html
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import dfjax
from dfjax.apps.batch import read_jobs
from dfjax.apps.cli import build_parser
from dfjax.inference.settings import read_settings
from dfjax.systems import SYSTEMS

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[1]
PAGES = ROOT / 'docs' / 'pages'
CODE = [
    (path, code)
    for path in sorted([ROOT / 'README.md', *PAGES.rglob('*.md')])
    for code in re.findall(r'```python\n(.*?)```', path.read_text(), re.S)
]
FILES = re.compile(r'\.mp4|\.jpg|faces/')  # of yours: not to be run here


@pytest.mark.parametrize('path, code', CODE, ids=[f'{path.stem}{n}' for n, (path, _) in enumerate(CODE)])
def test_python_in_the_pages(path, code):
    """Is run; what names a person's files is compiled, and its calls of `dfjax.` fit their functions."""
    compiled = compile(code, str(path), 'exec')
    if 'google.colab' in code:  # which only Colab has: its command is one that the program takes
        words = ast.literal_eval(re.search(r'words = (\[.*\])', code)[1])
        build_parser(words[1], words[2:]).parse_args(words[2:])
        return
    if not FILES.search(code):
        exec(compiled, {})
        return
    calls = re.findall(r'dfjax\.(\w+)\((.*)\)', code)
    assert calls
    for name, words in calls:
        bound = eval(
            f'lambda *a, **k: inspect.signature(dfjax.{name}).bind(*a, **k)', {'inspect': inspect, 'dfjax': dfjax}
        )
        eval(f'bound({words})', {'bound': bound})


@pytest.mark.parametrize(('page', 'read'), [('recipes', read_jobs), ('swap', read_settings)])
def test_toml_in_the_pages(page, read, tmp_path):
    (code,) = re.findall(r'```toml\n(.*?)```', (PAGES / f'{page}.md').read_text(), re.S)
    path = tmp_path / 'in.toml'
    path.write_text(code)
    assert read(path)


def test_every_system_has_a_page():
    for system in SYSTEMS:
        page = (PAGES / 'systems' / f'{system}.md').read_text()
        assert f'{{{{ runs {system} }}}}' in page, system
        for part in ('## Measured', '## From', '## What goes wrong'):
            assert part in page, f'{system}: {part}'
        pictures = re.findall(r'!\[.+\]\((.+)\)', page)
        assert pictures and all((PAGES / 'systems' / name).stat().st_size < 150_000 for name in pictures), system


@pytest.mark.skipif(importlib.util.find_spec('mkdocs') is None, reason="mkdocs is not installed: pip install '.[docs]'")
def test_the_site_is_built_without_a_warning(tmp_path):
    import subprocess
    import sys

    command = [
        sys.executable,
        '-m',
        'mkdocs',
        'build',
        '-q',
        '--strict',
        '-f',
        str(ROOT / 'docs/mkdocs.yml'),
        '-d',
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    site = {path.relative_to(tmp_path).as_posix(): html.unescape(path.read_text()) for path in tmp_path.rglob('*.html')}
    for name, text in site.items():
        body = text[text.index('<article') :]
        assert '{{' not in body, f'{name}: a mark is not filled in'
        assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?:', text), f'{name} asks another site'
    assert '<code>vae:laptop</code>' in site['systems/vae/index.html']
    assert '<code>optimizer.lr</code>' in site['keys/index.html']
    assert 'dfjax swap --face bert.mp4' in site['commands/index.html']

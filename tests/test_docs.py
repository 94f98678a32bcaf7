"""The documentation: what it shows in Python runs or is of functions as they are, and every system has its page."""

import html
import http.client
import importlib.util
import inspect
import os
import re
import shlex
import socket
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import dfjax
from dfjax.apps.batch import read_jobs
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
    if 'google.colab' in code:  # which only Colab has: a test of its own
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


def test_the_studio_is_opened_on_colab(tmp_path, monkeypatch):
    """The code of the page with a stand-in for Colab's proxy, which may pass on either name."""
    (code,) = [code for _, code in CODE if 'google.colab' in code]
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        own = free.getsockname()[1]
    opened = []

    def serve_kernel_port_as_window(port, path='/', anchor_text=None):  # as in google.colab.output
        opened.append((port, path))

    google, colab = ModuleType('google'), ModuleType('google.colab')
    colab.output = SimpleNamespace(serve_kernel_port_as_window=serve_kernel_port_as_window)
    for module in (google, colab):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    program = tmp_path / 'dfjax'
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dfjax.apps.cli "$@"\n')
    program.chmod(0o700)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv('PYTHONPATH', str(ROOT), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    named = {}
    try:
        exec(code.replace('7860', str(own)), named)
        ((port, path),) = opened
        for host in (f'x-{port}-colab.googleusercontent.com', f'{port}-gpu-x.prod.colab.dev', f'localhost:{port}'):
            status, entry, cookie = asked(port, path, host)
            assert status == 200 and 'Open the studio' in entry
            status, page, _ = asked(port, '/', host, cookie.partition(';')[0])
            assert status == 200 and '<script' in page
        assert asked(port, path, 'example.org')[0] == 400
        assert asked(port, '/', f'localhost:{port}')[0] == 401
        with pytest.raises(AssertionError, match='another studio is open there'):  # the cell is run again
            exec(code.replace('7860', str(own)), {})
    finally:
        if 'studio' in named:
            named['studio'].terminate()
            named['studio'].communicate(timeout=60)


def asked(port: int, path: str, host: str, cookie: str = '') -> tuple[int, str, str]:
    """Status, body and cookie of what is served at a port of this machine under a name."""
    with closing(http.client.HTTPConnection('127.0.0.1', port, timeout=60)) as connection:
        connection.request('GET', path, headers={'Host': host, 'Cookie': cookie})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.getheader('Set-Cookie', '')


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

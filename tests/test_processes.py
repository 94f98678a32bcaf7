"""Work that is shared by processes: the same as without them, and one line where one of them is gone."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

from dfjax.apps.bench import render as bench_render
from dfjax.data import render as heads
from dfjax.errors import InputError

drawing = importlib.import_module('dfjax.data.render.render')  # the package has a function of this name
WHO, COUNT = heads.random_identity(3), 12
HOW = heads.animate(3, COUNT)


@pytest.fixture
def shared(monkeypatch):
    """Three processes for a few pictures."""
    monkeypatch.setattr(drawing, 'SHARE', 2)
    monkeypatch.setattr(drawing, 'cores', lambda: 3)


def test_heads_drawn_by_processes_are_those_drawn_here(shared, monkeypatch):
    apart = heads.render(WHO, HOW, 96)
    monkeypatch.setattr(drawing, 'cores', lambda: 1)
    here = heads.render(WHO, HOW, 96)
    for name in ('image', 'mask', 'landmarks', 'parts'):
        np.testing.assert_array_equal(getattr(apart, name), getattr(here, name))


def test_a_process_that_is_killed_is_one_line(shared, monkeypatch):
    def gone(module: str, **pipes) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.readline()'], **pipes)

    monkeypatch.setattr(drawing, 'start_worker', gone)
    with pytest.raises(InputError, match='was ended, most likely for want of memory'):
        heads.render(WHO, HOW, 96)


def test_bench_counts_what_is_drawn():
    report = bench_render.run(64, 4, 1)
    assert (report['frames'], report['size']) == (4, 64) and report['fps'] > 0

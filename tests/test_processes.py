"""Work that is shared by processes: the same as without them, and one line where one of them is gone."""

import importlib
import platform
import resource
import subprocess
import sys

import numpy as np
import pytest

from dfjax.apps.bench import render as bench_render
from dfjax.data import processes
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
    def gone(module: str) -> subprocess.Popen:
        pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
        return subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.readline()'], **pipes)

    monkeypatch.setattr(processes, 'start_worker', gone)
    with pytest.raises(InputError, match='was ended, most likely for want of memory'):
        heads.render(WHO, HOW, 96)


def test_bench_counts_what_is_drawn():
    report = bench_render.run(64, 4, 1)
    assert (report['frames'], report['size']) == (4, 64) and report['fps'] > 0


ECHO = """
import sys
import numpy as np
from dfjax.data.processes import serve
from dfjax.errors import InputError

def answer(value, arrays):
    print('a library says something')
    if value == 'bad':
        raise InputError('x.jpg: a line for the user')
    return [value, sys.argv[1]], [2 * array for array in arrays]

serve(answer)
"""


@pytest.fixture
def echo(monkeypatch):
    """Two workers that give back twice the arrays."""
    Popen = subprocess.Popen

    def popen(command, **options):
        return Popen([sys.executable, '-c', ECHO, *command[3:]], **options)

    monkeypatch.setattr(processes.subprocess, 'Popen', popen)
    with processes.Workers('echo', 'word', count=2) as workers:
        yield workers


def test_values_and_arrays_come_back_as_they_are(echo):
    arrays = [
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.float32([np.nan, 0.1]),
        np.zeros((0, 68, 2)),
        np.float64(3),
    ]
    for value in ({'a': [1, None]}, 0.1, 'ä'):
        (back, word), made = echo.ask(value, arrays).result(30)
        assert (back, word) == (value, 'word')
        for array, twice in zip(arrays, made, strict=True):
            assert twice.dtype == (2 * array).dtype
            np.testing.assert_array_equal(twice, 2 * array)
    futures = [echo.ask(n, then=lambda value, arrays: value[0]) for n in range(50)]
    assert [future.result(30) for future in futures] == list(range(50))


def test_a_line_for_the_user_passes_through(echo):
    with pytest.raises(InputError, match=r'^x\.jpg: a line for the user$'):
        echo.ask('bad').result(30)
    assert echo.ask('good').result(30)[0][0] == 'good'  # and the worker lives


def test_no_more_workers_than_memory_holds(monkeypatch):
    monkeypatch.setattr(processes, 'free_memory', lambda: 1000.0)
    assert processes.Workers('none', count=64, bytes_each=100).count == 5
    assert processes.Workers('none', count=64, bytes_each=4000).count == 1
    assert processes.Workers('none', count=64).count == 64
    monkeypatch.undo()
    assert processes.free_memory() > 1 << 20


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='of the allocator of glibc')
def test_freed_memory_is_handed_back_to_the_system():
    script = (
        'import numpy as np\n'
        'from dfjax.data.processes import give_back\n'
        'pages = lambda: int(open("/proc/self/statm").read().split()[1])\n'
        'before, held = pages(), [np.ones(20_000) for _ in range(400)]\n'  # small enough for the heap
        'full, last = pages(), held[-1]\n'  # which keeps the heap's end
        'del held\n'
        'give_back()\n'
        'print(full - before, pages() - before)\n'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=True)
    full, left = map(int, done.stdout.split())
    assert full * resource.getpagesize() > 60e6 and left < full / 10

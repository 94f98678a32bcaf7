"""Processes of this package beside the caller's: for work during which Python's lock is held.

A worker is a module that calls `serve` with a function; `Workers` starts several and asks them. Requests and answers
are alike: a line of JSON, {"value": ..., "arrays": [[type, shape], ...]}, and the arrays' bytes. A worker ends when its
input does, also when its parent is killed. (multiprocessing and loky would pickle what passes, and start their workers
by importing the caller's script again or by a fork, which JAX's threads do not survive.)
"""

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

import dfjax
from dfjax.errors import InputError

ROOT = Path(dfjax.__file__).parents[1]
Message = tuple[Any, list[np.ndarray]]
ENDED = (
    'a process at work for this one was ended, most likely for want of memory; run the same command again, with less '
    'running beside it'
)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def free_memory() -> float:
    """Bytes that may still be taken, of the machine and of the control group; infinite where neither says."""
    free = float('inf')
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path('/proc/meminfo').read_text().splitlines()
        free = 1024.0 * int(next(line for line in lines if line.startswith('MemAvailable')).split()[1])
    with contextlib.suppress(OSError, ValueError):  # 'max' where there is no limit
        limit, now = (int(Path('/sys/fs/cgroup', name).read_text()) for name in ('memory.max', 'memory.current'))
        free = min(free, float(limit - now))
    return free


def give_back() -> None:
    """Hands freed memory back to the system where its allocator keeps it, as glibc does with tens of megabytes."""
    with contextlib.suppress(AttributeError, OSError):  # other allocators have no such function
        ctypes.CDLL(None).malloc_trim(0)


def _as_it_is(value: Any, arrays: list[np.ndarray]) -> Message:
    return value, arrays


class Workers:
    """A context manager around processes of one module; `ask` has the next free one answer.

    Args:
        module: what they run; it calls `serve`.
        arguments: its words on the command line.
        count: how many; one a core by default.
        bytes_each: what each takes, so that no more are started than half of the free memory holds.
    """

    def __init__(self, module: str, *arguments: str, count: int | None = None, bytes_each: int = 0):
        fitting = free_memory() / 2 / bytes_each if bytes_each else float('inf')
        self.count = max(1, int(min(count or cores(), fitting)))
        self._command = [module, *arguments]

    def __enter__(self) -> 'Workers':
        self._processes = [start_worker(*self._command) for _ in range(self.count)]
        self._free: queue.Queue = queue.Queue()
        for process in self._processes:
            self._free.put(process)
        self._threads = ThreadPoolExecutor(self.count)  # one waits for each
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            self._threads.shutdown()
        for process in self._processes:  # killed: they hold no files, and freeing their models would take a while
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            with contextlib.suppress(BrokenPipeError):  # one that died with a request half-written
                process.stdin.close()
            process.wait()
            process.stdout.close()

    def ask(
        self, value: Any = None, arrays: Sequence[np.ndarray] = (), then: Callable[[Any, list], Any] = _as_it_is
    ) -> Future:
        """What `then` makes of the value and the arrays with which a worker answers these. The future raises InputError
        where the worker did, or where it is gone."""
        return self._threads.submit(self._ask, value, arrays, then)

    def _ask(self, value: Any, arrays: Sequence[np.ndarray], then: Callable[[Any, list], Any]) -> Any:
        process = self._free.get()
        try:
            _send(process.stdin, value, arrays)
            answer = _receive(process.stdout)
        except BrokenPipeError:
            answer = None
        finally:
            self._free.put(process)
        if answer is None:
            raise InputError(ENDED)
        (error, value), arrays = answer
        if error:
            raise InputError(error)
        return then(value, arrays)


def serve(answer: Callable[[Any, list[np.ndarray]], tuple[Any, Sequence[np.ndarray]]]) -> None:
    """A worker's life: sends `answer(value, arrays)` for each request until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), 'wb')
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    with contextlib.suppress(BrokenPipeError):
        while (request := _receive(requests)) is not None:
            try:
                value, arrays = answer(*request)
                error = None
            except InputError as fault:
                value, arrays, error = None, (), str(fault)
            _send(answers, [error, value], arrays)


def start_worker(module: str, *arguments: str) -> subprocess.Popen:
    """A process that runs a module of this package, with one thread of its own and pipes to and from it."""
    environment = os.environ | {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
    environment['PYTHONPATH'] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
    return subprocess.Popen([sys.executable, '-m', module, *arguments], env=environment, **pipes)


def _send(to: BinaryIO, value: Any, arrays: Sequence[np.ndarray]) -> None:
    head = {'value': value, 'arrays': [[array.dtype.str, array.shape] for array in arrays]}
    to.write(json.dumps(head).encode() + b'\n')
    for array in arrays:
        to.write(np.ascontiguousarray(array).data)
    to.flush()


def _receive(source: BinaryIO) -> Message | None:
    """None where the other side is gone, or has gone in the middle of a message."""
    line = source.readline()
    if not line.endswith(b'\n'):
        return None
    head, arrays = json.loads(line), []
    for kind, shape in head['arrays']:
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        data = source.read(size)
        if len(data) < size:
            return None
        arrays.append(np.frombuffer(data, kind).reshape(shape))
    return head['value'], arrays

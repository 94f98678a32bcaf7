"""Processes of this package beside the caller's: for work during which Python's lock is held."""

import os
import subprocess
import sys
from pathlib import Path

import dfjax
from dfjax.errors import InputError

ROOT = Path(dfjax.__file__).parents[1]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def start_worker(module: str, *arguments: str, **pipes) -> subprocess.Popen:
    """A process that runs a module of this package, with one thread of its own.

    A program, not a fork (JAX has threads, which do not survive one), nor by multiprocessing, which would run the
    caller's script again.
    """
    environment = os.environ | {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
    environment['PYTHONPATH'] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    return subprocess.Popen([sys.executable, '-m', module, *arguments], env=environment, **pipes)


def ended() -> InputError:
    """What to say of a worker that is gone."""
    return InputError(
        'a process at work for this one was ended, most likely for want of memory; run the same command again, '
        'with less running beside it'
    )

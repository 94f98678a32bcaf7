"""Processes for what may die, hang or take much memory, forked from a server that has imported much and runs nothing.

A fork of the tests' own process, where JAX and codecs have threads, may wait for ever for a lock that one of them held.
"""

import multiprocessing
import resource
from pathlib import Path

from dfjax.errors import InputError

SERVER = multiprocessing.get_context('forkserver')
SERVER.set_forkserver_preload(
    ['tests.fuzz.targets', 'dfjax.weights.arrays', 'dfjax.weights.torch_files', 'dfjax.weights.vgg', 'h5py']
)
ROOM, PATIENCE = 2**29, 20  # bytes beyond what the process has, and seconds


def work(read, path, send) -> None:
    """Reads a file with bounded memory and says what came of it."""
    now = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, now + ROOM))
    try:
        read(path)
        send.send('read')
    except InputError as error:
        send.send(str(error))


def bounded(read, path) -> str:
    """What reading a file comes to, in a process with little memory: the error's line, or 'read'."""
    receive, send = multiprocessing.Pipe(False)
    process = SERVER.Process(target=work, args=(read, path, send))
    process.start()
    send.close()
    process.join(PATIENCE)
    try:
        assert process.exitcode == 0, f'{path}: ' + (
            'hangs' if process.exitcode is None else f'died: {process.exitcode}'
        )
        return receive.recv()
    finally:
        process.kill()

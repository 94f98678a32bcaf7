"""What the processes of a run agree on. With a single process everything here is as good as nothing.

All of it waits for all processes, on the devices: it is for the start of a run and for steps at which something is due,
never for every dispatch. How a run is stopped travels with the steps themselves, see `parallel.Devices.advance`.
"""

import contextlib
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from dfjax.errors import InputError

TEXT = 512  # bytes of a line that processes share


def from_first(number: int) -> int:
    """Process 0's number, in every process."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def greatest(number: int) -> int:
    """The greatest of the processes' numbers, in every process."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.process_allgather(np.int32(number)).max())


def any_text(text: str) -> str:
    """The first text that is not empty, in the order of processes; '' if there is none."""
    if jax.process_count() == 1:
        return text
    line = np.zeros(TEXT, np.uint8)
    raw = text.encode()[:TEXT]
    line[: len(raw)] = np.frombuffer(raw, np.uint8)
    lines = [bytes(row).rstrip(b'\0').decode(errors='ignore') for row in multihost_utils.process_allgather(line)]
    return next(filter(None, lines), '')


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A block that fails in all processes if it fails in one, so that none waits for ever for another.

    Every process enters it, and none may wait for another inside.

    Raises:
        InputError, OSError: its own in the process that failed; the others raise an InputError with the same line.
    """
    fault = None
    try:
        yield
    except (InputError, OSError) as error:
        fault = error
    line = any_text('' if fault is None else (str(fault) or type(fault).__name__).splitlines()[0])
    if fault is not None:
        raise fault
    if line:
        raise InputError(line)

"""One process at a time in a run's folder: a lock that dies with its owner, however that ends."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import jax

from dfjax.data.media.output import reason
from dfjax.errors import InputError
from dfjax.training.workdir import folder_of, is_remote

LOCK = '.lock'

_held: set[Path] = set()  # by this process, which may enter a folder of its own again


@contextlib.contextmanager
def locked(workdir: str | Path) -> Iterator[None]:
    """A block in which no other process trains in `workdir`; the folder is made, and the lock's file goes at the end.

    With several processes of one run the first holds it for all. The kernel frees the lock when its owner is gone, so
    that what a killed process leaves is in nobody's way. Folders in buckets, and on systems that know no such locks,
    are not locked.

    Raises:
        InputError: another process is at work there; the folder cannot be made.
    """
    folder = folder_of(workdir)
    path = Path(folder) / LOCK
    if jax.process_index() or is_remote(folder) or path in _held:
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _taken(path)
    except OSError as error:
        raise InputError(f'{workdir}: cannot be written ({reason(error)}); give another folder') from error
    _held.add(path)
    try:
        yield
    finally:
        _held.discard(path)
        if descriptor is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)  # while it is held: whoever waits for this file finds it gone
            os.close(descriptor)


def _taken(path: Path) -> int | None:
    """The open file, locked; None where the system has no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
                return descriptor
        except BlockingIOError:
            owner = os.read(descriptor, 20).decode(errors='replace')
            os.close(descriptor)
            raise InputError(
                f'{path.parent}: another process{f" ({owner})" if owner else ""} is at work there; wait until it is '
                'done, stop it, or give another folder'
            ) from None
        except FileNotFoundError:
            pass
        except OSError:  # a file system without locks
            os.close(descriptor)
            return None
        os.close(descriptor)  # its owner has just ended, and taken the file away

"""Where the studio keeps things: `DIR/.studio` for what it was given and what it is at, DIR for what it makes.

DIR/swap-1.mp4, DIR/swap-1.mp4.run     results and runs, as a person would name them
DIR/.studio/uploads/ID/                file.mp4, about.json, and what `looker.py` found in it
DIR/.studio/jobs/ID/                   see `jobs.py`
DIR/.studio/consent.json               whether the people shown agree, and when that was said

No name that a browser sends is ever part of a path: it sends an ID, or the name of a run that was found here.
"""

import contextlib
import json
import re
import secrets
import time
from pathlib import Path

from dfjax.errors import InputError
from dfjax.foreign import parse

HIDDEN = '.studio'
ID = re.compile(r'[0-9a-f]{16}')


def new_id() -> str:
    """Sixteen hexadecimal digits."""
    return secrets.token_hex(8)


def write_json(path: Path, value: dict) -> None:
    """Writes a file whole or not at all."""
    part = path.with_name(f'.{path.name}.{secrets.token_hex(4)}.part')
    part.write_text(json.dumps(value, indent=1))
    part.replace(path)


def read_json(path: Path) -> dict:
    """The object in a file of the studio's own; empty where it is missing or damaged."""
    with contextlib.suppress(OSError, ValueError):
        value = parse(path.read_bytes())
        if isinstance(value, dict):
            return value
    return {}


def clock() -> float:
    """Seconds since 1970, to a tenth."""
    return round(time.time(), 1)


class Locked:
    """A lock on a file that dies with whoever holds it, a process that it is handed to included.

    Attributes:
        descriptor: of the open file.
    """

    def __init__(self, path: Path):
        """Raises BlockingIOError where another process holds it."""
        try:
            import fcntl
        except ImportError:
            raise InputError('the studio needs Linux, macOS or Windows with WSL') from None
        self._file = path.open('a')
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise
        self.descriptor = self._file.fileno()

    def close(self) -> None:
        """Lets go of it in this process."""
        self._file.close()


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        Locked(path).close()
    except BlockingIOError:
        return True
    return False


class Consent:
    """Whether the people whose faces and voices are used agree: asked once, and given to every job.

    Args:
        folder: DIR/.studio.
    """

    def __init__(self, folder: Path):
        self._path = folder / 'consent.json'

    def given(self) -> dict:
        """{'agreed': True, 'said': when}, or {} where nobody said so."""
        kept = read_json(self._path)
        return kept if kept.get('agreed') is True else {}

    def give(self) -> dict:
        """Writes down that they agree."""
        write_json(self._path, {'agreed': True, 'said': time.strftime('%Y-%m-%dT%H:%M:%S%z')})
        return self.given()


def free_name(folder: Path, verb: str, suffix: str, taken: set[str]) -> str:
    """A name for a new result: the verb and the next number that neither a file nor a job that waits has."""
    number = 1
    while (folder / f'{verb}-{number}{suffix}').exists() or any(
        name.startswith(f'{verb}-{number}.') or name == f'{verb}-{number}'
        for name in taken | {path.name for path in folder.glob(f'{verb}-{number}*')}
    ):
        number += 1
    return f'{verb}-{number}{suffix}'

"""Outputs that are whole or absent: written under a hidden name beside the target and renamed when complete."""

import contextlib
import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from dfjax.errors import FileError, WriteError


def _numbering() -> str:
    """Whose numbers of processes are one row: a machine's, or a container's in it, which may have the same name."""
    try:
        return f'{platform.node()} {os.readlink("/proc/self/ns/pid")}'
    except OSError:  # no Linux
        return platform.node()


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
LONGEST = 255  # bytes of a name, on nearly every file system
MACHINE = hashlib.sha256(_numbering().encode()).hexdigest()[:6]  # whose processes hidden names number
LEFT = re.compile(rf'\.{MACHINE}-([0-9a-f]+)-[0-9a-f]{{4}}\..*')  # a hidden name, and its process


def reason(error: OSError) -> str:
    """Why the system could not write, in words that are the same wherever a disk is full."""
    return 'the disk is full' if error.errno in FULL else error.strerror or str(error)


def check_output(path, force: bool = False) -> Path:
    """The path of a file to be written, or WriteError: for an app to call before its long work starts.

    Refuses a file that exists (unless `force`) and a folder that is in the way or cannot be written. An empty file
    holds nothing that could be lost and does not count as existing.
    """
    path = Path(path)
    check_name(path)
    if path.is_dir():
        raise WriteError(path, 'is a folder; name the file to write')
    if path.exists() and path.stat().st_size and not force:
        raise WriteError(path, 'exists; choose another name or pass --force to replace it')
    _check_parent(path)
    return path


@contextlib.contextmanager
def atomic_path(path, force: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `path`, same suffix, which becomes `path` when the block ends without an error.

    The file exists, empty, from the start, so that an unwritable folder is found before the work. On any error or
    Ctrl-C it is deleted and `path` stays as it was. Raises WriteError as check_output does, and for a full disk; a
    FileError of the block that names the temporary path names `path` instead.
    """
    path = check_output(path, force)
    temporary = hidden_name(path)
    try:
        with _disk_errors(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            _tidy(path.parent)
            temporary.touch(exist_ok=False)
            yield temporary
            check_output(path, force)  # another process may have made it meanwhile
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path, force: bool = False, marker: str | None = None) -> Iterator[Path]:
    """As atomic_path for a folder: yields a new empty folder that becomes `path` when the block ends.

    An empty folder may always be replaced. One that holds anything is replaced only with `force` and only when it
    holds a file named `marker`, which says that this program made it: a mistyped name must not delete other things.
    """
    path = Path(path)
    check_name(path)
    filled = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if filled and not force:
        raise WriteError(path, 'exists; choose another name or pass --force to replace it')
    if filled and not (marker and (path / marker).is_file()):
        what = f'holds no {marker}' if path.is_dir() else 'is a file'
        raise WriteError(path, f'{what}, so it is not replaced even with --force; choose another name')
    _check_parent(path)
    temporary, old = hidden_name(path), path.with_name(fitting(f'.{secrets.token_hex(4)}.{path.name}'))
    try:
        with _disk_errors(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            _tidy(path.parent)
            temporary.mkdir()
            yield temporary
            if filled:
                os.replace(path, old)  # a folder cannot be renamed onto one that holds something
            os.replace(temporary, path)
    except BaseException:
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _disk_errors(path: Path, temporary: Path) -> Iterator[None]:
    """Turns what the system says about writing `path` (a full disk, no permission) into one clear line.

    What is said of the temporary path, or of a file under it, is said of the one that it stands for.
    """
    try:
        yield
    except FileError as error:
        if not error.path.is_relative_to(temporary):
            raise
        raise type(error)(path / error.path.relative_to(temporary), error.fault) from error
    except Exception as error:
        # What is written by C++ code, as a record of tfds, knows the system's words only.
        if getattr(error, 'errno', None) in FULL or os.strerror(errno.ENOSPC) in str(error):
            raise WriteError(path, 'the disk is full; free some space or choose another folder') from error
        if not isinstance(error, OSError):
            raise
        name = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
        if name and (name in (path, temporary, *path.parents) or temporary in name.parents):
            raise WriteError(path, f'cannot be written ({error.strerror}); choose another folder') from error
        raise


def _check_parent(path: Path) -> None:
    # Missing folders are made when the output is; what must be writable is the nearest one that exists.
    parent = path.parent
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if not parent.is_dir():
        raise WriteError(path, f'{parent} is not a folder')
    if not os.access(parent, os.W_OK | os.X_OK):
        raise WriteError(path, f'{parent} cannot be written; choose another folder')


def hidden_name(path: Path) -> Path:
    """A new hidden name beside `path`, with its suffix; `_tidy` knows whose it is."""
    return path.with_name(fitting(f'.{MACHINE}-{os.getpid():x}-{secrets.token_hex(2)}.{path.name}'))


@functools.cache  # once a process: a face set has thousands of files
def _tidy(folder: Path) -> None:
    """Removes what processes of this machine that were killed have left half-written in a folder."""
    with contextlib.suppress(OSError):  # a folder may be written to and not listed
        for path in folder.iterdir():
            if (hidden := LEFT.fullmatch(path.name)) and not _alive(int(hidden[1], 16)):
                with contextlib.suppress(OSError):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _alive(process: int) -> bool:
    """Whether there is a process of that number, as far as this one may know."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def check_name(path: Path) -> None:
    """Raises WriteError for a name that no file can have."""
    for part in path.parts:
        if len(os.fsencode(part)) > LONGEST:
            raise WriteError(path, f'a name of {len(os.fsencode(part))} bytes; no file can have more than {LONGEST}')
        if '\0' in part:
            raise WriteError(path, 'a name with a zero byte, which no file can have')


def fitting(name: str, most: int = LONGEST) -> str:
    """A file's name, cut where it has more bytes than it may: its beginning, a hash of the whole, and its suffix."""
    raw = os.fsencode(name)
    if len(raw) <= most:
        return name
    stem, dot, suffix = name.rpartition('.')
    end = f'~{hashlib.sha256(raw).hexdigest()[:8]}' + (dot + suffix if stem and len(os.fsencode(suffix)) < 16 else '')
    kept = len(name)
    while len(os.fsencode(name[:kept] + end)) > most:
        kept -= 1
    return name[:kept] + end

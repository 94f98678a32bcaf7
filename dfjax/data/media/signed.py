"""Outputs that are whole and signed, or absent."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dfjax.data.media.credentials import sign
from dfjax.data.media.output import atomic_path


@contextlib.contextmanager
def signed_path(path: Path | str, description: str, *, force: bool = False, **credentials) -> Iterator[Path]:
    """Yields the path of a file to write; when the block ends it is signed and becomes `path`.

    Args:
        description, credentials: as `credentials.sign` takes them.

    Raises:
        InputError: as `atomic_path` and `sign`.
    """
    path = Path(path)
    # In a folder of its own the file has its final name, which its credentials state.
    with atomic_path(path, force) as part, tempfile.TemporaryDirectory(prefix='.', dir=path.parent) as folder:
        whole = Path(folder, path.name)
        yield whole
        sign(whole, description, **credentials)
        os.replace(whole, part)

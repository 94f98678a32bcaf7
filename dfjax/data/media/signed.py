"""Outputs that are whole and signed, or absent."""

import contextlib
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
        FileError: as `atomic_path` and `sign`.
    """
    path = Path(path)
    with atomic_path(path, force) as part:
        yield part
        sign(part, description, title=path.name, **credentials)

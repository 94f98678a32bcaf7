"""Outputs that are whole, marked and signed, or absent."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from dfjax.data.media.credentials import sign
from dfjax.data.media.mark import Mark
from dfjax.data.media.output import atomic_path
from dfjax.data.media.signing_key import identity, signer_file


@contextlib.contextmanager
def signed_path(
    path: Path | str, description: str, *, force: bool = False, **credentials
) -> Iterator[tuple[Path, Mark]]:
    """Yields the path of a file to write, and the mark for its pictures; when the block ends it is signed, with the
    mark's number if there is one, and becomes `path`.

    Args:
        description, credentials: as `credentials.sign` takes them.

    Raises:
        FileError: as `atomic_path` and `sign`.
    """
    path = Path(path)
    mark = Mark(owner=identity(signer_file())[0] + os.fsencode(path.name) + description.encode())
    with atomic_path(path, force) as part:
        yield part, mark
        sign(part, description, title=path.name, mark=mark.bits, **credentials)

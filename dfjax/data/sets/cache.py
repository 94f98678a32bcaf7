"""Rendered sets in the user's cache, `$XDG_CACHE_HOME/dfjax`: for as long as the renderer's code stays the same."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dfjax.data import render
from dfjax.data.faces import align, warp
from dfjax.data.media.output import atomic_path
from dfjax.errors import InputError, ReadError
from dfjax.foreign import read_npz

CACHE_BYTES = 2 * 2**30  # bytes of the sets used last that stay


def cached(what: str, code: str, draw: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays that `draw` makes, from the cache if they are in it; then they are kept there.

    Args:
        what: tells sets apart.
        code: the file of the module that draws: a change of it, or of the renderer, is another set.
        draw: makes the arrays.
    """
    path = _path(what, code)
    arrays = _load(path)
    if arrays is None:
        arrays = draw()
        _save(path, arrays)
    return arrays


def _path(what: str, code: str) -> Path:
    digest = hashlib.sha256(what.encode())
    for file in sorted([*Path(render.__file__).parent.glob('*.py'), *map(Path, (align.__file__, warp.__file__, code))]):
        digest.update(file.read_bytes())
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    return cache / 'dfjax' / 'render' / f'{digest.hexdigest()[:32]}.npz'


def _load(path: Path) -> dict[str, np.ndarray] | None:
    """What was saved, or None; a damaged file is as good as none."""
    if not path.is_file():
        return None
    with contextlib.suppress(OSError, ReadError):
        arrays = read_npz(path)
        os.utime(path)
        return arrays
    return None


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Saves arrays and deletes what was not used for longest; where that is not possible, does nothing."""
    with contextlib.suppress(OSError, InputError):
        with atomic_path(path, force=True) as temporary, open(temporary, 'wb') as file:
            np.savez(file, **arrays)
        files = sorted(path.parent.glob('*.npz'), key=lambda p: p.stat().st_mtime, reverse=True)
        for file, total in zip(files, np.cumsum([p.stat().st_size for p in files])):
            if total > CACHE_BYTES:
                file.unlink()

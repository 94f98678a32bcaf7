"""Systems: one module each, all of one shape (see `state.py`). A new one is its module, its config and its name here."""

import importlib
from types import ModuleType

from dfjax.errors import InputError

SYSTEMS = ('faceswap',)


def load_system(name: str) -> ModuleType:
    """The module `dfjax.systems.<name>`: BATCH, default_config, init, step, preview and the system's apply functions."""
    if name not in SYSTEMS:
        raise InputError(f'system {name!r} does not exist; there are: {", ".join(SYSTEMS)}')
    return importlib.import_module(f'dfjax.systems.{name}')

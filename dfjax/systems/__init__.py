"""Systems: one module each, all of one shape (`state.py`). A new one is its module, its config and its name here."""

import importlib
from collections.abc import Sequence
from types import ModuleType

from dfjax.errors import InputError
from dfjax.foreign import shown

SYSTEMS = ('faceswap', 'saehd', 'faceswap_gan', 'landmark_swap', 'amp')
SYSTEMS += ('vae', 'gan', 'diffusion', 'pix2pix', 'cyclegan', 'stargan', 'style', 'fomm', 'syncnet', 'lips', 'wav2lip')
SYSTEMS += ('segment',)


def systems_with(functions: Sequence[str]) -> list[str]:
    """The systems whose modules have all of these functions: what a verb can be used with."""
    return [name for name in SYSTEMS if all(hasattr(load_system(name), function) for function in functions)]


def load_system(name: str) -> ModuleType:
    """The module `dfjax.systems.<name>`; `state.py` says what it holds."""
    if name not in SYSTEMS:
        raise InputError(f'system {shown(name)} does not exist; there are: {", ".join(SYSTEMS)}')
    return importlib.import_module(f'dfjax.systems.{name}')


def __getattr__(name: str) -> ModuleType:
    """`dfjax.systems.vae` without an import of its own."""
    if name in SYSTEMS:
        return load_system(name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

"""Arrays by name in a pickle of NumPy's, as DeepFaceLab saves a net (.npy by name).

    weights = read_arrays('new_SAEHD_encoder.npy')['']

Nothing in the file is run: see `pickles.py`.
"""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from dfjax.errors import InputError
from dfjax.weights.limits import Refused, check_name, check_sizes
from dfjax.weights.pickles import Built, Machine

BYTES_AT_MOST = 2**32
DTYPES = ('f2', 'f4', 'f8')
FAULTS = (ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, MemoryError)


class Dtype(Built):
    """A type of numbers, whose byte order comes afterwards."""

    def __init__(self, name: Any = '', *_: Any):
        if not isinstance(name, str) or name not in DTYPES:
            raise Refused(f'numbers of type {name[:20]!r}' if isinstance(name, str) else 'numbers of no type')
        self.dtype = np.dtype(f'<{name}')

    def build(self, state: Any) -> None:
        """Refuses what is not little-endian."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ('<', '='):
            raise Refused('big-endian numbers')


class Array(Built):
    """An array, whose shape and bytes come afterwards."""

    def __init__(self, *_: Any):
        self.array: np.ndarray | None = None

    def build(self, state: Any) -> None:
        """Takes (version, shape, type, whether columns come first, bytes)."""
        _, shape, dtype, columns, data = state
        check_sizes('an array', shape)
        if not isinstance(dtype, Dtype) or not isinstance(data, bytes):
            raise Refused('an array of objects')
        if math.prod(shape) * dtype.dtype.itemsize != len(data):
            raise ValueError('an array of another size than its shape says')
        self.array = np.frombuffer(data, dtype.dtype).reshape(shape, order='F' if columns else 'C')


def read_arrays(path: Path | str) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of a file by name, as the one section '' of what `torch_files.read_checkpoint` gives.

    A ':0' at the end of a name, TensorFlow's, is left off.

    Raises:
        InputError: missing, damaged, or with anything in it but arrays by name.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: no such file; give a net as DeepFaceLab saves it (.npy)')
    if path.stat().st_size > BYTES_AT_MOST:
        raise InputError(f'{path}: too large for a net of DeepFaceLab')
    data = path.read_bytes()
    if data.startswith(b'\x93NUMPY'):
        raise InputError(f'{path}: one array of NumPy; give a net as DeepFaceLab saves it, whose .npy holds many')
    module = lambda name: {f'{package}.multiarray.{name}' for package in ('numpy.core', 'numpy._core')}
    calls = {'numpy.dtype': Dtype} | dict.fromkeys(module('_reconstruct'), Array)
    try:
        value = Machine(calls, {'numpy.ndarray': None}, _outside).run(io.BytesIO(data))
        if not isinstance(value, dict) or not value:
            raise Refused('no arrays by name')
        found = {}
        for name, item in value.items():
            if not isinstance(name, str) or not isinstance(item, Array) or item.array is None:
                raise Refused('something that is not an array')
            check_name(name)
            found[name.removesuffix(':0')] = item.array
    except Refused as fault:
        raise InputError(
            f'{path}: refused: it holds {fault}; nothing in it was run. Give a net of DeepFaceLab'
        ) from None
    except FAULTS as fault:
        reason = str(fault).splitlines()[0][:150] if str(fault) else type(fault).__name__
        raise InputError(f'{path}: damaged, or no net of DeepFaceLab ({reason}); copy it again') from None
    return {'': found}


def _outside(_: Any) -> None:
    raise Refused('a reference to something outside it')

"""Arrays in a pickle of NumPy's: by name, as DeepFaceLab saves a net (.npy by name), or in any plain containers.

    weights = read_arrays('new_SAEHD_encoder.npy')['']
    facts = plain(pickled)                                 dicts, lists, texts, numbers, bytes and arrays

Nothing in the file is run: see `pickles.py`.
"""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from dfjax.errors import InputError
from dfjax.weights.limits import DEPTH, Refused, check_name, check_sizes
from dfjax.weights.pickles import Built, Machine

BYTES_AT_MOST = 2**32
DTYPES = ('f2', 'f4', 'f8')  # numbers of a net
NUMBERS = (*DTYPES, 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'b1')
CALLS_OF = ('numpy.core', 'numpy._core')  # where NumPy 1 and 2 have what makes arrays
PLAIN_OPERATIONS = 50_000_000  # operations of a pickle of plain things, of which a number is one
FAULTS = (ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, MemoryError)


class Dtype(Built):
    """A type of numbers, whose byte order comes afterwards."""

    def __init__(self, name: Any = '', *_: Any):
        if not isinstance(name, str) or name not in NUMBERS:
            raise Refused(f'numbers of type {name[:20]!r}' if isinstance(name, str) else 'numbers of no type')
        self.dtype = np.dtype(f'<{name}')

    def build(self, state: Any) -> None:
        """Refuses what is not little-endian."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ('<', '=', '|'):
            raise Refused('big-endian numbers')


class Array(Built):
    """An array, whose shape and bytes come afterwards."""

    def __init__(self, *_: Any):
        self.array: np.ndarray | None = None

    def build(self, state: Any) -> None:
        """Takes (version, shape, type, whether columns come first, bytes)."""
        _, shape, dtype, columns, data = state
        check_sizes('an array', shape)
        if not isinstance(dtype, Dtype) or not isinstance(data, bytes | bytearray):
            raise Refused('an array of objects')
        if math.prod(shape) * dtype.dtype.itemsize != len(data):
            raise ValueError('an array of another size than its shape says')
        self.array = np.frombuffer(data, dtype.dtype).reshape(shape, order='F' if columns else 'C')


def plain(data: bytes) -> Any:
    """What a pickle of plain things stands for: containers, texts, numbers, bytes and arrays, and no others.

    Raises:
        Refused: what else is in it; nothing of it was run.
        ValueError: it is damaged.
    """
    calls = {'numpy.dtype': Dtype}
    for package in CALLS_OF:
        calls |= {f'{package}.multiarray._reconstruct': Array, f'{package}.multiarray.scalar': _scalar}
        calls |= {f'{package}.numeric._frombuffer': _of_buffer}
    try:
        value = Machine(calls, {'numpy.ndarray': None}, _outside, PLAIN_OPERATIONS).run(io.BytesIO(data))
        return _unwrapped(value, {}, 0)
    except FAULTS as fault:
        raise ValueError(str(fault).splitlines()[0][:150] if str(fault) else type(fault).__name__) from None


def _scalar(dtype: Any, data: Any) -> Any:
    return _of_buffer(data, dtype, (), 'C').array.item()


def _of_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> Array:
    made = Array()
    made.build((None, shape, dtype, order == 'F', data))
    return made


def _unwrapped(value: Any, done: dict[int, Any], depth: int) -> Any:
    """A value with NumPy's arrays in place of `Array`; what is held in many places is looked at once."""
    if isinstance(value, Array):
        if value.array is None:
            raise ValueError('an array without content')
        return value.array
    if not isinstance(value, dict | list | tuple):
        return value
    if depth > DEPTH:
        raise Refused(f'containers more than {DEPTH} deep')
    if id(value) not in done:
        done[id(value)] = None  # what holds itself finds this
        inner = lambda item: _unwrapped(item, done, depth + 1)
        kept = {key: inner(item) for key, item in value.items()} if isinstance(value, dict) else [*map(inner, value)]
        done[id(value)] = kept
    return done[id(value)]


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
    calls = {'numpy.dtype': Dtype} | dict.fromkeys((f'{name}.multiarray._reconstruct' for name in CALLS_OF), Array)
    try:
        value = Machine(calls, {'numpy.ndarray': None}, _outside).run(io.BytesIO(data))
        if not isinstance(value, dict) or not value:
            raise Refused('no arrays by name')
        found = {}
        for name, item in value.items():
            if not isinstance(name, str) or not isinstance(item, Array) or item.array is None:
                raise Refused('something that is not an array')
            if item.array.dtype.str[1:] not in DTYPES:
                raise Refused(f'numbers of type {item.array.dtype.str[1:]!r}')
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

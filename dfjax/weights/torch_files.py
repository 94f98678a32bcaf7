"""The state dicts in a file of PyTorch (.pth, .pt, .ckpt, the zip format and the older one) or safetensors.

Neither PyTorch nor anything in the file is run, see `pickles.py`, and memory and time are bounded by the file's size,
see `limits.py`. What a file is, its first bytes say, not its name.
"""

import io
import math
import struct
import zipfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from dfjax.errors import InputError
from dfjax.foreign import said
from dfjax.weights.limits import DEPTH, Refused, check_name, check_sizes
from dfjax.weights.pickles import Machine, pair_of, pairs
from dfjax.weights.safetensor_files import exactly, read_safetensors
from dfjax.weights.strangers import check_archive, stranger

MAGIC = 0x1950A86A20F9469CFC6C  # first number of a file in the older format
FAULTS = (ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError, EOFError, RuntimeError)
FAULTS += (struct.error, MemoryError, OSError)

STORAGES = {
    'Float': np.float32,
    'Double': np.float64,
    'Half': np.float16,
    'BFloat16': ml_dtypes.bfloat16,
    'Long': np.int64,
    'Int': np.int32,
    'Short': np.int16,
    'Char': np.int8,
    'Byte': np.uint8,
    'Bool': np.bool_,
    'ComplexFloat': np.complex64,
    'ComplexDouble': np.complex128,
}
DTYPES = {
    **{name: name for name in ('float16', 'float32', 'float64', 'int8', 'int16', 'int32', 'int64', 'uint8')},
    **{name: name for name in ('uint16', 'uint32', 'uint64', 'bool', 'complex64', 'complex128')},
    **{name: getattr(ml_dtypes, name) for name in ('bfloat16', 'float8_e4m3fn', 'float8_e5m2')},
}


@dataclass(frozen=True, eq=False)
class Storage:
    """Numbers that lie outside the pickle: `count` of `dtype` from number `start` of the record `key`."""

    key: str
    dtype: np.dtype
    count: int
    start: int = 0


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view of a storage, as the pickle describes it: nothing has been checked yet."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple
    dtype: np.dtype | None = None  # where the storage has none


def read_checkpoint(path: Path | str) -> dict[str, dict[str, np.ndarray]]:
    """Every state dict in a file.

        weights = read_checkpoint('200000-G.ckpt')['']

    Returns:
        By where it lies in the file ('' at the top, 'state_dict', 'optimizer.state.0'), in the file's order: arrays by
        name, in the file's types. A 'module.' that all names begin with is left off. The arrays are views, read-only.

    Raises:
        InputError: not a checkpoint, damaged, or with anything in it but tensors and plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: no such file; give a checkpoint (.pth, .pt, .ckpt or .safetensors)')
    with path.open('rb') as file:
        head = file.read(9)
        file.seek(0)
        try:
            sections = _reader(path, head)(file, path.stat().st_size)
        except Refused as fault:
            raise InputError(
                f'{path}: refused: it holds {fault}, which a checkpoint of weights has no use for; nothing in it was '
                'run. Give a file that holds a state_dict alone'
            ) from None
        except (zipfile.BadZipFile, *FAULTS) as fault:
            raise InputError(f'{path}: damaged or cut short ({said(fault)}); copy it again') from None
    if not sections:
        raise InputError(f'{path}: there are no tensors with names in it; give a file that holds a state_dict')
    return {where: _unwrapped(weights) for where, weights in sections.items()}


def _reader(path: Path, head: bytes) -> Callable[[BinaryIO, int], dict]:
    """What reads a file that begins so."""
    if head.startswith(b'PK\x03\x04'):
        return _read_zip
    if head[4:] == b'\0\0\0\0{':  # first, for the length of the header that comes before may begin as a pickle does
        return read_safetensors
    if head.startswith(b'\x80'):
        return _read_older
    raise InputError(f'{path}: {stranger(path)}')


# The two formats of PyTorch


def _read_zip(file: BinaryIO, size: int) -> dict[str, dict[str, np.ndarray]]:
    """A zip archive: NAME/data.pkl, NAME/data/KEY for each storage, NAME/byteorder."""
    with zipfile.ZipFile(file) as archive:
        check_archive(Path(file.name), archive)
        records = {info.filename.partition('/')[2]: info for info in archive.infolist()}
        if any(info.compress_type != zipfile.ZIP_STORED for info in records.values()):
            raise Refused('compressed records')
        if sum(info.file_size for info in records.values()) > size:
            raise ValueError('its records are larger than the file')
        if 'byteorder' in records and archive.read(records['byteorder']) != b'little':
            raise Refused('big-endian numbers')
        value = _machine().run(io.BytesIO(archive.read(records['data.pkl'])))
        read = lambda key: archive.read(records[f'data/{key}'])
        return _sections(value, read)


def _read_older(file: BinaryIO, size: int) -> dict[str, dict[str, np.ndarray]]:
    """Pickles one after another: a magic number, a version, the machine's sizes, the value, the storages' keys; then
    each storage as its count (int64) and its numbers."""
    storages: dict[str, Storage] = {}
    machine, data = _machine(storages), memoryview(file.read())
    file = io.BytesIO(data)  # whose reads end where it ends, whatever a pickle asks for
    if machine.run(file) != MAGIC:
        raise Refused('a pickle of something else')
    machine.run(file)
    if machine.run(file).get('little_endian') is not True:
        raise Refused('big-endian numbers')
    value, keys = machine.run(file), machine.run(file)
    records = {}
    for key in keys:
        (count,) = struct.unpack('<q', exactly(file, 8, size))
        start, length = file.tell(), count * storages[_key(key)].dtype.itemsize
        if not 0 <= length <= size - start:
            raise ValueError(f'{length} bytes are missing at its end')
        records[key] = data[start : file.seek(start + length)]
    return _sections(value, records.__getitem__)


def _machine(storages: dict[str, Storage] | None = None) -> Machine:
    """A reader of the pickles in a checkpoint; `storages` is filled with the ones that are named."""
    inert = lambda *_: None
    tensor = lambda storage, offset, shape, strides, *_: Tensor(storage, offset, shape, strides)

    def persistent(name: tuple) -> Storage:
        if not isinstance(name, tuple) or len(name) not in (5, 6) or name[0] != 'storage':
            raise Refused('a reference to something outside it')
        _, dtype, key, _, count, *view = name
        if not isinstance(dtype, np.dtype):
            raise Refused('a reference to something outside it')
        check_sizes(_key(key), (count,))
        if storages is not None:
            storages[key] = Storage(key, dtype, count)
        if view and view[0] is not None:
            _, start, count = view[0]
            check_sizes(key, (start, count))
            return Storage(key, dtype, count, start)
        return Storage(key, dtype, count)

    calls = {
        'torch._utils._rebuild_tensor': tensor,
        'torch._utils._rebuild_tensor_v2': tensor,
        'torch._utils._rebuild_tensor_v3': lambda *a: Tensor(*a[:4], dtype=a[6]),
        'torch._utils._rebuild_parameter': lambda data, *_: data,
        'torch._utils._rebuild_parameter_with_state': lambda data, *_: data,
        'torch.nn.parameter.Parameter': lambda data, *_: data,
        'collections.OrderedDict': lambda items=(): pairs([x for pair in items for x in pair_of(pair)]),
        'collections.defaultdict': inert,
        'collections.Counter': inert,
        'torch.Size': lambda items=(): tuple(items),
        'torch.device': inert,
        'argparse.Namespace': inert,
        '_codecs.encode': inert,
        'numpy.dtype': inert,
        'numpy.core.multiarray.scalar': inert,
        'numpy._core.multiarray.scalar': inert,
    }
    constants = {f'torch.{name}Storage': np.dtype(dtype) for name, dtype in STORAGES.items()}
    constants |= {f'torch.{name}': np.dtype(dtype) for name, dtype in DTYPES.items()}
    constants['torch.storage.UntypedStorage'] = np.dtype(np.uint8)
    return Machine(calls, constants, persistent)


def _sections(value: Any, read: Callable[[str], bytes]) -> dict[str, dict[str, np.ndarray]]:
    """The dicts with tensors in them, at any depth, by their keys on the way."""
    records: dict[str, bytes] = {}
    found, seen, waiting = {}, set(), deque([('', value, 0)])
    while waiting:
        where, part, depth = waiting.popleft()
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        if depth > DEPTH:
            raise Refused(f'more than {DEPTH} dicts inside each other')
        tensors = {name: t for name, t in part.items() if isinstance(name, str) and isinstance(t, Tensor)}
        for tensor in tensors.values():
            key = _key(tensor.storage.key)
            if key not in records:
                records[key] = read(key)
        if tensors:
            found[where] = {name: _array(name, t, records[t.storage.key]) for name, t in tensors.items()}
        for key, inner in part.items():
            if isinstance(inner, dict):
                check_name(str(key))
                waiting.append((f'{where}.{key}'.lstrip('.'), inner, depth + 1))
    return found


def _key(key: Any) -> str:
    """The name of a storage, if it is text."""
    if not isinstance(key, str):
        raise ValueError('a storage without a name')
    return key


def _array(name: str, tensor: Tensor, record: bytes) -> np.ndarray:
    """The view of a storage's bytes, once its numbers have been found to lie inside them."""
    check_name(name)
    check_sizes(name, tensor.shape, tensor.strides, (tensor.offset,))
    storage, shape, strides = tensor.storage, tuple(tensor.shape), tuple(tensor.strides)
    dtype = tensor.dtype or storage.dtype
    start, count = storage.start * storage.dtype.itemsize, storage.count * storage.dtype.itemsize // dtype.itemsize
    if start + count * dtype.itemsize > len(record):
        raise ValueError(f'{name} is larger than what the file holds')
    last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) > count or (math.prod(shape) and last >= count):
        raise ValueError(f'{name} is larger than what the file holds')
    steps = [s * dtype.itemsize for s in strides] if math.prod(shape) else None
    return np.ndarray(shape, dtype, record, start + tensor.offset * dtype.itemsize if steps else 0, steps)


def _unwrapped(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without the prefix that DataParallel and torch.compile put before all names."""
    for prefix in ('module.', '_orig_mod.'):
        while all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): array for name, array in weights.items()}
    return dict(weights)

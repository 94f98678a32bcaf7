"""Writes checkpoints byte by byte, as PyTorch would, without it; and some weights to write. It is not a test."""

import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

STORAGE = {'f4': 'Float', 'f8': 'Double', 'f2': 'Half', 'i8': 'Long', 'i4': 'Int', 'u1': 'Byte', 'b1': 'Bool'}
SAFE = {'f4': 'F32', 'f8': 'F64', 'f2': 'F16', 'i8': 'I64', 'i4': 'I32', 'u1': 'U8', 'b1': 'BOOL'}
MAGIC = b'\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.'  # the older format's first pickle


def text(s: str) -> bytes:
    return b'X' + struct.pack('<I', len(s.encode())) + s.encode()


def whole(n: int) -> bytes:
    if -(2**31) <= n < 2**31:
        return b'J' + struct.pack('<i', n)
    return b'\x8a\x09' + n.to_bytes(9, 'little', signed=True)


def numbers(values) -> bytes:
    return b'(' + b''.join(map(whole, values)) + b't'


def tensor(key: str, kind: str, count: int, shape, strides=None, offset: int = 0, view: bytes = b'') -> bytes:
    """A call of _rebuild_tensor_v2 on the storage `key` of `count` numbers."""
    if strides is None:
        strides = [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))]
    storage = b'(' + text('storage') + f'ctorch\n{kind}Storage\n'.encode() + text(key) + text('cpu') + whole(count)
    storage += view + b'tQ'
    rest = whole(offset) + numbers(shape) + numbers(strides) + b'\x89' + b'ccollections\nOrderedDict\n)R'
    return b'ctorch._utils\n_rebuild_tensor_v2\n(' + storage + rest + b'tR'


def mapping(items: Mapping[str, bytes]) -> bytes:
    return b'ccollections\nOrderedDict\n)R(' + b''.join(text(k) + v for k, v in items.items()) + b'u'


def pickled(value: bytes) -> bytes:
    return b'\x80\x02' + value + b'.'


def state_dict(weights: Mapping[str, np.ndarray], view: bytes = b'') -> tuple[bytes, dict[str, np.ndarray]]:
    """The pickle of a state dict, and its storages by key."""
    items, storages = {}, {}
    for i, (name, array) in enumerate(weights.items()):
        array = np.asarray(array, order='C')
        storages[str(i)] = array
        items[name] = tensor(str(i), STORAGE[array.dtype.str[1:]], array.size, array.shape, view=view)
    return mapping(items), storages


def write_archive(path: Path, pickle: bytes, storages: Mapping[str, bytes], byteorder: bytes = b'little') -> Path:
    """The zip format, of any pickle."""
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
        archive.writestr('archive/data.pkl', pickle)
        archive.writestr('archive/byteorder', byteorder)
        for key, record in storages.items():
            archive.writestr(f'archive/data/{key}', record)
        archive.writestr('archive/version', b'3\n')
    return path


def write_zip(path: Path, weights: Mapping[str, np.ndarray], wrap: str = '') -> Path:
    """The zip format; `wrap` is a key that the state dict lies under, beside an epoch."""
    value, storages = state_dict(weights)
    if wrap:
        value = mapping({'epoch': whole(7), wrap: value})
    return write_archive(path, pickled(value), {k: a.tobytes() for k, a in storages.items()})


def write_older(path: Path, weights: Mapping[str, np.ndarray], little: bool = True) -> Path:
    """The format before PyTorch 1.6."""
    value, storages = state_dict(weights, view=b'N')
    system = b'}(' + text('little_endian') + (b'\x88' if little else b'\x89') + b'u'
    keys = b'](' + b''.join(text(k) for k in storages) + b'e'
    parts = [MAGIC, pickled(whole(1001)), pickled(system), pickled(value), pickled(keys)]
    parts += [struct.pack('<q', a.size) + a.tobytes() for a in storages.values()]
    path.write_bytes(b''.join(parts))
    return path


def write_safetensors(path: Path, weights: Mapping[str, np.ndarray]) -> Path:
    header, data = {'__metadata__': {'format': 'pt'}}, b''
    for name, array in weights.items():
        record = np.asarray(array, order='C').tobytes()
        entry = {'dtype': SAFE[array.dtype.str[1:]], 'shape': list(array.shape)}
        header[name] = entry | {'data_offsets': [len(data), len(data) + len(record)]}
        data += record
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack('<Q', len(text)) + text + data)
    return path


RNG = np.random.default_rng(0)
WEIGHTS = {
    'conv.weight': RNG.normal(size=(4, 3, 2, 2)).astype(np.float32),
    'conv.bias': RNG.normal(size=4),
    'half': RNG.normal(size=(2, 3)).astype(np.float16),
    'num_batches_tracked': np.array(12, np.int64),
    'flags': np.array([True, False, True]),
    'none': np.zeros((0, 3), np.float32),
}
WRITERS = {'zip': write_zip, 'older': write_older, 'safetensors': write_safetensors}

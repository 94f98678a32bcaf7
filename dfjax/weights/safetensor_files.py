"""The arrays in a safetensors file."""

import math
import struct
from typing import BinaryIO

import ml_dtypes
import numpy as np

from dfjax.foreign import parse
from dfjax.weights.limits import HEADER, Refused, check_name, check_sizes

SAFE_DTYPES = {
    **{'F16': 'f2', 'F32': 'f4', 'F64': 'f8', 'BF16': ml_dtypes.bfloat16, 'BOOL': '?', 'U8': 'u1', 'I8': 'i1'},
    **{'U16': 'u2', 'I16': 'i2', 'U32': 'u4', 'I32': 'i4', 'U64': 'u8', 'I64': 'i8', 'C64': 'c8'},
    **{'F8_E4M3': ml_dtypes.float8_e4m3fn, 'F8_E5M2': ml_dtypes.float8_e5m2},
}


def read_safetensors(file: BinaryIO, size: int) -> dict[str, dict[str, np.ndarray]]:
    """The length of a header (uint64), the header in JSON, and the numbers."""
    (length,) = struct.unpack('<Q', exactly(file, 8, size))
    if length > HEADER:
        raise Refused(f'a header of {length >> 20} MB')
    header = parse(exactly(file, length, size))
    data = file.read()
    arrays = {}
    for name, entry in header.items():
        if name == '__metadata__':
            continue
        check_name(name)
        check_sizes(name, entry['shape'], entry['data_offsets'])
        if entry['dtype'] not in SAFE_DTYPES:
            raise Refused(f'{name} of type {str(entry["dtype"])[:30]}')
        dtype, shape, (start, end) = np.dtype(SAFE_DTYPES[entry['dtype']]), entry['shape'], entry['data_offsets']
        if not 0 <= start <= end <= len(data) or math.prod(shape) * dtype.itemsize != end - start:
            raise ValueError(f'{name} does not have the bytes that its shape needs')
        arrays[name] = np.frombuffer(data, dtype, math.prod(shape), start).reshape(shape)
    return {'': arrays} if arrays else {}


def exactly(file: BinaryIO, count: int, size: int) -> bytes:
    """The next `count` bytes of a file of `size`."""
    if not 0 <= count <= size - file.tell():
        raise ValueError(f'{count} bytes are missing at its end')
    return file.read(count)

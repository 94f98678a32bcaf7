"""dlib's face descriptor as dlib saves it (.dat): the net of `models.descriptor`.

    params = read_descriptor('dlib_face_recognition_resnet_model_v1.dat')

A file is a nest of layers. What is read is, in the order of the net, the numbers behind each layer's tag; whole numbers
have a byte that says how many bytes follow, low byte first. Nothing in it is run.
"""

from pathlib import Path

import numpy as np

from dfjax.errors import InputError
from dfjax.models import descriptor

BYTES_AT_MOST = 2**26
HEAD = b'\x01\x01\x01\x0dloss_metric_2'  # what a net with this loss begins with
CONV, AFFINE, DENSE = b'\x01\x05con_4', b'\x01\x07affine_', b'\x01\x04fc_2'
VERSION = 2  # dlib's format of arrays


class _Fault(ValueError):
    """What is wrong with a file."""


def read_descriptor(path: Path | str) -> dict[str, dict[str, np.ndarray]]:
    """The parameters of `models.descriptor.Descriptor`.

    Raises:
        InputError: a file that is missing, damaged, or of another net.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give dlib's dlib_face_recognition_resnet_model_v1.dat")
    if path.stat().st_size > BYTES_AT_MOST:
        raise InputError(
            f"{path}: too large for dlib's face descriptor; give dlib_face_recognition_resnet_model_v1.dat"
        )
    data = path.read_bytes()
    try:
        if not data.startswith(HEAD):
            raise _Fault('it begins otherwise')
        params, at = {}, len(HEAD)
        for name, size, inputs, outputs in _convolutions():
            kernel, at = _array(data, CONV, at, size * size * inputs * outputs + outputs)
            affine, at = _array(data, AFFINE, at, 2 * outputs)
            params[name] = _folded(kernel, affine, size, inputs, outputs)
        last, at = _array(data, DENSE, at, descriptor.LEVELS[-1][0] * descriptor.CODE)
    except _Fault as fault:
        raise InputError(
            f"{path}: not dlib's face descriptor, or damaged ({fault}); give dlib_face_recognition_resnet_model_v1.dat"
        ) from None
    return params | {'code': {'kernel': last.reshape(-1, descriptor.CODE)}}


def _convolutions() -> list[tuple[str, int, int, int]]:
    """Name, kernel, channels in and out of each convolution, in the order of the net."""
    width = descriptor.LEVELS[0][0]
    found = [('first', 7, 3, width)]
    for level, (outputs, blocks) in enumerate(descriptor.LEVELS):
        for block in range(blocks):
            for half in 'ab':
                found.append((f'level_{level}_{block}{half}', 3, width, outputs))
                width = outputs
    return found


def _array(data: bytes, tag: bytes, start: int, count: int) -> tuple[np.ndarray, int]:
    """The `count` numbers behind the next such tag, float32, and where they end."""
    at = data.find(tag, start)
    if at < 0:
        raise _Fault(f'there is no {tag[2:].decode()} after byte {start}')
    at += len(tag)
    if tag == DENSE:
        for _ in range(2):  # its outputs and inputs come first
            _, at = _whole(data, at)
    version, at = _whole(data, at)
    if version != VERSION:
        raise _Fault(f'an array of version {version} at byte {at}')
    size = 1
    for _ in range(4):
        side, at = _whole(data, at)
        size *= side
    if size != count:
        raise _Fault(f'{size} numbers at byte {at}, not {count}')
    if at + 4 * count > len(data):
        raise _Fault('cut short')
    found = np.frombuffer(data, '<f4', count, at)
    if not np.isfinite(found).all():
        raise _Fault(f'numbers that are not finite at byte {at}')
    return found, at + 4 * count


def _whole(data: bytes, at: int) -> tuple[int, int]:
    """A whole number from 0, and where it ends."""
    length = data[at] if at < len(data) else 0
    if not 1 <= length <= 8 or at + 1 + length > len(data):
        raise _Fault(f'no whole number at byte {at}')
    return int.from_bytes(data[at + 1 : at + 1 + length], 'little'), at + 1 + length


def _folded(kernel: np.ndarray, affine: np.ndarray, size: int, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    """A convolution [O, I, k, k] and its bias [O], and the scale and shift [O] of what comes out, as one."""
    scale, shift = affine[:outputs], affine[outputs:]
    weights = kernel[:-outputs].reshape(outputs, inputs, size, size).transpose(2, 3, 1, 0)
    return {'kernel': np.ascontiguousarray(weights * scale), 'bias': kernel[-outputs:] * scale + shift}

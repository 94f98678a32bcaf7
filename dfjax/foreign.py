"""Reading what anyone may have written: JSON, lines of JSON and .npz, with limits on depth, types, shapes and sizes.

    row = parse(line)
    frame, box = whole(row['frame']), numbers(row['box'], 4)

A run's own files are among them: people edit them, disks and power cuts damage them. Whatever is wrong with a file's
bytes is a ValueError here, or a ReadError where the file is known.
"""

import json
import math
import os
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dfjax.errors import ReadError

DEEPEST = 24  # containers inside each other in JSON
LARGEST = 1e12  # magnitude of a number, so that products of a few stay finite in float32
SAID = 100  # characters of a fault that are said
GROWTH = 50  # times the size of its file that packed arrays may take
PACKED = 2**30  # bytes that they may take whatever the file's size
WHOLE = 2**53  # whole numbers that JSON's readers agree on


def parse(text: str | bytes) -> Any:
    """The value that a JSON text stands for, no deeper than DEEPEST.

    Raises:
        ValueError: what is wrong, in a few words.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError('nested too deeply') from None
    level, depth = _containers([value]), 0
    while level:
        if depth == DEEPEST:
            raise ValueError('nested too deeply')
        level, depth = _containers(x for v in level for x in (v.values() if isinstance(v, dict) else v)), depth + 1
    return value


def _containers(values: Iterable[Any]) -> list[dict | list]:
    return [value for value in values if type(value) in (dict, list)]  # as JSON gives them, no others


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a TOML file.

    Raises:
        ReadError: if it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise ReadError(path, 'no such file') from None
    except (OSError, ValueError, RecursionError) as error:
        raise ReadError(path, f'not TOML ({" ".join(str(error).split())[:SAID]})') from None


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: of a disk or a bucket.
        remedy: what to do about a damaged one.

    Raises:
        ReadError: if it cannot be read, or is no JSON object.
    """
    try:
        value = parse(path.read_bytes())
    except OSError as error:
        raise ReadError(path, f'cannot be read ({error.strerror or error}); {remedy}') from None
    except ValueError as error:
        raise ReadError(path, f'damaged ({said(error)}); {remedy}') from None
    if not isinstance(value, dict):
        raise ReadError(path, f'damaged (no JSON object); {remedy}')
    return value


def shown(value: Any) -> str:
    """A value for a line, cut where it is long."""
    text = repr(value[:SAID] if isinstance(value, str) else value)
    return text if len(text) <= SAID else f'{text[: SAID - 3]}...'


def said(error: Exception) -> str:
    """The first words of an error's text, for a line."""
    return (str(error).splitlines() or [''])[0][:SAID] or type(error).__name__


# Values


def whole(value: Any, least: int = 0, most: int = WHOLE) -> int:
    """`value` if it is a whole number of that range; ValueError else."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f'no whole number from {least} to {most}')
    return value


def number(value: Any, least: float = -LARGEST, most: float = LARGEST) -> float:
    """`value` as a float if it is a number of that range, which no NaN is; ValueError else."""
    if type(value) not in (int, float) or not least <= value <= most:
        raise ValueError(f'no number from {least:g} to {most:g}')
    return float(value)


def numbers(value: Any, *shape: int | None):
    """Nested lists of numbers as an array, float64, of a shape in which None is any length; ValueError else."""
    import numpy as np

    lengths, rows = [], [value]
    for want in shape:
        if not all(isinstance(row, list) for row in rows):
            raise ValueError('no list of numbers')
        there = {len(row) for row in rows} or {want or 0}
        if len(there) > 1 or want not in (None, *there):
            raise ValueError(f'lists of {min(there)} numbers')
        lengths += there
        rows = [x for row in rows for x in row]
    if not {type(x) for x in rows} <= {int, float}:
        raise ValueError('no numbers')
    if not all(-LARGEST <= x <= LARGEST for x in rows):  # which no NaN is
        raise ValueError('numbers that are not finite, or too large')
    return np.array(rows, np.float64).reshape(lengths)


def text(value: Any) -> str:
    """`value` if it is a string; ValueError else."""
    if not isinstance(value, str):
        raise ValueError('no text')
    return value


def flag(value: Any) -> bool:
    """`value` if it is true or false; ValueError else."""
    if not isinstance(value, bool):
        raise ValueError('neither true nor false')
    return value


# Arrays


def read_npz(path: Path | str) -> dict:
    """The arrays of an .npz file by name.

    Before any memory is taken for them, their shapes are found to be those of the bytes that the archive says it holds,
    and those no more than GROWTH times the file or PACKED.

    Raises:
        ReadError: missing, damaged, no such file, Python objects in it, or arrays that are too large.
    """
    import numpy as np

    path = Path(path)
    if not path.is_file():
        raise ReadError(path, 'no such file; give an .npz file of arrays')
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(info.file_size for info in archive.infolist())
            most = max(GROWTH * os.path.getsize(path), PACKED)
            if total > most:
                raise ReadError(path, f'unpacks to {total >> 20} MB, more than {most >> 20}; write it by numpy.savez')
            for info in archive.infolist():
                with archive.open(info) as member:
                    _check_array(member, info.file_size)
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except ReadError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy have a dozen kinds between them
        reason = 'it holds Python objects' if 'Object arrays' in str(error) else f'or damaged ({said(error)})'
        raise ReadError(path, f'not an .npz file of plain arrays, {reason}; write it by numpy.savez') from None


def floats(array, *shape: int | None):
    """An array of an .npz file as float64, if it holds finite numbers in a shape in which None is any length.

    Raises:
        ValueError: if it does not.
    """
    import numpy as np

    if array.dtype.kind not in 'biuf' or array.ndim != len(shape):
        raise ValueError('no such array')
    if any(want not in (None, there) for want, there in zip(shape, array.shape)):
        raise ValueError(f'an array of shape {array.shape}')
    array = array.astype(np.float64)
    if not (np.abs(array) <= LARGEST).all():
        raise ValueError('numbers that are not finite, or too large')
    return array


def _check_array(member, size: int) -> None:
    """ValueError if the header of an .npy file promises other than the bytes that follow it."""
    from numpy.lib import format

    readers = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
    shape, _, dtype = readers[format.read_magic(member)](member)
    if dtype.hasobject:
        raise ValueError('Object arrays')
    if math.prod(shape) * dtype.itemsize != size - member.tell():
        raise ValueError('a shape that the file does not hold')

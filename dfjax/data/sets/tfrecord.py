"""Rewrites a tfds dataset from tfrecord, the usual format, to array_record, which is read without TensorFlow.

A tfrecord file is a row of records: the length (8 bytes), a checksum of it (4), the data, a checksum of that (4). The
data, serialised examples, is the same in both formats, and so are the files of JSON but for the name of the format.
Grain has a reader of these files too, which trusts every length that a file gives: this one does not.
"""

import json
import os
import shutil
import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dfjax.data.media.output import atomic_folder
from dfjax.data.names import INFO
from dfjax.errors import InputError
from dfjax.foreign import read_json, text, whole

LONGEST = 200  # characters of a name
POLYNOMIAL = 0x82F63B78  # CRC-32C, bits reversed


def convert_dataset(source: Path | str, out: Path | str, force: bool = False) -> int:
    """Rewrites a dataset, every split, and returns the number of records.

    Args:
        source: the folder with dataset_info.json.
        out: the new dataset's folder.
        force: replace a dataset that is there.

    Raises:
        InputError: if `source` is no dataset in tfrecord, or damaged; if `out` exists or cannot be written.
    """
    check_array_record()
    source = Path(source)
    info = _info(source)
    with atomic_folder(out, force, marker=INFO) as folder:
        total = 0
        for split in info['splits']:
            counts = [int(n) for n in split['shardLengths']]
            for name, count in zip(file_names(info, split, 'tfrecord'), counts):
                written = _convert_file(source / name, folder / name.replace('.tfrecord', '.array_record'))
                if written != count:
                    raise InputError(f'{source / name}: {written} records, but {INFO} says {count}; prepare it again')
                total += written
        for file in source.iterdir():
            if file.is_file() and '.tfrecord' not in file.name and file.name != INFO:
                shutil.copyfile(file, folder / file.name)
        for split in info['splits']:
            split['filepathTemplate'] = split.get('filepathTemplate', '').replace('.tfrecord', '.{FILEFORMAT}')
        (folder / INFO).write_text(json.dumps(info | {'fileFormat': 'array_record'}, indent=2))
    return total


def _info(source: Path) -> dict:
    """The description of a dataset in tfrecord."""
    if not (source / INFO).is_file():
        raise InputError(f'{source}: no {INFO} in this folder; name the one of the prepared dataset, as celeb_a/2.1.0')
    info = read_json(source / INFO, 'prepare the dataset again')
    try:
        kind = _plain(info.get('fileFormat', 'tfrecord'), _plain(info['name']))
        for split in info['splits']:
            _plain(split['name'], split.get('filepathTemplate', ''))
            if not split['shardLengths'] or not all(whole(int(text(n))) >= 0 for n in split['shardLengths']):
                raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{source / INFO}: damaged; prepare the dataset again') from error
    if kind != 'tfrecord':
        raise InputError(f'{source}: already in the format {kind}; only tfrecord has to be rewritten')
    return info


def _plain(name: Any, *others: Any) -> str:
    """`name`, if it and others are texts that files can be called; ValueError else."""
    for some in (name, *others):
        if len(text(some)) > LONGEST or not some.isprintable() or '/' in some:
            raise ValueError
    return name


def file_names(info: dict, split: dict, kind: str) -> list[str]:
    """As tfds names the files of a split, in a format, of what `dataset_info.json` says.

    Raises:
        ValueError, KeyError, TypeError: if it does not say what it should.
    """
    shards = len(split['shardLengths'])
    template = split.get('filepathTemplate') or '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'
    values = {'DATASET': info['name'], 'SPLIT': split['name'], 'FILEFORMAT': kind}
    for key, value in values.items():
        template = template.replace(f'{{{key}}}', _plain(value))  # not str.format, whose words are a language
    _plain(template)
    return [template.replace('{SHARD_X_OF_Y}', f'{n:05d}-of-{shards:05d}') for n in range(shards)]


def check_array_record() -> None:
    """Raises InputError where there is no array_record, as on Windows."""
    if find_spec('array_record') is None:
        raise InputError('packed data sets need array_record, which there is not for Windows; use the folder itself')


def _convert_file(source: Path, target: Path) -> int:
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(target), 'group_size:1')  # as tfds does: any record is read alone
    count = 0
    for record in read_records(source):
        writer.write(record)
        count += 1
    writer.close()
    return count


def read_records(path: Path) -> Iterator[bytes]:
    """The records of a tfrecord file. Lengths are checked by their checksums; the data is left to its readers.

    Raises:
        InputError: if the file is missing, cut short, or not of this format.
    """
    damaged = InputError(f'{path}: damaged or not a tfrecord file; prepare the dataset again')
    try:
        file = open(path, 'rb')  # noqa: SIM115, closed below
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); prepare the dataset again') from error
    with file:
        size = os.fstat(file.fileno()).st_size
        while head := file.read(12):
            if len(head) < 12 or masked_crc(head[:8]) != struct.unpack('<I', head[8:])[0]:
                raise damaged
            length = struct.unpack('<Q', head[:8])[0]
            if length > size:  # more than memory holds, perhaps
                raise damaged
            data = file.read(length + 4)
            if len(data) < length + 4:
                raise damaged
            yield data[:length]


def masked_crc(data: bytes) -> int:
    """CRC-32C (Castagnoli), turned and shifted as tfrecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (POLYNOMIAL & -(crc & 1))
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

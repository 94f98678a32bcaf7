"""Clips in a tfds dataset that somebody has prepared: each record a clip, as in bair_robot_pushing_small or ucf101.

    open_recorded(parse('tensorflow_datasets/bair_robot_pushing_small'), 64)

Pictures are a video feature, or a sequence of pictures, wherever it stands; of several the one called as in PREFERRED,
else the first by name. They are taken as 25 a second, in order. Records are read one by one, without TensorFlow, which
tfds's own video feature needs: a picture is decoded when it is drawn.
"""

import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tqdm import tqdm

from dfjax.data.media.image import decode_image, squared
from dfjax.data.names import INFO, Stored
from dfjax.data.sets.clip import Clip
from dfjax.data.sets.tfds import check_format
from dfjax.data.sets.tfrecord import check_array_record, file_names
from dfjax.errors import InputError
from dfjax.foreign import read_json

FEATURES = 'features.json'
PREFERRED = ('video', 'frames', 'image', 'image_main')
AGAIN = 'prepare the dataset again'
KEPT = 16  # records that are kept, for the frames of a clip follow each other


def open_recorded(name: Stored, size: int, crop: int = 0) -> list[Clip]:
    """The clips of one split, as `open_clips` has them.

    Raises:
        InputError: if the dataset cannot be read, is in TensorFlow's record format, has no moving pictures or no such
            split.
    """
    check_array_record()
    folder = name.folder
    check_format(folder)
    key, length = _pictures(name)
    records = _Records(name, key)
    if length < 0:
        counts = [len(records[n]) for n in tqdm(range(len(records)), f'frames of {name}', delay=2, unit=' clips')]
    else:
        counts = [length] * len(records)
        if len(records) and len(records[0]) != length:
            raise InputError(
                f'{folder}: {len(records[0])} pictures in a record, where there should be {length}; {AGAIN}'
            )

    def clip(index: int, count: int) -> Clip:
        frame = lambda n: squared(decode_image(records[index][n], f'{name}: picture {n} of {index}'), size, crop)
        return Clip(f'{name}: clip {index}', frame, count)

    return [clip(index, count) for index, count in enumerate(counts)]


def _pictures(name: Stored) -> tuple[str, int]:
    """By what the moving pictures go in a record, and how many there are, -1 for any number."""
    tree = read_json(name.folder / FEATURES, AGAIN)
    try:
        found = dict(_moving(tree))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError):
        raise InputError(f'{name.folder / FEATURES}: damaged; {AGAIN}') from None
    if not found:
        raise InputError(f'{name}: no moving pictures in this dataset, where clips are needed')
    known = [key for word in PREFERRED for key in sorted(found) if key.rpartition('/')[2] == word]
    key = (known or sorted(found))[0]
    if len(found) > 1:
        print(f'{name}: of {", ".join(sorted(found))} it is {key} that is looked at', file=sys.stderr, flush=True)
    return key, found[key]


def _moving(node: dict, at: tuple = (), length: int | None = None) -> Iterator[tuple[str, int]]:
    """The sequences of pictures in what tfds says of features: their names in records, and their lengths."""
    if 'featuresDict' in node:
        for name, inner in node['featuresDict']['features'].items():
            yield from _moving(inner, (*at, name), length)
    elif 'sequence' in node and length is None:
        yield from _moving(node['sequence']['feature'], at, int(node['sequence'].get('length', -1)))
    elif 'video' in node and length is None:
        yield '/'.join(at), int(node['video']['shape']['dimensions'][0])
    elif 'image' in node and length is not None:
        yield '/'.join(at), length


class _Records:
    """records[n]: the pictures of the n-th record, the bytes of their files."""

    def __init__(self, name: Stored, key: str):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self.name, self.key = name, key
        paths = [str(name.folder / file) for file in _files(name)]
        try:
            self.source = ArrayRecordDataSource(paths)
            self.count = len(self.source)
        except Exception as error:  # array_record raises whatever it meets
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(f'{name}: a dataset that cannot be read ({said[0]})') from None
        self._kept = lru_cache(KEPT)(self._read)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> list[bytes]:
        return self._kept(index)

    def _read(self, index: int) -> list[bytes]:
        from tensorflow_datasets.proto import tf_example_pb2

        try:
            example = tf_example_pb2.Example.FromString(self.source[index])
        except Exception as error:  # protobuf's and array_record's
            raise InputError(f'{self.name}: record {index} is damaged; {AGAIN}') from error
        return list(example.features.feature[self.key].bytes_list.value)


def _files(name: Stored) -> list[str]:
    """The files of the split that the name says, of `train`, or of the only one."""
    info: Any = read_json(name.folder / INFO, AGAIN)
    try:
        splits = {split['name']: split for split in info['splits']}
        asked = name.split or ('train' if 'train' in splits else next(iter(splits)) if len(splits) == 1 else '')
        if asked not in splits:
            some = f'{name.folder}:{next(iter(splits))}'
            raise InputError(f'{name}: say which split, as {some}; there are: {", ".join(splits)}')
        return file_names(info, splits[asked], info['fileFormat'])
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration):
        raise InputError(f'{name.folder / INFO}: damaged; {AGAIN}') from None

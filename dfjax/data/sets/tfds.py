"""Pictures in a tfds dataset that somebody has prepared, read without TensorFlow and decoded by our own code.

    FOLDER             its split `train`, or the only one
    FOLDER:SPLIT       as cycle_gan's trainA and trainB

FOLDER is the one with dataset_info.json, as DATA_DIR/celeb_a/2.1.0; DATA_DIR/celeb_a and DATA_DIR are as good where
there is no other in them. Labels are the truth values in `attributes`, as celeb_a has them, and the names of a class
label. tfds's own decoding would ignore EXIF, keep alpha, and wrap 16 bits.
"""

from functools import cached_property
from pathlib import Path

import numpy as np

from dfjax.data.media.image import decode_image, squared
from dfjax.data.names import INFO, Stored
from dfjax.data.sets.dataset import Dataset
from dfjax.data.sets.tfrecord import check_array_record
from dfjax.errors import InputError
from dfjax.foreign import read_json


class TfdsImages(Dataset):
    """The pictures of one split.

    Args:
        name: the folder, and perhaps the split.
        size: side of the pictures.
        crop: as `squared` takes it.

    Raises:
        InputError: if the dataset cannot be read, is in TensorFlow's record format, has no pictures or no such split.
    """

    def __init__(self, name: Stored, size: int, crop: int = 0):
        import tensorflow_datasets as tfds  # takes more than a second

        self.name, self.size, self.crop = str(name), size, crop
        folder, split = name.folder, name.split
        check_array_record()
        check_format(folder)
        try:
            builder = tfds.builder_from_directory(folder)
            self._features, splits = dict(builder.info.features), list(builder.info.splits)
        except Exception as error:  # tfds raises whatever its parsers do
            raise InputError(f'{name}: a dataset that cannot be read ({_reason(error)})') from error
        if not isinstance(self._features.get('image'), tfds.features.Image):
            raise InputError(f'{name}: no picture in this dataset; it has {", ".join(self._features)}')
        split = split or ('train' if 'train' in splits else splits[0] if len(splits) == 1 else '')
        if split not in splits:
            raise InputError(f'{name}: say which split, as {folder}:{splits[0]}; there are: {", ".join(splits)}')
        try:
            self.data = builder.as_data_source(split, decoders={'image': tfds.decode.SkipDecoding()})
            self.data[0]
        except Exception as error:  # and array_record
            raise InputError(f'{name}: a dataset that cannot be read ({_reason(error)})') from error

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """Read when asked for, from every row without its picture: seconds for CelebA."""
        classes = getattr(self._features.get('label'), 'names', None)
        if not classes and 'attributes' not in self._features:
            return {}
        rows = (self.data[n] for n in range(len(self)))
        rows = [{k: row[k] for k in ('attributes', 'label') if k in row} for row in rows]
        labels = {}
        if 'attributes' in self._features:
            flags = [k for k, v in self._features['attributes'].items() if v.np_dtype == np.bool_]
            labels = {k: np.array([bool(row['attributes'][k]) for row in rows]) for k in flags}
        for n, label in enumerate(classes or ()):
            labels[label] = np.array([row['label'] == n for row in rows])
        return labels

    def __len__(self) -> int:
        return len(self.data)

    def read(self, index: int, seed: int) -> dict[str, np.ndarray]:
        """The picture of a record."""
        picture = decode_image(self.data[index]['image'], f'{self.name}: picture {index}')
        return {'image': squared(picture, self.size, self.crop)}


def check_format(folder: Path) -> None:
    """Raises InputError unless the dataset can be read without TensorFlow."""
    kind = read_json(folder / INFO, 'prepare the dataset again').get('fileFormat', 'tfrecord')
    if kind == 'tfrecord':
        raise InputError(f'{folder}: in the format tfrecord; `dfjax data convert {folder} OUT` rewrites it once')


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

"""Where faces come from: a name becomes random access to aligned faces.

Names are a face set's folder, a packed face set (a tfds dataset in array_record, which `pack` writes and any tfds user
reads, without TensorFlow: `tfds.builder_from_directory(path).as_data_source()['train']`), or what `rendered.py` draws,
as `render:SEED:COUNT`, that many pictures of the person SEED. Pictures of anything are in `pictures.py`.
"""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from dfjax.data.faces.faceset import check_size, example, gather, load_faceset, read_face
from dfjax.data.sets.rendered import RenderedFaces
from dfjax.errors import InputError

INFO = 'dataset_info.json'  # what makes a folder a tfds dataset


class Source(Protocol):
    """Random access to faces; safe to read from several threads.

    An item is {'image': uint8 [S, S, 3], 'mask': uint8 [S, S], 'landmarks': float32 [68, 2] in unit coordinates,
    'descriptor': float32 [128], NaN where there is none}. `labels` are those that are known: name to bool [N].
    """

    name: str
    labels: dict[str, np.ndarray]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, np.ndarray]: ...


def open_source(name: str, size: int, face_type: str) -> Source:
    """The faces that a name stands for, at side `size`.

    Raises:
        InputError: if the name is none of these kinds, or its faces are aligned as another face type.
    """
    if name.startswith('render:'):
        return RenderedFaces(name, size, face_type)
    source = PackedFaces(name, size) if (Path(name) / INFO).is_file() else FolderFaces(name, size)
    if source.face_type != face_type:
        raise InputError(f'{name}: faces of type {source.face_type}, but the config says {face_type}')
    return source


def load_arrays(source: Source) -> dict:
    """All items of a source, stacked [N, ...], read by threads."""
    import jax

    structure = jax.tree.structure(source[0])
    leaves = gather(lambda n: dict(enumerate(jax.tree.leaves(source[n]))), len(source))
    return jax.tree.unflatten(structure, leaves.values())


class FolderFaces:
    """A face set's folder."""

    def __init__(self, name: str, size: int):
        self.name, self.size = name, size
        self.faces = load_faceset(name)
        self.face_type, self.labels = self.faces.face_type, {}

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return read_face(self.faces.rows[index], self.faces.size, self.size)


class PackedFaces:
    """A packed face set.

    Raises:
        InputError: if the folder is another dataset, or damaged.
    """

    def __init__(self, name: str, size: int):
        import tensorflow_datasets as tfds  # takes more than a second

        self.name, self.size = name, size
        unpacked = {'image': tfds.decode.SkipDecoding()}  # so that a damaged picture can be named
        try:
            builder = tfds.builder_from_directory(name)
            self.data = builder.as_data_source('train', decoders=unpacked)
            first = self.data[0]
        except Exception as error:  # tfds and array_record raise whatever their parsers do
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(f'{name}: a dataset that cannot be read ({reason}); pack it again') from error
        if missing := {'image', 'landmarks_aligned', 'polygon', 'face_type', 'size'} - first.keys():
            raise InputError(f'{name}: not a packed face set (no {", ".join(sorted(missing))}); `dfjax pack` makes one')
        self.face_type, self.stored, self.labels = first['face_type'].decode(), int(first['size']), {}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        row = self.data[index]
        picture = cv2.imdecode(np.frombuffer(row['image'], np.uint8), cv2.IMREAD_COLOR_RGB)
        where = f'{self.name}: picture {row["file"].decode()}'
        if picture is None:
            raise InputError(f'{where} cannot be read; pack the face set again')
        check_size(where, picture, self.stored)
        return example(picture, row['landmarks_aligned'], row['polygon'], row['descriptor'], self.size)

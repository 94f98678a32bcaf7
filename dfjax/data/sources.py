"""Where faces come from: a name becomes random access to aligned faces.

Names are a face set's folder, a packed face set (a tfds dataset in array_record, which `pack` writes and any tfds user
reads, without TensorFlow: `tfds.builder_from_directory(path).as_data_source()['train']`), `render:SEED:COUNT`, that
many pictures of the rendered person SEED, or `render:people:SEED:COUNT`, that many people. Pictures of anything, which
need not be faces, are in `pictures.py`.
"""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from dfjax.data.faces.align import align_matrices, crop
from dfjax.data.faceset import check_size, example, gather, load_faceset, read_face
from dfjax.errors import InputError

INFO = 'dataset_info.json'  # what makes a folder a tfds dataset


class Source(Protocol):
    """Random access to faces; safe to read from several threads.

    An item is {'image': uint8 [S, S, 3], 'mask': uint8 [S, S], 'landmarks': float32 [68, 2] in pixels,
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


class RenderedFaces:
    """Rendered faces, aligned by their true landmarks, with their true masks; all are drawn at once.

    `render:SEED:COUNT`: moments of one person, some 50 a second. They are a fifth of a second apart, so that few show
    much. `render:people:SEED:COUNT`: each another person of `render.random_people`, some 15 a second on two cores.

    Raises:
        InputError: if the name is not of that form.
    """

    def __init__(self, name: str, size: int, face_type: str):
        from dfjax.data import render

        self.name, self.face_type = name, face_type
        words = name.split(':')[1:]
        people = words[0] == 'people'
        numbers = words[1:] if people else words
        if len(numbers) != 2 or not all(n.isdecimal() for n in numbers) or int(numbers[1]) == 0:
            form, case = ('render:people:SEED:COUNT', 'people:1:2000') if people else ('render:SEED:COUNT', '1:256')
            raise InputError(f'{name}: write {form}, two whole numbers, as in render:{case}')
        seed, count = map(int, numbers)
        if people:
            identity, motion, self.labels = render.random_people(seed, count)
        else:
            identity, motion = render.random_identity(seed), render.animate(seed, count, fps=5)
        frames = render.render(identity, motion, max(64, 2 * size))
        if not people:
            self.labels = {k: np.broadcast_to(v, count) for k, v in frames.attributes.items()}
        matrices = align_matrices(frames.landmarks, face_type, size)  # [N, 2, 3]
        self.faces = [
            {
                'image': crop(frames.image[n], m, size),
                'mask': crop(frames.mask[n], m, size),
                'landmarks': (frames.landmarks[n] @ m[:, :2].T + m[:, 2]).astype(np.float32),
                'descriptor': np.full(128, np.nan, np.float32),
            }
            for n, m in enumerate(matrices)
        ]

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.faces[index]

"""Sets of aligned faces: a face set's folder, and one packed as a tfds dataset.

A packed set is in array_record: `pack` writes it and any tfds user reads it, without TensorFlow, by
`tfds.builder_from_directory(path).as_data_source()['train']`.
"""

from pathlib import Path

import numpy as np

from dfjax.data.faces.faceset import check_size, example, load_faceset, read_face
from dfjax.data.faces.polygons import Outlines
from dfjax.data.media.image import decode_image
from dfjax.data.names import prepared_in
from dfjax.data.sets.dataset import Dataset
from dfjax.errors import InputError
from dfjax.ops.geometry import to_unit


class FolderFaces(Dataset):
    """A face set's folder."""

    def __init__(self, name: str, size: int):
        self.name, self.size = name, size
        self.faces = load_faceset(name)
        self.face_type = self.faces.face_type

    def __len__(self) -> int:
        return len(self.faces)

    def read(self, index: int, seed: int) -> dict[str, np.ndarray]:
        """The face of a row."""
        return read_face(self.faces.rows[index], self.faces.size, self.size)

    def landmarks(self) -> np.ndarray:
        """Of all faces: float32 [N, 68, 2] in unit coordinates."""
        return to_unit(np.stack([row.landmarks for row in self.faces.rows]), self.faces.size)


class TfdsFaces(Dataset):
    """A packed face set.

    Raises:
        InputError: if the folder is another dataset, or damaged.
    """

    def __init__(self, name: str, size: int):
        import tensorflow_datasets as tfds  # takes more than a second

        self.name, self.size = name, size
        unpacked = {'image': tfds.decode.SkipDecoding()}  # so that a damaged picture can be named
        try:
            builder = tfds.builder_from_directory(prepared_in(Path(name)))
            self.data = builder.as_data_source('train', decoders=unpacked)
            first = self.data[0]
        except Exception as error:  # tfds and array_record raise whatever their parsers do
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(f'{name}: a dataset that cannot be read ({reason}); pack it again') from error
        if missing := {'image', 'landmarks_aligned', 'polygon', 'face_type', 'size'} - first.keys():
            raise InputError(f'{name}: not a packed face set (no {", ".join(sorted(missing))}); `dfjax pack` makes one')
        self.face_type, self.stored = first['face_type'].decode(), int(first['size'])

    def __len__(self) -> int:
        return len(self.data)

    def landmarks(self) -> np.ndarray:
        """Of all faces: float32 [N, 68, 2] in unit coordinates."""
        return to_unit(np.stack([self.data[n]['landmarks_aligned'] for n in range(len(self))]), self.stored)

    def read(self, index: int, seed: int) -> dict[str, np.ndarray]:
        """The face of a row."""
        row = self.data[index]
        where = f'{self.name}: picture {row["file"].decode(errors="replace")}'
        picture = decode_image(row['image'], where)
        check_size(where, picture, self.stored)
        facts = row['landmarks_aligned'], row['polygon'], row['descriptor']
        return example(picture, *facts, self.size, _outlines(row))


def _outlines(row: dict[str, np.ndarray]) -> Outlines:
    """What was drawn of a packed face; nothing in sets that were packed before that was kept."""
    if 'drawn' not in row:
        return Outlines((), ())
    polygons = np.split(row['drawn'], np.cumsum(row['drawn_points'])[:-1]) if len(row['drawn_points']) else []
    face, not_face = (tuple(p for p, of in zip(polygons, row['drawn_face']) if of == which) for which in (True, False))
    return Outlines(face, not_face)

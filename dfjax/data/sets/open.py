"""The one opener: a name becomes a data set, see `dfjax.data.names` for what names there are.

Pictures of a folder, and frames, become squares by cutting: the largest square in the middle, or the middle `crop`
pixels where that is less; then they are resized by averaging (cubic where they have to grow).
"""

from dfjax.data.media.image import squared
from dfjax.data.names import Joined as JoinedName
from dfjax.data.names import Name, Pair, Rendered, Stored, parse
from dfjax.data.sets.conditions import check_condition, condition_image
from dfjax.data.sets.dataset import Dataset, Joined, Mapped
from dfjax.data.sets.faces import FolderFaces, TfdsFaces
from dfjax.data.sets.images import ImageFolder
from dfjax.data.sets.rendered import FACE_TYPE, RenderedFaces
from dfjax.data.sets.tfds import TfdsImages
from dfjax.errors import InputError


def open_dataset(name: str | Name, size: int, face_type: str | None = None, crop: int = 0) -> Dataset:
    """The pictures that a name stands for, at `size` pixels a side.

    Args:
        name: see `dfjax.data.names`; any but pair:...
        size: side of the pictures.
        face_type: how faces have to be aligned; None takes sets as they are, and aligns rendered faces as FACE_TYPE.
        crop: of a folder's pictures and of frames, this many pixels in the middle; 0 is as many as there are.

    Raises:
        InputError: if the name is none of these, or holds no picture that can be read; a set of another face type.
    """
    name = parse(name) if isinstance(name, str) else name
    if isinstance(name, JoinedName):
        return Joined([open_dataset(part, size, face_type, crop) for part in name.parts])
    if isinstance(name, Rendered):
        faces = RenderedFaces(name, size, face_type or FACE_TYPE)
        return in_condition(name.condition, faces, str(name)) if name.condition else faces
    if isinstance(name, Pair):
        raise InputError(f'{name}: pairs, where pictures are needed; give {name.of}')
    return _stored(name, size, face_type, crop)


def _stored(name: Stored, size: int, face_type: str | None, crop: int) -> Dataset:
    kind = name.kind()
    if kind in ('faces', 'tfds faces'):
        faces = FolderFaces(str(name), size) if kind == 'faces' else TfdsFaces(str(name), size)
        if face_type not in (None, faces.face_type):
            raise InputError(f'{name}: faces of type {faces.face_type}, where {face_type} is needed')
        return faces
    if kind == 'tfds':
        return TfdsImages(name, size, crop)
    return ImageFolder(str(name), lambda picture: {'image': squared(picture, size, crop)})


def in_condition(condition: str, source: Dataset, name: str | None = None) -> Dataset:
    """The pictures of a set as a condition shows them.

    Raises:
        InputError: if its items lack what the condition needs.
    """
    check_condition(condition, source[0])
    return Mapped(source, lambda item: {'image': condition_image(condition, item)}, name)

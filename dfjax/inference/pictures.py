"""What a run sees of the pictures that a person names: faces cut out as it has learnt them, or squares."""

from pathlib import Path

import numpy as np

from dfjax.data.faces.align import align_matrices, crop
from dfjax.data.faces.analyse import analyse
from dfjax.data.media.image import read_image
from dfjax.data.media.source import iter_frames, kind
from dfjax.data.pictures import open_pictures, squared
from dfjax.errors import InputError


def read_pictures(name: Path | str, size: int, face_type: str | None) -> np.ndarray:
    """The pictures of a file, of a folder of pictures or of a `render:` name, as a run takes them.

    Args:
        name: a rendered or aligned set gives its pictures as they are.
        size: of the run's pictures.
        face_type: how faces are cut out (the largest of each picture); None takes the middle square.

    Returns:
        uint8 [N, size, size, 3].

    Raises:
        InputError: no such picture, a video, no face in a picture, or a set of another face type.
    """
    if str(name).startswith('render:') or kind(name) == 'faceset':
        source = open_pictures(str(name), size, face_type)
        return np.stack([source[n]['image'] for n in range(len(source))])
    if kind(name) == 'video':
        raise InputError(f'{name}: is a video; give a picture')
    if face_type is None:
        return np.stack([squared(rgb, size) for _, _, rgb, _ in iter_frames(name)])
    return np.stack([face_of(path, size, face_type) for path in _files(Path(name))])


def face_of(path: Path, size: int, face_type: str) -> np.ndarray:
    """The aligned face uint8 [size, size, 3] of a picture that shows one person most.

    Raises:
        InputError: if no face is found.
    """
    try:
        faces = analyse(path).faces
    except InputError as error:
        raise InputError(f'{error}; for a picture that is an aligned face itself, pass --whole') from error
    return crop(read_image(path), align_matrices(faces[0].landmarks[None], face_type, size)[0], size)


def _files(path: Path) -> list[Path]:
    from dfjax.data.media.source import media_files

    return media_files(path) if path.is_dir() else [path]

"""One way to read whatever a person names as WHO, VIDEO or SRC: a video, a picture, or a folder of them."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dfjax.data.faces.faceset import ROWS, picture_files
from dfjax.data.media.image import IMAGE_SUFFIXES, read_image
from dfjax.data.media.video import VIDEO_SUFFIXES, read_frames
from dfjax.errors import InputError


def kind(src) -> str:
    """'video', 'image', 'folder' or 'faceset', by name alone; InputError for what is none of them or is missing."""
    path = Path(src)
    if path.is_dir():
        return 'faceset' if (path / ROWS).is_file() else 'folder'
    if not path.exists():
        raise InputError(f'{path}: no such file or folder')
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES or suffix in VIDEO_SUFFIXES:
        return 'image' if suffix in IMAGE_SUFFIXES else 'video'
    raise InputError(f'{path}: neither a picture nor a video by its name; use for example .jpg, .png, .mp4 or .mov')


def media_files(folder) -> list[Path]:
    """The pictures and videos of a folder, not of its subfolders, numbers in names in order of size (2 before 10).

    Of a face set they are its faces.
    """
    suffixes = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
    if kind(folder) == 'faceset':
        return picture_files(Path(folder))
    files = [p for p in Path(folder).iterdir() if p.suffix.lower() in suffixes and not p.name.startswith('.')]
    if not files:
        raise InputError(f'{folder}: holds no picture and no video')
    return sorted(files, key=lambda p: [(int(s), s) if s.isdigit() else (-1, s) for s in re.split(r'(\d+)', p.name)])


def iter_frames(src) -> Iterator[tuple[int, float, np.ndarray, str]]:
    """Yields (index, time in seconds, uint8 RGB [H, W, 3], file name) of every picture of `src`.

    The index counts within the named file, so (name, index) is unique; a picture has index 0 and time 0. A folder
    gives its files in the order of media_files. Raises InputError as kind, read_image and read_frames do.
    """
    what, path = kind(src), Path(src)
    if what in ('folder', 'faceset'):
        for file in media_files(path):
            yield from iter_frames(file)
    elif what == 'image':
        yield 0, 0.0, read_image(path), path.name
    else:
        for index, time, rgb in read_frames(path):
            yield index, time, rgb, path.name

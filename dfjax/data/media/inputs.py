"""One way to read whatever a person names as WHO, VIDEO or SRC: a video, a picture, or a folder of them."""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.data.media.image import IMAGE_SUFFIXES, read_image
from dfjax.data.media.sniff import sniff
from dfjax.data.media.video import VIDEO_SUFFIXES, open_video
from dfjax.errors import ReadError

ROWS = 'faces.jsonl'  # what makes a folder a face set, see `faces.faceset`
SHEET = 'contact_sheet.jpg'  # the picture in it that is no face
PICTURES = ('.png', '.jpg', '.jpeg')  # pictures of a face set


def kind(src) -> str:
    """'video', 'image', 'folder' or 'faceset', by what it holds; a file that says nothing is what its name says.

    Raises:
        ReadError: neither, or missing.
    """
    path = Path(src)
    try:
        if path.is_dir():
            return 'faceset' if (path / ROWS).is_file() else 'folder'
        size = path.stat().st_size
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise ReadError(path, _missing(error)) from error
    if found := file_kind(path):
        return found
    if not size:
        raise ReadError(path, 'the file is empty')
    raise ReadError(path, 'holds neither a picture nor a video that is known here; convert it to .png or .mp4')


def file_kind(path: Path) -> str | None:
    """'video', 'image' or None, by what a file holds, and by its name where that says nothing."""
    suffix = path.suffix.lower()
    by_name = 'image' if suffix in IMAGE_SUFFIXES else 'video' if suffix in VIDEO_SUFFIXES else None
    return sniff(path) or by_name


def _missing(error: Exception) -> str:
    """Why a name that was given leads to no file."""
    if isinstance(error, OSError) and error.errno not in (errno.ENOENT, errno.ENOTDIR):
        return f'cannot be read ({error.strerror})'
    return 'no such file or folder'


def media_files(folder) -> list[Path]:
    """The pictures and videos of a folder, not of its subfolders, numbers in names in order of size (2 before 10).

    Of a face set they are its faces.
    """
    if kind(folder) == 'faceset':
        return picture_files(Path(folder))
    files = [p for p in Path(folder).iterdir() if p.name[0] != '.' and p.is_file() and file_kind(p)]
    if not files:
        raise ReadError(folder, 'holds no picture and no video')
    return sorted(files, key=lambda p: [(int(s), s) if s.isdecimal() else (-1, s) for s in re.split(r'(\d+)', p.name)])


@contextlib.contextmanager
def open_media(path: Path | str) -> Iterator[tuple[MediaInfo, Iterator[Frame]]]:
    """Yields the facts and the frames of one picture (a single frame, at time 0) or video, as `open_video`.

    Raises:
        ReadError: as `kind`, `read_image` and `open_video` do.
    """
    path = Path(path)
    if kind(path) == 'image':
        rgb = read_image(path)
        yield MediaInfo(path, 'image', *rgb.shape[1::-1]), iter([Frame(0, rgb)])
    else:
        with open_video(path) as opened:
            yield opened


def iter_frames(src: Path | str) -> Iterator[tuple[int, float, np.ndarray, str]]:
    """Yields (index, time in seconds, uint8 RGB [H, W, 3], file name) of every picture of `src`; close it if you stop
    early.

    The index counts within the named file, so (name, index) is unique; a picture has index 0 and time 0. A folder
    gives its files in the order of media_files.

    Raises:
        ReadError: as `open_media`.
    """
    path = Path(src)
    for file in media_files(path) if kind(path) in ('folder', 'faceset') else [path]:
        with open_media(file) as (_, frames):
            for frame in frames:
                yield frame.index, frame.time, frame.rgb, file.name


def picture_files(path: Path) -> list[Path]:
    """The pictures of a face set's folder, with or without a row, by name; the contact sheet is none."""
    return sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES and p.name != SHEET and p.name[0] != '.')

"""One way to read whatever a person names as WHO, VIDEO or SRC: a video, a picture, or a folder of them."""

import contextlib
import errno
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.data.media.image import IMAGE_SUFFIXES, read_picture
from dfjax.data.media.progress import say
from dfjax.data.media.sniff import sniff
from dfjax.data.media.span import Span
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


def media_files(folder, recursive: bool = False) -> list[Path]:
    """The pictures and videos of a folder, numbers in names in order of size (2 before 10); of a face set its faces.

    Args:
        recursive: also those of the folders in it.

    Raises:
        ReadError: there are none; says if there would be some in its folders.
    """
    if kind(folder) == 'faceset':
        return picture_files(Path(folder))
    folder = Path(folder)
    if files := [p for p in _shown(folder, recursive) if p.is_file() and file_kind(p)]:
        return sorted(files, key=lambda p: [_by_number(part) for part in p.relative_to(folder).parts])
    nested = not recursive and any(p.is_file() and file_kind(p) for p in _shown(folder, True))
    raise ReadError(folder, 'holds no picture and no video' + ('; its folders do: pass --recursive' if nested else ''))


def _shown(folder: Path, recursive: bool) -> Iterator[Path]:
    """What lies in a folder, but for hidden things."""
    for path in folder.rglob('*') if recursive else folder.iterdir():
        if not any(part[0] == '.' for part in path.relative_to(folder).parts):
            yield path


def _by_number(name: str) -> list[tuple[int, str]]:
    return [(int(s), s) if s.isdecimal() else (-1, s) for s in re.split(r'(\d+)', name)]


def name_in(source: Path | str, file: Path) -> str:
    """What a file of a source is called: its name, or where it lies in a folder."""
    return file.relative_to(source).as_posix() if file != Path(source) else file.name


@contextlib.contextmanager
def open_media(path: Path | str, span: Span | None = None) -> Iterator[tuple[MediaInfo, Iterator[Frame]]]:
    """Yields the facts and the frames of one picture (a single frame, at time 0) or video, as `open_video`;
    of a video those within a `span`.

    Raises:
        ReadError: as `kind`, `read_image` and `open_video` do.
    """
    path = Path(path)
    if kind(path) == 'image':
        rgb, alpha = read_picture(path)
        if alpha is not None:
            rgb[alpha == 0] = 255  # where nothing is seen, a file may have any colour
        yield MediaInfo(path, 'image', *rgb.shape[1::-1]), iter([Frame(0, rgb, alpha=alpha)])
    else:
        with open_video(path, span) as opened:
            yield opened


def iter_frames(
    src: Path | str, recursive: bool = False, skipped: dict[Path, str] | None = None, span: Span | None = None
) -> Generator[tuple[int, float, np.ndarray, str], None, None]:
    """Yields (index, time in seconds, uint8 RGB [H, W, 3], file name) of every picture of `src`; close it if you stop
    early.

    The index counts within the named file, so (name, index) is unique; a picture has index 0 and time 0. A folder
    gives its files in the order of media_files; those that cannot be read are left out, from where they cannot.

    Args:
        recursive: the files in folders of a folder too; their names are paths within it.
        skipped: where files that are left out are put, with their faults; without it they are named on stderr.
        span: of videos, seconds from and to which frames are given.

    Raises:
        ReadError: as `open_media`; none of a folder's files can be read.
    """
    path, left = Path(src), {} if skipped is None else skipped
    many = kind(path) in ('folder', 'faceset')
    files = media_files(path, recursive) if many else [path]
    for file in files:
        try:
            with open_media(file, span) as (_, frames):
                for frame in frames:
                    yield frame.index, frame.time, frame.rgb, name_in(path, file)
        except ReadError as error:
            if not many or error.path != file:
                raise
            if skipped is None:
                say(f'left out: {error}')
            left[file] = error.fault
    if len(set(files) & set(left)) == len(files):
        raise ReadError(path, f'none of its {len(files)} pictures and videos can be read')


def picture_files(path: Path) -> list[Path]:
    """The pictures of a face set's folder, with or without a row, by name; the contact sheet is none."""
    return sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES and p.name != SHEET and p.name[0] != '.')

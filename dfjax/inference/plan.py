"""What is written of a source, found to be possible before any work is done."""

from dataclasses import dataclass, field
from pathlib import Path

from dfjax.data.media.animation import MOVING_SUFFIXES
from dfjax.data.media.credentials import SIGNED_SUFFIXES
from dfjax.data.media.encode import WRITTEN_SUFFIXES
from dfjax.data.media.image import IMAGE_SUFFIXES
from dfjax.data.media.inputs import kind as kind_of
from dfjax.data.media.inputs import media_files
from dfjax.data.media.output import check_output, fitting
from dfjax.data.media.video import VIDEO_SUFFIXES
from dfjax.errors import ReadError, WriteError

KINDS = ('image', 'images', 'video')  # 'images' is a folder of numbered ones
NAMES = {'image': 'picture', 'video': 'video'}
SUFFIXES = {
    'image': tuple(s for s in IMAGE_SUFFIXES if s in SIGNED_SUFFIXES),
    'video': (*WRITTEN_SUFFIXES, *MOVING_SUFFIXES),
}


@dataclass(frozen=True)
class Plan:
    """What `run_job` is to write.

    Attributes:
        out: a file, or a folder where `many`.
        many: the source is a folder.
        files: each file of the source, with the name and the kind of what comes of it.
        source: what was given.
        left: files of a folder that are left out, with the reason.
    """

    out: Path
    many: bool
    force: bool
    files: dict[Path, tuple[str, str]]
    source: Path
    left: dict[Path, str] = field(default_factory=dict)


def plan_outputs(
    source: Path | str,
    out: Path | str,
    force: bool = False,
    kind: str | None = None,
    recursive: bool = False,
    stills: str = '',
) -> Plan:
    """Finds what can be wrong with the names of a source and an output, before any work.

    Args:
        source: a picture, a video or a folder of them.
        out: where a file goes, or a folder that is new or empty.
        force: replace a file that exists.
        kind: one of KINDS, of what comes of each file; None: its own.
        recursive: the files in folders of a folder too; what comes of them lies in folders of the same names.
        stills: why videos are not taken; one in a folder is left out, and one alone refused. '': they are.

    Raises:
        InputError: as `kind` and `check_output` of data.media do; a face set; a name of another kind; a folder that
            holds something.
    """
    source, out, what = Path(source), Path(out), kind_of(source)
    if what == 'faceset':
        raise ReadError(source, 'is a face set; give the video or the pictures that it was made from')
    if what == 'folder' or kind == 'images':
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise WriteError(out, f'exists; a {"folder" if what == "folder" else what} is converted into a new folder')
        if what == 'folder':
            files = media_files(source, recursive)
            left = {file: stills for file in files if stills and kind_of(file) == 'video'}
            if len(left) == len(files):
                raise ReadError(files[0], stills)
            named = {file: _named(source, file, kind) for file in files if file not in left}
            return Plan(out, True, force, named, source, left)
        return Plan(out, False, force, {source: (out.name, 'images')}, source)
    if stills and what == 'video':
        raise ReadError(source, stills)
    check_output(out, force)
    made = kind or what
    if out.suffix.lower() not in SUFFIXES[made]:
        known = ', '.join('*' + s for s in SUFFIXES[made])
        said = f'{source} is a {NAMES[what]}' if kind is None else f'a {NAMES[made]} is made'
        if made == 'video' and out.suffix.lower() in VIDEO_SUFFIXES:
            said = f'a {out.suffix} cannot hold content credentials; name it *.mp4 and repack that, or'
            raise WriteError(out, f'{said} name it {known}')
        raise WriteError(out, f'{said}; name the output {known}')
    return Plan(out, False, force, {source: (out.name, made)}, source)


def _named(source: Path, file: Path, kind: str | None) -> tuple[str, str]:
    """Name and kind of what comes of a folder's file: of a type that can be written and can hold credentials."""
    kind = kind or kind_of(file)
    if kind == 'images':
        return file.name, kind
    kept = ('.jpg', '.jpeg', '.png') if kind == 'image' else ('.mp4',)
    name = fitting(file.name if file.suffix.lower() in kept else f'{file.name}{kept[-1]}')
    return (file.relative_to(source).parent / name).as_posix(), kind

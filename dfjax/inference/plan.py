"""What is written of a source, found to be possible before any work is done."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from dfjax.data.media.animation import MOVING_SUFFIXES
from dfjax.data.media.credentials import SIGNED_SUFFIXES
from dfjax.data.media.encode import ENCODERS, WRITTEN_SUFFIXES, check_codec
from dfjax.data.media.image import IMAGE_SUFFIXES
from dfjax.data.media.inputs import kind as kind_of
from dfjax.data.media.inputs import media_files
from dfjax.data.media.output import check_output, fitting
from dfjax.data.media.span import Span
from dfjax.data.media.video import VIDEO_SUFFIXES, probe
from dfjax.errors import ReadError, WriteError
from dfjax.inference.run import check_can
from dfjax.inference.settings import Settings
from dfjax.training.workdir import read_config

KINDS = ('image', 'images', 'video')  # 'images' is a folder of numbered ones
NAMES = {'image': 'picture', 'video': 'video'}
PICTURES = tuple(s for s in IMAGE_SUFFIXES if s in SIGNED_SUFFIXES)


@dataclass(frozen=True)
class Plan:
    """What `run_job` is to write.

    Attributes:
        out: a file, or a folder where `many`.
        many: the source is a folder.
        files: each file of the source, with the name and the kind of what comes of it.
        source: what was given.
        span: of videos, seconds from and to which they are taken; None for all.
        codec, crf: of videos, as `VideoWriter` takes them; '' and None for its own.
        left: files of a folder that are left out, with the reason.
    """

    out: Path
    many: bool
    force: bool
    files: dict[Path, tuple[str, str]]
    source: Path
    span: Span | None = None
    codec: str = ''
    crf: int | None = None
    left: dict[Path, str] = field(default_factory=dict)


def plan_outputs(
    source: Path | str,
    out: Path | str,
    force: bool = False,
    kind: str | None = None,
    recursive: bool = False,
    stills: str = '',
    videos: tuple[str, ...] = WRITTEN_SUFFIXES,
) -> Plan:
    """Finds what can be wrong with the names of a source and an output, before any work.

    Args:
        source: a picture, a video or a folder of them.
        out: where a file goes, or a folder that is new or empty.
        force: replace a file that exists.
        kind: one of KINDS, of what comes of each file; None: its own.
        recursive: the files in folders of a folder too; what comes of them lies in folders of the same names.
        stills: why videos are not taken; one in a folder is left out, and one alone refused. '': they are.
        videos: suffixes that a video may have; in a folder it gets the first.

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
            named = {file: _named(source, file, kind, videos[0]) for file in files if file not in left}
            return Plan(out, True, force, named, source, left=left)
        return Plan(out, False, force, {source: (out.name, 'images')}, source)
    if stills and what == 'video':
        raise ReadError(source, stills)
    check_output(out, force)
    made = kind or what
    suffixes = PICTURES if made == 'image' else videos + (MOVING_SUFFIXES if videos == WRITTEN_SUFFIXES else ())
    if out.suffix.lower() not in suffixes:
        known = ', '.join('*' + s for s in suffixes)
        said = f'{source} is a {NAMES[what]}' if kind is None else f'a {NAMES[made]} is made'
        if made == 'video' and out.suffix.lower() in set(VIDEO_SUFFIXES) - set(SIGNED_SUFFIXES):
            said = f'a {out.suffix} cannot hold content credentials; name it *.mp4 and repack that, or'
            raise WriteError(out, f'{said} name it {known}')
        raise WriteError(out, f'{said}; name the output {known}')
    return Plan(out, False, force, {source: (out.name, made)}, source)


def plan_settings(
    source: Path | str, out: Path | str, settings: Settings, force: bool = False, recursive: bool = False
) -> Plan:
    """`plan_outputs` of what `settings` say of spans, previews and codecs.

    Raises:
        InputError: as `plan_outputs`; a time beyond the end; what pictures have not; a codec that cannot be written; a
            picture of a person, or a mask net, that is none.
    """
    kind = 'image' if settings.preview is not None else 'images' if settings.codec == 'png16' else None
    what, span, codec = kind_of(source), settings.span, settings.codec
    times = {'from': settings.start, 'to': settings.stop, 'preview': settings.preview}
    given = [name for name, value in times.items() if value is not None]
    if given and what != 'video':
        raise ReadError(source, f'--{given[0]} is of one video; give one, or leave it out')
    if span and span[0] >= (length := probe(source).duration or math.inf):
        raise ReadError(source, f'lasts {length:.1f} s: give --{given[0]} a time before its end')
    for part in settings.people:
        if kind_of(part.picture) != 'image':
            raise ReadError(part.picture, 'give one picture of the person')
    if settings.mask_net:
        check_can(settings.mask_net, read_config(Path(settings.mask_net)).system, 'mask', '--mask-net')
    if kind == 'images' and what == 'image':
        kind, codec = 'image', 'png16'
        if Path(out).suffix.lower() != '.png':
            raise WriteError(out, 'of a picture png16 is one; name the output *.png')
    suffixes = ENCODERS[codec][2] if codec in ENCODERS else WRITTEN_SUFFIXES
    if codec in ENCODERS:
        check_codec(codec)
    plan = plan_outputs(source, out, force, kind, recursive, videos=suffixes)
    if (codec in ENCODERS or settings.crf is not None) and not any(made == 'video' for _, made in plan.files.values()):
        raise WriteError(out, f'no video is made: leave out --{"codec" if codec else "crf"}')
    return replace(plan, span=span, codec=codec if codec in ENCODERS else '', crf=settings.crf)


def _named(source: Path, file: Path, kind: str | None, video: str) -> tuple[str, str]:
    """Name and kind of what comes of a folder's file: of a type that can be written and can hold credentials."""
    kind = kind or kind_of(file)
    if kind == 'images':
        return file.name, kind
    kept = ('.jpg', '.jpeg', '.png') if kind == 'image' else (video,)
    name = fitting(file.name if file.suffix.lower() in kept else f'{file.name}{kept[-1]}')
    return (file.relative_to(source).parent / name).as_posix(), kind

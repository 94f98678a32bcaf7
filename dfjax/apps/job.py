"""What `dfjax swap` finds out before its long work: whose its folder is, and whether what was named can do."""

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from dfjax.errors import InputError

FEWEST = 2  # faces of either person
NOTE = 'job.json'
FRAMES_PER_SECOND = 20  # rate of conversion, a guess
STARTING = 10  # seconds until conversion is compiled, a guess


@contextlib.contextmanager
def claimed(workdir: Path, face: Sequence, into: Path | str, person: Path | str | None) -> Iterator[None]:
    """A block in which `workdir` is the folder of this job, and of this process alone.

    Raises:
        InputError: it holds something else, or another process is at work there.
    """
    from dfjax.data.media.output import atomic_path
    from dfjax.training.lock import locked

    job = {'face': [str(Path(path).resolve()) for path in face], 'into': str(Path(into).resolve())}
    job['person'] = str(Path(person).resolve()) if person else None
    _is_free(workdir, job)  # nothing is written, not even a lock, into what is not ours
    with locked(workdir):
        if not _is_free(workdir, job):
            with atomic_path(workdir / NOTE, force=True) as part:
                part.write_text(json.dumps(job))
        yield


def _is_free(workdir: Path, job: dict) -> bool:
    """Whether the folder is this job's already; False where it can be taken. Raises InputError where it cannot."""
    from dfjax.foreign import read_json
    from dfjax.training.lock import LOCK

    path = workdir / NOTE
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f'{workdir}: is a file; give another --workdir')
    there = {file.name for file in workdir.iterdir()} - {LOCK} if workdir.exists() else set()
    before = {}
    if path.name in there:
        before = read_json(path, f'delete {workdir}, or give another --workdir')
    if before == job:
        return True
    kept = {path.name}  # what another job may take over: nothing, or the faces of the same input
    if all(before.get(key) == job[key] for key in ('into', 'person')):
        kept |= {'into.jsonl', 'faces_a'}
    if before.get('face') == job['face']:
        kept |= {'faces_b'}
    if there - kept:
        what = 'the work on other inputs; delete it or' if before else 'other files;'
        raise InputError(f'{workdir}: holds {what} give another --workdir')
    return False


def check_inputs(
    face: Sequence, into: Path | str, person: Path | str | None, minutes: float | None, workdir: Path
) -> None:
    """Raises InputError where headers alone tell that a job cannot succeed: too few pictures, a person's picture that
    is none, too little time to write the video."""
    from dfjax.data.media.image import read_image
    from dfjax.data.media.inputs import kind
    from dfjax.data.media.video import probe

    if person is not None:
        if kind(person) != 'image':
            raise InputError(f'{person}: give one picture of the person')
        read_image(person)
    for names in ([into], face):
        if (most := sum(map(_most_faces, names))) < FEWEST:
            raise InputError(
                f'{", ".join(map(str, names))}: {most:.0f} face at most; training needs {FEWEST} or more of either '
                'person: give a video, or more pictures'
            )
    if minutes is not None and kind(into) == 'video':
        check_minutes(minutes, seconds_to_convert(probe(into).frames or 0), workdir)


def seconds_to_convert(frames: int) -> float:
    """A guess of how long writing so many frames takes."""
    return frames / FRAMES_PER_SECOND + STARTING


def check_minutes(minutes: float, needed: float, workdir: Path) -> float:
    """Seconds that are left for the training, where so many are needed besides it; InputError where none are."""
    if 60 * minutes <= needed:
        kept = f'. The faces are kept in {workdir}' if (workdir / 'into.jsonl').exists() else ''
        raise InputError(
            f'--minutes {minutes:g}: finding the faces and writing the video take longer; give at least '
            f'{needed / 60 + 1:.0f}{kept}'
        )
    return 60 * minutes - needed


def _most_faces(name: Path | str) -> float:
    """How many faces of one person a source can have."""
    from dfjax.data.media.inputs import kind, media_files

    what = kind(name)
    if what in ('image', 'video'):
        return 1 if what == 'image' else math.inf
    files = media_files(name)
    return len(files) if what == 'faceset' or all(kind(file) == 'image' for file in files[:FEWEST]) else math.inf

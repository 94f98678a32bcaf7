"""What `dfjax swap` finds out before its long work: whose its folder is, and whether what was named can do."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from dfjax.errors import InputError

SMALLEST = 64  # pixels from brow to chin or from ear to ear of a face in a single picture
FEW = 8  # faces of the person put in, below which a training makes more of them
LARGEST = 1024  # pixels, of the side of references
NOTE = 'job.json'
FRAMES_PER_SECOND = 20  # rate of conversion, a guess
STARTING = 10  # seconds until conversion is compiled, a guess


@contextlib.contextmanager
def claimed(workdir: Path, face: Sequence, into: Path | str, person: Path | str | int | None) -> Iterator[None]:
    """A block in which `workdir` is the folder of this job, and of this process alone.

    Raises:
        InputError: it holds something else, or another process is at work there.
    """
    from dfjax.data.faces.analyse import place_of
    from dfjax.data.media.output import atomic_path
    from dfjax.training.lock import locked

    job = {'face': [str(Path(path).resolve()) for path in face], 'into': str(Path(into).resolve())}
    job['person'] = str(person if place_of(person) else Path(person).resolve()) if person else None
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
        kept |= {'into.jsonl', 'everyone.jsonl', 'faces_a'}
    if before.get('face') == job['face']:
        kept |= {'faces_b'}
    if there - kept:
        what = 'the work on other inputs; delete it or' if before else 'other files;'
        raise InputError(f'{workdir}: holds {what} give another --workdir')
    return False


def check_inputs(
    face: Sequence, into: Path | str, person: Path | str | int | None, minutes: float | None, workdir: Path
) -> None:
    """Raises InputError where headers alone tell that a job cannot succeed: a person's picture that is none, too
    little time to write the video."""
    from dfjax.data.faces.analyse import place_of
    from dfjax.data.media.image import read_image
    from dfjax.data.media.inputs import kind
    from dfjax.data.media.video import probe

    if person is not None and not place_of(person):
        if kind(person) != 'image':
            raise InputError(f'{person}: give one picture of the person')
        read_image(person)
    for path in (into, *face):
        kind(path)  # says what is missing
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


def looked_at(path: Path | str, progress: bool):
    """The analysis of one source of the person put in.

    Raises:
        InputError: as `analyse`; a single picture of several people, or in which the face is small or cut off.
    """
    from dfjax.data.faces.analyse import analyse
    from dfjax.data.media.inputs import kind
    from dfjax.data.media.progress import bar

    single = kind(path) == 'image'
    with bar(f'faces of {Path(path).name}', progress) as tick:
        found = analyse(path, every_face=single, progress=tick)
    if single:
        low, high = found.faces[0].landmarks.min(0), found.faces[0].landmarks.max(0)
        if len(found.faces) > 1:
            raise InputError(f'{path}: {len(found.faces)} faces; cut the picture down to the one person')
        if (high - low).max() < SMALLEST:
            raise InputError(f'{path}: the face is {(high - low).max():.0f} pixels large; {SMALLEST} are needed')
        if low.min() < 0 or high[0] > found.width or high[1] > found.height:
            raise InputError(f'{path}: the face is cut off by the edge of the picture; give one that shows all of it')
    return found


def stored_side(analyses: Sequence, cfg) -> int:
    """The side to keep faces at: as fine as most of them are, by `data.size`; twice that or more, LARGEST or less."""
    import numpy as np

    from dfjax.data.faces.align import align_matrices
    from dfjax.data.faces.table import as_faces
    from dfjax.data.kinds import stored_size

    if not cfg.get('references', {}).get('count'):
        return stored_size(cfg.data)
    landmarks = np.concatenate([as_faces(found.faces).rows['landmarks'] for found in analyses])
    sides = 1 / np.sqrt(np.linalg.det(align_matrices(landmarks, cfg.data.face_type, 1)[:, :, :2]))
    times = max(round(float(np.median(sides)) / cfg.data.size), 2)
    return min(times, max(LARGEST // cfg.data.size, 1)) * cfg.data.size


def suited(cfg, overrides: Sequence[str] = ()):
    """The config with what follows from the faces of the person put in, where it is known and not overridden: how fine
    references are, and more of few faces, mirrored and in other lights."""
    from dfjax.config import FLAG, build
    from dfjax.data.faces.faceset import load_faceset

    if not cfg.get('references', {}).get('count') or not Path(cfg.data.b).is_dir():
        return cfg
    faces = load_faceset(cfg.data.b)
    changes = {'references.size': max(faces.size // cfg.data.size, 1) * cfg.data.size}
    if len(faces) < FEW:
        changes |= {'augment.flip': 0.5, 'augment.brightness': 0.1, 'augment.contrast': 0.2}
    said = {word.removeprefix(FLAG).partition('=')[0] for word in overrides}
    return build(cfg, {key: value for key, value in changes.items() if key not in said})

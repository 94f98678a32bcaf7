"""Frames from any source through a job into any output.

A source is a picture, a video or a folder of them. A job turns the frames of each file into others; what comes out may
differ from the source in kind, size, number of frames, rate and sound:

    from dfjax.inference.plan import plan_outputs

    plan = plan_outputs('anna.jpg', 'out.png')   # an output in the way is found before the long work
    job = Job('repainted by a trained model', 'style', paint, batch=8)
    with bar('writing out.png') as tick:
        report = run_job(job, plan, tick)

Files are decoded and encoded by threads of their own beside the job, memory does not grow with their length, and
nothing has its name before it is whole and signed.
"""

import contextlib
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from dfjax.data.faces.face import Face
from dfjax.data.faces.table import as_faces
from dfjax.data.media.audio import Excerpt
from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.data.media.inputs import name_in, open_media
from dfjax.data.media.output import atomic_folder
from dfjax.data.media.progress import Tick, say
from dfjax.data.media.threads import Behind
from dfjax.data.media.video import frames_ahead
from dfjax.data.processes import give_back
from dfjax.errors import ReadError
from dfjax.inference.plan import Plan
from dfjax.inference.writers import open_writer
from dfjax.interrupts import check, deferred

SOURCE = object()  # the source's own sound


@dataclass(frozen=True)
class Output:
    """What a job makes of one file.

    Attributes:
        size: (width, height) in pixels; None: the source's.
        fps: frames a second of frames that follow each other from time 0, as many as the job gives; None: one frame
            for each of the source's, at its time.
        sound: of a video: SOURCE, a file whose tracks are copied, (samples [T] or [T, C] in [-1, 1], rate), or None.
    """

    size: tuple[int, int] | None = None
    fps: Fraction | float | None = None
    sound: object = SOURCE


class Job:
    """What is done to the frames of each file of a source.

    Subclasses override `process`, where one frame comes of each, or `__call__`.

    Args:
        description, system: what the credentials of the outputs say.
        change: uint8 RGB pictures [H, W, 3] of one size -> as many of the output's size; may be lazy, see `process`.
        batch: how many it gets at once, at most.

    Attributes:
        total: frames of all outputs together, for the progress bar; None where it is not known.
        counts: what the job counts; a file that is left out does not count.
    """

    def __init__(self, description: str, system: str, change: Callable | None = None, batch: int = 1):
        self.description, self.system, self.change, self.batch = description, system, change, batch
        self.total: int | None = None
        self.counts: Counter = Counter()

    def output(self, info: MediaInfo) -> Output:
        """What comes of the file `info`; by default what it is itself."""
        return Output()

    def __call__(self, info: MediaInfo, frames: Iterator[Frame]) -> Iterator[np.ndarray]:
        """The frames uint8 RGB [H, W, 3] that come of those of the file `info`."""
        begun: Iterable[np.ndarray] = ()
        batch = min(self.batch, frames_ahead(info.size))  # large frames are few at a time
        while group := list(itertools.islice(frames, batch)):
            before, begun = begun, self.process(info, group)
            yield from before
        yield from begun

    def forget(self, name: str) -> None:
        """A file of which some frames were seen is left out."""

    def process(self, info: MediaInfo, group: list[Frame]) -> Iterable[np.ndarray]:
        """The same for up to `batch` frames. What is returned may be lazy: the next group begins before it is read."""
        return self.change([frame.rgb for frame in group])


class FaceJob(Job):
    """A job that changes known faces; frames without any pass through.

    Args:
        change: (pictures, the list of faces of each) -> pictures.
        faces: of all files of the source.
        root: the source, where it is a folder.

    Attributes:
        counts: 'changed': frames with a face that is changed.
        passed: of videos, the stretches without one: [file, seconds of the first such frame and of the last].
    """

    def __init__(
        self,
        description: str,
        system: str,
        change: Callable,
        faces: Iterable[Face],
        batch: int = 1,
        root: Path | None = None,
    ):
        super().__init__(description, system, change, batch)
        self._faces, self._root = as_faces(faces), root
        self.passed: list[list] = []
        self._before = ('', -2)  # file and number of the last frame that passed

    def process(self, info: MediaInfo, group: list[Frame]) -> Iterable[np.ndarray]:
        name = info.path.name if self._root is None else name_in(self._root, info.path)
        where = [self._faces.at(name, frame.index) for frame in group]
        faces = [[face for n in numbers if self.changes(face := self._faces[n])] for numbers in where]
        self.counts['changed'] += sum(map(bool, faces))
        if info.kind == 'video':
            for frame in itertools.compress(group, (not found for found in faces)):
                self._note(name, frame)
        return self.change([frame.rgb for frame in group], faces)

    def changes(self, face: Face) -> bool:
        """Whether a face is changed; the others pass through."""
        return True

    def forget(self, name: str) -> None:
        self.passed = [stretch for stretch in self.passed if stretch[0] != name]

    def _note(self, name: str, frame: Frame) -> None:
        if self._before != (name, frame.index - 1):
            self.passed.append([name, frame.time, frame.time])
        self.passed[-1][2] = frame.time
        self._before = name, frame.index


def stretches(passed: list[list], named: bool, most: int = 100) -> list[str]:
    """Stretches of `FaceJob.passed` to read, as '0:01.20-0:01.80', after their file's name where that is not plain."""
    clock = lambda seconds: f'{int(seconds // 60)}:{seconds % 60:05.2f}'
    said = [
        (f'{name} ' if named else '') + clock(first) + (f'-{clock(last)}' if last > first else '')
        for name, first, last in passed[:most]
    ]
    return said + ([f'and {len(passed) - most} more'] if len(passed) > most else [])


# The pipeline


def run_job(job: Job, plan: Plan, tick: Tick | None = None) -> dict:
    """Writes what is planned.

    Args:
        tick: called with the frames written and their number, None where it is not known.

    Returns:
        {'out', 'frames' (written), 'skipped' (files of a folder that cannot be read or are not taken; they are named on
        stderr), 'seconds', 'fps'}.

    Raises:
        InputError: as the readers, writers and `job` do; nothing of a folder can be read.
    """
    start, done, skipped = time.monotonic(), 0, len(plan.left)
    for file, reason in plan.left.items():
        say(f'left out: {file}: {reason}')
    give_back()  # what the search for faces took
    with deferred(), atomic_folder(plan.out) if plan.many else contextlib.nullcontext() as folder:
        files = {file: made for file, made in plan.files.items() if file not in plan.left}
        for source, (name, kind) in files.items():
            counted = job.counts.copy()
            target = folder / name if plan.many else plan.out
            try:
                done += _write(job, source, target, kind, plan, tick, done)
            except ReadError as error:
                if not plan.many or error.path != source:
                    raise
                say(f'left out: {error}')
                job.counts, skipped = counted, skipped + 1
                job.forget(source.name)
        if skipped == len(files) + len(plan.left):
            raise ReadError(plan.source, f'none of its {skipped} pictures and videos can be read')
    seconds = time.monotonic() - start
    report = {'out': str(plan.out), 'frames': done, 'skipped': skipped}
    return report | {'seconds': round(seconds, 2), 'fps': round(done / seconds, 1)}


def _write(job: Job, source: Path, target: Path, kind: str, plan: Plan, tick: Tick | None, before: int) -> int:
    """Writes what comes of one file, `before` frames of others being done; returns how many frames that is."""
    waiting: deque[Frame] = deque()  # frames that the job has taken and not given back
    count = 0
    with contextlib.ExitStack() as stack:
        info, frames = stack.enter_context(open_media(source, plan.span))
        first = next(frames)
        frames, begin = itertools.chain([first], frames), first if plan.span else Frame(0, first.rgb)
        output = job.output(info)
        each = kind == 'video' and output.fps is None
        if each and info.others:
            say(f'{source}: without its further tracks ({", ".join(sorted(set(info.others)))})')
        sound = _own_sound(info, plan, begin) if output.sound is SOURCE else output.sound
        how = {'size': output.size or info.size, 'fps': output.fps, 'sound': sound, 'force': plan.force}
        how |= {'codec': plan.codec, 'crf': plan.crf}
        credentials = {'description': job.description, 'composite': True, 'details': {'system': job.system}}
        write = stack.enter_context(open_writer(kind, target, info, credentials=credentials, **how))
        behind = stack.enter_context(Behind(lambda item: write(*item), frames_ahead(output.size or info.size)))

        def taken() -> Iterator[Frame]:
            for frame in frames:
                if each or kind == 'image':
                    waiting.append(replace(frame, pts=frame.pts - begin.pts, time=frame.time - begin.time))
                yield frame

        given = iter(job(info, taken()))
        stack.callback(getattr(given, 'close', lambda: None))  # the job may have files and threads of its own
        for count, rgb in enumerate(given, 1):
            check()
            if each and not waiting:
                raise ValueError(f'{source}: more frames came out than went in')
            behind.put((rgb, waiting.popleft() if waiting else None))
            if tick:
                whole = each and not plan.many and not plan.span
                tick(before + count, job.total or (info.frames if whole else None))
        if each and (waiting or next(frames, None)):
            raise ValueError(f'{source}: fewer frames came out than went in')
        if kind == 'image' and count != 1:
            raise ValueError(f'{source}: {count} frames came out for one picture')
    return count


def _own_sound(info: MediaInfo, plan: Plan, begin: Frame) -> Path | Excerpt | None:
    """The sound of what is taken of a file, from its first frame on."""
    if not info.has_audio:
        return None
    return Excerpt(info.path, begin.time, plan.span[1]) if plan.span else info.path

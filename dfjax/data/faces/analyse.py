"""One pass over a video, picture or folder: where the faces are and whose they are. Pixels are not kept."""

import json
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from dfjax.data.faces.detect import load_detector
from dfjax.data.faces.face import Face
from dfjax.data.faces.frame import SearchedFrame, bounded, face_in, is_cut, thumbnail
from dfjax.data.faces.identity import SAME_PERSON, choose_person, clusters, descriptor_distance, track_descriptors
from dfjax.data.faces.search import UPSAMPLED_PIXELS
from dfjax.data.faces.table import Faces, as_faces
from dfjax.data.faces.track import Tracker, bridge, smooth
from dfjax.data.faces.workers import Pool
from dfjax.errors import InputError
from dfjax.foreign import parse, said, text, whole
from dfjax.interrupts import check, deferred

CHUNK, CHUNK_BYTES = 16, 64 << 20  # most consecutive frames, and most bytes, that a worker gets at once
DESCRIBE_EVERY = 30  # frames between the descriptors of a track; one costs as much as searching four frames


@dataclass(frozen=True)
class Analysis:
    """The faces of a source.

    Attributes:
        source: the path given.
        width, height: of its first frame.
        frames: how many it has (of a folder: in all its files).
        faces: in order of files, frames and tracks.
    """

    source: str
    width: int
    height: int
    frames: int
    faces: Sequence[Face]

    def save(self, path: Path | str) -> None:
        """Writes JSON lines: the source, then a face a line. `load_analysis` gives all back, bit for bit."""
        from dfjax.data.media.output import atomic_path

        head = {'source': self.source, 'width': self.width, 'height': self.height, 'frames': self.frames}
        with atomic_path(path, force=True) as temporary, open(temporary, 'w', encoding='utf-8') as file:
            file.write(json.dumps(head) + '\n')
            file.writelines(face.to_json() + '\n' for face in self.faces)


def load_analysis(path: Path | str) -> Analysis:
    """Reads what `Analysis.save` wrote; InputError where it is missing or damaged."""
    try:
        with open(path, 'rb') as file:
            head = parse(file.readline())
            sizes = {name: whole(head[name]) for name in ('width', 'height', 'frames')}
            return Analysis(text(head['source']), **sizes, faces=Faces(map(Face.from_json, file)))
    except FileNotFoundError as error:
        raise InputError(f'{path}: no such file') from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{path}: not an analysis that dfjax saved, or damaged ({said(error)}); delete it') from error


def analyse(
    src: Path | str,
    *,
    detector: str = 'dlib',
    detector_model: Path | str | None = None,
    person: Path | str | int | None = None,
    every_face: bool = False,
    allow_none: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    workers: int | None = None,
    recursive: bool = False,
    skipped: dict[Path, str] | None = None,
    span: tuple[float, float] | None = None,
) -> Analysis:
    """Finds the faces of one person in a video, a picture or a folder of them, on all cores.

    Each face gets 68 landmarks, smoothed over time in videos, with gaps of up to 8 frames filled in, and the
    descriptor computed nearest to it in its track (at its start and every 30 frames).

    Args:
        src: what to search.
        detector, detector_model: see load_detector.
        person: a picture of whom to look for, or a place among those who are there, 1 for who is there most, larger
            faces counting more, as without it.
        every_face: keep all faces of all people instead.
        allow_none: where nobody is found, return no faces instead of raising.
        progress: called with the frames done and their number, None where it is not known.
        workers: processes; all cores by default.
        recursive, skipped, span: see `iter_frames`.

    Raises:
        InputError: as the readers and load_detector do; nobody found, or none who looks like `person`; `person`
            without a face, or with several.
    """
    from dfjax.data.media.inputs import iter_frames

    if detector != 'dlib':  # bad arguments raise here, not in a worker
        load_detector(detector, detector_model)
    thorough = every_face or person is not None
    with deferred(), Pool(detector, detector_model, thorough, workers) as pool:
        place = place_of(person)
        wanted = None if person is None or place else _describe_person(person, pool)
        with closing(iter_frames(src, recursive, skipped, span)) as frames:
            work = _Analyser(pool, progress, None if span else _count(src))
            work.run(frames)
        everyone = smooth(work.bridged())
    if not everyone and not allow_none:
        pictures = 'it' if work.count == 1 else f'its {work.count} frames'
        least = 40 if np.prod(work.size) <= UPSAMPLED_PIXELS else 80
        raise InputError(f'{src}: no face found in {pictures}; a face must be {least} px large and mostly in view')
    found = Analysis(str(src), *work.size, frames=work.count, faces=everyone)
    return found if every_face else one_person(found, person, wanted, allow_none)


def one_person(
    found: Analysis, person: Path | str | int | None, wanted: np.ndarray | None = None, allow_none: bool = False
) -> Analysis:
    """The faces of one person among everybody's.

    Args:
        found: of `analyse` with `every_face`.
        person, allow_none: see `analyse`.
        wanted: the person's descriptor, where it is known already.

    Raises:
        InputError: if that person is not there; as `describe`.
    """
    place = place_of(person)
    if person is not None and not place and wanted is None:
        wanted = describe(person)
    faces = choose_person(found.faces, wanted, place or 1)
    if not faces and place and not allow_none:
        there = f'there are {len(clusters(found.faces))} people in it, as `dfjax people {found.source}` shows'
        raise InputError(f'{found.source}: no --person {place}: {there}')
    if not faces and not allow_none:
        nearest = min(descriptor_distance(mean, wanted) for mean in track_descriptors(found.faces).values())
        raise InputError(
            f'{found.source}: nobody looks like {person} (nearest distance {nearest:.2f}, the limit is {SAME_PERSON}); '
            'give another picture of the person, or leave --person out'
        )
    return replace(found, faces=faces)


def several_people(found: Analysis, people: Sequence[Path | str | int]) -> list[Analysis]:
    """The faces of each of these people among everybody's; a track that several could be is of the nearest.

    Raises:
        InputError: as `one_person`; two of them are one.
    """
    wanted = [None if place_of(person) else describe(person) for person in people]
    parts = [as_faces(one_person(found, *who).faces) for who in zip(people, wanted)]
    means, owner = track_descriptors(found.faces), {}
    tracks = [np.unique(part.rows['track']).tolist() for part in parts]
    who = [np.mean([means[t] for t in own], 0) if code is None else code for own, code in zip(tracks, wanted)]
    for track in set().union(*tracks):
        could = [n for n, own in enumerate(tracks) if track in own]
        owner[track] = min(could, key=lambda n: float(descriptor_distance(who[n], means[track])))
    for n, person in enumerate(people):
        if n not in owner.values():
            raise InputError(f'{found.source}: {person} is nobody in it whom another --person is not already')
    own = [[owner[track] == n for track in part.rows['track'].tolist()] for n, part in enumerate(parts)]
    return [replace(found, faces=part[np.flatnonzero(mine)]) for part, mine in zip(parts, own)]


def place_of(person: Path | str | int | None) -> int | None:
    """The place that `person` is, where it is a number and no file of that name is there."""
    text = str(person)
    return int(text) if text.isdecimal() and len(text) < 5 and not Path(text).exists() else None


def _describe_person(path: Path | str, pool: Pool) -> np.ndarray:
    from dfjax.data.media.image import read_image

    rgb, _ = bounded(read_image(path))
    found = pool.search([rgb]).result()[0]
    if len(found) != 1:
        many = f'{len(found)} faces: cut it down to the one person' if found else 'no face found: give another picture'
        raise InputError(f'{path}: {many}')
    return pool.describe(rgb, found[0].landmarks).result()


def describe(path: Path | str) -> np.ndarray:
    """The descriptor float32 [128] of the one person in a picture; InputError where there is nobody, or several."""
    with deferred(), Pool('dlib', None, True, 1) as pool:
        return _describe_person(path, pool)


def _count(src: Path | str) -> int | None:
    from dfjax.data.media.inputs import kind
    from dfjax.data.media.video import probe

    return probe(src).frames if kind(src) == 'video' else None


class _Analyser:
    """The stream through the pool: chunks out, faces back in order, tracked, and some of them described."""

    def __init__(self, pool: Pool, progress, total: int | None):
        self.pool, self.progress, self.total = pool, progress, total
        self.size, self.count = (0, 0), 0
        self.times: dict[str, array] = defaultdict(partial(array, 'd'))  # seconds of every frame, by file
        self.faces = Faces()
        self._tracker = Tracker()
        self._descriptors: dict[int, list[tuple[int, Future]]] = {}  # by track: frame and descriptor

    def run(self, frames: Iterable) -> None:
        waiting: deque[tuple[list[SearchedFrame], Future]] = deque()
        for chunk in self._chunks(frames):
            waiting.append((chunk, self.pool.search([frame.rgb for frame in chunk])))
            # One chunk more than workers, so that none waits and few frames are held.
            if len(waiting) > self.pool.count:
                self._collect(*waiting.popleft())
        for chunk, future in waiting:
            self._collect(chunk, future)

    def bridged(self) -> Faces:
        """All faces, each with the descriptor of its track that is nearest in time, and those between; once."""
        rows = self.faces.rows
        order = np.argsort(rows['track'], kind='stable')
        for which in np.split(order, np.flatnonzero(np.diff(rows['track'][order])) + 1) if len(rows) else ():
            taken = self._descriptors[int(rows['track'][which[0]])]
            numbers = np.array([self.faces.describe(future.result()) for _, future in taken])
            frames = np.array([frame for frame, _ in taken])
            own = rows['frame'][which]
            after = frames.searchsorted(own).clip(1, len(frames) - 1) if len(frames) > 1 else np.zeros(len(own), int)
            before = np.maximum(after - 1, 0)
            rows['descriptor'][which] = numbers[np.where(own - frames[before] <= frames[after] - own, before, after)]
        del rows
        faces, self.faces = self.faces, Faces()  # not kept beside those that `bridge` makes of it
        return bridge(faces, self.times)

    def _chunks(self, frames: Iterable) -> Iterator[list[SearchedFrame]]:
        """Runs of up to CHUNK frames of one scene."""
        chunk: list[SearchedFrame] = []
        before = None  # name and thumbnail
        for index, time, rgb, name in frames:
            if before is None:
                self.size = rgb.shape[1], rgb.shape[0]
            small, shrink = bounded(rgb)
            thumb = thumbnail(small)
            starts = before is None or name != before[0] or is_cut(before[1], thumb)
            before = name, thumb
            if chunk and (starts or len(chunk) >= min(CHUNK, CHUNK_BYTES // small.nbytes)):
                yield chunk
                chunk = []
            chunk.append(SearchedFrame(index, time, small, shrink, name, starts))
        if chunk:
            yield chunk

    def _collect(self, chunk: list[SearchedFrame], future: Future) -> None:
        for frame, found in zip(chunk, future.result(), strict=True):
            if frame.starts:
                self._tracker.cut()
            times = self.times[frame.name]
            times.extend([0.0] * (frame.index - len(times)))  # frames before a span
            times.append(frame.time)
            faces = self._tracker.update([face_in(frame, one) for one in found])
            for face, one in zip(faces, found):
                rows = self._descriptors.setdefault(face.track, [])
                if not rows or face.frame - rows[-1][0] >= DESCRIBE_EVERY:
                    rows.append((face.frame, self.pool.describe(frame.rgb, one.landmarks)))
                self.faces.add(face)
        self.count += len(chunk)
        check()
        if self.progress:
            self.progress(self.count, self.total)

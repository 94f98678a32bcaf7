"""Clips cut out of videos: a folder a clip, 25 pictures a second of one square, the sound of that time, landmarks.

    report = extract_clips(['anna.mp4'], 'clips/anna', size=256)

    clips/anna/clips.json               where each clip comes from, and by how long its sound had been late
    clips/anna/anna-000/000000.jpg ...  its pictures; sound.wav, 16 kHz, in sync; landmarks.npz, [T, 68, 2], in sides

A clip is a face that is seen for a second or more, in a square that does not move; or, of whole pictures, what lies
between two cuts. Delete a folder and that clip is gone.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from scipy.io import wavfile

from dfjax.data.faces.analyse import Analysis, analyse
from dfjax.data.faces.frame import is_cut
from dfjax.data.faces.square import face_square, whole_square
from dfjax.data.faces.warp import apply, crop
from dfjax.data.media.audio import read_sound
from dfjax.data.media.image import write_image
from dfjax.data.media.inputs import iter_frames, kind, media_files
from dfjax.data.media.output import atomic_folder, fitting
from dfjax.data.media.progress import bar
from dfjax.data.media.threads import Behind
from dfjax.data.sets.clip import FACTS, FPS, LANDMARKS, SOUND
from dfjax.errors import InputError, ReadError
from dfjax.inference.driving import driver_of
from dfjax.inference.mouthshape import shape_of
from dfjax.inference.sync import FURTHEST, LEAST, RATE, find_delay
from dfjax.interrupts import deferred
from dfjax.ops.geometry import to_unit

SHORTEST = 1.0  # seconds
THUMB = 32  # pixels a side that cuts are looked for at


@dataclass(frozen=True, eq=False)
class Planned:
    """A clip to be written.

    Attributes:
        name: of its folder.
        frames: [T] numbers of the video's frames, 25 a second.
        start: seconds on the video's clock.
        matrix: [2, 3], the video's pixels to the clip's.
        landmarks: [T, 68, 2] in the video's pixels, or None.
        facts: for FACTS.
    """

    name: str
    frames: np.ndarray
    start: float
    matrix: np.ndarray
    landmarks: np.ndarray | None
    facts: dict = field(default_factory=dict)


def extract_clips(
    srcs: Sequence[Path | str],
    out: Path | str,
    *,
    size: int = 256,
    whole: bool = False,
    format: str = 'jpg',
    person: Path | str | None = None,
    force: bool = False,
    progress: bool = True,
    **found,
) -> dict:
    """Writes the clips of videos.

    Args:
        srcs: videos, or folders of them.
        out: the folder to make.
        size: side of the pictures.
        whole: take whole pictures, whatever they show, from cut to cut; else faces.
        format: 'jpg' or 'png'.
        person: a picture of whom to take; by default everybody.
        force: replace clips that were extracted before.
        found: detector, detector_model and workers of `analyse`.

    Returns:
        {'out', 'clips', 'seconds' (of all clips), 'with_sound', 'in_sync' (clips whose sound and lips go together)}.

    Raises:
        InputError: what is no video, an output in the way, a video without a clip.
    """
    if size < 16:
        raise InputError(f'--size {size}: give 16 or more pixels')
    videos = [file for src in srcs for file in (media_files(src) if kind(src) == 'folder' else [Path(src)])]
    if other := [str(file) for file in videos if kind(file) != 'video']:
        raise ReadError(other[0], 'is no video; clips are cut out of videos')
    rows, taken = [], set()
    with deferred(), atomic_folder(out, force, marker=FACTS) as folder:
        for video in videos:
            with bar(f'clips of {video.name}', progress) as tick:
                if whole:
                    plans = plan_shots(video, size)
                else:
                    seen = analyse(video, person=person, every_face=person is None, allow_none=True, **found)
                    plans = plan_faces(video, seen, size)
                stem = fitting(video.stem, 100)
                while stem in taken:
                    stem += '-'
                taken.add(stem)
                plans = [_named(plan, f'{stem}-{n:03d}') for n, plan in enumerate(plans)]
                _write(video, plans, folder, size, format, tick)
                rows += _add_sound(video, plans, folder)
        if not rows:
            what = 'shot' if whole else 'face'
            raise InputError(f'{srcs[0]}: no {what} in it lasts {SHORTEST:g} s; nothing is written')
        (folder / FACTS).write_text(json.dumps(rows, indent=1))
    seconds = sum(row['frames'] for row in rows) / FPS
    report = {'out': str(out), 'clips': len(rows), 'seconds': round(seconds, 2)}
    return report | {
        'with_sound': sum(row['sound'] for row in rows),
        'in_sync': sum(row['in_sync'] is True for row in rows),
    }


def _named(plan: Planned, name: str) -> Planned:
    return Planned(name, plan.frames, plan.start, plan.matrix, plan.landmarks, plan.facts)


def plan_faces(video: Path, found: Analysis, size: int) -> list[Planned]:
    """A clip for every track that is long enough."""
    plans = []
    for track in sorted({face.track for face in found.faces}):
        faces = [face for face in found.faces if face.track == track]
        times, points = np.array([face.time for face in faces]), np.stack([face.landmarks for face in faces])
        nearest = ticks(times)
        if len(nearest) < SHORTEST * FPS:
            continue
        frames = np.array([face.frame for face in faces])[nearest]
        plan = Planned('', frames, float(times[0]), face_square(points, size), points[nearest])
        one = Analysis(found.source, found.width, found.height, found.frames, faces)
        plan.facts.update(_sync(video, one))
        plans.append(plan)
    return plans


def _sync(video: Path, found: Analysis) -> dict:
    """'delay', by how many seconds the sound is later than the lips, and whether they go together: 'in_sync', None
    where that cannot be known."""
    try:
        sound = read_sound(video, RATE, mono=True)[0][:, 0]
        driver = driver_of(found)
    except InputError:
        return {'delay': 0.0, 'in_sync': None}
    shape = shape_of(driver.motion[driver.known])
    seen = np.where(driver.known[:, None], shape.seen(driver.motion), np.nan)
    inside = np.isin(np.arange(len(driver)), [face.frame for face in found.faces])
    times = driver.times[inside]
    delay = find_delay(sound, seen[inside], times)
    if not delay.found:
        return {'delay': 0.0, 'in_sync': False if np.ptp(times) > LEAST + FURTHEST else None}
    return {'delay': round(delay.seconds, 3), 'in_sync': True}


def plan_shots(video: Path, size: int) -> list[Planned]:
    """A clip of whole pictures for everything between two cuts."""
    shots, before, shape = [], None, (1, 1)
    with closing(iter_frames(video)) as frames:
        for index, time, rgb, _ in frames:
            thumb = cv2.cvtColor(cv2.resize(rgb, (THUMB, THUMB), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
            if before is None or is_cut(before, thumb):
                shots.append([])
            before, shape = thumb, rgb.shape
            shots[-1].append((index, time))
    matrix, plans = whole_square(shape[1], shape[0], size), []
    for shot in shots:
        numbers, times = np.array([n for n, _ in shot]), np.array([t for _, t in shot])
        nearest = ticks(times)
        if len(nearest) >= SHORTEST * FPS:
            facts = {'delay': 0.0, 'in_sync': None}
            plans.append(Planned('', numbers[nearest], float(times[0]), matrix, None, facts))
    return plans


def ticks(times: np.ndarray) -> np.ndarray:
    """The rows of rising times [N] that are nearest to 25 moments a second, from the first one on."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    at = times[0] + np.arange(max(1, round((times[-1] - times[0] + step) * FPS))) / FPS
    after = np.searchsorted(times, at).clip(0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(at - times[before] <= times[after] - at, before, after)


def _write(
    video: Path, plans: list[Planned], folder: Path, size: int, format: str, tick: Callable[[int, int | None], None]
) -> None:
    """The pictures of all clips, in one pass over the video; and landmarks."""
    wanted: dict[int, list[tuple[Planned, int]]] = {}
    for plan in plans:
        (folder / plan.name).mkdir()
        for n, frame in enumerate(plan.frames):
            wanted.setdefault(int(frame), []).append((plan, n))
        if plan.landmarks is not None:
            unit = to_unit(apply(plan.matrix, np.float64(plan.landmarks)), size)
            np.savez_compressed(folder / plan.name / LANDMARKS, landmarks=np.float32(unit))
    write = lambda item: write_image(*item)
    with closing(iter_frames(video)) as frames, Behind(write, depth=8) as behind:
        for count, (index, _, rgb, _) in enumerate(frames, 1):
            for plan, n in wanted.get(index, ()):
                behind.put((folder / plan.name / f'{n:06d}.{format}', crop(rgb, plan.matrix, size)))
            tick(count, None)


def _add_sound(video: Path, plans: list[Planned], folder: Path) -> list[dict]:
    """Writes the sound of each clip, in sync; what FACTS says of them."""
    try:
        sound = read_sound(video, RATE, mono=True)[0][:, 0]
    except InputError:
        sound = None
    rows = []
    for plan in plans:
        if sound is not None:
            first = round((plan.start + plan.facts['delay']) * RATE)
            at = first + np.arange(len(plan.frames) * RATE // FPS)
            heard = np.where((at >= 0) & (at < len(sound)), sound[at.clip(0, len(sound) - 1)], np.float32(0))
            wavfile.write(folder / plan.name / SOUND, RATE, np.int16(np.clip(np.rint(heard * 32768), -32768, 32767)))
        row = {'clip': plan.name, 'source': video.name, 'start': round(plan.start, 3), 'frames': len(plan.frames)}
        rows.append(row | {'sound': sound is not None} | plan.facts)
    return rows

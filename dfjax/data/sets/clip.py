"""Clips: moving pictures of one thing each, at 25 frames a second, with sound where there is some.

A name of clips is
    a video                     one clip
    a folder                    each video in it is a clip, and each folder in it that holds pictures: its pictures, in
                                order of name, 25 a second, with the sound file beside them if there is one, and
                                landmarks if they are LANDMARKS; `dfjax extract --clips` writes such folders
    a tfds dataset              each record is a clip, see `sets.tfds_clips`
    render:talk:SEED:COUNT:FRAMES   people who talk, with landmarks, and what moves them as truth
    render:figure:SEED:COUNT:FRAMES flat figures that walk and wave, with joints as truth, see `render.figure`

Memory: pictures of a folder stay on the disk and are decoded when they are drawn. Frames of videos cannot be reached
one by one; they are decoded once, at the size asked for, and of all videos KEPT_BYTES stay, an equal share of each from
its start on. Longer ones belong in folders of pictures.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from dfjax.data import render
from dfjax.data.media.audio import read_sound
from dfjax.data.media.image import read_image, squared
from dfjax.data.media.inputs import file_kind
from dfjax.data.media.video import read_frames
from dfjax.data.names import Joined, Name, Rendered, Stored
from dfjax.data.render import figure
from dfjax.data.render.speech import RATE, speak
from dfjax.data.sets.cache import cached
from dfjax.data.sets.images import KEPT_BYTES, check_header, media_paths
from dfjax.errors import InputError, ReadError
from dfjax.foreign import floats, parse, read_npz

FPS = 25  # frames a second of every clip
LANDMARKS, SOUND = 'landmarks.npz', 'sound.wav'  # beside the pictures of a clip that was extracted
FACTS = 'clips.json'  # beside the folders of such clips: a row each, 'clip' and 'in_sync' among it
SOUNDS = ('.wav', '.flac', '.mp3', '.m4a', '.ogg')
FIGURES = 1_000_000  # seeds of figures that a set has
DRAWN = 64  # pixels a side that the renderer draws at least


class Clip:
    """A clip.

    Args:
        name: the file or folder, for errors.
        frame: from a number to the picture uint8 [S, S, 3]; any order, several threads.
        count: how many frames it has.
        landmarks: float32 [T, 68, 2] in unit coordinates; None where they are not known.
        sound: float32 [n] at 16 kHz, sample 0 at the time of frame 0; None where there is none.
        motion: parameters of the renderer by frame, name to [T], and 'voice_open' and 'voice_width', what the voice
            does with the lips (see `render.speech`); None of what is not rendered.
        joints: float32 [T, 12, 2] of a figure, see `render.figure`; None of everything else.
        in_sync: whether its sound was found to go with its lips; None where nobody looked.
    """

    def __init__(self, name: str, frame: Callable[[int], np.ndarray], count: int, **known):
        self.name, self.frame, self.count = name, frame, count
        self.landmarks = known.get('landmarks')
        self.sound = known.get('sound')
        self.motion = known.get('motion')
        self.joints = known.get('joints')
        self.in_sync = known.get('in_sync')


def open_clips(name: Name, size: int, crop: int = 0) -> list[Clip]:
    """The clips that a name stands for.

    Args:
        name: see the module.
        size: side of the frames.
        crop: as `open_dataset` takes it.

    Raises:
        InputError: if there is none that can be read; those that cannot are named on stderr.
    """
    if isinstance(name, Joined):
        return [clip for part in name.parts for clip in open_clips(part, size, crop)]
    if isinstance(name, Rendered):
        if name.form == 'figure' and not name.condition:
            return figure_clips(name, size)
        if name.form != 'talk' or name.condition:
            raise InputError(f'{name}: pictures, where clips are needed; write render:talk:SEED:COUNT:FRAMES')
        return rendered_clips(name, size)
    kind = name.kind() if isinstance(name, Stored) else ''
    if kind == 'tfds':
        from dfjax.data.sets.tfds_clips import open_recorded

        return open_recorded(name, size, crop)
    if kind not in ('video', 'images'):
        raise InputError(f'{name}: no clips; name a video, a folder of videos, or one of folders of pictures')
    paths = media_paths(str(name))
    videos = [path for path in paths if file_kind(path) == 'video']
    pictures = sorted(set(paths) - set(videos))
    clips, bad = [], []
    folders = sorted({path.parent for path in pictures})
    known = {parent: _in_sync(parent / FACTS) for parent in {folder.parent for folder in folders}}
    for folder in folders:
        own, in_sync = [p for p in pictures if p.parent == folder], known[folder.parent].get(folder.name)
        _keep(clips, bad, partial(_folder_clip, folder, own, size, crop, in_sync))
    most = max(1, KEPT_BYTES // max(len(videos), 1) // (3 * size * size))
    for path in videos:
        _keep(clips, bad, partial(_video_clip, path, size, crop, most))
    if not clips:
        raise InputError(str(bad[0]) if bad else f'{name}: no picture and no video in this folder')
    if bad:
        print(f'{name}: {len(bad)} of {len(bad) + len(clips)} clips are left out:', file=sys.stderr)
        print('\n'.join(f'  {error}' for error in bad), file=sys.stderr, flush=True)
    return clips


def _keep(clips: list[Clip], bad: list[InputError], make: Callable[[], Clip]) -> None:
    try:
        clips.append(make())
    except InputError as error:
        bad.append(error)


def _folder_clip(folder: Path, pictures: list[Path], size: int, crop: int, in_sync: bool | None) -> Clip:
    """Pictures of one folder, which stay there."""
    for path in pictures:
        check_header(path)
    sounds = sorted(path for path in folder.iterdir() if path.suffix.lower() in SOUNDS)
    sound = read_sound(sounds[0], RATE, mono=True)[0][:, 0] if sounds else None
    read = lambda n: squared(read_image(pictures[n]), size, crop)
    known = {'landmarks': _landmarks(folder / LANDMARKS, len(pictures)), 'in_sync': in_sync}
    return Clip(str(folder), read, len(pictures), sound=sound, **known)


def _in_sync(path: Path) -> dict[str, bool | None]:
    """Whether sound and lips go together, by clip, as FACTS say it: None where that could not be known. Nothing where
    there are none.

    Raises:
        ReadError: if they are damaged.
    """
    if not path.is_file():
        return {}
    try:
        found = {row['clip']: row['in_sync'] for row in parse(path.read_bytes())}
        if any(value not in (True, False, None) for value in found.values()):
            raise ValueError
        return found
    except (OSError, ValueError, TypeError, KeyError):
        raise ReadError(path, 'does not say which clips are in sync; extract them again, or delete it') from None


def _landmarks(path: Path, count: int) -> np.ndarray | None:
    """Landmarks [T, 68, 2] of a clip of `count` pictures, if there are any; InputError if they do not fit."""
    if not path.is_file():
        return None
    try:
        return floats(read_npz(path)['landmarks'], count, 68, 2).astype(np.float32)
    except (ReadError, KeyError, ValueError):
        raise InputError(f'{path}: not the landmarks of the {count} pictures beside it; delete the folder') from None


def _video_clip(path: Path, size: int, crop: int, most: int) -> Clip:
    """A video's frames, in memory, and its sound."""
    frames = []
    for picture in frames_at(path, FPS):
        if len(frames) == most:
            print(f'{path}: only its first {most / FPS:.1f} s are kept', file=sys.stderr, flush=True)
            break
        frames.append(squared(picture, size, crop))
    try:
        sound = read_sound(path, RATE, mono=True)[0][:, 0]
    except InputError:
        sound = None
    return Clip(str(path), frames.__getitem__, len(frames), sound=sound)


def frames_at(path: Path, fps: float) -> Iterator[np.ndarray]:
    """The frame nearest to each of the times 0, 1 / fps, 2 / fps, ... of a video's clock: uint8 [H, W, 3].

    Raises:
        ReadError: as `read_frames`.
    """
    tick, before, step = 0, None, 0.0
    for _, time, picture in read_frames(path):
        if before is not None:
            step = time - before[0]
            while tick / fps < (before[0] + time) / 2:
                yield before[1]
                tick += 1
        before = time, picture
    while tick == 0 or tick / fps < before[0] + step / 2:
        yield before[1]
        tick += 1


def rendered_clips(name: Rendered, size: int, by: int = 0) -> list[Clip]:
    """People who talk, each another one, in one place and light each; frames of S pixels show the whole picture.

    Args:
        by: each speaks and moves as the person so many clips further on does, the last as the first.
    """
    frames = name.frames
    shown = max(DRAWN, 2 * size)

    def draw() -> dict[str, np.ndarray]:
        who = render.random_people(name.drawn, name.count)[0]
        people = [{k: v[n] for k, v in who.items()} for n in range(name.count)]
        made = [
            _drawn_clip(name.drawn, (n + by) % name.count, person, frames, size, shown)
            for n, person in enumerate(people)
        ]
        return {k: np.stack([clip[k] for clip in made]) for k in made[0]}

    arrays = cached(f'{name} {size} {by}', __file__, draw)
    clips = []
    for n in range(name.count):
        motion = {k.removeprefix('motion/'): v[n] for k, v in arrays.items() if k.startswith('motion/')}
        known = {'landmarks': arrays['landmarks'][n], 'sound': arrays['sound'][n], 'motion': motion}
        clips.append(Clip(f'{name}: clip {n}', arrays['image'][n].__getitem__, frames, **known))
    return clips


def figure_clips(name: Rendered, size: int) -> list[Clip]:
    """Figures that walk and wave, each another one."""
    clips = []
    for n in range(name.count):
        who = figure.random_figure(name.drawn * FIGURES + n)
        places = figure.joints(who, name.frames)
        pictures = figure.draw(who, places, size)
        clips.append(Clip(f'{name}: clip {n}', pictures.__getitem__, name.frames, joints=places))
    return clips


def _drawn_clip(seed: int, n: int, who: dict, frames: int, size: int, shown: int) -> dict[str, np.ndarray]:
    own = int(np.random.default_rng([seed, 4, n]).integers(2**31))
    motion = render.animate(own, frames, FPS)
    voice = speak(own, frames / FPS)
    opening, width = voice.mouth(np.arange(frames) / FPS)[:, :2].T.astype(np.float32)
    motion |= {'open': 0.9 * opening, 'pucker': np.clip(-width, 0, 1)}
    motion['smile'] = 0.3 * motion['smile'] + 0.5 * width.clip(0)
    drawn = render.render(who, motion, shown, 192 if size <= 96 else 384)
    made = {'image': np.stack([squared(picture, size) for picture in drawn.image])}
    made |= {'landmarks': ((drawn.landmarks + 0.5) / shown).astype(np.float32), 'sound': voice.sound}
    motion |= {'voice_open': opening, 'voice_width': width}
    return made | {f'motion/{k}': v for k, v in motion.items()}

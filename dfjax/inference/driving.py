"""What drives a picture: the motion of a face in a video, of a file of one, or of a rendered head that talks."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dfjax.data.faces.analyse import Analysis
from dfjax.data.faces.table import as_faces
from dfjax.data.media.output import atomic_path
from dfjax.errors import InputError, ReadError
from dfjax.foreign import floats, read_npz
from dfjax.inference import head as heads
from dfjax.inference.head import LANDMARKS, Motion

SIGMA = 0.65 / 30  # seconds, of the gaussian over time: halves the jitter and leaves blinks
COVERED = 0.15  # distances between the eyes: landmarks further from any head's are wrong, as under a hand
STILL = 0.02  # distances between the eyes that a landmark moves at most where nothing does: what coding leaves
LOST = 2  # frames in which a face may be missing without a new shot
TALK_SECONDS, TALK_FPS, LONGEST_TALK = 10, 25, 600
TALK_SIZE = 256  # pixels a side of the picture that a talking head is drawn in
VERSION = 1
PIECE = 128  # frames filled at once: a video may last for hours


@dataclass(frozen=True, eq=False)
class Driver:
    """A face that moves for T frames.

    Attributes:
        name: what it was read from.
        motion: [T].
        landmarks: float32 [T, 68, 2] in the driver's pixels.
        times: [T] seconds.
        shots: int [T], the number of the shot that a frame belongs to.
        known: bool [T]; elsewhere no face was seen, and the motion is that of its neighbours in time.
    """

    name: str
    motion: Motion
    landmarks: np.ndarray
    times: np.ndarray
    shots: np.ndarray
    known: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    @property
    def still(self) -> bool:
        """Whether nothing moves in the frames where the face is seen."""
        points = self.landmarks[self.known]
        eyes = np.linalg.norm(points[:, 36:42].mean(1) - points[:, 42:48].mean(1), axis=-1).mean()
        return bool(np.abs(points - points[:1]).max() < STILL * eyes)

    @property
    def fps(self) -> float:
        """Frames a second, the average."""
        return 25.0 if len(self) < 2 else float((len(self) - 1) / (self.times[-1] - self.times[0]))


def make_driver(name: str, landmarks: np.ndarray, times: np.ndarray, shots: np.ndarray, known: np.ndarray) -> Driver:
    """Fits the head to landmarks [T, 68, 2] at known frames [T] bool, fills the others, smooths.

    Raises:
        InputError: a face is seen nowhere.
    """
    head, known = heads.load_head(), known.copy()
    if not known.any():
        raise InputError(f'{name}: no face that could drive another; give a video that shows one from the front')
    seen = landmarks if known.all() else landmarks[known]  # an hour of them is not held twice without need
    identity = heads.fit_identity(head, seen)
    fitted = heads.fit_motion(head, seen, identity)
    pieces = np.split(fitted.residual, range(PIECE, len(seen), PIECE))
    off = np.concatenate([np.linalg.norm(piece, axis=-1).mean(-1) for piece in pieces]) > COVERED
    if off.all():
        raise InputError(f'{name}: its face is covered or turned away throughout; give another video')
    known[np.flatnonzero(known)[off]] = False
    rows = np.flatnonzero(known)
    if off.any():
        seen, fitted = seen[~off], fitted[~off]
    filled = {name: _fill(rows, getattr(fitted, name), len(known), shots) for name in heads.PER_FRAME}
    motion = Motion(**filled, identity=identity)
    del fitted, filled
    for shot in np.unique(shots):
        part = slice(*np.searchsorted(shots, [shot, shot + 1]))
        for name, column in heads.smooth(motion[part], times[part], SIGMA):
            getattr(motion, name)[part] = column
    return Driver(name, motion, _fill(rows, seen, len(known), shots), times, shots, known)


def _fill(rows: np.ndarray, values: np.ndarray, count: int, shots: np.ndarray) -> np.ndarray:
    """Values [N, ...] known at rows [N], for `count` rows: between two of one shot on a line, else the nearest."""
    if len(rows) == count:
        return values
    out = np.empty((count, *values.shape[1:]), values.dtype)
    at = np.arange(count)
    after = np.clip(np.searchsorted(rows, at), 0, len(rows) - 1)
    before = np.clip(np.searchsorted(rows, at, 'right') - 1, 0, len(rows) - 1)
    before = np.where(shots[rows[before]] != shots, after, before)
    after = np.where(shots[rows[after]] != shots, before, after)
    step = np.maximum(rows[after] - rows[before], 1)
    t = np.clip((at - rows[before]) / step, 0, 1).reshape(-1, *[1] * (values.ndim - 1))
    for part in np.split(at, range(PIECE, count, PIECE)):
        out[part] = (1 - t[part]) * values[before[part]] + t[part] * values[after[part]]
    return out


def driver_of(analysis: Analysis) -> Driver:
    """The motion of the person whose faces an analysis of one video or picture has.

    Raises:
        InputError: as `make_driver`.
    """
    rows = as_faces(analysis.faces).rows
    rows = rows[np.argsort(rows['frame'], kind='stable')]
    count, frames, seen = analysis.frames, rows['frame'], rows['time']
    landmarks, known = np.zeros((count, 68, 2), np.float32), np.zeros(count, bool)
    step = np.median(np.diff(seen) / np.diff(frames)) if len(frames) > 1 else 0.04
    times = np.interp(np.arange(count), frames, seen)
    times[: frames[0]] -= step * np.arange(frames[0], 0, -1)
    times[frames[-1] + 1 :] += step * np.arange(1, count - frames[-1])
    landmarks[frames], known[frames] = rows['landmarks'], True
    cuts = (np.diff(rows['track']) != 0) & (np.diff(frames) <= LOST)  # [faces - 1]
    begins = np.zeros(count, int)
    np.add.at(begins, frames[1:], cuts)
    shots = np.cumsum(begins)
    del rows, frames, seen
    return make_driver(analysis.source, landmarks, times, shots, known)


def parse_talk(name: str) -> tuple[int, float]:
    """Seed and seconds of 'talk', 'talk:SEED' or 'talk:SEED:SECONDS'."""
    words = name.split(':')
    seed, seconds = (words + ['0', str(TALK_SECONDS)][len(words) - 1 :])[1:3]
    try:
        length = float(seconds)
    except ValueError:
        length = 0.0
    if words[0] != 'talk' or len(words) > 3 or not seed.isdecimal() or not 0 < length <= LONGEST_TALK:
        raise InputError(f'{name}: write talk, talk:SEED or talk:SEED:SECONDS, as in talk:7 or talk:7:20')
    return int(seed), length


def talk(name: str) -> Driver:
    """A rendered head that talks and looks about, by name: its motion alone, no picture is drawn.

    Raises:
        InputError: as `parse_talk`.
    """
    seed, seconds = parse_talk(name)
    from dfjax.data.render import animate, random_identity
    from dfjax.data.render.features import landmarks
    from dfjax.data.render.head import head, moment
    from dfjax.data.render.trace import camera

    count = max(1, round(seconds * TALK_FPS))
    who = {name: float(value) for name, value in random_identity(seed).items()}
    how, still = animate(seed, count, TALK_FPS), head(who)
    points = np.zeros((count, 68, 2), np.float32)
    for n in range(count):
        now = {name: float(value[n]) for name, value in how.items()}
        surface = moment(who, now, still)
        points[n] = camera(now, TALK_SIZE).project(landmarks(who, now, surface.skin, still.rest))
    times = np.arange(count) / TALK_FPS
    return make_driver(name, points, times, np.zeros(count, int), np.ones(count, bool))


def save_motion(driver: Driver, path: Path | str, force: bool = False) -> None:
    """Writes a driver as .npz: small, without pictures; `load_motion` gives it back."""
    arrays = {name: np.float32(getattr(driver.motion, name)) for name in heads.PER_FRAME}
    arrays |= {'identity': driver.motion.identity, 'landmarks': driver.landmarks, 'times': driver.times}
    arrays |= {'shots': driver.shots, 'known': driver.known, 'dfjax_motion': np.array(VERSION)}
    with atomic_path(path, force) as part:
        np.savez_compressed(part, **arrays)


def load_motion(path: Path | str) -> Driver:
    """Reads what `save_motion` wrote.

    Raises:
        ReadError: missing, damaged, or no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise ReadError(path, 'no such file')
    try:
        arrays = read_npz(path)
        count, head = len(arrays['times']), heads.load_head()
        inner = {'turn': (3,), 'place': (2,), 'expression': (len(head.expression),), 'residual': (LANDMARKS, 3)}
        motion = {name: floats(arrays[name], count, *inner.get(name, ())) for name in heads.PER_FRAME}
        motion['identity'] = floats(arrays['identity'], len(head.identity))
        landmarks = floats(arrays['landmarks'], count, LANDMARKS, 2).astype(np.float32)
        times, shots, known = (floats(arrays[name], count) for name in ('times', 'shots', 'known'))
        rising = count and (np.diff(times) > 0).all() and (motion['scale'] > 0).all()
        if int(floats(arrays['dfjax_motion'])) != VERSION or not rising:
            raise ValueError
        return Driver(str(path), Motion(**motion), landmarks, times, shots.astype(int), known.astype(bool))
    except (ReadError, ValueError, KeyError, TypeError):
        raise ReadError(path, 'no motion that dfjax saved, or damaged; make it with --save-motion') from None


def steady(driver: Driver) -> Driver:
    """The same at steady times: of frames that do not follow each other evenly, the nearest."""
    count = max(1, round((driver.times[-1] - driver.times[0]) * driver.fps) + 1)
    times = driver.times[0] + np.arange(count) / driver.fps
    rows = np.abs(driver.times[None] - times[:, None]).argmin(1) if count < 4 else _nearest(driver.times, times)
    parts = {name: getattr(driver, name)[rows] for name in ('motion', 'landmarks', 'shots', 'known')}
    return replace(driver, times=times, **parts)


def _nearest(times: np.ndarray, at: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(times, at), 1, len(times) - 1)
    return np.where(at - times[after - 1] <= times[after] - at, after - 1, after)

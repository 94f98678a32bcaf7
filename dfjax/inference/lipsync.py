"""A face that says what a sound says: what is heard, as landmarks, as mouths of the person's own video.

    dubbed = Dubbing(driver, pool, shape, heard, rows, gain=1.0)
    rgb = dubbed(j, frame)                  # the j-th frame of the output

`DubJob` does that with every frame of a video, `StillJob` makes a picture speak.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dfjax.data.faces.analyse import Analysis
from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.data.media.video import read_frames
from dfjax.data.render import animate
from dfjax.errors import InputError
from dfjax.inference import head as heads
from dfjax.inference.driving import Driver
from dfjax.inference.frames import Job, Output
from dfjax.inference.length import Length, frames_in_order
from dfjax.inference.mouth import skin_tone
from dfjax.inference.mouthpool import Pool, choose_frames, lip_gap, lower_box, make_pool, pick
from dfjax.inference.mouthshape import JAW, JAW_SHARE, MouthShape, directions, shape_of
from dfjax.inference.reenact import Animator
from dfjax.inference.remouth import remouth
from dfjax.inference.retarget import face_shapes
from dfjax.ops.expression import LIDS

PROFILE = np.radians(45.0)  # yaw beyond which a mouth cannot be replaced
LEAST_EYES = 24  # pixels between the eyes
SPREAD = 400  # frames, spread over a video, in which they are measured
FPS = 25  # frames a second of a picture that speaks
CALM = 0.35  # share of a rendered talker's turns, for one who speaks to a camera
DESCRIPTION, SYSTEM = 'mouth made to follow another sound', 'lipsync'


class Dubbing:
    """dubbed(j, frame) -> the j-th frame with the mouth that belongs to the sound.

    Args:
        driver: the person in the video.
        pool: mouths of the person.
        shape: the person's mouth.
        heard: [J, 4] what is heard at each moment of the output.
        rows: [J] the video's frame that is shown.
        gain: of opening and width.

    Attributes:
        counts: frames of the output that pass through 'without_face' and turned away ('profiles').
    """

    def __init__(self, driver: Driver, pool: Pool, shape: MouthShape, heard: np.ndarray, rows: np.ndarray, gain: float):
        self._lips, self._motion, self._shape = shape.lips(*shape.targets(heard, gain)), driver.motion, shape
        self.pool, self.rows, self.seen = pool, rows, driver.known[rows]
        self.turned = np.abs(driver.motion.turn[rows, 1]) > PROFILE
        self.taken = pick(pool, self._lips[..., :2], driver.motion.turn[rows])
        self.gap = pool.gap
        self.counts = Counter(without_face=int((~self.seen).sum()), profiles=int((self.seen & self.turned).sum()))
        self._tones: dict[int, np.ndarray] = {}
        self._shots = driver.shots[rows]

    def __len__(self) -> int:
        return len(self.rows)

    def landmarks(self, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Those [68, 2] that the j-th frame has, and those that it should have, pixels."""
        motion = self._motion[self.rows[j : j + 1]]
        own, turns = face_shapes(heads.load_head(), motion), heads.rotation_matrices(motion.turn)
        faces = own, self._shape.points(own, self._lips[j : j + 1])
        return tuple(heads.view(face, turns, motion.scale, motion.place)[0] for face in faces)

    def __call__(self, j: int, frame: np.ndarray) -> np.ndarray:
        if not self.seen[j] or self.turned[j]:
            return frame
        own, wanted = self.landmarks(j)
        shot, n = int(self._shots[j]), self.taken[j]
        if not self.pool.opens and shot not in self._tones:  # a tone for each frame flickers
            self._tones[shot] = skin_tone(frame, own)
        pool = self.pool
        return remouth(
            frame, own, wanted, pool.patches[n], pool.corners[n], pool.landmarks[n], self.gap[n], self._tones.get(shot)
        )  # fmt: skip


def gather_pool(video: Path | str, driver: Driver, analysis: Analysis) -> Pool:
    """The mouths of a video whose faces are known.

    Raises:
        InputError: its face is too small.
    """
    head, seen = heads.load_head(), np.flatnonzero(driver.known)
    spread = seen[np.linspace(0, len(seen) - 1, min(SPREAD, len(seen))).astype(int)]
    points = heads.project(head, driver.motion[spread])
    eyes = float(np.median(np.linalg.norm(points[:, 36:42].mean(1) - points[:, 42:48].mean(1), axis=-1)))
    if eyes < LEAST_EYES:
        raise InputError(f'{video}: {eyes:.0f} pixels between the eyes are too few; {LEAST_EYES} are needed')
    sharpness = np.full(len(driver), np.nan)
    for face in analysis.faces:
        if face.sharpness is not None:
            sharpness[face.frame] = face.sharpness
    x0, y0, x1, y1 = lower_box(points[0, :68], (analysis.height, analysis.width))
    rows = choose_frames(driver.known, sharpness, 3 * (x1 - x0) * (y1 - y0))
    with contextlib.closing(read_frames(video)) as frames:
        motion = driver.motion[rows]
        return make_pool(((index, rgb) for index, _, rgb in frames), rows, heads.project(head, motion)[:, :68], motion)


class DubJob(Job):
    """A video with the mouth that belongs to a sound.

    Args:
        sound: a file, or (samples, rate), that becomes the output's.
    """

    def __init__(self, dubbing: Dubbing, length: Length, sound):
        super().__init__(DESCRIPTION, SYSTEM)
        self.dubbing, self.length, self.sound, self.total = dubbing, length, sound, len(dubbing)

    def output(self, info: MediaInfo) -> Output:
        return Output(fps=self.length.fps, sound=self.sound)

    def __call__(self, info: MediaInfo, frames: Iterator[Frame]) -> Iterator[np.ndarray]:
        shown = (frame.rgb for frame in frames)
        if self.length.fps is not None:
            shown = frames_in_order(info.path, self.length.rows)
        for j, rgb in enumerate(shown):
            yield self.dubbing(j, rgb) if j < self.total else rgb


class StillJob(Job):
    """A picture that says what a sound says.

    Args:
        animator: of the picture; its driver is that of `speaker`.
    """

    def __init__(self, animator: Animator, sound):
        super().__init__(DESCRIPTION, SYSTEM)
        self.animator, self.sound, self.total = animator, sound, len(animator) - 1

    def output(self, info: MediaInfo) -> Output:
        return Output(self.animator.bend.picture.shape[1::-1], FPS, self.sound)

    def __call__(self, info: MediaInfo, frames: Iterator[Frame]) -> Iterator[np.ndarray]:
        for n in range(self.total):
            yield self.animator(n)


def speaker(landmarks: np.ndarray, heard: np.ndarray, gain: float = 1.0, still: bool = False, seed: int = 0) -> Driver:
    """What the face of a picture does to say what is heard, FPS moments a second: [T + 1], the last as in the picture.

    Args:
        landmarks: [68, 2] of the face, pixels.
        heard: [T, 4] of the mouth.
        gain: of opening and width.
        still: leave head and lids as they are; else it sways and blinks as rendered heads do.
        seed: of that.
    """
    head, points = heads.load_head(), np.asarray(landmarks, np.float64)[None]
    source = heads.fit_motion(head, points, heads.fit_identity(head, points))
    count, shape = len(heard), shape_of(source)
    own = np.repeat(face_shapes(head, source), count + 1, 0)
    moved = own.copy()
    gap, width = shape.targets(heard, gain)
    # Lips part from where they are in the picture, whatever they are like there.
    opened, wider = directions()
    change = np.maximum(gap, 0)[:, None, None] * opened + width[:, None, None] * wider
    change -= lip_gap(own[:1, 48:, :2])[:, None, None] * opened
    change[:, list(JAW)] *= JAW_SHARE
    moved[:count] += change
    turn, place = np.repeat(source.turn, count + 1, 0), np.repeat(source.place, count + 1, 0)
    if not still and count:
        how = animate(seed, count, FPS)
        lids = (own[:1, LIDS[:, 1]] - own[:1, LIDS[:, 0]]) * how['blink'][:, None, None]
        moved[:count, LIDS[:, 0]] += 0.85 * lids
        moved[:count, LIDS[:, 1]] -= 0.15 * lids
        sway = np.radians(CALM * np.stack([how['pitch'], how['yaw'], how['roll']], -1))
        sway -= sway[:1]
        own_turn = heads.rotation_matrices(source.turn)
        turn[:count] = heads.rotation_vectors(heads.rotation_matrices(sway) @ own_turn)
    motion = heads.Motion(
        turn, np.repeat(source.scale, count + 1), place, np.repeat(source.expression, count + 1, 0),
        np.repeat(source.residual, count + 1, 0) + moved - own, source.identity,
    )  # fmt: skip
    seen = heads.project(head, motion)[:, :68].astype(np.float32)
    return Driver('sound', motion, seen, np.arange(count + 1) / FPS, np.zeros(count + 1, int), np.ones(count + 1, bool))

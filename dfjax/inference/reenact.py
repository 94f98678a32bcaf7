"""A picture that moves like a driver: retargeted landmarks, a bent picture, a mouth where lips part.

animator = Animator(picture, landmarks, driver, frame=None)
rgb = animator(n, driver_rgb)
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.inference import head as heads
from dfjax.inference import lids
from dfjax.inference import mouth as mouths
from dfjax.inference.bend import Bend
from dfjax.inference.driving import Driver
from dfjax.inference.frames import Job, Output
from dfjax.inference.opening import paint
from dfjax.inference.retarget import PARTS, PIECE, face_shapes, find_best_frame, gaps, retarget
from dfjax.ops.expression import LIPS

MOUTHS = ('driver', 'drawn')


class Animator:
    """animator(n, frame) -> the picture as it is at the driver's n-th moment, uint8 [H, W, 3].

    Args:
        picture: uint8 RGB [H, W, 3].
        landmarks: [68, 2] of the face in it, pixels.
        driver: what it does.
        drive, gain, absolute: see `retarget`.
        mouth: one of MOUTHS; 'driver' needs the driver's frames.
        frame: the moment of the driver that corresponds to the picture; None: the one most like it, of each shot.

    Attributes:
        best: that moment, of each shot.
        limited: frames where the driver turns further than a picture can be bent.
    """

    def __init__(
        self,
        picture: np.ndarray,
        landmarks: np.ndarray,
        driver: Driver,
        *,
        drive: Collection[str] = PARTS,
        gain: float = 1.0,
        absolute: bool = False,
        mouth: str = 'driver',
        frame: int | None = None,
    ):
        head = heads.load_head()
        points = np.asarray(landmarks, np.float64)[None]
        source = heads.fit_motion(head, points, heads.fit_identity(head, points))
        self.bend = Bend(picture, heads.project(head, source)[0])
        self.own_gap = float(gaps(face_shapes(head, source), LIPS).max())
        self._own_eyes = np.maximum(lids.openings(self.bend.points), 0.02)
        self.mouth = mouth
        self.points, self.neck = np.zeros((len(driver), 85, 2), np.float32), np.zeros((len(driver), 2), np.float32)
        self.best, self.limited = [], 0
        for shot in np.unique(driver.shots):
            rows = np.flatnonzero(driver.shots == shot)
            seen = rows[driver.known[rows]] if driver.known[rows].any() else rows
            at = frame if frame is not None else find_best_frame(head, source, driver.motion, seen)
            self.best.append(at)
            best = driver.motion[at : at + 1]
            for part in np.split(rows, range(PIECE, len(rows), PIECE)):
                targets = retarget(head, source, driver.motion[part], best, drive, gain, absolute)
                self.points[part], self.neck[part] = targets.points, targets.neck
                self.limited += targets.limited
        self.driver = replace(driver, motion=driver.motion[np.arange(1)])  # what it does is in `points` now
        self._tone = mouths.skin_tone(picture, points[0])
        self._mouths: dict[int, mouths.DriverMouth] = {}

    def __len__(self) -> int:
        return len(self.driver)

    def __call__(self, n: int, frame: np.ndarray | None = None) -> np.ndarray:
        bend, points = self.bend, self.points[n].astype(np.float64)
        apart = lids.keep_apart(points, bend.points, bend.eyes, bend.down)
        picture = bend(apart, self.neck[n])
        lids.shut_lids(picture, apart, lids.openings(points) / self._own_eyes, bend.eyes)
        inside = mouths.between_lips(points, bend.eyes, picture.shape)
        mouths.shut(picture, inside, self.own_gap, apart)
        alpha = mouths.shown(inside, self.own_gap)
        if alpha.any():
            if self.mouth == 'driver' and frame is not None and self.driver.known[n]:
                colour = self._driver_mouth(n, frame)(inside, points, frame, self.driver.landmarks[n])
            else:
                colour = mouths.drawn(inside, self._tone)
            paint(picture, inside, colour, alpha)
        return picture

    def _driver_mouth(self, n: int, frame: np.ndarray) -> mouths.DriverMouth:
        """The tone is found where a shot's mouth is first seen, and holds for the shot."""
        shot = int(self.driver.shots[n])
        if shot not in self._mouths:
            self._mouths[shot] = mouths.DriverMouth(self._tone, mouths.skin_tone(frame, self.driver.landmarks[n]))
        return self._mouths[shot]


class AnimateJob(Job):
    """Frames of an Animator: one for each of the driver's where that is a video, else at its steady rate.

    Args:
        follows: the source of the frames is the driver itself.
    """

    def __init__(self, animator: Animator, follows: bool):
        super().__init__('picture animated by the motion of another face', 'animate')
        self.animator, self.follows, self.total = animator, follows, len(animator)

    def output(self, info: MediaInfo) -> Output:
        size = self.animator.bend.picture.shape[1::-1]
        return Output(size) if self.follows else Output(size, self.animator.driver.fps, None)

    def __call__(self, info: MediaInfo, frames: Iterator[Frame]) -> Iterator[np.ndarray]:
        if self.follows:
            for frame in frames:
                yield self.animator(min(frame.index, self.total - 1), frame.rgb)
        else:
            for n in range(self.total):
                yield self.animator(n)

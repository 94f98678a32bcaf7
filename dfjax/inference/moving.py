"""A picture that moves as a driver does, by a trained run: people, figures, whatever the run has learnt from.

    keypoints = drive(run, pictures)                        of all frames of the driver, once
    animator = NetAnimator(run, picture, matrix, keypoints, frame=None)
    frames = animator(range(8))

The run's net sees a square of the picture; what it makes goes back into the picture at the picture's own size.
"""

import contextlib
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import jax
import numpy as np

from dfjax.data.faces.analyse import analyse
from dfjax.data.faces.square import face_square, whole_square
from dfjax.data.faces.warp import crop
from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.data.media.image import write_image
from dfjax.data.media.inputs import iter_frames
from dfjax.data.media.progress import say
from dfjax.errors import InputError
from dfjax.inference.frames import Job, Output
from dfjax.inference.run import Run
from dfjax.ops.backend import group_size
from dfjax.ops.image import to_float, to_uint8
from dfjax.ops.motion import movement_scale, relative_motion

LONGEST = 1920  # pixels of an output's longer side, where nothing else is asked for
THUMB, STILL = 16, 6  # pixels a side of the pictures that tell whether a driver moves; levels that coding leaves
RIM = 0.06  # share of the square's side within which it fades into the picture
Keypoints = tuple[np.ndarray, np.ndarray]  # value [T, K, 2], jacobian [T, K, 2, 2]


def drive(run: Run, pictures: Iterable[np.ndarray]) -> Keypoints:
    """The keypoints of pictures uint8 [S, S, 3], as many at a time whatever their number."""
    find = jax.jit(lambda params, x: run.system.keypoints(run.cfg, params, to_float(x)))
    params, group, found = jax.device_put(run.params), group_size(run.cfg.data.size**2), []
    waiting: list[np.ndarray] = []

    def flush() -> None:
        rows = np.stack(waiting + waiting[-1:] * (group - len(waiting)))
        found.append([x[: len(waiting)] for x in jax.device_get(find(params, rows))])
        waiting.clear()

    for picture in pictures:
        waiting.append(picture)
        if len(waiting) == group:
            flush()
    if waiting:
        flush()
    return tuple(np.concatenate(part) for part in zip(*found))


def best_frame(source: np.ndarray, driving: np.ndarray) -> int:
    """The frame of a driver's keypoints [T, K, 2] most like those of the source [K, 2], place and size aside."""

    def shape(points: np.ndarray) -> np.ndarray:
        points = points - points.mean(-2, keepdims=True)
        return points / np.maximum(np.sqrt(np.square(points).sum((-1, -2), keepdims=True)), 1e-6)

    return int(np.square(shape(driving) - shape(source)).sum((-1, -2)).argmin())


class NetAnimator:
    """animator(numbers) -> the picture at those moments of the driver, uint8 [N, H, W, 3].

    Args:
        run: of a system that can find keypoints and animate.
        picture: uint8 [H, W, 3].
        matrix: [2, 3], its pixels to those of the square that the run's net sees.
        driving: what `drive` gave of the driver.
        absolute: take over the driver's keypoints themselves, not how they move.
        frame: the moment of the driver that corresponds to the picture; None: the one most like it.

    Attributes:
        best: that moment.
    """

    def __init__(
        self,
        run: Run,
        picture: np.ndarray,
        matrix: np.ndarray,
        driving: Keypoints,
        *,
        absolute: bool = False,
        frame: int | None = None,
    ):
        size, self.picture = run.cfg.data.size, picture
        self.corner, self.side = _place(matrix, size)
        large = crop(picture, _square(self.corner, self.side, self.side), self.side)
        source = crop(picture, _square(self.corner, self.side, size), size)
        own = drive(run, [source])
        self.best = best_frame(own[0][0], driving[0]) if frame is None else frame
        self.moves = driving
        if not absolute:
            initial = tuple(x[self.best : self.best + 1] for x in driving)
            scale = movement_scale(own[0][0], initial[0][0])
            self.moves = jax.device_get(relative_motion(own, driving, initial, scale))
        self._group = group_size(self.side**2)
        self._mask = _mask(self.corner, self.side, picture.shape)
        fixed = jax.device_put((run.params, to_float(source[None]), to_float(large[None]), own))

        def apply(fixed: tuple, moves: Keypoints) -> jax.Array:
            params, source, large, own = fixed
            fill = lambda x: x.repeat(len(moves[0]), 0)
            own = tuple(map(fill, own))
            return to_uint8(run.system.animate(run.cfg, params, fill(source), own, moves, fill(large)))

        self._apply = partial(jax.jit(apply), fixed)

    def __len__(self) -> int:
        return len(self.moves[0])

    def __call__(self, numbers: Sequence[int]) -> np.ndarray:
        frames = []
        for start in range(0, len(numbers), self._group):
            rows = list(numbers[start : start + self._group])
            full = rows + rows[-1:] * (self._group - len(rows))
            made = jax.device_get(self._apply(tuple(x[full] for x in self.moves)))
            frames += [self._pasted(square) for square in made[: len(rows)]]
        return np.stack(frames)

    def _pasted(self, square: np.ndarray) -> np.ndarray:
        out, (x, y), (h, w) = self.picture.copy(), self.corner, self.picture.shape[:2]
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + self.side, w), min(y + self.side, h)
        part = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
        under, mask = out[y0:y1, x0:x1], self._mask[part][..., None]
        under[...] = np.rint(under + mask * (square[part].astype(np.float32) - under)).astype(np.uint8)
        return out


def _place(matrix: np.ndarray, size: int) -> tuple[tuple[int, int], int]:
    """The corner (x, y) and the side of a square, in whole pixels of the picture."""
    side = max(round(size / matrix[0, 0]), 2)
    corner = (-0.5 - matrix[:, 2]) / matrix[0, 0] + 0.5
    return tuple(round(float(v)) for v in corner), side


def _square(corner: tuple[int, int], side: int, size: int) -> np.ndarray:
    """The matrix to `size` pixels of the square of `_place`."""
    scale = size / side
    return np.array([[scale, 0, (0.5 - corner[0]) * scale - 0.5], [0, scale, (0.5 - corner[1]) * scale - 0.5]])


def _mask(corner: tuple[int, int], side: int, shape: tuple) -> np.ndarray:
    """How much of the square is shown [side, side]: it fades at those of its edges beyond which the picture goes on."""
    at = (np.arange(side, dtype=np.float32) + 0.5) / side
    masks = []
    for start, length in ((corner[1], shape[0]), (corner[0], shape[1])):
        low = at / RIM if start > 0 else np.ones_like(at)
        high = (1 - at) / RIM if start + side < length else np.ones_like(at)
        ramp = np.minimum(np.minimum(low, high), 1)
        masks.append(ramp * ramp * (3 - 2 * ramp))
    return masks[0][:, None] * masks[1]


class MovingJob(Job):
    """A frame of a NetAnimator for each of the driver's."""

    def __init__(self, animator: NetAnimator):
        super().__init__('picture animated by the motion of a video', 'animate', batch=8)
        self.animator, self.total = animator, len(animator)

    def output(self, info: MediaInfo) -> Output:
        return Output(self.animator.picture.shape[1::-1])

    def process(self, info: MediaInfo, group: list[Frame]) -> Iterator[np.ndarray]:
        return iter(self.animator([min(frame.index, self.total - 1) for frame in group]))


def open_animator(
    run: Run,
    image: Path | str,
    driving: Path | str,
    *,
    absolute: bool = False,
    frame: int | None = None,
    whole: bool = False,
    size: int | None = None,
) -> NetAnimator:
    """The animator of a picture by a video or picture.

    Args:
        whole: look at all of both, not at faces; so it is, too, where one of them shows none.
        size: pixels of the longer side of what is made; by default the picture's, LONGEST at most.

    Raises:
        InputError: a run without the nets; a driver that has not so many frames, or in which nothing moves; what cannot
            be read.
    """
    if lacking := [name for name in run.system.nets(run.cfg) if name not in run.params and name in run.system.ANIMATES]:
        there = ', '.join(name for name in run.params if name != 'batch_stats')
        raise InputError(f'{run.path}: has no net {" and ".join(lacking)}, only {there}; import that too')
    with contextlib.closing(iter_frames(image)) as frames:
        picture = next(frames)[2]
    share = (size or min(LONGEST, max(picture.shape[:2]))) / max(picture.shape[:2])
    if share != 1:
        how = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(picture, None, fx=share, fy=share, interpolation=how)
    own = None if whole else _faces(picture)
    theirs = None if own is None else analyse(driving, allow_none=True)
    if not whole and (own is None or not theirs.faces):
        say(f'{image if own is None else driving}: no face found; all of both pictures is looked at (--any)')
    side = run.cfg.data.size
    with contextlib.closing(iter_frames(driving)) as frames:
        first = next(frames)[2]
    if own is None or not theirs.faces:
        squares = [whole_square(*x.shape[1::-1], side) for x in (picture, first)]
    else:
        squares = [face_square(own, side), face_square(np.stack([face.landmarks for face in theirs.faces]), side)]
    moves = Moves()
    with contextlib.closing(iter_frames(driving)) as frames:
        found = drive(run, (moves.seen(crop(rgb, squares[1], side)) for _, _, rgb, _ in frames))
    if not moves.any and not absolute:
        raise InputError(f'{driving}: nothing moves in it, and no more would the picture; give another driver')
    if frame is not None and frame >= len(found[0]):
        raise InputError(f'--frame {frame}: {driving} has {len(found[0])} frames, from 0')
    return NetAnimator(run, picture, squares[0], found, absolute=absolute, frame=frame)


class Moves:
    """Whether anything moves in pictures that are handed through `seen`: `any`, by more than coding changes."""

    def __init__(self):
        self._low, self._high = np.inf, -np.inf

    def seen(self, picture: np.ndarray) -> np.ndarray:
        """A picture uint8 [S, S, 3], as it is."""
        thumb = cv2.resize(picture, (THUMB, THUMB), interpolation=cv2.INTER_AREA).astype(np.int16)
        self._low, self._high = np.minimum(self._low, thumb), np.maximum(self._high, thumb)
        return picture

    @property
    def any(self) -> bool:
        return bool(np.max(self._high - self._low) > STILL)


def _faces(picture: np.ndarray) -> np.ndarray | None:
    """The landmarks [68, 2] of the largest face of a picture."""
    with tempfile.TemporaryDirectory() as folder:
        write_image(still := Path(folder, 'still.png'), picture)
        found = analyse(still, every_face=True, allow_none=True, workers=1).faces
    return max(found, key=lambda face: math.dist(face.box[:2], face.box[2:])).landmarks if found else None

"""Mouths that a trained run paints: a video or a picture says what a sound says.

    mouths = VideoMouths(run, video, driver, length, sound)
    frames = mouths.paint([0, 1, 2], frames)                    the first three of the output

The net sees one square a shot, whatever the face does in it, and one reference: the frame of the shot that is held most
as the others are, with its mouth shut. Only a soft lower face goes back into the frame.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import jax
import numpy as np

from dfjax.data.faces.square import face_square
from dfjax.data.faces.warp import crop
from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.errors import InputError
from dfjax.inference.driving import Driver
from dfjax.inference.frames import Job, Output
from dfjax.inference.length import Length, frames_in_order
from dfjax.inference.lipsync import DESCRIPTION, FPS, LEAST_EYES, PROFILE, SYSTEM
from dfjax.inference.mouthpool import lower_box
from dfjax.inference.remouth import matte, rim_difference
from dfjax.inference.run import Run
from dfjax.ops import mouth
from dfjax.ops.backend import group_size
from dfjax.ops.image import to_float
from dfjax.ops.speech import mels_at

JAW = list(range(3, 14))
DROP = 0.12  # distances between the eyes by which a jaw may fall below where it is


class Mouths:
    """mouths.paint(numbers, frames) -> those frames of the output with the mouths that belong to the sound.

    Args:
        run: of a system that can `lipsync`.
        landmarks: [T, 68, 2] of a video's frames, pixels.
        painted: bool [T], whether a frame is changed at all.
        shots: int [T].
        rows, times: [J] the video's frames that are shown, and seconds at which they are.
        sound: float32 [n] at 16 kHz.

    Attributes:
        references: of each shot, the number of its frame; `show` gives its picture.
    """

    def __init__(
        self,
        run: Run,
        landmarks: np.ndarray,
        painted: np.ndarray,
        shots: np.ndarray,
        rows: np.ndarray,
        times: np.ndarray,
        sound: np.ndarray,
    ):
        cfg = run.cfg
        self.landmarks, self.painted, self.shots, self.rows = np.float64(landmarks), painted, shots, rows
        self._size, self._group = cfg.data.size, group_size(cfg.data.size**2)
        self._mels = np.asarray(mels_at(sound, np.asarray(times), cfg.model.early))
        self._params = jax.device_put(run.params)
        self._apply = jax.jit(lambda params, *x: run.system.lipsync(cfg, params, x[0], *map(to_float, x[1:])))
        self._squares, self.references, self._shown = {}, {}, {}
        for shot in np.unique(shots[painted]):
            seen = np.flatnonzero((shots == shot) & painted)
            self._squares[shot] = face_square(landmarks[seen], self._size, cfg.room)
            pose, gap = np.asarray(mouth.pose(landmarks[seen])), np.asarray(mouth.shape(landmarks[seen]))[:, 0]
            held = np.linalg.norm(pose - np.median(pose, 0), axis=-1)
            self.references[shot] = int(seen[(held + gap).argmin()])

    def show(self, shot: int, frame: np.ndarray) -> None:
        """Takes the frame uint8 [H, W, 3] that is a shot's reference."""
        self._shown[shot] = crop(frame, self._squares[shot], self._size)

    def paint(self, numbers: Sequence[int], frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Frames uint8 [H, W, 3] of the output, by their numbers; those without a face are as they were."""
        out = list(frames)
        changed = [k for k, j in enumerate(numbers) if self.painted[self.rows[j]]]
        for start in range(0, len(changed), self._group):
            part = changed[start : start + self._group]
            full = part + part[-1:] * (self._group - len(part))  # one program, whatever their number
            shots = [self.shots[self.rows[numbers[k]]] for k in full]
            seen = np.stack([crop(frames[k], self._squares[shot], self._size) for k, shot in zip(full, shots)])
            references = np.stack([self._shown[shot] for shot in shots])
            mels = self._mels[[numbers[k] for k in full]]
            made = jax.device_get(self._apply(self._params, mels, seen, references))
            for k, shot, face in zip(part, shots, made):
                own = self.landmarks[self.rows[numbers[k]]]
                out[k] = pasted(frames[k], (face + 1) * 127.5, self._squares[shot], own)
        return out


def pasted(frame: np.ndarray, face: np.ndarray, matrix: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The frame with the lower half of a face laid in.

    Args:
        frame: uint8 [H, W, 3].
        face: float32 [S, S, 3] in 0..255.
        matrix: [2, 3], the frame's pixels to the face's.
        own: [68, 2] landmarks in the frame.
    """
    eyes = float(np.linalg.norm(own[36:42].mean(0) - own[42:48].mean(0)))
    wanted = own.copy()
    wanted[JAW, 1] += DROP * eyes
    x0, y0, x1, y1 = lower_box(wanted, frame.shape)
    if x1 <= x0 or y1 <= y0:
        return frame
    soft = matte(own, wanted, eyes, (x0, y0, x1, y1))
    to_face = matrix.copy()
    to_face[:, 2] += matrix[:, :2] @ (x0, y0)
    at = np.stack(np.meshgrid(np.arange(x1 - x0), np.arange(y1 - y0)), -1) @ to_face[:, :2].T + to_face[:, 2]
    middle = (len(face) // 2) - 0.5
    soft = soft * np.clip((at[..., 1] - middle) / (0.04 * len(face)), 0, 1)  # the upper half is nothing that was made
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    made = cv2.warpAffine(face, to_face, (x1 - x0, y1 - y0), flags=how, borderMode=cv2.BORDER_REPLICATE)
    under = frame[y0:y1, x0:x1].astype(np.float32)
    made = np.clip(made + rim_difference(under, made, soft.astype(np.float32), eyes), 0, 255)
    out = frame.copy()
    out[y0:y1, x0:x1] = np.rint(under + soft[..., None] * (made - under)).astype(np.uint8)
    return out


class VideoMouths(Mouths):
    """Those of a video whose face is known.

    Attributes:
        counts: frames of the output that pass through 'without_face' and turned away ('profiles').

    Raises:
        InputError: its face is too small.
    """

    def __init__(self, run: Run, video: Path | str, driver: Driver, length: Length, sound: np.ndarray):
        turned = np.abs(driver.motion.turn[:, 1]) > PROFILE
        points = driver.landmarks[driver.known]
        eyes = float(np.median(np.linalg.norm(points[:, 36:42].mean(1) - points[:, 42:48].mean(1), axis=-1)))
        if eyes < LEAST_EYES:
            raise InputError(f'{video}: {eyes:.0f} pixels between the eyes are too few; {LEAST_EYES} are needed')
        painted = driver.known & ~turned
        super().__init__(run, driver.landmarks, painted, driver.shots, length.rows, length.times, sound)
        seen = driver.known[length.rows]
        self.counts = Counter(without_face=int((~seen).sum()), profiles=int((seen & turned[length.rows]).sum()))
        wanted = sorted((row, shot) for shot, row in self.references.items())
        for (_, shot), frame in zip(wanted, frames_in_order(video, np.array([row for row, _ in wanted], int))):
            self.show(shot, frame)


class MouthsJob(Job):
    """Frames with the mouths that belong to a sound, some at a time.

    Args:
        mouths: of all frames of the output.
        sound: a file that becomes the output's sound.
        length: of a video.
        still: the frames of a picture, in place of a video's.
    """

    def __init__(self, mouths: Mouths, sound, length: Length | None = None, still: Iterable[np.ndarray] | None = None):
        super().__init__(DESCRIPTION, SYSTEM)
        self.mouths, self.sound, self.length, self.still, self.total = mouths, sound, length, still, len(mouths.rows)

    def output(self, info: MediaInfo) -> Output:
        return Output(fps=FPS if self.still is not None else self.length.fps, sound=self.sound)

    def __call__(self, info: MediaInfo, frames: Iterator[Frame]) -> Iterator[np.ndarray]:
        shown = (frame.rgb for frame in frames)
        if self.still is not None:
            shown = iter(self.still)
        elif self.length.fps is not None:
            shown = frames_in_order(info.path, self.length.rows)
        numbers = itertools.count()
        while group := list(itertools.islice(shown, 8)):
            at = [next(numbers) for _ in group]
            here = [j for j in at if j < self.total]
            yield from self.mouths.paint(here, group[: len(here)])
            yield from group[len(here) :]

"""Mouths out of a person's own video: which of them shows what is wanted, so that one follows from the other.

A network has to draw teeth, beard and skin; the video has them. Frames are chosen along a path: each should show the
wanted lips in nearly the wanted pose, and go on where the one before it was (Viterbi 1967).
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dfjax.data.media.output import reason
from dfjax.errors import WriteError
from dfjax.inference import head as heads
from dfjax.inference.head import Motion
from dfjax.inference.retarget import face_shapes, gaps
from dfjax.ops.expression import LIPS

MOST = 1200  # mouths of a pool
BYTES = 256 << 20  # that they may take on the disk
PIECE = 1024  # frames at once: a video may last for hours
ROOM = 0.75  # distances between the eyes round the lower face that are kept
SHARP = 0.6  # share of the median sharpness, below which a frame is left out
TURN = 0.12  # radians that cost as much as lips that are off by their usual spread
POSE, JUMP = 0.3, 0.5  # weight of the pose, and cost of another frame than the next
WIDE_GAP = 0.10  # gap of the lips in distances between the eyes that a pool needs to show an open mouth
LOWER = [*range(2, 15), *range(31, 36), *range(48, 68)]  # landmarks of the lower face


class Patches(Sequence):
    """Pictures uint8 [h, w, 3] in the order in which they came. They wait in a file without a name, so that memory
    does not grow with them.

    Raises:
        WriteError: the disk of temporary files is full.
    """

    def __init__(self):
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, goes with this
        self._places: list[tuple[int, tuple]] = []  # where each begins, and its shape
        self._end = 0

    def append(self, picture: np.ndarray) -> None:
        try:
            self._file.seek(self._end)
            self._file.write(picture.tobytes())
            self._file.flush()
        except OSError as error:
            raise WriteError(tempfile.gettempdir(), reason(error)) from error
        self._places.append((self._end, picture.shape))
        self._end += picture.nbytes

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, which):
        if isinstance(which, slice):
            return [self[n] for n in range(len(self))[which]]
        begin, shape = self._places[which]
        self._file.seek(begin)
        return np.frombuffer(self._file.read(int(np.prod(shape))), np.uint8).reshape(shape)


@dataclass(frozen=True, eq=False)
class Pool:
    """Mouths of one person.

    Attributes:
        patches: uint8 [h, w, 3] of each, the lower face.
        corners: [N, 2] where each lies in its frame, pixels.
        landmarks: [N, 68, 2] in the frame's pixels.
        lips: [N, 20, 2] of the head seen from the front, in distances between the eyes.
        turn: [N, 3] rotation vectors.
        number: [N] of the frame; steps of 1 follow each other.
    """

    patches: Sequence[np.ndarray]
    corners: np.ndarray
    landmarks: np.ndarray
    lips: np.ndarray
    turn: np.ndarray
    number: np.ndarray

    def __len__(self) -> int:
        return len(self.patches)

    @property
    def gap(self) -> np.ndarray:
        """How far each mouth is open [N], in distances between the eyes."""
        return lip_gap(self.lips)

    @property
    def opens(self) -> bool:
        """Whether it shows an open mouth at all."""
        return len(self) > 4 and float(np.quantile(self.gap, 0.98)) > WIDE_GAP


def lip_gap(lips: np.ndarray) -> np.ndarray:
    """The gap between lips [..., 20, 2]: [...]."""
    return np.maximum(lips[..., [19, 18, 17], 1] - lips[..., [13, 14, 15], 1], 0).max(-1)


def lip_shapes(motion: Motion) -> np.ndarray:
    """Lips [T, 20, 3] of a motion in the head's axes, in distances between the eyes."""
    head, pieces = heads.load_head(), (motion[start : start + PIECE] for start in range(0, len(motion), PIECE))
    return np.concatenate([face_shapes(head, piece)[:, 48:68] for piece in pieces] or [np.zeros((0, 20, 3))])


def front_lips(motion: Motion) -> np.ndarray:
    """The same, seen from the front: [T, 20, 2]."""
    return lip_shapes(motion)[..., :2]


def choose_frames(known: np.ndarray, sharpness: np.ndarray, size: int) -> np.ndarray:
    """Which frames [N] a pool is made of: those that show the face sharply, in runs spread over the video.

    Args:
        known: [T] bool, frames where the face was seen.
        sharpness: [T], NaN where it is not known.
        size: bytes of a patch.
    """
    usable = known & (np.nan_to_num(sharpness, nan=0.0) >= SHARP * np.nanmedian(sharpness[known]))
    rows = np.flatnonzero(usable)
    most = int(min(MOST, max(BYTES // size, 8)))
    if len(rows) <= most:
        return rows
    run = 50  # frames that follow each other are worth more than single ones
    starts = np.linspace(0, len(rows) - run, most // run).round().astype(int)
    return rows[np.unique(starts[:, None] + np.arange(run))]


def make_pool(
    frames: Iterable[tuple[int, np.ndarray]], rows: np.ndarray, landmarks: np.ndarray, motion: Motion
) -> Pool:
    """The pool of the frames `rows` of a video.

    Args:
        frames: (number, uint8 RGB [H, W, 3]) of the video, in order.
        landmarks: [N, 68, 2] of those frames, which rise.
        motion: [N], likewise.
    """
    place, patches, corners = {number: n for n, number in enumerate(rows.tolist())}, Patches(), []
    for number, rgb in frames:
        if number in place:
            x0, y0, x1, y1 = lower_box(landmarks[place[number]], rgb.shape)
            patches.append(rgb[y0:y1, x0:x1])
            corners.append((x0, y0))
        if len(patches) == len(rows):
            break
    count = len(patches)  # a video may end before its last faces
    corners = np.array(corners, np.float64).reshape(-1, 2)
    return Pool(patches, corners, landmarks[:count], front_lips(motion[:count]), motion.turn[:count], rows[:count])


def lower_box(points: np.ndarray, shape: tuple) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) of the lower face of landmarks [68, 2] in a picture of that shape."""
    eyes = np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0))
    low, high = points[LOWER].min(0) - ROOM * eyes, points[LOWER].max(0) + ROOM * eyes
    size = np.array(shape[1::-1])
    (x0, y0), (x1, y1) = np.clip(np.floor(low), 0, size - 1), np.clip(np.ceil(high) + 1, 1, size)
    return int(x0), int(y0), int(max(x1, x0 + 1)), int(max(y1, y0 + 1))


def pick(pool: Pool, lips: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Which mouth of the pool each moment takes: [T], the cheapest path of all.

    Args:
        lips: [T, 20, 2] wanted, as `Pool.lips`.
        turn: [T, 3] rotation vectors of the head.
    """
    usual = max(float(((pool.lips - pool.lips.mean(0)) ** 2).mean()), 1e-5)
    follows = np.flatnonzero(np.diff(pool.number) == 1)  # rows whose next row is the next frame
    total = np.zeros(len(pool))
    best, followed = np.zeros(len(lips), np.int32), np.zeros((len(lips), -(-len(pool) // 8)), np.uint8)
    for t in range(len(lips)):
        cost = ((pool.lips - lips[t]) ** 2).mean((1, 2)) / usual + POSE * ((pool.turn - turn[t]) ** 2).sum(1) / TURN**2
        best[t] = total.argmin()
        jump = total[best[t]] + (JUMP if t else 0)
        before = np.full(len(pool), np.inf)
        before[follows + 1] = total[follows]
        followed[t] = np.packbits(before < jump)
        total = cost + np.minimum(before, jump)
        total -= total.min()
    path = np.zeros(len(lips), int)
    row = int(total.argmin())
    for t in range(len(lips) - 1, -1, -1):
        path[t] = row
        row = row - 1 if followed[t, row // 8] << row % 8 & 128 else int(best[t])
    return path


def own_range(motion: Motion) -> tuple[float, float]:
    """How far the mouth of a motion is open when it is wide open, and how much its width moves: both in distances
    between the eyes."""
    lips = front_lips(motion)
    width = lips[:, 6, 0] - lips[:, 0, 0]
    return float(np.quantile(gaps(face_shapes(heads.load_head(), motion), LIPS).max(-1), 0.95)), float(width.std())

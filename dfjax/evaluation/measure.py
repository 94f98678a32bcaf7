"""What an independent detector, landmark model and descriptor see in the frames of a video, each frame by itself."""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dfjax.data.faces.faceset import load_faceset
from dfjax.data.faces.identity import face_chip
from dfjax.data.media.inputs import iter_frames, kind, media_files
from dfjax.data.media.progress import bar
from dfjax.data.media.video import probe
from dfjax.data.processes import Workers
from dfjax.errors import InputError
from dfjax.interrupts import deferred

DETAIL_SIZE = 128  # pixels: the side that a face is scaled to before its detail is measured
DESCRIBED_AT_ONCE = 64  # faces; a chip takes 68 kB
BYTES_EACH = 200 << 20  # memory of a worker: dlib's models take 120 MB, frames and code the rest
ROW = [('landmarks', np.float32, (68, 2)), ('descriptors', np.float32, 128), ('detail', float)]


@dataclass(frozen=True)
class Measured:
    """What is seen in each of the T frames looked at; rows are NaN where there is no face or nothing was asked for.

    Attributes:
        path: the video.
        frames: T.
        landmarks: [T, 68, 2] pixels.
        descriptors: [T, 128].
        detail: [T] standard deviation of the Laplacian of the face at DETAIL_SIZE pixels.
    """

    path: str
    frames: int
    landmarks: np.ndarray
    descriptors: np.ndarray
    detail: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """[T] bool: the frames with a face."""
        return np.isfinite(self.landmarks[:, 0, 0])


class Rows:
    """The rows of a `Measured`, one after another; faces are described several at a time."""

    def __init__(self):
        self.rows: list[list] = []
        self.chips: list[tuple[int, np.ndarray]] = []  # rows that are not described yet

    def add(self, points: np.ndarray, chip: np.ndarray, detail: float) -> None:
        """One frame: landmarks [68, 2], what the descriptor is to see [150, 150, 3] or nothing, and the detail."""
        if chip.size:
            self.chips.append((len(self.rows), chip))
        self.rows.append([points, np.full(128, np.nan), detail])
        if len(self.chips) >= DESCRIBED_AT_ONCE:
            self._describe()

    def measured(self, path: str | Path) -> Measured:
        """All of them."""
        self._describe()
        table = np.array([tuple(row) for row in self.rows], ROW)
        return Measured(str(path), len(table), table['landmarks'], table['descriptors'], table['detail'])

    def _describe(self) -> None:
        if not self.chips:
            return
        from dfjax.inference.descriptor import describe  # not at the top: workers do without JAX

        where, chips = zip(*self.chips)
        for row, descriptor in zip(where, describe(chips)):
            self.rows[row][1] = descriptor
        self.chips = []


def measure(
    path: str | Path,
    every: int = 1,
    stride: int = 1,
    follow: Measured | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Measured:
    """Finds the face, its landmarks, its descriptor and its detail in the frames of a video, on all cores.

    Args:
        path: a video, a picture, a folder of them or a face set.
        every: descriptors only of every so many frames.
        stride: look at every so many frames only.
        follow: take the face nearest to this measurement's face of the same frame, and none further than half its size
            away; without it, the largest face.
        workers: processes; default is one per core.
        progress: show a bar on stderr.

    Raises:
        InputError: no face in any frame (not raised with `follow`, where that is a result).
    """
    known, rows, waiting = _known_boxes(path), Rows(), deque()
    look, shown = _asker(workers), bar(f'measuring {Path(path).name}', progress)
    with deferred(), look as (ask, depth), closing(iter_frames(path)) as frames, shown as tick:
        for row, (_, _, rgb, name) in enumerate(itertools.islice(frames, 0, None, stride)):
            tick(row + 1, None)
            target = None if follow is None or row >= follow.frames else follow.landmarks[row]
            job = {'box': known.get(name), 'describe': row % every == 0}
            waiting.append(ask(job, [rgb] if target is None else [rgb, target]))
            if len(waiting) > depth:
                rows.add(*waiting.popleft().result())
        for future in waiting:
            rows.add(*future.result())
    measured = rows.measured(path)
    if follow is None and not measured.found.any():
        raise InputError(f'{path}: no face was found in it; give a video with a visible face')
    return measured


def measure_person(
    path: str | Path, samples: int = 200, workers: int | None = None, progress: bool = False
) -> Measured:
    """`measure` of a person, of about `samples` frames spread evenly over a video or folder: enough for their means."""
    frames = 1
    if kind(path) != 'image':
        frames = (probe(path).frames or 0) if kind(path) == 'video' else len(media_files(path))
    return measure(path, stride=max(1, frames // samples), workers=workers, progress=progress)


@contextmanager
def _asker(workers: int | None) -> Iterator[tuple[Callable[[dict, list[np.ndarray]], Future], int]]:
    """Yields a function whose future is the row of a frame, see `look`, and how many may wait.

    By processes, for dlib holds Python's lock while it fits landmarks; by this one if one will do.
    """
    if workers == 1:
        models = load_models()

        def here(job: dict, arrays: list[np.ndarray]) -> Future:
            future: Future = Future()
            future.set_result(_row(*look(models, job, arrays)))
            return future

        yield here, 0
        return
    with Workers('dfjax.evaluation.worker', count=workers, bytes_each=BYTES_EACH) as pool:
        yield lambda job, arrays: pool.ask(job, arrays, _row), 2 * pool.count


def look(models: tuple, job: dict, arrays: list[np.ndarray]) -> tuple[float, list[np.ndarray]]:
    """What the models see in one frame.

    Args:
        models: of `load_models`.
        job: 'box' of a face that is known, or None; 'describe': whether to describe it.
        arrays: the frame uint8 [H, W, 3], and, where one face is meant, its landmarks [68, 2] in another video.

    Returns:
        The face's detail and its landmarks [68, 2], NaN where there is none, and what the descriptor is to see, uint8
        [150, 150, 3], or nothing, [0].
    """
    detect, landmark = models
    rgb, target = arrays[0], arrays[1] if len(arrays) > 1 else None
    points, chip, detail = np.full((68, 2), np.nan), np.zeros(0, np.uint8), math.nan
    box = job['box'] or choose_box([box for box, _ in detect(rgb)], target)
    if box is not None:
        points = landmark(rgb, box)
        detail = face_detail(rgb, points)
        if job['describe']:
            chip = face_chip(rgb, points)
    return detail, [points, chip]


def _row(detail: float, arrays: list[np.ndarray]) -> tuple:
    return *arrays, detail


def _known_boxes(path: str | Path) -> dict[str, tuple]:
    """Where the faces of a face set are, by file: a detector would want more around them than their crops have."""
    if kind(path) != 'faceset':
        return {}
    rows = load_faceset(path).rows
    return {row.path.name: (*row.landmarks.min(0).tolist(), *row.landmarks.max(0).tolist()) for row in rows}


def choose_box(boxes: list[tuple], target: np.ndarray | None) -> tuple | None:
    """The largest box, or, given target landmarks [68, 2], the one nearest to them: within half their size, or none."""
    if not boxes:
        return None
    boxes = np.asarray(boxes, np.float32)  # [N, 4] x0 y0 x1 y1
    if target is None or np.isnan(target[0, 0]):
        return tuple(boxes[np.argmax(boxes[:, 2] - boxes[:, 0])])
    low, high = target.min(0), target.max(0)
    away = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - (low + high) / 2, axis=1)
    nearest = int(np.argmin(away))
    return tuple(boxes[nearest]) if away[nearest] < (high - low).max() / 2 else None


def face_detail(rgb: np.ndarray, landmarks: np.ndarray) -> float:
    """Standard deviation of the Laplacian inside the landmarks' hull, of the face scaled to DETAIL_SIZE pixels."""
    low, high = landmarks.min(0), landmarks.max(0)
    side = max(float((high - low).max()), 2.0)
    x, y = np.round((low + high) / 2 - side / 2).astype(int)
    side = round(side)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    pad = max(0, -x, -y, x + side - grey.shape[1], y + side - grey.shape[0])
    grey = cv2.copyMakeBorder(grey, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    crop = grey[y + pad : y + pad + side, x + pad : x + pad + side]
    shrinks = side > DETAIL_SIZE
    crop = cv2.resize(crop, (DETAIL_SIZE, DETAIL_SIZE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    hull = cv2.convexHull((landmarks - (x, y)).astype(np.float32) * (DETAIL_SIZE / side))
    inside = cv2.fillConvexPoly(np.zeros((DETAIL_SIZE, DETAIL_SIZE), np.uint8), hull.astype(np.int32), 1) > 0
    return float(cv2.Laplacian(crop.astype(np.float32), cv2.CV_32F)[inside].std())


def load_models() -> tuple[Callable, Callable]:
    """detect(rgb) -> [(box, score)] and landmark(rgb, box) -> [68, 2].

    The landmarks are the model's own, rounded to pixels: those of `data.faces.landmarks`, which the swap is made with,
    are steadier, and would judge their own work.
    """
    import dlib

    from dfjax.data.faces.detect import load_detector
    from dfjax.data.faces.dlib_models import LANDMARKS, dlib_model

    predictor = dlib.shape_predictor(dlib_model(LANDMARKS))

    def landmark(rgb: np.ndarray, box: tuple) -> np.ndarray:
        rect = dlib.rectangle(*(round(float(v)) for v in box))
        return np.array([(p.x, p.y) for p in predictor(rgb, rect).parts()], np.float32)

    return load_detector('dlib'), landmark

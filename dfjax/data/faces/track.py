"""Faces linked over time: tracks, gaps bridged, jitter smoothed without lag."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dfjax.data.faces.face import Face
from dfjax.data.faces.landmarks import place
from dfjax.data.faces.table import ROW, Faces, as_faces

MAX_GAP = 8  # frames that a track may be without its face: the detector misses some
MAX_MOVE = 0.6  # greatest move of a face from one frame to the next, in sides of its box
MAX_GROW = 1.5  # greatest change of its size from one frame to the next, a factor
PIECE = 4096  # frames smoothed at once: a track may last for hours
SIGMA = 0.65  # frames, of the gaussian: halves the jitter and leaves blinks (r > 0.98 with the raw opening of the eyes)


@dataclass
class Tracker:
    """Gives faces the number of their track, frame by frame, in order."""

    next_track: int = 0
    _open: dict[int, Face] = field(default_factory=dict)  # the last face of each track that may go on

    def cut(self) -> None:
        """Nothing that follows goes on from what was before."""
        self._open.clear()

    def update(self, faces: list[Face]) -> list[Face]:
        """The faces of one frame, with tracks."""
        pairs = [
            (_distance(last, face), track, n) for track, last in self._open.items() for n, face in enumerate(faces)
        ]
        taken: dict[int, int] = {}
        for distance, track, n in sorted(pairs):
            if distance <= 1 and n not in taken and track not in taken.values():
                taken[n] = track
        for n in range(len(faces)):
            if n not in taken:
                taken[n], self.next_track = self.next_track, self.next_track + 1
        faces = [replace(face, track=taken[n]) for n, face in enumerate(faces)]
        self._open |= {face.track: face for face in faces}
        if faces:
            self._open = {t: f for t, f in self._open.items() if faces[0].frame - f.frame <= MAX_GAP}
        return faces


def _distance(last: Face, face: Face) -> float:
    """How far two faces are from being one, 1 being the limit; infinite over a gap too long."""
    if not 0 < face.frame - last.frame <= MAX_GAP + 1:
        return np.inf
    (a, a_side, _), (b, b_side, _) = place(last.landmarks), place(face.landmarks)
    if max(a_side, b_side) > MAX_GROW * min(a_side, b_side):
        return np.inf
    return float(np.hypot(*(a - b))) / (MAX_MOVE * max(a_side, b_side))


def bridge(faces: Iterable[Face], times: Mapping[str, Sequence[float]]) -> Faces:
    """With the gaps of tracks filled by linear interpolation of box and landmarks.

    Args:
        faces: in order of frames.
        times: of every frame in seconds, by source; for the faces put in.

    Returns:
        Faces in order of sources, frames and tracks; the very ones where they are so already.
    """
    faces = as_faces(faces)
    rows, added = faces.rows, []
    for which in _tracks(faces):
        frames = rows['frame'][which]
        for n in np.flatnonzero(np.diff(frames) > 1):
            before, after = rows[which[n]], rows[which[n + 1]]
            at = times[faces.sources[before['source']]]
            added += [_between(before, after, frame, at[frame]) for frame in range(frames[n] + 1, frames[n + 1])]
    more = np.array(added, ROW)
    keys = [np.concatenate([rows[name], more[name]]) for name in ('track', 'frame', 'source')]
    order = np.lexsort(keys)
    if not added and (np.diff(order) == 1).all():
        return faces
    bridged = np.empty(len(order), ROW)  # filled in place: no third copy of all
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    bridged[place[: len(rows)]], bridged[place[len(rows) :]] = rows, more
    return faces.take(bridged)


def _tracks(faces: Faces) -> Iterator[np.ndarray]:
    """The numbers of each track's faces, in order."""
    track = faces.rows['track']
    order = np.argsort(track, kind='stable')
    return iter(np.split(order, np.flatnonzero(np.diff(track[order])) + 1)) if len(order) else iter(())


def _between(a: np.void, b: np.void, frame: int, time: float) -> tuple:
    """The row of a face in a frame between those of two others."""
    t = (frame - a['frame']) / (b['frame'] - a['frame'])
    row = (a if t <= 0.5 else b).copy()
    row['frame'], row['time'] = frame, time
    row['box'] = (1 - t) * a['box'] + t * b['box']
    row['landmarks'] = (1 - t) * a['landmarks'] + t * b['landmarks']
    row['score'], row['interpolated'], row['sharpness'] = 0, True, np.nan
    return row


def smooth(faces: Iterable[Face], sigma: float = SIGMA) -> Faces:
    """With the landmarks of each track smoothed over time by a symmetric gaussian, so that nothing lags.

    `sigma` is in frames. At the ends of a track the sequence is continued by its point reflection, which keeps a
    steady motion as it is. `Faces` are changed in place.
    """
    faces = as_faces(faces)
    for which in _tracks(faces):
        for few in np.split(np.arange(68), 4):  # no second copy of all
            at = np.ix_(which, few)
            faces.rows['landmarks'][at] = smooth_points(faces.rows['landmarks'][at], sigma)
    return faces


def smooth_points(points: np.ndarray, sigma: float) -> np.ndarray:
    """[T, ...] smoothed over T; float32."""
    count = len(points)
    reach = min(int(np.ceil(4 * sigma)), count - 1)
    if reach < 1:
        return points.astype(np.float32)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    smoothed = np.empty(points.shape, np.float32)
    for start in range(0, count, PIECE):
        stop = min(start + PIECE, count)
        at = np.arange(start - reach, stop + reach)
        x = points[np.where(at < count, abs(at), 2 * count - 2 - at)].astype(np.float64)
        x[at < 0] = 2 * points[0].astype(np.float64) - x[at < 0]
        x[at >= count] = 2 * points[-1].astype(np.float64) - x[at >= count]
        smoothed[start:stop] = sum(k * x[n : n + stop - start] for n, k in enumerate(kernel))
    return smoothed

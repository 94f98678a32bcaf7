"""Faces linked over time: tracks, gaps bridged, jitter smoothed without lag."""

from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np

from dfjax.data.faces.face import Face
from dfjax.data.faces.landmarks import place

MAX_GAP = 8  # frames that the detector may miss
MAX_MOVE = 0.6  # of its side that a face may move from one frame to the next
MAX_GROW = 1.5
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


def bridge(faces: list[Face], times: dict[tuple[str, int], float]) -> list[Face]:
    """With the gaps of tracks filled by linear interpolation of box and landmarks.

    Args:
        faces: in order of frames.
        times: of every (source, frame), for the faces put in.
    """
    bridged, last = [], {}
    for face in faces:
        before = last.get(face.track)
        if before is not None:
            bridged += [_between(before, face, n, times) for n in range(before.frame + 1, face.frame)]
        bridged.append(face)
        last[face.track] = face
    return sorted(bridged, key=_order(faces))


def _order(faces: list[Face]):
    sources = {source: n for n, source in enumerate(dict.fromkeys(face.source for face in faces))}
    return lambda face: (sources[face.source], face.frame, face.track)


def _between(a: Face, b: Face, frame: int, times: dict[tuple[str, int], float]) -> Face:
    t = (frame - a.frame) / (b.frame - a.frame)
    near = a if t <= 0.5 else b
    return replace(
        near,
        frame=frame,
        time=times[a.source, frame],
        box=tuple((1 - t) * p + t * q for p, q in zip(a.box, b.box)),
        landmarks=((1 - t) * a.landmarks + t * b.landmarks).astype(np.float32),
        score=0.0,
        interpolated=True,
        sharpness=None,
    )


def smooth(faces: list[Face], sigma: float = SIGMA) -> list[Face]:
    """With the landmarks of each track smoothed over time by a symmetric gaussian, so that nothing lags.

    `sigma` is in frames. At the ends of a track the sequence is continued by its point reflection, which keeps a
    steady motion as it is.
    """
    rows = defaultdict(list)
    for n, face in enumerate(faces):
        rows[face.track].append(n)
    smoothed = list(faces)
    for row in rows.values():
        points = smooth_points(np.stack([faces[n].landmarks for n in row]), sigma)
        for n, landmarks in zip(row, points):
            smoothed[n] = replace(faces[n], landmarks=landmarks)
    return smoothed


def smooth_points(points: np.ndarray, sigma: float) -> np.ndarray:
    """[T, ...] smoothed over T; float32."""
    reach = min(int(np.ceil(4 * sigma)), len(points) - 1)
    if reach < 1:
        return points.astype(np.float32)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    x = points.astype(np.float64)
    before = 2 * x[0] - x[reach:0:-1]
    after = 2 * x[-1] - x[-2 : -reach - 2 : -1]
    x = np.concatenate([before, x, after])
    count = len(points)
    return sum(k * x[n : n + count] for n, k in enumerate(kernel)).astype(np.float32)

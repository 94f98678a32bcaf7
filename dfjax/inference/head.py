"""A head in three dimensions, fitted to landmarks: where it is, how it is turned, who it is and what face it makes.

    head = load_head()
    person = fit_identity(head, landmarks)              # a clip's, [T, 68, 2]
    motion = fit_motion(head, landmarks, person)
    points = project(head, motion)                      # [T, 85, 2]: landmarks and outline, in pixels

Cameras are weak: a picture is the first two axes of the turned head, scaled and moved. What the head cannot say of the
landmarks is kept as `residual`, in the head's own axes, so that it turns along and nothing of a shape is lost.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from importlib import resources

import numpy as np

LANDMARKS = 68
WEIGHTS = np.where(np.arange(LANDMARKS) < 17, 0.35, 1.0)  # the outline of the jaw is the least certain
NOISE = 0.06  # standard deviation of landmarks' errors in distances between the eyes: regularises the fit
SPREAD = 40  # frames, spread over a clip, that an identity is fitted to
ROUNDS, PASSES = 6, 4
CHUNK = 128  # frames at once: bounded memory for clips of any length


@dataclass(frozen=True, eq=False)
class Head:
    """The linear model: points are mean + identity + expression; see `data.render.head_basis`.

    Attributes:
        mean: [85, 3], in distances between the eyes; x to the right, y down, z away.
        identity: [12, 85, 3], in standard deviations.
        expression: [10, 85, 3], likewise.
    """

    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray


@dataclass(frozen=True, eq=False)
class Motion:
    """What a head does in T frames. float64, but for the residual, which is most of it: float32.

    Attributes:
        turn: [T, 3] rotation vectors, radians, in the camera's axes.
        scale: [T] pixels that the distance between the eyes takes, if seen from the front.
        place: [T, 2] pixels, of the middle of the head.
        expression: [T, 10] standard deviations.
        residual: [T, 68, 3] what is left of the landmarks, in the head's axes and distances between the eyes.
        identity: [12] standard deviations.
    """

    turn: np.ndarray
    scale: np.ndarray
    place: np.ndarray
    expression: np.ndarray
    residual: np.ndarray
    identity: np.ndarray

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, rows) -> 'Motion':
        """Of some of the frames: a slice, indices or a mask."""
        return replace(self, **{name: getattr(self, name)[rows] for name in PER_FRAME})


PER_FRAME = tuple(field.name for field in fields(Motion) if field.name != 'identity')


@functools.lru_cache(1)
def load_head() -> Head:
    """The head that comes with the package."""
    with resources.files('dfjax.data.render').joinpath('head3d.npz').open('rb') as file, np.load(file) as arrays:
        return Head(**{name: arrays[name].astype(np.float64) for name in ('mean', 'identity', 'expression')})


# Rotations


def rotation_matrices(turn: np.ndarray) -> np.ndarray:
    """Rotation vectors [..., 3] (Rodrigues) as matrices [..., 3, 3]."""
    angle = np.linalg.norm(turn, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(turn, -1, 0)
    none = np.zeros_like(x)
    cross = np.stack([none, -z, y, z, none, -x, -y, x, none], -1).reshape(*turn.shape[:-1], 3, 3)
    sine = np.sinc(angle / np.pi)
    versine = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.eye(3) + sine * cross + versine * cross @ cross


def rotation_vectors(matrices: np.ndarray) -> np.ndarray:
    """The inverse of `rotation_matrices`, for turns by less than 180 degrees."""
    m = matrices
    axis = np.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1) / 2
    sine, cosine = np.linalg.norm(axis, axis=-1), (np.trace(m, axis1=-2, axis2=-1) - 1) / 2
    angle = np.arctan2(sine, cosine)
    return axis * (1 / np.maximum(np.sinc(angle / np.pi), 1e-9))[..., None]


# Fitting


def shapes(head: Head, identity: np.ndarray, expression: np.ndarray, count: int = LANDMARKS) -> np.ndarray:
    """The first `count` points [T, count, 3] of a person [12] with expressions [T, 10]."""
    still = head.mean[:count] + np.tensordot(identity, head.identity[:, :count], 1)
    return still + np.tensordot(expression, head.expression[:, :count], 1)


def fit_pose(points: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weak camera that sees points [T, 68, 3] nearest to landmarks [T, 68, 2].

    The affine camera of least squares, and the nearest scaled rotation to it.

    Returns:
        Rotations [T, 3, 3], scales [T], places [T, 2] in pixels.
    """
    share = (WEIGHTS / WEIGHTS.sum())[:, None]
    middle, centre = (points * share).sum(1, keepdims=True), (landmarks * share).sum(1, keepdims=True)
    x, y = points - middle, landmarks - centre
    wx = np.swapaxes(x * share, 1, 2)  # [T, 3, 68]
    affine = np.swapaxes(np.linalg.solve(wx @ x, wx @ y), 1, 2)  # [T, 2, 3]
    u, _, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    turns = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], 1)
    # The rotation is known: the scale by least squares.
    seen = x @ np.swapaxes(rows, 1, 2)
    scale = (share * seen * y).sum((1, 2)) / (share * seen**2).sum((1, 2))
    place = centre[:, 0] - scale[:, None] * (middle @ np.swapaxes(rows, 1, 2))[:, 0]
    return turns, scale, place


def _normal(head_part: np.ndarray, turns: np.ndarray, scale: np.ndarray, missing: np.ndarray) -> tuple:
    """Sums of products of least squares for coefficients of directions [K, 68, 3]: [T, K, K] and [T, K], in units of
    the eyes' distance; `missing` [T, 68, 2] pixels are to be explained."""
    seen = np.einsum('tij,knj->tkni', turns[:, :2], head_part)  # [T, K, 68, 2]
    seen = seen * np.sqrt(WEIGHTS)[:, None]
    flat = seen.reshape(*seen.shape[:2], -1)
    wanted = (missing * np.sqrt(WEIGHTS)[:, None] / scale[:, None, None]).reshape(len(seen), -1, 1)
    return flat @ np.swapaxes(flat, 1, 2), (flat @ wanted)[..., 0]


def _fit_expression(head: Head, landmarks: np.ndarray, identity: np.ndarray, passes: int) -> tuple:
    """Rotations, scales, places and expressions of landmarks [T, 68, 2] of a person [12]."""
    expression = np.zeros((len(landmarks), len(head.expression)))
    part = head.expression[:, :LANDMARKS]
    turns, scale, place = fit_pose(shapes(head, identity, expression), landmarks)
    for _ in range(passes):
        still = shapes(head, identity, 0 * expression[:1])
        missing = landmarks - view(still, turns, scale, place)
        products, wanted = _normal(part, turns, scale, missing)
        expression = np.linalg.solve(products + NOISE**2 * np.eye(len(part)), wanted[..., None])[..., 0]
        turns, scale, place = fit_pose(shapes(head, identity, expression), landmarks)
    return turns, scale, place, expression


def view(points: np.ndarray, turns: np.ndarray, scale: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Points [T or 1, N, 3] as a weak camera sees them: [T, N, 2] pixels."""
    return scale[:, None, None] * (points @ np.swapaxes(turns[:, :2], 1, 2)) + place[:, None]


def fit_identity(head: Head, landmarks: np.ndarray) -> np.ndarray:
    """Who it is [12], from landmarks [T, 68, 2] in pixels of a clip: of frames spread over it.

    Poses, expressions and the one identity are found in turns, each by least squares with its usual amount as a prior.
    """
    landmarks = np.asarray(landmarks, np.float64)
    rows = np.unique(np.linspace(0, len(landmarks) - 1, min(SPREAD, len(landmarks))).round().astype(int))
    landmarks, part = landmarks[rows], head.identity[:, :LANDMARKS]
    identity = np.zeros(len(head.identity))
    for _ in range(ROUNDS):
        turns, scale, place, expression = _fit_expression(head, landmarks, identity, 2)
        missing = landmarks - view(shapes(head, 0 * identity, expression), turns, scale, place)
        products, wanted = _normal(part, turns, scale, missing)
        # Frames of one clip share their errors, so that all of them count as one: the mean, not the sum.
        identity = np.linalg.solve(products.mean(0) + NOISE**2 * np.eye(len(part)), wanted.mean(0))
    return identity


def fit_motion(head: Head, landmarks: np.ndarray, identity: np.ndarray) -> Motion:
    """What the head of a person [12] does, from landmarks [T, 68, 2] in pixels."""
    parts, residual = [], np.empty((len(landmarks), LANDMARKS, 3), np.float32)
    for start in range(0, len(landmarks), CHUNK):
        seen = np.asarray(landmarks[start : start + CHUNK], np.float64)
        turns, scale, place, expression = _fit_expression(head, seen, identity, PASSES)
        missing = seen - view(shapes(head, identity, expression), turns, scale, place)
        residual[start : start + CHUNK] = missing / scale[:, None, None] @ turns[:, :2]
        parts.append((rotation_vectors(turns), scale, place, expression))
    return Motion(*(np.concatenate(column) for column in zip(*parts)), residual, identity)


def project(head: Head, motion: Motion) -> np.ndarray:
    """The landmarks and the outline [T, 85, 2] of a motion, in pixels; landmarks as they were fitted to."""
    points = shapes(head, motion.identity, motion.expression, len(head.mean))
    points[:, :LANDMARKS] += motion.residual
    return view(points, rotation_matrices(motion.turn), motion.scale, motion.place)


def smooth(motion: Motion, times: np.ndarray, sigma: float) -> Iterator[tuple[str, np.ndarray]]:
    """Each column of a motion, smoothed over time by a gaussian of `sigma` seconds, both ways alike: nothing lags.

    One after the other: an hour of them is not held twice.

    Args:
        times: [T] seconds, rising; steps may differ.
    """
    times = np.asarray(times, np.float64)
    for name in PER_FRAME:
        column = getattr(motion, name)
        if len(times) < 3:
            yield name, column
        elif name == 'scale':
            yield name, np.exp(_smooth(np.log(column), times, sigma))
        else:
            yield name, _smooth(column, times, sigma)


def _smooth(column: np.ndarray, times: np.ndarray, sigma: float) -> np.ndarray:
    """A column [T, ...] smoothed; past its ends point reflection continues it: a steady motion goes on steadily."""
    typical, last = np.median(np.diff(times)), len(times) - 1
    reach = int(min(np.ceil(4 * sigma / max(typical, 1e-6)), last))
    smoothed = np.empty_like(column)
    shaped = (slice(None),) + (None,) * (column.ndim - 1)
    for start in range(0, len(times), CHUNK):  # a clip may last for hours
        at = np.arange(start, min(start + CHUNK, len(times)))
        total, sums = np.zeros(len(at)), 0.0
        for step in range(-reach, reach + 1):
            n = at + step
            inside = np.where(n < 0, -n, np.where(n > last, 2 * last - n, n)).clip(0, last)
            end = np.where(n < 0, 0, last)
            beyond = (n < 0) | (n > last)
            then = np.where(beyond, 2 * times[end] - times[inside], times[inside])
            weight = np.exp(-0.5 * ((then - times[at]) / sigma) ** 2)
            total += weight
            value = np.where(beyond[shaped], 2 * column[end] - column[inside], column[inside])
            sums = sums + weight[shaped] * value
        smoothed[at] = sums / total[shaped]
    return smoothed

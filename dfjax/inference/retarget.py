"""One head's motion for another head, which keeps its own shape.

Motion is taken relative to the frame of the driver that looks most like the source: from there on the source turns as
much as the driver does, in three dimensions, and its expression changes as much. What closes, closes: lips come
together and lids shut by the driver's share, whatever the shapes of both are.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from dfjax.inference.head import LANDMARKS, Head, Motion, rotation_matrices, rotation_vectors, shapes, view
from dfjax.ops.expression import BESIDE_LIPS, BEYOND_LIPS, LIDS, LIPS

PARTS = ('pose', 'eyes', 'brows', 'mouth')
TURN = 0.15  # radians of head rotation that weigh as much as one standard deviation of expression in likeness
PARTED = 0.06  # gap of the lips, in distances between the eyes, that weighs as much
USUAL = 3.0  # standard deviations: the strongest expression
SHUT = 0.02  # gap of closed lips, share of the eyes' distance
WIDEST = 1.5  # widest opening of an eye, in times its own
NECK = np.array([0.0, 1.17, 0.39])  # where the head turns on the neck, in the head's axes
FURTHEST = np.radians([30.0, 35.0, 40.0])  # pitch, yaw, roll: as far as a picture can be bent
PROFILE = np.radians(50.0)  # yaw, the source's own included
PIECE = 128  # frames at once: what they take is the same for a short driver and one of hours
FREE = 0.7  # share of a limit up to which nothing is held back


@dataclass(frozen=True, eq=False)
class Targets:
    """Where the points of the source's picture go, in T frames.

    Attributes:
        points: [T, 85, 2] pixels: landmarks and the head's outline.
        neck: [T, 2] pixels by which the neck moves.
        gap: [T] of the lips, in distances between the eyes.
        limited: frames where the driver turns further than a picture can be bent.
    """

    points: np.ndarray
    neck: np.ndarray
    gap: np.ndarray
    limited: int

    def __getitem__(self, rows) -> 'Targets':
        return replace(self, points=self.points[rows], neck=self.neck[rows], gap=self.gap[rows])


def face_shapes(head: Head, motion: Motion, count: int = LANDMARKS) -> np.ndarray:
    """Points [T, count, 3] in the head's axes, with what the model does not explain of the landmarks."""
    points = shapes(head, motion.identity, motion.expression, count)
    points[:, :LANDMARKS] += motion.residual
    return points


def gaps(points: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """How far pairs [P, 2] of points [T, 68, 3] are apart from top to bottom: [T, P], 0 or more."""
    return np.maximum(points[:, pairs[:, 1], 1] - points[:, pairs[:, 0], 1], 0)


def find_best_frame(head: Head, source: Motion, driver: Motion, rows: np.ndarray) -> int:
    """Which of the frames `rows` of a driver looks most like the source [1]: in expression, gap of lips and pose."""
    pieces = (driver[part] for part in np.split(rows, range(PIECE, len(rows), PIECE)))
    return int(rows[np.argmin(np.concatenate([_unlike(head, source, piece) for piece in pieces]))])


def _unlike(head: Head, source: Motion, driver: Motion) -> np.ndarray:
    """How unlike the source [1] the driver's frames are: [T]."""
    unlike = ((driver.expression - source.expression) ** 2).mean(-1)
    turned = rotation_vectors(rotation_matrices(driver.turn) @ rotation_matrices(source.turn).swapaxes(1, 2))
    unlike += (turned**2).sum(-1) / TURN**2
    lips, own = (gaps(face_shapes(head, motion), LIPS).mean(-1) for motion in (driver, source))
    return unlike + ((lips - own) / PARTED) ** 2


def calm(head: Head, motion: Motion) -> np.ndarray:
    """How little a face is pulled in each frame [T], lower is calmer: lips shut, near the usual pose and expression."""
    usual = [np.median(x, 0) for x in (motion.expression, motion.turn, motion.residual)]
    unlike = ((motion.expression - usual[0]) ** 2).mean(-1) + ((motion.turn - usual[1]) ** 2).sum(-1) / TURN**2
    points = face_shapes(head, motion)
    unlike += (gaps(points, LIPS).mean(-1) / PARTED) ** 2
    lids = gaps(points, LIDS).mean(-1)
    unlike += ((lids - np.median(lids)) / PARTED) ** 2
    return unlike + ((motion.residual - usual[2]) ** 2).sum(-1).mean(-1) / PARTED**2


def held_back(x: np.ndarray, reach: np.ndarray | float) -> np.ndarray:
    """Softly within -reach..reach; up to FREE of it as it is."""
    size, room = np.abs(x), (1 - FREE) * reach
    over = np.maximum(size - FREE * reach, 0)
    return np.sign(x) * (np.minimum(size, FREE * reach) + room * np.tanh(over / room))


def retarget(
    head: Head,
    source: Motion,
    driver: Motion,
    best: Motion,
    drive: Collection[str] = PARTS,
    gain: float = 1.0,
    absolute: bool = False,
) -> Targets:
    """Where the points of a picture go.

    Args:
        source: [1], of the picture.
        driver: [T].
        best: [1], the moment of the driver that corresponds to the picture.
        drive: which of PARTS move.
        gain: of the expression's changes.
        absolute: take over the driver's very pose and expression, not their changes. Place and size are relative
            always.
    """
    origin = _at_rest(head, source, best) if absolute else best
    points = _move(head, source, driver, origin, drive, gain)
    turn, limited = _turns(source, driver, source if absolute else best)
    scale, place = driver.scale / best.scale, (driver.place - best.place) / best.scale
    if 'pose' not in drive:
        turn, limited = np.broadcast_to(source.turn, turn.shape), 0
        scale, place = np.ones_like(scale), np.zeros_like(place)
    scale, place = source.scale * scale, source.place + source.scale * place
    turns = rotation_matrices(turn)
    neck = view(NECK[None, None], turns, scale, place)[:, 0]
    own = view(NECK[None, None], rotation_matrices(source.turn), source.scale, source.place)[0, 0]
    gap = gaps(points, LIPS).max(-1)
    return Targets(view(points, turns, scale, place), neck - own, gap, limited)


def _at_rest(head: Head, source: Motion, best: Motion) -> Motion:
    """The driver with the source's expression, relative to which its own is the source's own."""
    return replace(best, expression=source.expression)


def _turns(source: Motion, driver: Motion, best: Motion) -> tuple[np.ndarray, int]:
    """Rotation vectors [T, 3] of the source, and how many frames are held back."""
    own = rotation_matrices(source.turn)
    change = rotation_vectors(rotation_matrices(driver.turn) @ rotation_matrices(best.turn).swapaxes(1, 2))
    held = held_back(change, FURTHEST)
    turn = rotation_vectors(rotation_matrices(held) @ own)
    turn[:, 1] = held_back(turn[:, 1], max(PROFILE, abs(float(source.turn[0, 1])) / FREE))
    return turn, int((np.abs(change) > FURTHEST).any(-1).sum())


def _move(head: Head, source: Motion, driver: Motion, best: Motion, drive: Collection[str], gain: float) -> np.ndarray:
    """The source's points [T, 85, 3] with the driver's changes of expression, in the head's axes."""
    own = face_shapes(head, source, len(head.mean))
    change = gain * (driver.expression - best.expression)
    reach = np.maximum(USUAL, np.abs(source.expression) / FREE)
    change = held_back(source.expression + change, reach) - source.expression
    moved = np.tensordot(change, head.expression, 1)
    moved[:, LANDMARKS:] = 0  # hair has no expression
    moved[:, :LANDMARKS] += gain * (driver.residual - best.residual)
    points = own + moved * _moving(drive)[:, None]
    faces = [face_shapes(head, motion) for motion in (source, driver, best)]
    if 'mouth' in drive:
        _close_lips(points, *(gaps(face, LIPS) for face in faces), gain)
    if 'eyes' in drive:
        _close_lids(points, *(gaps(face, LIDS) for face in faces), gain)
    return points


def _moving(drive: Collection[str]) -> np.ndarray:
    """Which points [85] move with an expression: 0 or 1."""
    weights = np.zeros(85)
    rows = {'eyes': [slice(36, 48)], 'brows': [slice(17, 27)], 'mouth': [slice(0, 17), slice(31, 36), slice(48, 68)]}
    for part in rows.keys() & set(drive):
        for row in rows[part]:
            weights[row] = 1
    weights[27:31] = weights[31]
    return weights


def _close_lips(points: np.ndarray, own: np.ndarray, now: np.ndarray, best: np.ndarray, gain: float) -> None:
    """Lips that the driver brings together come together; else they part by as much as the driver's do."""
    change = now - best
    share = np.clip((now - SHUT) / np.maximum(best - SHUT, 1e-6), 0, 1)
    together = own * np.where(best > SHUT, share, 1)
    wanted = np.where(change < 0, own + gain * (np.minimum(together, own) - own), own + gain * change)
    shift = _open_to(points, LIPS, np.maximum(wanted, 0))
    points[:, BEYOND_LIPS, 1] += shift
    points[:, BESIDE_LIPS, 1] += shift[:, ::2] / 2


def _close_lids(points: np.ndarray, own: np.ndarray, now: np.ndarray, best: np.ndarray, gain: float) -> None:
    """Lids open and close by the share that the driver's do."""
    share = np.clip(1 + gain * (now / np.maximum(best, SHUT) - 1), 0, WIDEST)
    _open_to(points, LIDS, own * share)


def _open_to(points: np.ndarray, pairs: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Moves pairs [P, 2] of points [T, 85, 3] to be `gap` [T, P] apart about their middle; returns how [T, P, 2]."""
    y = points[:, pairs, 1]
    shift = y.mean(-1, keepdims=True) + np.stack([-gap, gap], -1) / 2 - y
    points[:, pairs, 1] += shift
    return shift

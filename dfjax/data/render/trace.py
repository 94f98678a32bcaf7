"""Rays: a camera, and where its rays meet the head, the ears, the neck and the shoulders."""

from dataclasses import dataclass

import cv2
import numpy as np

from dfjax.data.render.parameters import Params
from dfjax.data.render.surface import Array, look_up

DISTANCE = 9.0  # camera to head, decimetres


@dataclass(frozen=True)
class Camera:
    """A pinhole that looks at the middle of the head, with the picture's frame shifted."""

    turn: Array  # [3, 3], from the head's axes to the camera's
    x: float  # pixel of the head's origin
    y: float
    scale: float  # pixels a decimetre at the origin
    size: int

    def project(self, points: Array) -> Array:
        """Points [..., 3] of the head to pixels [..., 2]."""
        p = points @ self.turn.T
        k = self.scale / (1 - p[..., 2] / DISTANCE)
        return np.stack([self.x + p[..., 0] * k, self.y - p[..., 1] * k], -1).astype(np.float32)

    def rays(self, box: tuple[int, int, int, int], step: float = 1.0) -> tuple[Array, Array]:
        """Origin [3] and unit directions [3, h, w] in the head's axes of the pixels of a box (x0, y0, x1, y1)."""
        x0, y0, x1, y1 = box
        i = (np.arange(x0, x1, step, dtype=np.float32) - self.x) / self.scale
        j = (self.y - np.arange(y0, y1, step, dtype=np.float32)) / self.scale
        a, b = np.meshgrid(i, j)
        norm = 1 / np.sqrt(a * a + b * b + DISTANCE**2)
        r = self.turn.astype(np.float32)
        d = [(a * r[0, k] + b * r[1, k] - DISTANCE * r[2, k]) * norm for k in range(3)]
        return r[2] * np.float32(DISTANCE), np.stack(d)


def rotation(yaw: float, pitch: float, roll: float) -> Array:
    """[3, 3]: degrees; pitch (up) first, then yaw (to the right of the picture), then roll (anticlockwise in it)."""
    a, b, c = np.radians([yaw, -pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return (about_z @ about_y @ about_x).astype(np.float32)


def camera(m: Params, size: int) -> Camera:
    """The camera of one picture of `size` pixels."""
    middle = (size - 1) / 2
    return Camera(
        rotation(m['yaw'], m['pitch'], m['roll']),
        float(middle + m['x'] * size),
        float(middle + m['y'] * size),
        float(m['scale'] * size),
        size,
    )


def _walk(r: Array, origin: Array, d: Array, t: Array, steps: int, pixel: float) -> tuple[Array, Array]:
    """Walks from t [h, w] along rays towards |p| = R(p): the nearest place t and the gap there, in pixels."""
    best_t, best = t, np.full_like(t, 1e3)
    for _ in range(steps):
        p = origin[:, None, None] + d * t
        n = np.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2])
        gap = n - look_up(r, p * (1 / n))
        nearer = gap < best
        best_t, best = np.where(nearer, t, best_t), np.minimum(gap, best)
        t = t + np.maximum(gap * 0.75, np.where(best < 0.5 * pixel, np.float32(-0.05), np.float32(0.6 * pixel)))
    return best_t, best / pixel


def _again(r: Array, origin: Array, d: Array, t: Array, gap: Array, far: Array, pixel: float) -> tuple[Array, Array]:
    """Walks rays on that pass an outline: they may come nearer, or meet the surface behind, as hair behind a cheek."""
    index = np.flatnonzero((gap > 0.3) & (gap < 0.08 / pixel) | (gap > 0.3) & (far > t + 0.1))
    if not len(index):
        return t, gap
    index = np.resize(index, (len(index) + 63) // 64 * 64).reshape(-1, 64)
    t, gap, far = t.ravel(), gap.ravel(), far.ravel()
    start = np.where(far[index] > t[index] + 0.1, far[index] - 0.12, t[index])
    on, left = _walk(r, origin, d.reshape(3, -1)[:, index], start, 14, pixel)
    better = left < gap[index]
    t[index[better]], gap[index[better]] = on[better], left[better]
    return t.reshape(d.shape[1:]), gap.reshape(d.shape[1:])


def meet(r: Array, cam: Camera) -> tuple[tuple[int, int, int, int], Array, Array, Array, Array]:
    """Where the picture's rays meet the surface R.

    Returns:
        The box (x0, y0, x1, y1) outside of which nothing is met; the gap [h, w] by which each ray misses, in pixels, 0
        where it meets; the points [3, h, w] in the head's axes; the unit ray directions [3, h, w]; the distances
        [h, w].
    """
    size, q = cam.size, 4
    pixel = 1 / cam.scale
    origin, d = cam.rays((0, 0, size + q, size + q), q)
    # a coarse walk along every fourth ray, in both directions, says where to begin and which pixels to look at
    t, gap = _walk(r, origin, d, np.full_like(d[0], DISTANCE - 1.5), 40, q * pixel)
    near = np.flatnonzero((gap < 4).any(0)), np.flatnonzero((gap < 4).any(1))
    (x0, x1), (y0, y1) = ((max(n[0] * q - q, 0), min(n[-1] * q + q + 1, size)) if len(n) else (0, 1) for n in near)
    square = np.ones((3, 3), np.uint8)
    first, last = cv2.erode(t, square) - 0.06, cv2.dilate(np.where(gap < 0.6, t, np.float32(0)), square)
    coarse = cv2.merge([first, last, cv2.dilate(gap, square)])
    xs, ys = np.meshgrid(np.arange(x0, x1, dtype=np.float32) / q, np.arange(y0, y1, dtype=np.float32) / q)
    coarse = cv2.remap(coarse, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    box = (int(x0), int(y0), int(x1), int(y1))
    origin, d = cam.rays(box)
    t, gap = _walk(r, origin, d, coarse[..., 0].copy(), 8, pixel)
    t, gap = _again(r, origin, d, t, gap, coarse[..., 1], pixel)
    # where all coarse rays around meet the surface this one does, whatever it passed by on its way
    gap = np.minimum(gap, q * np.maximum(coarse[..., 2] - 0.3, 0))
    return box, np.maximum(gap, 0), origin[:, None, None] + d * t, d, t


def ellipsoid(
    origin: Array, d: Array, middle: Array, axes: Array, turn: Array, pixel: float
) -> tuple[Array, Array, Array]:
    """Where rays meet an ellipsoid: distance (1e3 beside it), coverage, points [3, h, w] in its unit ball.

    Args:
        origin, d: [3], [3, h, w].
        middle, axes: [3]; turn: [3, 3] from the axes of the rays to those of the ellipsoid.
    """
    o = (turn @ (origin - middle)) / axes
    v = np.tensordot((turn / axes[:, None]).astype(np.float32), d, 1)
    vv, ov = (v * v).sum(0), np.tensordot(o.astype(np.float32), v, 1)
    inside = ov * ov - vv * np.float32(o @ o - 1)
    # how near the ray passes to the ball, in pixels of its smallest axis
    gap = (np.sqrt(np.maximum(np.float32(o @ o) - ov * ov / vv, 0)) - 1) * float(axes.min()) / pixel
    t = (-ov - np.sqrt(np.maximum(inside, 0))) / vv
    alpha = np.clip(0.5 - gap, 0, 1)
    p = o.astype(np.float32)[:, None, None] + v * t
    return np.where(alpha > 0, t, 1e3), alpha, p


def lit(r: Array, points: Array, light: Array, soft: float | Array) -> Array:
    """How much of a light each point sees past the surface R: [h, w] in [0, 1], soft at the edges.

    Args:
        points: [3, h, w]; light: [3] unit vector towards it; soft: one or [h, w], how fast a
            shadow's edge spreads.
    """
    seen = np.ones_like(points[0])
    to = light.astype(np.float32)[:, None, None]
    for t in (0.05, 0.1, 0.16, 0.24, 0.34, 0.48, 0.66):
        p = points + to * t
        n = np.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2])
        clear = n - look_up(r, p * (1 / n))
        seen = np.minimum(seen, 0.5 + (clear + 0.012) / (soft * t))
    return np.clip(seen, 0, 1)

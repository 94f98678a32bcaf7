"""A picture bent so that points of a head come to lie elsewhere: thin plates at the picture's own resolution.

The spline goes backwards, from where a point comes to lie to where it is seen in the picture (Bookstein 1989), with a
stiffness for each point; it is evaluated every few pixels and its map interpolated. Only what lies within a ring round
the head is touched, all else keeps its bits. What would fold is moved less.
"""

import cv2
import numpy as np

from dfjax.inference.head import LANDMARKS

STEPS, FINEST = 12, 8  # spline evaluations over the distance between the eyes, and pixels between them at the least
# Tolerance of the map at each kind of point, larger where points are less certain: it may miss them to bend less.
JAW, INNER, OUTLINE, ANCHOR = 0.02, 0.0003, 0.03, 0.02
RING, ANCHORS = 4.2, 20  # radius of the ring in distances between the eyes; fixed points on it
FADE = 0.75  # share of the ring's radius at which the bend begins to fade out
SHOULDERS = ((-1.6, 1.2), (-0.7, 1.2), (0.7, 1.2), (1.6, 1.2))  # beside and below the chin, in distances of the eyes
FOLLOW = 0.5  # motion of the shoulders, share of the neck's
LEAST_AREA = 0.03  # determinant of the map's derivative; below it the map counts as folded
UNFOLDS = 4  # times, at most, that the motion round a fold is halved
REACH = 0.5  # distances between the eyes: points this near to a fold are moved less


class Bend:
    """bend(points, neck) -> the picture with its head bent.

    Args:
        picture: uint8 RGB [H, W, 3].
        points: [85, 2] of the head in it, pixels: landmarks and outline.

    Attributes:
        eyes: the distance between the eyes, pixels.
        step: pixels between places where the spline is evaluated.
        window: (x0, y0, x1, y1) of the picture that is touched.
        across, down: [2] unit vectors of the face in the picture.
        folds: frames in which something would have folded.
    """

    def __init__(self, picture: np.ndarray, points: np.ndarray):
        self.picture, self.points = picture, np.asarray(points, np.float64)
        left, right = self.points[36:42].mean(0), self.points[42:48].mean(0)
        self.eyes = float(np.linalg.norm(right - left))
        self.across = (right - left) / self.eyes
        self.down = np.array([-self.across[1], self.across[0]])
        self.step = int(np.clip(round(self.eyes / STEPS), 1, FINEST))
        self.centre = (self.points[27] + self.points[33]) / 2
        self.folds = 0
        height, width = picture.shape[:2]
        low = np.floor(self.centre - RING * self.eyes).astype(int)
        high = np.ceil(self.centre + RING * self.eyes).astype(int) + 1
        (x0, y0), (x1, y1) = np.maximum(low, 0), np.minimum(high, (width, height))
        self.window = int(x0), int(y0), int(x1), int(y1)
        self._anchors, self._shoulders = self._fixed()
        inside = np.concatenate([self.points, self._shoulders, self._anchors])
        self._source = self._units(inside)
        self._stiff = np.concatenate([
            np.full(17, JAW), np.full(LANDMARKS - 17, INNER), np.full(len(points) - LANDMARKS, OUTLINE),
            np.full(len(self._shoulders) + len(self._anchors), ANCHOR),
        ])  # fmt: skip
        self._nodes = self._grid()
        self._fade = self._window_of(self._nodes)
        across, down = np.arange(x1 - x0, dtype=np.float32), np.arange(y1 - y0, dtype=np.float32)
        across, down = np.meshgrid(across, down)
        self._pixels = np.stack([across + x0, down + y0], -1)
        self._places = 1 + across / self.step, 1 + down / self.step  # among the nodes
        away = np.linalg.norm(self._pixels - np.float32(self.centre), axis=-1)
        self._touched = np.uint8(away < RING * self.eyes)

    def _units(self, points: np.ndarray) -> np.ndarray:
        return (points - self.centre) / self.eyes

    def _fixed(self) -> tuple[np.ndarray, np.ndarray]:
        """Points [N, 2] that stay, and those of the shoulders [M, 2]."""
        angle = np.linspace(0, 2 * np.pi, ANCHORS, endpoint=False)
        ring = self.centre + RING * self.eyes * np.stack([np.cos(angle), np.sin(angle)], -1)
        beside = np.array(SHOULDERS) * self.eyes
        return ring, self.points[8] + beside[:, :1] * self.across + beside[:, 1:] * self.down

    def _grid(self) -> np.ndarray:
        """Nodes [h, w, 2] in units, every `step` pixels of the window, from one before it to two behind."""
        x0, y0, x1, y1 = self.window
        x = x0 + self.step * np.arange(-1, (x1 - x0) // self.step + 3)
        y = y0 + self.step * np.arange(-1, (y1 - y0) // self.step + 3)
        return self._units(np.stack(np.meshgrid(x, y), -1).astype(np.float64))

    @staticmethod
    def _window_of(nodes: np.ndarray) -> np.ndarray:
        """How much of the bend is left at nodes [h, w, 2]: 1 within, 0 from the ring on."""
        t = np.clip((np.linalg.norm(nodes, axis=-1) / RING - FADE) / (1 - FADE), 0, 1)
        return (1 - t * t * (3 - 2 * t))[..., None]

    def __call__(self, points: np.ndarray, neck: np.ndarray | None = None) -> np.ndarray:
        """The picture, uint8 [H, W, 3], with its points at `points` [85, 2] and its neck moved by [2], in pixels."""
        x0, y0, x1, y1 = self.window
        at = self._between(self.shift(points, neck))
        at += self._pixels
        bent = self.picture.copy()
        seen = cv2.remap(self.picture, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        cv2.copyTo(seen, self._touched, bent[y0:y1, x0:x1])
        return bent

    def _between(self, nodes: np.ndarray) -> np.ndarray:
        """Values at nodes [h, w(, C)], at the pixels of the window: float32 [H, W(, C)], by cubic interpolation."""
        return cv2.remap(nodes, *self._places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    def shift(self, points: np.ndarray, neck: np.ndarray | None = None) -> np.ndarray:
        """By how many pixels what is shown at a node comes from elsewhere: float32 [h, w, 2], 0 from the ring on."""
        follow = FOLLOW * (np.zeros(2) if neck is None else neck)
        moved = self._units(np.concatenate([points, self._shoulders + follow, self._anchors]))
        rigid = np.concatenate([self._rigid(moved[: len(points)]), moved[len(points) :]])
        folded = False
        for _ in range(UNFOLDS):
            shift = self._solve(moved)
            where = self._folds(shift, points)
            if not len(where):
                break
            folded = True
            near = np.exp(-((moved[:, None] - where) ** 2).sum(-1) / (2 * REACH**2)).max(1)[:, None]
            moved = moved + 0.5 * near * (rigid - moved)
        self.folds += folded
        return np.float32(shift * self._fade * self.eyes)

    def _rigid(self, moved: np.ndarray) -> np.ndarray:
        """The head [85, 2] moved, turned and scaled in the plane only."""
        own = self._source[: len(moved)]
        a, b = (x[:, 0] + 1j * x[:, 1] for x in (own, moved))
        factor = np.vdot(a - a.mean(), b - b.mean()) / np.vdot(a - a.mean(), a - a.mean())
        z = factor * (a - a.mean()) + b.mean()
        return np.stack([z.real, z.imag], -1)

    def _solve(self, moved: np.ndarray) -> np.ndarray:
        """By how much the spline that takes `moved` [K, 2] back to the picture's points moves the nodes: [h, w, 2]."""
        count = len(moved)
        affine = np.concatenate([np.ones((count, 1)), moved], 1)
        system = np.zeros((count + 3, count + 3))
        system[:count, :count] = _kernel(moved, moved) + np.diag(self._stiff)
        system[:count, count:], system[count:, :count] = affine, affine.T
        wanted = np.concatenate([self._source - moved, np.zeros((3, 2))])
        _, weights = cv2.solve(system, wanted)  # unlike BLAS on threads of its own, which cost more than they do here
        nodes = self._nodes.reshape(-1, 2)
        kernel = _kernel(nodes.astype(np.float32), moved.astype(np.float32))
        bent = cv2.gemm(kernel, weights[:count].astype(np.float32), 1, None, 0)
        bent = bent + (weights[count] + nodes @ weights[count + 1 :])
        return bent.reshape(self._nodes.shape)

    def _folds(self, shift: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Middles [N, 2], in units, of cells that the map turns over; those between the lips do not count."""
        at = self._nodes + shift * self._fade
        across, down = np.diff(at, axis=1)[:-1], np.diff(at, axis=0)[:, :-1]
        area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
        area /= (self.step / self.eyes) ** 2
        bad = area < LEAST_AREA
        if not bad.any():
            return np.zeros((0, 2))
        where = (self._nodes[:-1, :-1] + self._nodes[1:, 1:])[bad] / 2
        lips = np.float32(self._units(points[60:68]))
        apart = np.array([cv2.pointPolygonTest(lips, (float(x), float(y)), True) for x, y in where])
        return where[apart < -0.02]


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """r^2 log r between points [P, 2] and [K, 2]: [P, K]."""
    squared = np.square(a[:, :1] - b[:, 0]) + np.square(a[:, 1:] - b[:, 1])
    squared = np.maximum(squared, 1e-12)
    return 0.5 * squared * (cv2.log(squared) if squared.dtype == np.float32 else np.log(squared))

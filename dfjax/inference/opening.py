"""An opening of the face between two edges that meet at both ends: a mouth's lips, an eye's lids."""

import numpy as np

EDGE = 0.012  # distances between the eyes over which an edge is soft


class Opening:
    """The pixels between two edges, in coordinates of the opening.

    Args:
        upper, lower: [K, 2] points of both edges from left to right, pixels; the first and the last are the corners.
        eyes: the distance between the eyes, pixels.
        shape: of the picture.
        room: distances between the eyes round it that are looked at too.

    Attributes:
        rows, columns: slices of the picture, which may be empty.
        x, y: [h, w] the pixels.
        down: [2] unit vector, from the upper edge to the lower one.
        across: [h, w] -1 to 1 from the left corner to the right one.
        below, above: [h, w] distances from the upper and to the lower edge, in distances between the eyes.
        under: [h, w] distances from the middle of the upper edge, likewise.
        gap: the widest.
    """

    def __init__(self, upper: np.ndarray, lower: np.ndarray, eyes: float, shape: tuple, room: float = 0.0):
        left, right = upper[0], upper[-1]
        wide = max(float(np.linalg.norm(right - left)), 1e-3)
        axis = (right - left) / wide
        self.down = np.array([-axis[1], axis[0]])
        edges = [(edge - left) @ np.stack([axis, self.down], 1) for edge in (upper, lower)]
        points, room = np.concatenate([upper, lower]), room * eyes
        low, high = np.floor(points.min(0) - 2 - room).astype(int), np.ceil(points.max(0) + 3 + room).astype(int)
        (x0, y0), (x1, y1) = np.clip(low, 0, shape[1::-1]), np.clip(high, 0, shape[1::-1])
        self.rows, self.columns = slice(y0, y1), slice(x0, x1)
        self.x, self.y = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
        at = np.stack([self.x, self.y], -1) - left
        u, v = at @ axis, at @ self.down
        upper, lower = (_curve(u, edge) for edge in edges)
        self.across = np.clip(2 * u / wide - 1, -1.5, 1.5)
        self.below, self.above = (v - upper) / eyes, (lower - v) / eyes
        self.under = (v - edges[0][1:-1, 1].mean()) / eyes
        self.gap = float((edges[1] - edges[0])[1:-1, 1].max()) / eyes

    def within(self, more: float = 0.0) -> np.ndarray:
        """How much of each pixel lies between the edges, `more` distances between the eyes beyond them: [h, w]."""
        inside = np.minimum(self.below, self.above) + more
        return smoothstep(-EDGE, EDGE, inside) * (np.abs(self.across) < 1)


def _curve(u: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Height at u of the smooth curve through points [K, 2] from left to right, level beyond them."""
    last = len(points) - 1
    # In profile the points of an edge may overlap; the curve needs an x that rises.
    x, y = np.maximum.accumulate(points[:, 0]) + 1e-3 * np.arange(last + 1), points[:, 1]
    slope = np.gradient(y, x)
    k = np.clip(np.searchsorted(x, u, 'right') - 1, 0, last - 1)
    step = x[k + 1] - x[k]
    t = np.clip((u - x[k]) / step, 0, 1)
    a, b, c, d = y[k], slope[k] * step, y[k + 1], slope[k + 1] * step
    return (2 * t**3 - 3 * t**2 + 1) * a + (t**3 - 2 * t**2 + t) * b + (3 * t**2 - 2 * t**3) * c + (t**3 - t**2) * d


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between; falls where high < low."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def paint(picture: np.ndarray, inside: Opening, colour: np.ndarray, alpha: np.ndarray) -> None:
    """Lays colours [h, w, 3] in 0..255 over a picture uint8 [H, W, 3], in place, as far as alpha [h, w] says."""
    under = picture[inside.rows, inside.columns]
    under[...] = np.rint(under + alpha[..., None] * (colour - under)).astype(np.uint8)

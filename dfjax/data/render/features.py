"""Eyes, brows and mouth as curves in the (x, y) of the head, and the 68 landmarks on them.

Painters and landmarks read the same curves, so a landmark lies where the feature is seen. Eyes and brows are given
for the eye at the right of the picture (x > 0); the other one is the mirror image.
"""

from dataclasses import dataclass

import numpy as np

from dfjax.data.render.parameters import Params
from dfjax.data.render.surface import Array, jaw_turn, look_up, nose_bottom, smoothstep, turn_down


@dataclass(frozen=True)
class Eye:
    """An eye: its middle, half width, the lids' height over the line of its corners, tilt (rise to the outside)."""

    x: float
    y: float
    half: float
    upper: float
    lower: float
    rest: float  # height of the upper lid of the open eye
    tilt: float
    shut: float

    def lids(self, s: Array) -> tuple[Array, Array]:
        """Heights above `y` of both lids at s in [-1, 1], inner to outer corner."""
        arc = np.maximum(1 - np.abs(s) ** 2.2, 0)
        line = self.tilt * s
        low = line - self.lower * arc
        return low + (self.upper + self.lower) * arc * (1 - 0.12 * s), low


def eyes(i: Params, m: Params) -> tuple[Eye, Eye]:
    """Left and right of the picture."""
    man = i['masculine'] - 0.5
    half = 0.142 + 0.019 * i['eye_size']
    rest = 0.062 + 0.018 * i['eye_open'] + 0.010 * i['eye_size'] - 0.008 * man - 0.008 * i['age']
    rest *= 1 + 0.35 * max(m['brow_raise'], 0) - 0.05 * m['gaze_y'] * -2
    low = 0.045 * (1 - 0.45 * np.maximum(m['squint'], 0.8 * max(m['smile'], 0)))
    tilt = 0.012 + 0.026 * i['eye_tilt'] - 0.006 * i['age']
    out = []
    for wink in (max(-m['wink'], 0), max(m['wink'], 0)):
        shut = 1 - (1 - m['blink']) * (1 - wink)
        open_ = 1 - 0.3 * m['squint'] - 0.15 * max(m['smile'], 0)
        upper = rest * open_ * (1 - shut) - 0.75 * low * shut
        lower = low * (1 - 0.25 * shut)
        out.append(Eye(0.32 + 0.034 * i['eye_gap'], 0.12, half, upper, lower, rest, tilt, shut))
    return out[0], out[1]


@dataclass(frozen=True)
class Brow:
    """A brow: the heights of its inner end, arch and outer end; half thickness."""

    inner: tuple[float, float]
    arch: tuple[float, float]
    outer: tuple[float, float]
    thick: float

    def height(self, x: Array) -> Array:
        """The middle line: a parabola through the three points."""
        (x0, y0), (x1, y1), (x2, y2) = self.inner, self.arch, self.outer
        a = (x - x1) * (x - x2) / ((x0 - x1) * (x0 - x2))
        b = (x - x0) * (x - x2) / ((x1 - x0) * (x1 - x2))
        c = (x - x0) * (x - x1) / ((x2 - x0) * (x2 - x1))
        return a * y0 + b * y1 + c * y2


def brow(i: Params, m: Params) -> Brow:
    man = i['masculine'] - 0.5
    y = 0.292 + 0.035 * i['brow_height'] - 0.045 * man + 0.085 * m['brow_raise']
    frown, tilt = m['brow_frown'], 0.035 * i['brow_tilt']
    arch = 0.05 + 0.03 * i['brow_arch'] - 0.035 * man
    gap = 0.034 * i['eye_gap']
    return Brow(
        (0.115 + gap - 0.02 * frown, y - tilt - 0.05 * frown),
        (0.40 + gap, y + arch - 0.015 * frown),
        (0.575 + gap, y + tilt - 0.01),
        0.032 + 0.015 * i['brow_thick'] + 0.018 * man,
    )


@dataclass(frozen=True)
class Mouth:
    """A mouth: middle, half width, height of the corners, gap of the lips above and below, thickness of the lips."""

    y: float
    half: float
    corner: float
    up: float
    down: float
    upper: float
    lower: float
    bow: float

    def lips(self, s: Array) -> tuple[Array, Array, Array, Array]:
        """Heights at s in [-1, 1] of: upper lip above, upper below, lower above, lower below."""
        q = np.minimum(s * s, 1)
        line = self.y + self.corner * q * (0.5 + 0.5 * q)
        arc = 1 - q
        top, bottom = line + self.up * arc**0.7, line - self.down * arc**0.6
        bow = 1 - self.bow * np.exp(-((s / 0.17) ** 2)) + 0.25 * self.bow * np.exp(-(((np.abs(s) - 0.25) / 0.15) ** 2))
        return top + self.upper * bow * arc**0.85, top, bottom, bottom - self.lower * arc**0.75


def mouth_height(i: Params) -> float:
    """Height of the line between the lips."""
    return -0.59 - 0.03 * i['mouth_height'] - 0.035 * i['length']


def mouth(i: Params, m: Params) -> Mouth:
    man, smile, pucker = i['masculine'] - 0.5, m['smile'], m['pucker']
    glad, opened = max(smile, 0.0), m['open']
    half = (0.245 + 0.036 * i['mouth_width'] + 0.01 * man) * (1 + 0.24 * smile - 0.3 * pucker) * (1 - 0.14 * opened)
    parted = 0.05 * max(glad - 0.35, 0) * (1 - pucker)
    thin = (1 - 0.22 * glad) * (1 + 0.25 * pucker) * (1 - 0.2 * i['age'])
    return Mouth(
        y=mouth_height(i),
        half=half,
        corner=0.075 * smile - 0.008 - 0.05 * opened,
        up=0.035 * opened + 0.6 * parted,
        down=0.20 * opened + parted,
        upper=(0.05 + 0.024 * i['lip_upper'] - 0.012 * man) * thin,
        lower=(0.08 + 0.028 * i['lip_lower'] - 0.014 * man) * thin * (1 - 0.1 * opened),
        bow=0.1 + 0.6 * i['lip_bow'],
    )


def _on_curves(i: Params, m: Params) -> Array:
    """Landmarks 17 to 67, (x, y) in the head [51, 2]."""
    b, nose_low = brow(i, m), nose_bottom(i)
    bx = np.linspace(b.outer[0], b.inner[0], 5)
    right_brow = np.stack([bx, b.height(bx) + 0.3 * b.thick], 1)  # on the upper half, as annotators do
    bridge = np.stack([np.zeros(4), np.linspace(0.135, nose_low + 0.09 + 0.02 * i['nose_tip'], 4)], 1)
    wing = 0.14 * (1 + 0.32 * i['nose_width'] + 0.14 * (i['masculine'] - 0.5))
    base = np.array([[-wing, 0.025], [-0.5 * wing, -0.01], [0, -0.025], [0.5 * wing, -0.01], [wing, 0.025]])
    base[:, 1] += nose_low
    rings, s = [], np.array([0.92, 0.36, -0.36, -0.96, -0.36, 0.36])
    for eye, mirror in zip(eyes(i, m), (-1, 1)):
        up, low = eye.lids(s)
        y = eye.y + np.where(np.arange(6) < 4, up, low)
        ring = np.stack([mirror * (eye.x + eye.half * s), y], 1)
        rings.append(ring if mirror < 0 else ring[[3, 2, 1, 0, 5, 4]])
    lips = mouth(i, m)
    s = np.array([-1, -0.62, -0.24, 0, 0.24, 0.62, 1])
    outer_top, _, _, outer_low = (np.stack([s * lips.half, y], 1) for y in lips.lips(s))
    t = np.array([-0.82, -0.3, 0, 0.3, 0.82])
    _, top, low, _ = (np.stack([t * lips.half, y], 1) for y in lips.lips(t))
    mirrored = right_brow * [-1, 1]
    return np.concatenate([
        mirrored, right_brow[::-1], bridge, base, *rings, outer_top, outer_low[5:0:-1], top, low[3:0:-1],
    ])  # fmt: skip


def jaw_line(steps: int = 181) -> Array:
    """Unit directions [3, steps] at rest along the edge of the jaw, from ear to chin to ear."""
    a = np.radians(np.linspace(-90, 90, steps))
    c = np.cos(a)
    d = np.stack([np.sin(a), 0.22 - 1.0 * c**0.9, 0.16 + 0.46 * c**2.2])
    return (d / np.linalg.norm(d, axis=0)).astype(np.float32)


def _jaw(r_rest: Array, opened: float) -> Array:
    """Landmarks 0 to 16 [17, 3]: at nearly equal steps along the edge of the jaw, turned with it."""
    d = jaw_line()[:, None]  # [3, 1, n]
    p = (d * look_up(r_rest, d))[:, 0]
    way = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(p[:2])))])
    u = np.linspace(-1, 1, 17)
    u = 0.5 + 0.5 * u * (1 - 0.07 * (1 - u * u))  # a little closer together at the chin
    at = np.interp(u * way[-1], way, np.arange(len(way)))
    d = np.stack([np.interp(at, np.arange(len(way)), row) for row in d[:, 0]]).astype(np.float32)[:, None]
    d = d / np.linalg.norm(d, axis=0)
    return (turn_down(d, jaw_turn(d, opened)) * look_up(r_rest, d))[:, 0].T


def landmarks(i: Params, m: Params, r: Array, r_rest: Array) -> Array:
    """The 68 points [68, 3] on the surface, in the order of iBUG 300-W.

    Args:
        i, m: identity and motion, scalars.
        r: [MAP, MAP] the surface now, hair left out.
        r_rest: [MAP, MAP] the surface at rest.
    """
    xy = _on_curves(i, m).astype(np.float32).T[:, None]  # [2, 1, 51]
    z = np.full_like(xy[0], 0.95)
    for _ in range(12):  # |(x, y, z)| = R(direction)
        p = np.stack([xy[0], xy[1], z])
        n = np.linalg.norm(p, axis=0)
        reach = look_up(r, p / n)
        z = 0.3 * z + 0.7 * np.sqrt(np.maximum(reach**2 - xy[0] ** 2 - xy[1] ** 2, 0.01))
    on = np.stack([xy[0], xy[1], z])[:, 0].T
    return np.concatenate([_jaw(r_rest, m['open']), on]).astype(np.float32)


def lip_relief(lips: Mouth, x: Array, y: Array) -> Array:
    """How far the lips stand out at (x, y), and how far the open mouth goes in; 0 away from them."""
    s = np.clip(x / lips.half, -1, 1)
    a, b, c, e = lips.lips(s)
    up = np.clip((y - b) / np.maximum(a - b, 1e-3), -1, 2)
    low = np.clip((c - y) / np.maximum(c - e, 1e-3), -1, 2)
    side = smoothstep(1.1, 0.55, np.abs(x) / lips.half)
    roll_up = np.exp(-(((up - 0.4) / 0.5) ** 2)) * 0.05
    roll_low = np.exp(-(((low - 0.45) / 0.5) ** 2)) * 0.055
    inside = smoothstep(0, 0.02, np.minimum(b - y, y - c))
    return side * (roll_up + roll_low) * (1 - inside) - 0.02 * inside

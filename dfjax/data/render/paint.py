"""Paints what moves: eyes, brows and mouth, at the very points that the picture's rays meet.

Each painter takes the (x, y) of the head at a window of pixels and blends into the window's paint in place.
"""

from dataclasses import dataclass

import numpy as np

from dfjax.data.render.features import Brow, Eye, Mouth
from dfjax.data.render.hair import hair_colour
from dfjax.data.render.noise import noise
from dfjax.data.render.parameters import Params
from dfjax.data.render.skin import tone
from dfjax.data.render.surface import Array, smoothstep

IRIS = np.array([  # linear RGB: brown, hazel, green, blue, grey
    [0.085, 0.032, 0.012], [0.17, 0.085, 0.028], [0.15, 0.17, 0.07], [0.10, 0.19, 0.32], [0.22, 0.27, 0.30],
], np.float32)  # fmt: skip


@dataclass
class Paint:
    """A window of the picture: linear colour [h, w, 3], gloss [h, w], sparkle [h, w] (added light)."""

    colour: Array
    gloss: Array
    sparkle: Array

    def window(self, rows: slice, columns: slice) -> 'Paint':
        return Paint(self.colour[rows, columns], self.gloss[rows, columns], self.sparkle[rows, columns])

    def over(self, colour: Array, alpha: Array, gloss: float | Array | None = None) -> None:
        """Blends a colour, and a gloss, in place."""
        self.colour += (colour - self.colour) * alpha[..., None]
        if gloss is not None:
            self.gloss += (gloss - self.gloss) * alpha

    def darken(self, amount: Array, tint: tuple[float, float, float] = (0.8, 1.0, 1.0)) -> None:
        self.colour *= 1 - np.clip(amount, 0, 1)[..., None] * np.array(tint, np.float32)


def _line(distance: Array, half: Array | float, pixel: float) -> Array:
    """Coverage of a stroke, antialiased over a pixel and no thinner than one."""
    blur = 0.7 * pixel
    return np.clip((half + blur - np.abs(distance)) / (2 * blur), 0, 1) * np.minimum(2 * half / pixel, 1) ** 0.5


def paint_eye(
    paint: Paint, eye: Eye, i: Params, m: Params, side: int, x: Array, y: Array, light: Array, pixel: float
) -> None:
    """An eye with its lids and lashes. `side` is -1 at the left of the picture, 1 at the right; x, y [h, w]."""
    lx, ly = x * side - eye.x, y - eye.y
    s = np.clip(lx / eye.half, -1.3, 1.3)
    up, low = eye.lids(np.clip(s, -1, 1))
    age, man = i['age'], i['masculine']
    # the fold of the upper lid, and the shade above the eye
    arc = np.clip(1 - (np.abs(s) / 1.12) ** 2.2, 0, 1)
    crease = ly - (eye.tilt * s + (eye.rest * 0.9 + 0.05 - 0.008 * man) * arc**0.8 - 0.012 - 0.02 * eye.shut)
    paint.darken(0.34 * np.exp(-((crease / 0.013) ** 2)) * arc**0.5)
    lid = np.clip((ly - up) / 0.05, 0, 1) * smoothstep(0.01, -0.01, crease) * arc
    paint.darken(lid * (0.06 + 0.22 * i['lashes'] * (1 - man)), (0.8, 1.0, 0.9))
    paint.darken((0.12 + 0.1 * age) * np.exp(-(((ly - low + 0.035) / 0.02) ** 2)) * arc)
    inside = np.clip(np.minimum(up - ly, ly - low) / pixel + 0.5, 0, 1) * (np.abs(s) < 1)
    _eyeball(paint, eye, i, m, side, lx, ly, up, low, inside, light, pixel)
    # the wet edge of the lower lid, then lashes
    paint.over(
        tone(i) * np.array([1.05, 0.75, 0.7], np.float32), 0.6 * _line(ly - low + 0.004, 0.006, pixel) * arc, 1.5
    )
    reach = np.clip(1.08 - np.abs(s - 0.06), 0, 0.1) * 10
    thick = (0.010 + 0.008 * i['lashes'] * (1.15 - man)) * (0.7 + 0.45 * s) * (np.abs(s) < 1.14)
    wing = np.where(s > 0.95, eye.tilt * s + 0.1 * (s - 0.95) * i['lashes'], up)
    paint.over(
        np.array([0.012, 0.009, 0.008], np.float32),
        0.9 * _line(ly - wing - 0.4 * thick, np.maximum(thick, 1e-3), pixel) * reach,
        0.3,
    )
    paint.darken(0.35 * _line(ly - low + 0.008, 0.004, pixel) * reach * (s > -0.5), (1, 1, 1))


def _eyeball(
    paint: Paint, eye: Eye, i: Params, m: Params, side: int, lx: Array, ly: Array, up: Array, low: Array,
    inside: Array, light: Array, pixel: float,
) -> None:  # fmt: skip
    gx, gy = side * 0.07 * m['gaze_x'], 0.012 + 0.04 * m['gaze_y']
    dx, dy = lx - gx, ly - gy
    rho = np.sqrt(dx * dx + dy * dy)
    white = np.array([0.70, 0.655, 0.62], np.float32) * (1 - 0.10 * i['age'])
    corner = np.minimum(np.abs(lx / eye.half) ** 3, 1)
    shade = (0.42 + 0.58 * smoothstep(-0.005, 0.05, up - ly)) * np.maximum(1 - 0.35 * corner, 0.2)
    shade *= 0.8 + 0.2 * smoothstep(0, 0.02, ly - low)
    pink = np.array([0.62, 0.30, 0.25], np.float32)
    ball = white + (pink - white) * (smoothstep(-0.72, -1.0, lx / eye.half) * 0.85 + 0.12 * corner)[..., None]
    paint.over(ball * shade[..., None], inside, 0.6)
    radius, pupil = 0.061, 0.024
    t = float(i['eye_hue']) ** 1.3 * 3.999
    hue = IRIS[int(t)] + (IRIS[int(t) + 1] - IRIS[int(t)]) * (t - int(t))
    streak = noise(np.arctan2(dy, dx) * 0.25 + 2, rho * 0.3, 0.02, float(i['eye_hue']))
    glow = 0.75 + 0.18 * streak + 0.9 * np.clip(-dy / radius, -0.5, 1) * 0.5
    ring = smoothstep(radius * 0.72, radius, rho)
    iris = hue * (np.clip(glow, 0.2, 2) * (1 - 0.72 * ring))[..., None]
    iris = iris * (shade[..., None] ** 1.2)
    over = np.clip((radius - rho) / (1.4 * pixel) + 0.5, 0, 1)
    paint.over(iris, inside * over, 0.4)
    paint.over(
        np.array([0.006, 0.005, 0.005], np.float32), inside * np.clip((pupil - rho) / (1.2 * pixel) + 0.5, 0, 1), 0.2
    )
    # the window in the eye: the light mirrored by the cornea
    hx, hy = gx + 0.034 * side * light[0], gy + 0.036 * max(light[1], 0.1)
    spot = np.sqrt(((lx - hx) / 0.014) ** 2 + ((ly - hy) / 0.016) ** 2)
    paint.sparkle += 0.85 * inside * smoothstep(1.25, 0.6, spot) * smoothstep(0, 0.012, up - ly)
    tear = np.exp(-(((ly - low - 0.004) / 0.005) ** 2)) * (1 - np.abs(lx / eye.half))
    paint.sparkle += 0.06 * inside * np.clip(tear, 0, 1)


def paint_brow(paint: Paint, brow: Brow, i: Params, side: int, x: Array, y: Array, pixel: float) -> None:
    """A brow of hairs, thinner to the outside."""
    lx = (x * side).astype(np.float32)
    t = (lx - brow.inner[0]) / (brow.outer[0] - brow.inner[0])
    middle = brow.height(lx)
    half = brow.thick * np.clip(1.05 - 0.62 * np.clip(t, 0, 1) ** 1.6, 0.1, 1) * smoothstep(-0.10, 0.12, t)
    ends = smoothstep(-0.06, 0.16, t) * smoothstep(1.06, 0.8, t)
    hairs = noise(lx * 0.9 - (y - middle) * 0.6, y * 0.3 + lx * 0.1, 0.012, 8.0)
    edge = half * (1 + 0.22 * hairs) - np.abs(y - middle)
    soft = np.maximum(0.45 * half, pixel)
    cover = np.clip(edge / soft + 0.35, 0, 1) * ends * np.clip(0.80 + 0.16 * hairs, 0, 1)
    colour = hair_colour(i | {'hair_grey': i['hair_grey'] * 0.5}) * (0.6 - 0.35 * i['brow_dark'])
    paint.over(colour, np.clip(cover * (0.82 + 0.18 * i['brow_dark']), 0, 1), 0.3)


def paint_mouth(paint: Paint, lips: Mouth, i: Params, m: Params, x: Array, y: Array, view: Array, pixel: float) -> None:
    """Lips, and behind them teeth, tongue and the dark. view [3, h, w]: ray directions, for the depth behind."""
    s = x / lips.half
    q = np.clip(s, -1, 1).astype(np.float32)
    a, b, c, e = lips.lips(q)
    within = smoothstep(1.06, 0.97, np.abs(s))
    soft = 1.6 * pixel + 0.006
    outer = np.clip(np.minimum(a - y, y - e) / soft + 0.5, 0, 1) * within
    hole = np.clip(np.minimum(b - y, y - c) / pixel + 0.5, 0, 1) * (np.abs(s) < 1)
    skin = tone(i)
    red = np.array([0.92, 0.52, 0.50], np.float32) + i['lip_red'] * (1 - 0.8 * i['masculine']) * np.array(
        [0.05, -0.30, -0.24], np.float32
    )
    lines = noise(q * 0.9, y * 0.25, 0.02, 4.0)
    upper = y > 0.5 * (b + c)
    colour = skin * red * ((1 + 0.05 * lines) * np.where(upper, 0.82, 0.97))[..., None]
    gloss = (0.9 + 1.3 * i['lip_red'] * (1 - i['masculine']) + 0.2 * lines) * np.where(upper, 0.6, 1.0)
    paint.over(colour, outer * 0.9, gloss)
    seam = np.exp(-((np.minimum(np.abs(y - b), np.abs(y - c)) / (0.010 + 0.4 * pixel)) ** 2)) * smoothstep(
        1.1, 0.9, np.abs(s)
    )
    paint.darken(0.62 * seam * (1 - hole), (0.85, 1, 1))
    paint.darken(0.35 * np.exp(-(((np.abs(s) - 1.02) / 0.09) ** 2 + ((y - lips.y - lips.corner) / 0.03) ** 2)))
    paint.darken(0.10 * np.exp(-(((y - e + 0.04) / 0.03) ** 2)) * smoothstep(0.9, 0.3, np.abs(s)))
    if hole.max() > 0:
        _inside(paint, lips, i, m, x, y, view, b, c, hole, pixel)


def _inside(
    paint: Paint, lips: Mouth, i: Params, m: Params, x: Array, y: Array, view: Array, top: Array, bottom: Array,
    hole: Array, pixel: float,
) -> None:  # fmt: skip
    slope_x, slope_y = view[0] / view[2], view[1] / view[2]
    tx, ty = x - 0.09 * slope_x, y - 0.09 * slope_y  # at the depth of the teeth
    fx, fy = x - 0.3 * slope_x, y - 0.3 * slope_y  # the tongue's surface
    paint.over(np.array([0.035, 0.008, 0.007], np.float32), hole, 0.0)
    drop = 0.17 * m['open']
    tongue = smoothstep(1.0, 0.75, np.hypot(fx / 0.19, (fy - lips.y + drop + 0.09) / (0.10 + 0.03 * m['open'])))
    groove = 1 - 0.25 * np.exp(-((fx / 0.02) ** 2))
    flesh = np.array([0.30, 0.085, 0.075], np.float32)
    paint.over(flesh * (groove * smoothstep(-0.22, 0.0, fy - top + 0.02))[..., None] * 0.9, hole * tongue, 0.5)
    ivory = np.array([0.66, 0.60, 0.50], np.float32) * (1 - 0.12 * i['age'])
    for edge, grows, width, high in ((-0.045, 1, 0.062, 0.105), (-0.065 - drop, -1, 0.045, 0.08)):
        bend = 0.5 * tx * tx
        line = lips.y + edge + bend * (1 if grows > 0 else 0.5)
        k = np.abs(tx) / width
        round_ = 0.010 * np.cos(np.pi * 2 * (tx / width)) * 0.6
        depth = (ty - line) * grows
        cover = np.clip((depth + round_) / (1.5 * pixel) + 0.5, 0, 1) * np.clip((high - depth) / 0.02, 0, 1)
        cover = cover * smoothstep(0.25, 0.2, np.abs(tx))
        gap = np.exp(-(((np.abs((tx / width) % 1 - 0.5) - 0.5) / 0.05) ** 2))
        side = 1 - 0.09 * k
        shade = np.clip(side, 0.15, 1) * (1 - 0.28 * gap) * (0.35 + 0.65 * smoothstep(-0.005, 0.05, top - y))
        shade = shade * (1.0 if grows > 0 else 0.7)
        paint.over(ivory * shade[..., None], hole * cover, 0.7)

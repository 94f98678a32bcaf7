"""The surface of the head: the distance R(u, v) from the middle of the head to the skin, over all directions.

Units are decimetres; x to the right of the picture, y up, z to the viewer; the origin lies between the ears. A unit
direction d has map coordinates (u, v) = (d_x, d_y) / (1.5 + d_z): nearly equidistant from the front to 130 degrees,
and free of trigonometry. A map is a square picture over |u|, |v| <= EXTENT.
"""

from functools import lru_cache

import cv2
import numpy as np

from dfjax.data.render.parameters import Params

EXTENT = 0.9
MAP = 224  # pixels of a geometry map

Array = np.ndarray


def map_coordinates(d: Array, size: int = MAP) -> tuple[Array, Array]:
    """Map pixels of unit directions [3, ...]."""
    k = (size - 1) / (2 * EXTENT)
    w = k / (d[2] + 1.5)
    return d[0] * w + (size - 1) / 2, d[1] * w + (size - 1) / 2


@lru_cache(8)
def directions(size: int = MAP) -> Array:
    """Unit directions [3, size, size] of the pixels of a map. Beyond what can be seen they stop at 131 degrees."""
    i = np.linspace(-EXTENT, EXTENT, size, dtype=np.float32)
    u, v = np.meshgrid(i, i)
    # solve |u|^2 (1.5 + z)^2 = 1 - z^2 for z
    q = np.minimum(u * u + v * v, 0.799)
    z = (-1.5 * q + np.sqrt(np.maximum(1 - 1.25 * q, 0))) / (1 + q)
    d = np.stack([u * (1.5 + z), v * (1.5 + z), z])
    return (d / np.linalg.norm(d, axis=0)).astype(np.float32)


def look_up(image: Array, d: Array) -> Array:
    """A map [M, M(, C)] at unit directions [3, h, w]: bilinear."""
    x, y = map_coordinates(d, image.shape[0])
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def bump(x: Array, y: Array, at: tuple[float, float], sigma: tuple[float, float]) -> Array:
    """A gaussian hill of height 1."""
    return np.exp(-0.5 * (((x - at[0]) / sigma[0]) ** 2 + ((y - at[1]) / sigma[1]) ** 2))


def smoothstep(low: float, high: float, x: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between; falls when high < low."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _outlines(i: Params) -> tuple[Array, Array, Array]:
    """Heights [200] and, at each, the half width of the head and how far it reaches forward."""
    man = i['build'] - 0.5
    wide = 1 + 0.065 * i['width']
    jaw = 0.085 * i['jaw'] + 0.085 * man
    # frontal outline: angle from the x axis, radius
    angle = np.radians([90, 70, 50, 30, 12, 0, -18, -36, -52, -63, -73, -81, -90])
    radius = np.array([1.22, 1.2, 1.1, 0.91, 0.79, 0.755, 0.755, 0.80, 0.912, 1.01, 1.075, 1.098, 1.1])
    radius[6:10] += np.array([0.25, 0.6, 1.0, 0.7]) * jaw + np.array([0.5, 0.9, 0.5, 0.2]) * 0.05 * i['cheeks']
    radius[9:12] += np.array([0.4, 1.0, 0.7]) * 0.04 * (i['chin'] + man)
    t = np.linspace(angle[0], angle[-1], 400)
    r = _spline(-angle, radius, -t)
    x, y = r * np.cos(t) * wide, r * np.sin(t)
    stretch = np.where(y < 0, 1 + 0.07 * i['length'] + 0.04 * man, 1)
    y *= stretch
    height = np.linspace(y[-1], y[0], 200)
    width = np.interp(height, y[::-1], x[::-1])
    # profile: height, reach
    py = np.array([1.22, 1.2, 1.1, 0.92, 0.7, 0.45, 0.2, 0.0, -0.25, -0.5, -0.7, -0.88, -1.0, -1.07, -1.1])
    pz = np.array([0.0, 0.22, 0.48, 0.71, 0.855, 0.92, 0.925, 0.92, 0.925, 0.92, 0.90, 0.885, 0.86, 0.8, 0.68])
    py = np.where(py < 0, py * (1 + 0.07 * i['length'] + 0.04 * man), py)
    reach = np.interp(height, py[::-1], pz[::-1])
    reach = cv2.GaussianBlur(reach.astype(np.float32)[None], (0, 0), 4, borderType=cv2.BORDER_REPLICATE)[0]
    return height.astype(np.float32), np.maximum(width, 0.05).astype(np.float32), np.maximum(reach, 0.05)


def _spline(x: Array, y: Array, at: Array) -> Array:
    """Catmull-Rom through (x, y)."""
    slope = np.gradient(y, x)
    k = np.clip(np.searchsorted(x, at, 'right') - 1, 0, len(x) - 2)
    h = x[k + 1] - x[k]
    t = (at - x[k]) / h
    a, b = y[k], y[k + 1]
    return (
        a * (1 + 2 * t) * (1 - t) ** 2
        + b * t * t * (3 - 2 * t)
        + h * t * (1 - t) * ((1 - t) * slope[k] - t * slope[k + 1])
    )


def relief(i: Params, x: Array, y: Array) -> Array:
    """How far the face stands out in z at (x, y), beyond the smooth head: brow, sockets, cheeks, nose, chin.

    Lips are not here: they move, see `mouth`.
    """
    man, ax = i['masculine'] - 0.5, np.abs(x)
    eye = 0.32 + 0.034 * i['eye_gap']
    out = (0.035 + 0.045 * man) * bump(ax, y, (0.26, 0.305), (0.2, 0.075))  # brow ridge
    out -= (0.122 + 0.028 * i['eye_depth']) * bump(ax, y, (eye - 0.07, 0.135), (0.15, 0.115))  # socket
    out += 0.045 * bump(ax, y, (eye, 0.11), (0.105, 0.085))  # eyeball
    out += (0.03 + 0.03 * i['cheeks']) * bump(ax, y, (0.42, -0.16), (0.15, 0.13))  # cheek
    out -= (0.03 - 0.03 * i['cheeks'] + 0.015 * i['age']) * bump(ax, y, (0.42, -0.52), (0.13, 0.16))
    out -= 0.05 * bump(ax, y, (0, -0.84), (0.26, 0.055))  # under the lower lip
    out += (0.035 + 0.02 * man) * bump(ax, y, (0, -0.99), (0.2 + 0.04 * i['chin'], 0.13))  # chin
    out += 0.05 * bump(ax, y, (0, -0.6), (0.22, 0.16))  # the teeth carry the mouth
    out += 0.02 * bump(ax, y, (0.26, 0.68), (0.2, 0.16))  # forehead
    return out + _nose(i, ax, y)


def nose_bottom(i: Params) -> float:
    """Height of the underside of the nose."""
    return -0.382 - 0.065 * i['nose_length']


def _nose(i: Params, ax: Array, y: Array) -> Array:
    man = i['masculine'] - 0.5
    bottom = nose_bottom(i)
    tip = bottom + 0.085 + 0.02 * i['nose_tip']
    high = 0.245 + 0.06 * i['nose_height'] + 0.03 * man
    wide = 1 + 0.32 * i['nose_width'] + 0.14 * man
    t = np.clip((0.16 - y) / (0.16 - tip), 0, 1.4)  # 0 at the root, 1 at the tip
    ridge = 0.035 + (high - 0.085) * np.minimum(t, 1) ** 1.25
    ridge += (0.04 * i['nose_bridge'] + 0.01 * man) * np.exp(-(((t - 0.45) / 0.22) ** 2))
    side = (0.06 + 0.035 * np.minimum(t, 1)) * (1 + 0.5 * (wide - 1))
    below = smoothstep(bottom - 0.045, bottom + 0.035, y)
    out = ridge * np.exp(-0.5 * (ax / side) ** 2) * below * smoothstep(0.24, 0.06, y)
    out += 0.055 * bump(ax, y, (0, tip + 0.0), (0.065 * wide, 0.06)) * below  # ball
    wing = (0.118 * wide, bottom + 0.06)
    out += 0.1 * bump(ax, y, wing, (0.04, 0.046)) * below
    out -= 0.03 * bump(ax, y, (wing[0] + 0.07, wing[1] + 0.02), (0.028, 0.06))  # crease beside the wing
    return out


def skull(i: Params) -> Array:
    """R [MAP, MAP] of the face at rest, lips left out: where each direction meets the skin."""
    d = directions()
    height, width, reach = _outlines(i)
    low, high = float(height[0]), float(height[-1])
    outline = np.stack([width, reach], -1).astype(np.float32)[:, None]  # [200, 1, 2]
    gx, gy = np.meshgrid(np.linspace(-1, 1, 161, dtype=np.float32), np.linspace(-1.3, 1.3, 209, dtype=np.float32))
    raised = relief(i, gx, gy).astype(np.float32)
    none = np.zeros_like(d[0])

    def outside(r: Array) -> Array:
        x, y, z = d * r
        at = cv2.remap(
            outline, none, (y - low) * (199 / (high - low)), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        bump_z = cv2.remap(raised, x * 80 + 80, y * 80 + 104, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        back = 0.93 * np.sqrt(np.clip(1 - (y * 0.8) ** 2, 0.02, 1))
        zz = np.where(z > 0, np.maximum(z - bump_z * smoothstep(0.0, 0.4, z), 0) / at[..., 1], z / back)
        a, b = np.minimum(np.square(x / at[..., 0]), 4), np.minimum(np.square(zz), 4)
        under = low + 0.52 * smoothstep(0.85, -0.1, z)  # the jaw rises from the chin to the ears
        return (a + b - 0.28 * a * b > 1) | (y < under) | (y > high)

    inner, outer = np.full_like(d[0], 0.25), np.full_like(d[0], 1.7)
    for _ in range(13):
        middle = 0.5 * (inner + outer)
        out = outside(middle)
        inner, outer = np.where(out, inner, middle), np.where(out, middle, outer)
    return cv2.GaussianBlur(0.5 * (inner + outer), (0, 0), 1.3)


def jaw_turn(d: Array, opened: float) -> Array:
    """The angle by which an open mouth turns the skin at rest in direction d down about the axis of the ears."""
    fall = smoothstep(-0.40, -0.64, d[1])
    front = smoothstep(-0.15, 0.5, d[2])
    return (0.2 * opened) * fall * front


def turn_down(d: Array, angle: Array) -> Array:
    """Directions d [3, ...] turned about the x axis, downwards for angles above 0."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([d[0], d[1] * c - d[2] * s, d[2] * c + d[1] * s])


def at_rest(opened: float) -> Array:
    """The directions at rest [3, MAP, MAP] of the skin that an open mouth brings to each pixel of a map."""
    d = directions(65)
    angle = jaw_turn(d, opened)
    for _ in range(6):  # half steps: the turn is steep below the mouth
        angle = 0.5 * (angle + jaw_turn(turn_down(d, -angle), opened))
    full = directions()
    return turn_down(full, -look_up(angle, full))

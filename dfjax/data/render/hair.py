"""Hair: a second surface R(u, v) over the skull, with a hair line, a parting, a fringe, sides that may hang down."""

import numpy as np

from dfjax.data.render.noise import noise
from dfjax.data.render.parameters import Params
from dfjax.data.render.surface import MAP, Array, directions, look_up, smoothstep

MAP_HAIR = 448


def hair_colour(i: Params) -> Array:
    """Linear RGB."""
    fair, brown, black = (
        np.array([0.52, 0.33, 0.14], np.float32),
        np.array([0.13, 0.065, 0.03], np.float32),
        np.array([0.016, 0.012, 0.011], np.float32),
    )
    t = i['hair_dark']
    out = fair + (brown - fair) * min(t / 0.6, 1) if t < 0.6 else brown + (black - brown) * (t - 0.6) / 0.4
    out = out + (np.array([0.32, 0.075, 0.02], np.float32) - out) * i['hair_red'] * (1 - 0.8 * t) * 0.8
    return out + (np.array([0.42, 0.41, 0.40], np.float32) - out) * i['hair_grey'] * 0.85


def baldness(i: Params) -> float:
    """0 to 1: the parameter, on masculine faces only."""
    return float(i['bald'] * np.clip((i['build'] - 0.45) * 8, 0, 1))


def long_hair(i: Params) -> float:
    """0 cropped to 1 below the shoulders. Masculine and bald heads wear it shorter."""
    return float(i['hair_length'] * (1 - 0.6 * smoothstep(0.45, 0.6, i['build'])) * (1 - baldness(i)))


def _field(i: Params, x: Array, y: Array, z: Array) -> Array:
    """Signed: above 0 inside the hair line, about its distance in decimetres."""
    bald, ax, length = baldness(i), np.abs(x), long_hair(i)
    line = 0.775 + 0.09 * i['forehead'] + 0.02 * i['build'] + 0.3 * bald + 0.7 * float(smoothstep(0.35, 0.75, bald))
    front = line - 0.55 * np.maximum(ax - 0.22, 0) ** 1.5 + 0.1 * bump_at(ax, 0.4, 0.1) * (i['build'] + 2 * bald)
    fringe = i['fringe'] * (1 - bald)
    low = line + (0.47 - line) * fringe + 0.35 * np.maximum(ax - 0.45, 0) + 0.05 * i['hair_part'] * x
    front = np.minimum(front, low) if fringe > 0 else front
    behind_ear = 0.35 * smoothstep(0.05, -0.35, y) * (1 - smoothstep(0.2, 0.5, length))
    side = 0.16 + 0.35 * smoothstep(0.15, 0.75, y) - behind_ear - 0.25 * bald
    sides = np.minimum(np.minimum(side - z, y + 0.35 + 2 * length), 1.6 - 1.25 * bald - y)
    return np.maximum(y - front, sides)


def bump_at(x: Array, at: float, width: float) -> Array:
    """A gaussian in one coordinate."""
    return np.exp(-0.5 * ((x - at) / width) ** 2)


def _hanging(i: Params, d: Array) -> Array:
    """R of the hair that hangs beside the face: where each direction leaves a rounded curtain around the head."""
    length, volume = long_hair(i), i['hair_volume']
    wide, low = 0.83 + 0.13 * volume, 0.25 + 1.45 * length
    x, y, z = d
    # an elliptic tube around the head, closed below, cut in front by a plane that leans back
    tube = 1 / np.sqrt((x / wide) ** 2 + (np.minimum(z, 0) / 1.02) ** 2 + (np.maximum(y, 0) / 1.32) ** 2)
    floor = np.maximum(-y, 0) / low
    plane = np.maximum(z - 0.12 * y, 0) / (0.22 + 0.24 * i['hair_frame'])
    out = (tube**-6 + floor**6 + plane**6 + 1.75**-6) ** (-1 / 6)  # the nearest of them, with rounded edges
    beside = np.abs(x) / np.sqrt(x * x + np.minimum(y, 0) ** 2 + 1e-6)  # hair falls to both sides, not before the neck
    return out - smoothstep(0.52, 0.40, beside) * smoothstep(-0.35, -0.1, z)


def _strands(i: Params, r: Array, size: int) -> tuple[Array, ...]:
    """On a map of `size`: points [3, size, size]; fine noise and noise of locks, along the run of the hair."""
    d = directions(size)
    x, y, z = p = d * look_up(r, d)
    seed = float(i['hair_part'] * 0.37 + i['hair_volume'] * 0.73)
    part = 0.3 * i['hair_part']
    # hair runs from the parting, down the sides
    across = np.arctan2(x - part, np.maximum(y, 0) + 0.35) + 0.8 * z * smoothstep(0.35, -0.15, y)
    along = np.sqrt((x - part) ** 2 + (y - 1.1) ** 2 + (z - 0.3) ** 2)
    wave = np.sin(along * (16 + 8 * i['hair_curl']) + 1.2 * noise(x, y, 0.6, seed))
    across = across + 0.035 * i['hair_curl'] * wave + 0.02 * noise(x, y, 0.5, seed + 0.2)
    return p, noise(across, along * 0.08, 0.026, seed), noise(across, along * 0.2, 0.16, seed + 0.5)


def hair(i: Params, r: Array) -> tuple[Array, Array]:
    """The surface of the hair and what it looks like.

    Args:
        i: identity.
        r: [MAP, MAP] the skull.

    Returns:
        R [MAP, MAP], below `r` where there is no hair; strands [MAP_HAIR, MAP_HAIR], lightness about 1.
    """
    (x, y, z), fine, lock = _strands(i, r, MAP)
    part, curl = 0.3 * i['hair_part'], i['hair_curl']
    field = _field(i, x, y, z) + 0.018 * fine + 0.025 * lock * (0.4 + i['fringe'])
    top = 0.06 + 0.15 * i['hair_volume'] * (1 - 0.7 * baldness(i)) + 0.05 * curl
    sides = 0.03 + 0.5 * (top - 0.03) * smoothstep(0.1, 0.5, long_hair(i))
    thick = sides + (top - sides) * smoothstep(0.15, 0.8, y)
    thick = thick * (1 - 0.25 * bump_at(x, part, 0.05) * smoothstep(0.6, 0.9, y))
    rise = smoothstep(-0.02, 0.22, field)
    out = (
        r
        - 0.06
        - 0.5 * smoothstep(-0.1, -0.4, field)
        + rise * (0.06 + thick)
        + (0.004 * fine + 0.012 * lock + 0.022 * curl * noise(x, y + 0.5 * z, 0.13, 9.0)) * rise
    )
    out = out + 0.045 * (1 - 0.8 * baldness(i)) * smoothstep(0, 0.03, field)
    if long_hair(i) > 0.25:
        out = np.maximum(out, _hanging(i, directions()) * (1 + 0.004 * fine + 0.015 * lock))
    _, fine, lock = _strands(i, r, MAP_HAIR)
    return out.astype(np.float32), np.clip(1 + 0.26 * fine + 0.2 * lock, 0.3, 1.9).astype(np.float32)

"""Things that get in front of faces: hands, strands of hair, glasses, microphones, cups, flat things; with their alpha.

Each is a picture of the square of an aligned face, with the thing where such things are. Solids are made of capsules:
segments with a radius at either end, the nearest of which is seen, shaded by the slope of its surface.
"""

import cv2
import numpy as np

KINDS = ('hand', 'hair', 'glasses', 'microphone', 'cup', 'slab')
FINER = 2  # supersampling, per side
EYES, MOUTH = 0.42, 0.70  # height of the eyes and of the mouth in an aligned face, about
SKINS = np.array([[0.93, 0.76, 0.66], [0.83, 0.62, 0.50], [0.62, 0.43, 0.32], [0.36, 0.24, 0.18]], np.float32)
HAIRS = np.array([[0.07, 0.05, 0.04], [0.28, 0.17, 0.09], [0.55, 0.40, 0.22], [0.55, 0.53, 0.50]], np.float32)

Array = np.ndarray


def thing(kind: str, seed: int, size: int) -> Array:
    """A thing in front of a face: uint8 RGBA [size, size, 4], colours not multiplied by alpha.

    Args:
        kind: one of KINDS.
        seed: which of its kind, and where.
    """
    rng = np.random.default_rng((KINDS.index(kind), seed))
    side = FINER * size
    colour, alpha = {
        'hand': _hand,
        'hair': _hair,
        'glasses': _glasses,
        'microphone': _microphone,
        'cup': _cup,
        'slab': _slab,
    }[kind](rng, side)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (side, side, 1)).astype(np.float32), (0, 0), rng.uniform(0.6, 3))
    colour = np.clip(colour + rng.uniform(0.02, 0.1) * grain[..., None], 0, 1)
    rgba = np.concatenate([colour, np.clip(alpha, 0, 1)[..., None]], -1).astype(np.float32)
    weighted = np.concatenate([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], -1)
    small = cv2.resize(weighted, (size, size), interpolation=cv2.INTER_AREA)
    small[..., :3] /= np.maximum(small[..., 3:], 1e-3)
    return np.rint(255 * np.clip(small, 0, 1)).astype(np.uint8)


def _grid(side: int) -> tuple[Array, Array]:
    """Coordinates (x, y) of pixels, 0 to 1."""
    at = ((np.arange(side) + 0.5) / side).astype(np.float32)
    return np.meshgrid(at, at)


def _solid(rng: np.random.Generator, side: int, capsules: list) -> tuple[Array, Array]:
    """Capsules (start [2], end [2], radii, colour [3], depth), lit from somewhere: colours [s, s, 3], alpha [s, s]."""
    x, y = _grid(side)
    height, colour = np.full((side, side), -9, np.float32), np.zeros((side, side, 3), np.float32)
    alpha = np.zeros((side, side), np.float32)
    for start, end, (first, last), paint, depth in capsules:
        way = np.subtract(end, start)
        t = np.clip(((x - start[0]) * way[0] + (y - start[1]) * way[1]) / max(way @ way, 1e-9), 0, 1)
        far = np.hypot(x - start[0] - t * way[0], y - start[1] - t * way[1])
        radius = first + t * (last - first)
        z = depth + np.sqrt(np.maximum(radius**2 - far**2, 0))
        inside = np.clip((radius - far) * side + 0.5, 0, 1)
        nearer = (z > height) & (inside > 0)
        height, colour = np.where(nearer, z, height), np.where(nearer[..., None], paint, colour)
        alpha = np.maximum(alpha, inside)
    smooth = cv2.GaussianBlur(np.where(alpha > 0, height, 0), (0, 0), side / 250)
    dy, dx = np.gradient(smooth, 1 / side)
    light = rng.normal(size=3) * (1, 1, 0.3) + (0, -0.4, 1.2)
    light /= np.linalg.norm(light)
    slope = np.sqrt(1 + dx**2 + dy**2)
    shade = 0.45 + 0.65 * np.clip((light[2] - dx * light[0] - dy * light[1]) / slope, 0, 1)
    shine = rng.uniform(0, 0.25) * np.clip(shade - 0.9, 0, 1)
    return np.clip(colour * shade[..., None] * rng.uniform(0.6, 1.25) + shine[..., None], 0, 1), alpha


def _hand(rng: np.random.Generator, side: int) -> tuple[Array, Array]:
    at, turn, scale = rng.uniform(0.1, 0.9, 2), rng.uniform(0, 2 * np.pi), rng.uniform(1.1, 2.2)
    mix, mirrored = rng.uniform(0, len(SKINS) - 1), rng.choice((-1, 1))
    light, dark = SKINS[int(mix)], SKINS[min(int(mix) + 1, len(SKINS) - 1)]
    skin = light + (mix % 1) * (dark - light)
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    place = lambda point: at + rotation @ np.multiply(point, (mirrored, 1))
    made, spread, curl = [], rng.uniform(0.02, 0.25), rng.uniform(0, 1.2, 5)
    for n, (base, length) in enumerate(zip((-0.085, -0.03, 0.028, 0.08), (0.17, 0.2, 0.185, 0.14))):
        made.append(((0.6 * base, 0.17), (base, 0.0), (0.045, 0.035), skin, 0.0))  # the back of the hand
        angle, joint = spread * (n - 1.5), np.array([base, 0.0])
        for part, share in enumerate((0.45, 0.32, 0.23)):
            step = share * length * np.cos(part * curl[n] * 0.6)
            tip = joint + step * np.array([np.sin(angle), -np.cos(angle)])
            radii = 0.03 - 0.004 * part, 0.027 - 0.005 * part
            made.append((joint, tip, radii, skin, 0.015 + 0.01 * part * curl[n]))
            joint = tip
    x, y = -0.1 - 0.08 * rng.uniform(), 0.06
    made.append(((-0.05, 0.16), (x, y), (0.04, 0.032), skin, 0.02))  # the thumb
    made.append(((x, y), (x - 0.03, y - 0.09), (0.03, 0.022), skin, 0.03))
    sleeve = rng.uniform(0, 1, 3) if rng.uniform() < 0.5 else skin
    made.append(((0.0, 0.17), (0.0, 0.3), (0.06, 0.055), skin, 0.0))
    made.append(((0.0, 0.32), (0.02, 1.2), (0.08, 0.1), sleeve, 0.0))
    return _solid(rng, side, [(place(a), place(b), np.multiply(r, scale), colour, z) for a, b, r, colour, z in made])


def _microphone(rng: np.random.Generator, side: int) -> tuple[Array, Array]:
    head = np.array([rng.uniform(0.25, 0.75), MOUTH + rng.uniform(-0.08, 0.18)])
    angle, radius = rng.uniform(-1.2, 1.2), rng.uniform(0.05, 0.12)
    foot = head + 0.9 * np.array([np.sin(angle), np.cos(angle)])
    dark, grille = rng.uniform(0.02, 0.25, 3) * [1, 1, 1], np.repeat(rng.uniform(0.05, 0.7), 3)
    if rng.uniform() < 0.3:
        grille = rng.uniform(0, 1, 3)  # foam
    long = head + 0.4 * radius * (foot - head)
    handle = (head, foot, (0.5 * radius, 0.32 * radius), dark, 0.0)
    colour, alpha = _solid(rng, side, [handle, (head, long, (radius, radius), grille, 0.05)])
    x, y = _grid(side)
    near = np.hypot(x - head[0], y - head[1]) < radius
    mesh = 1 - 0.35 * near * ((np.sin(x * 300) > 0.3) | (np.sin(y * 300) > 0.3))
    return colour * mesh[..., None], alpha


def _cup(rng: np.random.Generator, side: int) -> tuple[Array, Array]:
    x, y = _grid(side)
    middle = np.array([rng.uniform(0.3, 0.7), MOUTH + rng.uniform(0.0, 0.25)])
    angle, high, wide = rng.uniform(-0.6, 0.6), rng.uniform(0.2, 0.42), rng.uniform(0.12, 0.25)
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = cos * (x - middle[0]) + sin * (y - middle[1]), -sin * (x - middle[0]) + cos * (y - middle[1])
    half = wide * (1 - rng.uniform(0, 0.25) * (v / high + 0.5))
    rim = 0.25 * half * np.sqrt(np.maximum(1 - (u / half) ** 2, 0))  # the mouth of the cup is round
    inside = np.minimum(np.minimum(half - np.abs(u), v + high / 2 + rim), high / 2 + rim - v)
    alpha = np.clip(inside * side + 0.5, 0, 1)
    across = np.clip(u / half, -1, 1)
    shade = 0.5 + 0.5 * np.sqrt(1 - across**2) + rng.uniform(-0.3, 0.3) * across
    paint = np.ones((side, side, 3), np.float32) * rng.uniform(0.05, 1, 3)
    if rng.uniform() < 0.6:  # a band
        paint[np.abs(v - rng.uniform(-0.1, 0.1)) < rng.uniform(0.02, 0.08)] = rng.uniform(0, 1, 3)
    within = v < -high / 2 + rim
    shade = np.where(within, 0.35 * shade, shade)
    if rng.uniform() < 0.6:  # its ear
        ring = np.hypot((u - rng.choice((-1, 1)) * 1.05 * wide) / 0.7, v) - 0.3 * high
        ear = np.clip((0.025 - np.abs(ring)) * side + 0.5, 0, 1)
        alpha = np.maximum(alpha, ear)
    return np.clip(paint * shade[..., None], 0, 1), alpha


def _slab(rng: np.random.Generator, side: int) -> tuple[Array, Array]:
    """A phone, a book, a sheet: a rectangle with round corners, plain or patterned."""
    x, y = _grid(side)
    middle, angle = rng.uniform(0.0, 1.0, 2), rng.uniform(-np.pi, np.pi)
    wide, high, corner = rng.uniform(0.06, 0.3), rng.uniform(0.1, 0.35), rng.uniform(0, 0.05)
    u = np.cos(angle) * (x - middle[0]) + np.sin(angle) * (y - middle[1])
    v = -np.sin(angle) * (x - middle[0]) + np.cos(angle) * (y - middle[1])
    over = np.hypot(np.maximum(np.abs(u) - wide + corner, 0), np.maximum(np.abs(v) - high + corner, 0)) - corner
    alpha = np.clip(-over * side + 0.5, 0, 1)
    one, other = rng.uniform(0, 1, (2, 3)).astype(np.float32)
    wave = np.sin(rng.uniform(20, 120) * u + rng.uniform(-60, 60) * v) * rng.choice((0, 1))
    soft = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), side / 20)
    share = np.clip(0.5 + 0.5 * wave + rng.uniform(0, 6) * soft, 0, 1)[..., None]
    return one + share * (other - one) * rng.choice((0.2, 1)), alpha


def _hair(rng: np.random.Generator, side: int) -> tuple[Array, Array]:
    """Strands that fall over forehead, eyes or cheeks, out of one place."""
    alpha, light = np.zeros((side, side), np.float32), np.zeros((side, side), np.float32)
    root, turn = np.array([rng.uniform(0.1, 0.9), rng.uniform(-0.1, 0.2)]), rng.uniform(-1.2, 1.2)
    length, bend, width = rng.uniform(0.25, 0.8), rng.uniform(-1.5, 1.5), rng.uniform(0.02, 0.12)
    t = np.linspace(0, 1, 24)[:, None]
    for _ in range(int(rng.integers(20, 160))):
        away, own = rng.normal(0, width, 2), rng.normal(0, 0.12)
        angle = turn + own + (bend + rng.normal(0, 0.2)) * t
        steps = length * rng.uniform(0.6, 1.1) / 24 * np.concatenate([np.sin(angle), np.cos(angle)], 1)
        path = np.rint((root + away * (1, 0.4) + np.cumsum(steps, 0)) * side * 16).astype(np.int32)
        thick = max(1, round(side / 250 * rng.uniform(0.7, 2.2)))
        cv2.polylines(alpha, [path], False, 1.0, thick, cv2.LINE_AA, 4)
        cv2.polylines(light, [path], False, float(rng.uniform(0.5, 1.5)), thick, cv2.LINE_AA, 4)
    colour = HAIRS[rng.integers(len(HAIRS))] * rng.uniform(0.7, 1.3)
    return np.clip(colour * np.maximum(light, 0.4)[..., None], 0, 1), np.clip(alpha, 0, 1)


def _glasses(rng: np.random.Generator, side: int) -> tuple[Array, Array]:
    """Two rims over the eyes, clear or dark. What is seen through clear glass is no part of them."""
    x, y = _grid(side)
    middle, tilt = np.array([0.5, EYES]) + rng.normal(0, 0.03, 2), rng.normal(0, 0.1)
    apart, half = rng.uniform(0.13, 0.18), np.array([rng.uniform(0.08, 0.12), rng.uniform(0.05, 0.1)])
    u = np.cos(tilt) * (x - middle[0]) + np.sin(tilt) * (y - middle[1])
    v = -np.sin(tilt) * (x - middle[0]) + np.cos(tilt) * (y - middle[1])
    power, thick = rng.uniform(2, 5), rng.uniform(0.006, 0.02)
    ring = ((np.abs(np.abs(u) - apart) / half[0]) ** power + (np.abs(v) / half[1]) ** power) ** (1 / power) - 1
    ring *= half.min()
    rims = np.clip((thick - np.abs(ring)) * side + 0.5, 0, 1)
    bridge = (np.abs(u) < apart - half[0]) & (np.abs(v + 0.01) < thick * 0.8)
    temples = (np.abs(u) > apart + half[0]) & (np.abs(v) < thick * 0.8)
    dark = rng.uniform() < 0.35
    lens = np.clip(-ring * side, 0, 1) * (rng.uniform(0.75, 1.0) if dark else 0)
    frame = np.maximum(rims, bridge | temples)
    colour = np.where(frame[..., None] > 0.5, rng.uniform(0, 0.6, 3), rng.uniform(0, 0.2, 3))
    colour = colour * (1 + 0.5 * np.clip(-v / half[1], -1, 1))[..., None]
    return np.clip(colour, 0, 1), np.maximum(frame, lens)

"""What surrounds the head: light, background, ears, neck, shoulders, glasses."""

import colorsys

import cv2
import numpy as np

from dfjax.data.render.features import Eye
from dfjax.data.render.noise import noise
from dfjax.data.render.parameters import Params
from dfjax.data.render.skin import tone
from dfjax.data.render.surface import Array, look_up, smoothstep
from dfjax.data.render.trace import Camera, ellipsoid, lit, rotation

PIVOT = np.array([0.0, -0.75, -0.25])  # where the head turns on the neck


def light_colours(m: Params) -> tuple[list[float], list[float]]:
    """Linear RGB of the light and of the sky."""
    warm = m['warmth'] * np.array([0.10, 0.0, -0.14])
    return ((1 + warm) * m['light'] * 1.15).tolist(), ((1 - 0.6 * warm) * m['ambient']).tolist()


def light_direction(m: Params) -> Array:
    """Unit vector towards the light, in the camera's axes."""
    a, b = np.radians([m['light_yaw'], m['light_pitch']])
    return np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])


def shade(
    colour: Array,
    normal: Array,
    view: Array,
    light: Array,
    seen: Array,
    sky: Array,
    gloss: Array | float,
    up: Array,
    m: Params,
) -> Array:
    """Linear RGB [h, w, 3] of a soft material.

    Args:
        colour: [h, w, 3]; normal: [h, w, 3]; view: [3, h, w] ray directions; light, up: [3] unit vectors.
        seen, sky: [h, w] how much of the light and of the sky a place sees; gloss: [h, w] or one.
    """
    sun, air = light_colours(m)
    n = [np.ascontiguousarray(normal[..., k]) for k in range(3)]
    lambert = n[0] * light[0] + n[1] * light[1] + n[2] * light[2]
    seen = 1 - m['shadow'] * (1 - seen)
    facing = np.clip(-(n[0] * view[0] + n[1] * view[1] + n[2] * view[2]), 0, 1)
    fill = sky * (0.72 + 0.28 * (n[0] * up[0] + n[1] * up[1] + n[2] * up[2])) * (0.75 + 0.25 * facing)
    half = [light[k] - view[k] for k in range(3)]
    dot = (n[0] * half[0] + n[1] * half[1] + n[2] * half[2]) / np.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
    d8 = np.square(np.square(np.square(np.clip(dot, 0, 1))))
    spec = (0.05 * d8 + 0.09 * np.square(np.square(d8))) * gloss * seen * np.clip(lambert * 4, 0, 1)
    edge = 1 - facing
    rim = 0.05 * edge * edge * edge * sky * gloss
    out = np.empty(colour.shape, np.float32)
    for k, wrap in enumerate((0.30, 0.14, 0.10)):  # red light goes through skin further than blue
        direct = np.clip((lambert + wrap) * (1 / (1 + wrap)), 0, 1) * seen * (1 + wrap * (1 - seen))
        out[..., k] = colour[..., k] * (direct * sun[k] + fill * air[k]) + spec * sun[k] + rim * air[k]
    return out


def background(m: Params, size: int) -> Array:
    """A room out of focus: linear RGB [size, size, 3]."""
    i = np.linspace(0, 1, 64, dtype=np.float32)
    x, y = np.meshgrid(i, i)
    t = m['background_shift'] * 7
    panel = 0.5 + 0.5 * np.sin(2 * np.pi * (x * (0.6 + 0.5 * np.sin(t)) + 0.3 * y * np.cos(2 * t) + t))
    spots = sum(
        np.exp(
            -(((x - 0.5 - 0.48 * np.sin(t * k + k)) ** 2 + (y - 0.3 - 0.3 * np.cos(1.7 * t * k)) ** 2) / (0.006 * k))
        )
        for k in (2, 3, 4, 5)
    )
    tint = np.array(colorsys.hsv_to_rgb(m['background_hue'], m['background_colour'], 1)) ** 2
    other = np.array(colorsys.hsv_to_rgb((m['background_hue'] + 0.12) % 1, m['background_colour'] * 0.7, 1)) ** 2
    base = m['background_light'] ** 1.5 * (1.1 - 0.5 * y + 0.05 * noise(x, y, 0.3, t))
    mix = smoothstep(0.0, 1.0, panel)
    out = base[..., None] * (tint * (1 - mix)[..., None] * 0.85 + other * mix[..., None])
    out += (0.14 * m['background_light'] * spots)[..., None] * np.array([1.0, 0.92, 0.8])
    return cv2.resize(out.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)


def ears(i: Params, cam: Camera, box: tuple, origin: Array, d: Array) -> list[tuple[tuple, Array, Array, Array, Array]]:
    """Both ears inside a box of rays: each a window (rows, columns), distance, coverage, normals and colour."""
    out = []
    for side in (-1, 1):
        big = 1 + 0.1 * i['ears']
        middle = np.array([side * (0.765 + 0.045 * i['width']), -0.07, -0.10])
        px = cam.project(middle)
        reach = 0.36 * cam.scale
        h, w = d.shape[1:]
        rows = slice(*(int(np.clip(px[1] - box[1] + k * reach, 0, h)) for k in (-1, 1)))
        cols = slice(*(int(np.clip(px[0] - box[0] + k * reach * 0.8, 0, w)) for k in (-1, 1)))
        if rows.start >= rows.stop or cols.start >= cols.stop:
            continue
        turn = rotation(-28 * side, 0, 0).T @ rotation(0, 0, -9 * side).T
        axes = np.array([0.145, 0.27, 0.07]) * [big, big, 1]
        t, alpha, p = ellipsoid(origin, d[:, rows, cols], middle, axes, turn, 1 / cam.scale)
        normal = np.tensordot(turn.T / axes[None], p, 1)
        ex, ey = p[0] * side, p[1]  # the hollow within the rim
        rho = np.hypot((ex + 0.05) / 0.62, (ey - 0.08) / 0.72)
        hollow = smoothstep(1.0, 0.55, rho) * 0.45 + 0.3 * smoothstep(
            0.5, 0.1, np.hypot((ex + 0.35) / 0.6, (ey + 0.1) / 0.5)
        )
        rim = np.exp(-(((rho - 0.8) / 0.12) ** 2)) * 0.12
        colour = tone(i) * np.array([1.03, 0.86, 0.84], np.float32) * (1 - hollow - rim)[..., None]
        normal = normal / (np.linalg.norm(normal, axis=0) + 1e-9)
        out.append(((rows, cols), t, alpha, normal.transpose(1, 2, 0), colour))
    return out


def body(i: Params, m: Params, cam: Camera, surface: Array, picture: Array, depth: Array) -> None:
    """Draws neck and shoulders into the picture [S, S, 3] and the distances of its pixels [S, S]."""
    top = int(np.clip(cam.y, 0, cam.size - 1))
    box = (0, top, cam.size, cam.size)
    origin, d = cam.rays(box)
    # the body turns a part of the way with the head
    still = rotation(0.3 * m['yaw'], 0.15 * m['pitch'], 0.25 * m['roll'])
    to_body = still.T @ cam.turn  # axes of the head to those of the body
    at = PIVOT - to_body.T @ PIVOT
    light = cam.turn.T @ light_direction(m)
    cloth = np.array(colorsys.hsv_to_rgb(i['clothes_hue'], 0.45, i['clothes_light']))
    man = i['build'] - 0.5
    wide = 0.47 + 0.06 * man + 0.03 * i['neck']
    parts = (
        (np.array([0, -2.45, -0.45]), np.array([1.95 + 0.3 * man, 0.98, 0.75]), 0.0, cloth),
        (np.array([0, -1.62, -0.47]), np.array([1.0 + 0.2 * man, 0.46, 0.42]), 0.0, cloth),
        (np.array([0, -1.3, -0.27]), np.array([wide, 1.7, wide * 0.95]), -14.0, tone(i) * 0.97),
    )
    for middle, axes, lean, colour in parts:
        turn = rotation(0, lean, 0) @ to_body
        t, alpha, p = ellipsoid(origin, d, at + to_body.T @ middle, axes, turn, 1 / cam.scale)
        visible = alpha * np.clip((depth[top:] - t) / 0.03 + 0.5, 0, 1)
        near_rows, near_cols = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
        if not len(near_rows):
            continue
        w = slice(near_rows[0], near_rows[-1] + 1), slice(near_cols[0], near_cols[-1] + 1)
        t, visible, view = t[w], visible[w], d[:, w[0], w[1]]
        normal = np.tensordot((turn.T / axes[None]).astype(np.float32), p[:, w[0], w[1]], 1)
        normal = (normal / (np.sqrt((normal**2).sum(0)) + 1e-9)).transpose(1, 2, 0)
        half = (origin[:, None, None] + view * np.minimum(t, 20))[:, ::2, ::2]
        seen = cv2.resize(lit(surface, half, light, 1.0), t.shape[::-1])
        far = np.sqrt((half**2).sum(0))
        sky = 0.1 + 0.9 * smoothstep(0.0, 0.9, far - look_up(surface, half / far))  # little sky under the chin
        sky = cv2.resize(sky.astype(np.float32), t.shape[::-1])
        paint, gloss = np.broadcast_to(colour.astype(np.float32), (*t.shape, 3)), 0.5 if lean else 0.0
        paint = shade(paint, normal, view, light, seen, sky, gloss, cam.turn.T[:, 1], m)
        picture[top:][w] += (paint - picture[top:][w]) * visible[..., None]
        depth[top:][w] = np.where(visible > 0.5, np.minimum(t, depth[top:][w]), depth[top:][w])


def glasses(picture: Array, i: Params, eyes: tuple[Eye, Eye], cam: Camera, depth: Array, m: Params) -> None:
    """Draws spectacles over the linear picture [S, S, 3]; `depth` [S, S] hides what lies behind the head."""
    if i['glasses'] <= 0:
        return
    size, q = cam.size, 4
    a = np.linspace(0, 2 * np.pi, 49)
    power = 2 + 2.5 * (1 - i['glasses_round'])
    c, s = np.cos(a), np.sin(a)
    stretch = (np.abs(c) ** power + np.abs(s) ** power) ** (-1 / power)
    wide, high = 0.215 + 0.045 * i['glasses'], 0.15 + 0.06 * i['glasses']
    layers, lenses = [], []
    for eye, side in zip(eyes, (-1, 1)):
        x = side * (eye.x + 0.015) + wide * c * stretch
        y = eye.y - 0.02 + high * s * stretch
        rim = np.stack([x, y, 1.03 - 0.32 * x * x], 1)
        lenses.append(rim)
        layers.append(rim)
        hinge = np.array([side * (eye.x + 0.015 + wide), eye.y + 0.04, 0.0])
        hinge[2] = 1.03 - 0.32 * hinge[0] ** 2
        ear = np.array([side * 0.80, 0.12, -0.1])
        layers.append(hinge + np.linspace(0, 1, 13)[:, None] ** 0.8 * (ear - hinge))
    inner = eyes[0].x + 0.015 - wide
    bx = np.linspace(-inner, inner, 9)
    layers.append(np.stack([bx, eyes[0].y + 0.035 + 0.03 * (1 - (bx / inner) ** 2), np.full(9, 1.03)], 1))
    cover, glass = np.zeros((2 * size, 2 * size), np.uint8), np.zeros((size, size), np.uint8)
    thick = (0.016 + 0.026 * i['glasses_thick']) * cam.scale
    eye_at = cam.turn.T[:, 2] * 9.0
    for line in layers:
        px, far = cam.project(line.astype(np.float32)), np.linalg.norm(line - eye_at, axis=1)
        ij = np.clip(np.round(px).astype(int), 0, size - 1)
        shown = far < depth[ij[:, 1], ij[:, 0]] + 0.03
        big = np.round((2 * px + 0.5) * 16).astype(np.int32)
        for run in np.split(np.arange(len(line)), np.flatnonzero(np.diff(shown)) + 1):
            if shown[run[0]]:
                cv2.polylines(cover, [big[run]], False, 255, max(round(2 * thick), 1), cv2.LINE_AA, q)
    for rim in lenses:
        cv2.fillPoly(glass, [np.round(cam.project(rim.astype(np.float32)) * 16).astype(np.int32)], 255, cv2.LINE_AA, q)
    tint = glass.astype(np.float32)[..., None] / 255
    picture *= 1 - 0.07 * tint
    picture += tint * 0.012
    alpha = cv2.resize(cover, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
    colour = np.array([0.02, 0.018, 0.018]) + (1 - i['glasses_dark']) ** 3 * np.array([0.35, 0.22, 0.10])
    picture += (colour.astype(np.float32) * (0.5 + 0.7 * m['light']) - picture) * alpha

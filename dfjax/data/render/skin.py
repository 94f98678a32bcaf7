"""The colour of the skin at rest, as a map: tone, blood, freckles, beard, wrinkles, nostrils."""

import cv2
import numpy as np

from dfjax.data.render.features import mouth_height
from dfjax.data.render.hair import hair_colour
from dfjax.data.render.noise import noise
from dfjax.data.render.parameters import Params, beard_of, moustache_of
from dfjax.data.render.surface import Array, bump, directions, look_up, nose_bottom, smoothstep

MAP_SKIN = 384
TONES = np.array([  # linear RGB, pale to dark
    [0.66, 0.43, 0.33], [0.56, 0.335, 0.235], [0.43, 0.235, 0.145], [0.27, 0.135, 0.075], [0.115, 0.055, 0.032],
], np.float32)  # fmt: skip


def tone(i: Params) -> Array:
    """Linear RGB of the bare skin."""
    t = float(i['skin']) ** 1.2 * (len(TONES) - 1)
    k = min(int(t), len(TONES) - 2)
    base = TONES[k] + (TONES[k + 1] - TONES[k]) * (t - k)
    return base * (1 + i['skin_warm'] * np.array([-0.03, 0.03, -0.05], np.float32)) * (1 - 0.08 * i['masculine'])


def skin_map(i: Params, r: Array, side: int = MAP_SKIN) -> Array:
    """What the skin looks like without light.

    Args:
        i: identity.
        r: [MAP, MAP] the surface at rest.
        side: of the map.

    Returns:
        [side, side, 4] float32: linear RGB, and gloss about 1.
    """
    d = directions(side)
    x, y, z = d * look_up(r, d)
    ax, front = np.abs(x), smoothstep(0.0, 0.35, z)
    seed = float(i['skin_warm'] * 0.31 + i['nose_width'] * 0.17 + 1)
    blotch, pore = noise(x, y, 0.22, seed), noise(x, y, 0.02, seed + 2)
    lightness = 1 + 0.025 * blotch + (0.012 + 0.025 * i['skin_rough']) * pore
    low = nose_bottom(i)
    blood, dark, gloss, spotted = cv2.split(look_up(_broad(i, r, low), d))
    blood = (blood + 0.12 * blotch) * (0.8 + 0.4 * i['skin_rough']) * front
    dark += _wrinkles(x, ax, y) * i['age'] if i['age'] > 0.1 else 0
    if i['freckles'] > 0:
        dark += 0.35 * i['freckles'] * smoothstep(0.9, 1.6, noise(x, y, 0.035, seed + 4)) * spotted
    out = tone(i) * lightness[..., None] * (1 + blood[..., None] * np.array([0.06, -0.16, -0.13], np.float32))
    out = out * (1 - dark[..., None] * front[..., None] * np.array([0.75, 1.0, 0.95], np.float32))
    out, hairy = _beard(i, out, x, ax, y, z, low)
    wing = 0.075 * (1 + 0.32 * i['nose_width'] + 0.14 * (i['masculine'] - 0.5))
    hole = smoothstep(1.25, 0.55, np.hypot((ax - wing - 0.25 * (y - low)) / 0.045, (y - low - 0.008) / 0.024))
    out = out * (1 - 0.86 * (hole * front)[..., None] * np.array([0.92, 1, 1], np.float32))
    crease = np.hypot((ax - 0.118 * wing / 0.075) / 0.058, (y - low - 0.055) / 0.06)
    crease = np.exp(-(((crease - 1) / 0.22) ** 2)) * smoothstep(0.09, 0.15, ax) * smoothstep(-0.03, 0.04, y - low)
    out = out * (1 - (0.3 * crease * front)[..., None] * np.array([0.8, 1, 1], np.float32))
    gloss = (gloss - 0.12 * pore * (0.4 + i['skin_rough'])) * (1 - 0.9 * hole)
    gloss = gloss * (1 - 0.75 * hairy)
    return np.concatenate([out, gloss[..., None]], -1).astype(np.float32)


def _broad(i: Params, r: Array, nose_low: float) -> Array:
    """What changes slowly over the face, on a coarse map [97, 97, 4]: blood, darkness, gloss, where freckles are."""
    d = directions(97)
    x, y, _ = d * look_up(r, d)
    ax, eye = np.abs(x), 0.32 + 0.034 * i['eye_gap']
    blood = 0.75 * bump(ax, y, (0.4, -0.2), (0.15, 0.13)) + 0.7 * bump(ax, y, (0, nose_low + 0.08), (0.1, 0.08))
    blood += 0.35 * bump(ax, y, (0, -1.0), (0.16, 0.1)) + 0.25 * bump(ax, y, (eye, 0.12), (0.16, 0.06))
    dark = (0.16 + 0.16 * i['age']) * bump(ax, y, (eye - 0.05, -0.02), (0.11, 0.035))
    dark += 0.16 * bump(ax, y, (eye - 0.13, 0.12), (0.06, 0.07)) + 0.10 * bump(ax, y, (eye, 0.18), (0.14, 0.035))
    gloss = 0.75 + 0.5 * bump(ax, y, (0, -0.2), (0.1, 0.3)) + 0.35 * bump(ax, y, (0, 0.55), (0.3, 0.15))
    spotted = bump(ax, y, (0.3, -0.15), (0.2, 0.14)) + bump(ax, y, (0, -0.15), (0.12, 0.15))
    return np.stack([blood, dark, gloss, spotted], -1).astype(np.float32)


def _wrinkles(x: Array, ax: Array, y: Array) -> Array:
    """Lines of the forehead, beside the eyes, from nose to mouth, under the eyes: 0 to about 0.4."""
    wave = 0.012 * np.sin(7 * x) + 0.01 * noise(x, y, 0.3, 3.0)
    lines = sum(np.exp(-(((y + wave + 0.06 * ax - h) / 0.009) ** 2)) for h in (0.47, 0.55, 0.63))
    out = 0.14 * lines * smoothstep(0.45, 0.2, ax)
    fold = ax - (0.17 + 0.30 * np.maximum(-0.36 - y, 0))
    out += 0.22 * np.exp(-((fold / 0.026) ** 2)) * smoothstep(-0.34, -0.42, y) * smoothstep(-0.70, -0.56, y)
    rays = np.cos((y - 0.08) * 75 + 20 * (ax - 0.5))
    out += 0.13 * np.maximum(rays, 0) ** 3 * bump(ax, y, (0.54, 0.07), (0.04, 0.06))
    return out + 0.12 * np.exp(-(((y + 0.05 - 0.5 * (ax - 0.3) ** 2) / 0.01) ** 2)) * bump(ax, y, (0.3, 0), (0.1, 1))


def _beard(i: Params, out: Array, x: Array, ax: Array, y: Array, z: Array, nose_low: float) -> tuple[Array, Array]:
    """The colour with hair over jaw, chin and lip, of which men keep a trace when shaved; and how much hair."""
    man = float(np.clip((i['masculine'] - 0.45) * 8, 0, 1))
    hairy = np.zeros_like(x)
    if not man:
        return out, hairy
    rough = 0.05 * noise(x, y, 0.12, 5.0)
    cheek = -0.50 + 0.75 * np.maximum(ax - 0.32, 0) + rough  # the beard's upper edge
    jaw = smoothstep(0.08, -0.12, y - cheek) * smoothstep(-0.35, 0.0, z)
    bare = bump(ax, y, (0.0, -0.70), (0.10, 0.055)) * 0.5
    mouth = mouth_height(i)
    jaw = jaw * smoothstep(0.19, 0.27, np.hypot(ax, 1.4 * (y - mouth))) * (1 - bare)
    lip = smoothstep(nose_low - 0.0, nose_low - 0.05, y + 0.6 * ax**2) * smoothstep(0.34, 0.26, ax + 0.2 * (y - mouth))
    lip = (
        lip * smoothstep(mouth - 0.06, mouth + 0.02, y + 0.35 * ax) * (1 - 0.4 * bump(ax, y, (0, -0.48), (0.02, 0.06)))
    )
    hairs = smoothstep(-1.4, 1.6, noise(x * 1.5, y * 0.7, 0.014, 6.0))
    colour = hair_colour(i) * (0.55 + 0.5 * hairs[..., None])
    for where, much in ((jaw, beard_of(i)), (lip, moustache_of(i))):
        cover = np.clip(where * much * (0.6 + 0.6 * hairs * much + 0.35 * much), 0, 0.97)
        shaved = 0.10 * where * man * (1 - much) * (0.7 + 0.3 * hairs)
        out = out * (1 - shaved[..., None] * np.array([1.15, 1.0, 0.85], np.float32))
        out = out + (colour - out) * cover[..., None]
        hairy = np.maximum(hairy, cover)
    return out, hairy

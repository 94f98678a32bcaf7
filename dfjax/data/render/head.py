"""A person, prepared once: the maps that do not move. And the surface of one moment."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from dfjax.data.render.features import jaw_line, lip_relief, mouth
from dfjax.data.render.hair import hair
from dfjax.data.render.parameters import Params
from dfjax.data.render.skin import MAP_SKIN, skin_map
from dfjax.data.render.surface import EXTENT, MAP, Array, at_rest, bump, directions, look_up, map_coordinates, skull


@dataclass(frozen=True)
class Head:
    """What of a person does not move. Maps are float32."""

    rest: Array  # [MAP, MAP] R of the skin, lips left out
    hair: Array  # [MAP, MAP] R of the hair
    strands: Array  # [MAP, MAP] lightness of the hair
    skin: Array  # [side, side, 4] colour and gloss


@lru_cache(16)
def _head(key: tuple[tuple[str, float], ...], side: int) -> Head:
    i = dict(key)
    rest = skull(i)
    hairs, strands = hair(i, rest)
    return Head(rest, hairs, strands, skin_map(i, rest, side))


def head(i: Params, side: int = MAP_SKIN) -> Head:
    """The prepared head of an identity of scalars, `side` that of its skin; the last 16 are kept, 4 MB each."""
    return _head(tuple(sorted((k, float(v)) for k, v in i.items())), side)


@dataclass(frozen=True)
class Moment:
    """The surface at one moment. All [MAP, MAP], but for `rest` and `normal`: [MAP, MAP, 3] and [MAP, MAP, 4]."""

    skin: Array  # R of the skin, with the lips
    outside: Array  # R of skin and hair
    cover: Array  # how far hair covers the skin, in decimetres
    rest: Array | None  # where the skin of a direction is at rest; None if everything is
    normal: Array  # unit normals, and how open to the sky a place is


def moment(i: Params, m: Params, h: Head) -> Moment:
    """The surface of head `h` of identity `i` under the motion `m` (scalars)."""
    d = directions()
    rest = at_rest(m['open']) if m['open'] > 0.01 else None
    skin = h.rest.copy() if rest is None else look_up(h.rest, rest)
    k = (MAP - 1) / (2 * EXTENT)
    rows = slice(int((-0.52 + EXTENT) * k), int((-0.02 + EXTENT) * k))
    columns = slice(int((-0.30 + EXTENT) * k), int((0.30 + EXTENT) * k) + 1)
    dw = d[:, rows, columns]
    x, y = dw[0] * skin[rows, columns], dw[1] * skin[rows, columns]
    ax, glad, lips = np.abs(x), max(m['smile'], 0), mouth(i, m)
    out = lip_relief(lips, x, y)
    out += (0.05 * bump(ax, y, (0.40, -0.26), (0.12, 0.1)) - 0.02 * bump(ax, y, (0.31, -0.55), (0.05, 0.13))) * glad
    fold = ax - (0.17 + 0.045 * glad + 0.42 * np.maximum(-0.36 - y, 0))
    out -= 0.022 * glad * np.exp(-((fold / 0.028) ** 2)) * bump(ax, y, (0.25, -0.50), (0.1, 0.11))
    out += 0.04 * m['pucker'] * bump(x, y, (0, lips.y), (0.14, 0.11))
    skin[rows, columns] += out * dw[2]
    outside = np.maximum(skin, h.hair)
    return Moment(
        skin, outside, h.hair - skin, None if rest is None else rest.transpose(1, 2, 0).copy(), _normals(outside)
    )


def _normals(r: Array) -> Array:
    """Unit normals [MAP, MAP, 3] of the surface, and as a fourth channel how little its surroundings rise over it."""
    p = directions() * r
    a, b = np.zeros_like(p), np.zeros_like(p)
    a[:, :, 1:-1], b[:, 1:-1] = p[:, :, 2:] - p[:, :, :-2], p[:, 2:] - p[:, :-2]
    n = np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]], -1)
    n /= np.sqrt((n * n).sum(-1, keepdims=True)) + 1e-9
    small = cv2.GaussianBlur(r, (0, 0), 3) - r
    wide = cv2.blur(r, (31, 31)) - r
    open_ = np.clip(1 - 8.0 * np.maximum(small, -0.01) - 3.0 * np.maximum(wide, -0.03), 0.25, 1.1)
    return np.concatenate([n, open_[..., None]], -1)


@lru_cache(1)
def face_region() -> Array:
    """[MAP, MAP] in [0, 1]: the face at rest, inside the jaw line and up to the middle of the forehead."""
    low = jaw_line()
    c = np.sqrt(1 - low[0] ** 2)
    high = np.stack([low[0] * 0.98, 0.12 + 0.50 * c**0.8, 0.16 + 0.70 * c])[:, ::-1]
    d = np.concatenate([low, high], 1)
    x, y = map_coordinates(d / np.linalg.norm(d, axis=0))
    region = np.zeros((MAP, MAP), np.uint8)
    corners = np.round(np.stack([x, y], -1) * 16).astype(np.int32)
    cv2.fillPoly(region, [corners], 255, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(region.astype(np.float32) / 255, (0, 0), 2.5)

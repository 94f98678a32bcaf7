"""What a head can look like: one table of independent parameters a group, and how to draw them from a seed.

Every parameter has its own random stream (seed, name), so a new row changes no other. `build`, `masculine` and `age`
shift several features when the head is built, which keeps the others independent of each other.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from dfjax.errors import InputError

Params = dict[str, np.ndarray]


@dataclass(frozen=True)
class Range:
    """A parameter: uniform in [low, high], or `rest` with probability `rare`; `inner` ones follow a swapped face."""

    low: float
    high: float
    rest: float = 0.0
    rare: float = 0.0
    inner: bool = False


def _inner(low: float, high: float, rest: float = 0.0, rare: float = 0.0) -> Range:
    return Range(low, high, rest, rare, True)


IDENTITY = {
    # the head, its outline and hair: kept by a swap
    'width': Range(-1, 1),  # skull, narrow to wide
    'length': Range(-1, 1),  # face, chin to brow
    'jaw': Range(-1, 1),  # narrow to square
    'chin': Range(-1, 1),  # pointed to broad
    'cheeks': Range(-1, 1),  # hollow to full
    'forehead': Range(-1, 1),  # low to high hairline
    'ears': Range(-1, 1),
    'neck': Range(-1, 1),
    'hair_dark': Range(0, 1),  # fair to black
    'hair_red': Range(0, 1, 0.15, 0.7),
    'hair_grey': Range(0, 1, 0.0, 0.8),
    'hair_length': Range(0, 1),  # cropped, ears, jaw, shoulders
    'hair_volume': Range(0, 1),
    'hair_curl': Range(0, 1, 0.1, 0.5),
    'hair_frame': Range(0, 1),  # long hair: behind the ears to framing the face
    'hair_part': Range(-1, 1),  # side of the parting
    'fringe': Range(0.3, 1, 0.0, 0.65),
    'bald': Range(0.3, 1, 0.0, 0.75),
    'clothes_hue': Range(0, 1),
    'clothes_light': Range(0.03, 0.6),
    'build': Range(0, 1),  # feminine to masculine: skull, hair, neck, shoulders
    # the inner face: what a swap brings along
    'masculine': _inner(0, 1),  # features, feminine to masculine
    'skin': _inner(0, 1),  # pale to dark
    'skin_warm': _inner(-1, 1),  # rosy to olive
    'skin_gloss': _inner(0, 1),
    'skin_rough': _inner(0, 1),
    'freckles': _inner(0.2, 1, 0.0, 0.75),
    'age': _inner(0, 1),
    'brow_height': _inner(-1, 1),
    'brow_thick': _inner(-1, 1),
    'brow_arch': _inner(-1, 1),
    'brow_tilt': _inner(-1, 1),
    'brow_dark': _inner(0, 1),
    'eye_gap': _inner(-1, 1),
    'eye_size': _inner(-1, 1),
    'eye_open': _inner(-1, 1),
    'eye_tilt': _inner(-1, 1),
    'eye_depth': _inner(-1, 1),
    'eye_hue': _inner(0, 1),  # brown, hazel, green, blue, grey
    'lashes': _inner(0, 1),
    'nose_length': _inner(-1, 1),
    'nose_width': _inner(-1, 1),
    'nose_height': _inner(-1, 1),
    'nose_bridge': _inner(-1, 1),  # hollow to humped
    'nose_tip': _inner(-1, 1),  # down to up
    'mouth_width': _inner(-1, 1),
    'mouth_height': _inner(-1, 1),
    'lip_upper': _inner(-1, 1),
    'lip_lower': _inner(-1, 1),
    'lip_bow': _inner(0, 1),
    'lip_red': _inner(0, 1),
    'beard': _inner(0.2, 1, 0.0, 0.55),
    'moustache': _inner(0.2, 1, 0.0, 0.55),
    'glasses': _inner(0.5, 1, 0.0, 0.75),  # 0 is none, then the size of the lenses
    'glasses_dark': _inner(0, 1),
    'glasses_round': _inner(0, 1),
    'glasses_thick': _inner(0, 1),
}
POSE = {
    'yaw': Range(-20, 20),  # degrees, to the right of the picture
    'pitch': Range(-12, 12),  # degrees, up
    'roll': Range(-10, 10),  # degrees, anticlockwise in the picture
    'x': Range(-0.05, 0.05),  # head's middle, from the picture's, in picture sizes
    'y': Range(-0.03, 0.05),
    'scale': Range(0.28, 0.33),  # picture sizes a decimetre: the head is 2.3 dm high
}
EXPRESSION = {
    'open': Range(0, 0.9, 0.0, 0.4),
    'smile': Range(-0.4, 1),
    'pucker': Range(0, 1, 0.0, 0.7),
    'blink': Range(0, 1, 0.0, 0.85),  # 1 is shut
    'wink': Range(-1, 1, 0.0, 0.9),  # shuts one more: below 0 the eye at the left of the picture, above 0 the other
    'squint': Range(0, 1, 0.0, 0.5),
    'brow_raise': Range(-0.5, 1),
    'brow_frown': Range(0, 1, 0.0, 0.5),
    'gaze_x': Range(-1, 1),
    'gaze_y': Range(-0.7, 0.7),
}
LIGHT = {
    'light_yaw': Range(-60, 60),  # degrees, where the light comes from
    'light_pitch': Range(5, 55),
    'light': Range(0.7, 1.1),
    'ambient': Range(0.3, 0.6),
    'warmth': Range(-1, 1),  # blue to orange
    'shadow': Range(0.5, 1),
    'background_hue': Range(0, 1),
    'background_light': Range(0.1, 0.75),
    'background_colour': Range(0, 0.5),
    'background_shift': Range(0, 1),  # which pattern
}
MOTION = POSE | EXPRESSION | LIGHT
INNER = tuple(name for name, r in IDENTITY.items() if r.inner)


def draw(table: dict[str, Range], seed: int) -> Params:
    """One value a row of `table`, each a function of (seed, name)."""
    out = {}
    for name, r in table.items():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        at_rest, value = rng.random() < r.rare, rng.uniform(r.low, r.high)
        out[name] = np.float32(r.rest if at_rest else value)
    return out


def random_identity(seed: int) -> Params:
    """A person: every key of IDENTITY, scalars.

    The build follows `masculine`, and fair hair is drawn towards black where the skin is dark; all else is independent.
    """
    out = draw(IDENTITY, seed)
    out['build'] = out['masculine']
    out['hair_dark'] = np.maximum(out['hair_dark'], np.float32(1.7) * out['skin'] - np.float32(0.35)).clip(0, 1)
    return out


def random_pose(seed: int) -> Params:
    """Where the head is and looks: every key of POSE, scalars (degrees, fractions of the picture)."""
    return draw(POSE, seed)


def random_expression(seed: int) -> Params:
    """A face pulled at random: every key of EXPRESSION, scalars."""
    return draw(EXPRESSION, seed)


def random_light(seed: int) -> Params:
    """Light and background: every key of LIGHT, scalars."""
    return draw(LIGHT, seed)


def random_motion(seed: int) -> Params:
    """Pose, expression and light of one picture."""
    return random_pose(seed) | random_expression(seed) | random_light(seed)


def stack(rows: list[Params]) -> Params:
    """[{name: scalar}] -> {name: [N]}."""
    return {name: np.array([row[name] for row in rows], np.float32) for name in rows[0]}


def swapped(outer: Params, inner: Params) -> Params:
    """The person `outer` with the inner face of `inner`: skin, eyes, brows, nose, mouth, beard, glasses, age."""
    return outer | {name: inner[name] for name in INNER}


def check(params: Params, table: dict[str, Range], what: str) -> Params:
    """`params` as float32 [n] arrays; a missing or unknown key is the caller's mistake."""
    missing, unknown = sorted(set(table) - set(params)), sorted(set(params) - set(table))
    if missing or unknown:
        raise InputError(f'{what}: missing keys {missing}, unknown keys {unknown}; see dfjax.data.render.parameters')
    return {name: np.atleast_1d(np.asarray(params[name], np.float32)) for name in table}


def attributes(identity: Params, motion: Params) -> dict[str, np.ndarray]:
    """Labels, bool: what a person would say of the picture. Keys are constant; shapes follow the parameters."""
    i, m = identity, motion
    grey, bald = i['hair_grey'] > 0.5, i['bald'] * (i['build'] > 0.5) > 0.6
    coloured = ~(grey | bald)
    red = coloured & (i['hair_red'] > 0.5) & (i['hair_dark'] < 0.75)
    beard = beard_of(i)
    return {
        'male': i['masculine'] > 0.5,
        'young': i['age'] < 0.5,
        'glasses': i['glasses'] > 0,
        'beard': beard > 0.3,
        'moustache': moustache_of(i) > 0.3,
        'bald': bald,
        'fringe': i['fringe'] > 0.3,
        'long_hair': ~bald & (i['hair_length'] > 0.6),
        'grey_hair': grey & ~bald,
        'red_hair': red,
        'black_hair': coloured & ~red & (i['hair_dark'] > 0.75),
        'brown_hair': coloured & ~red & (i['hair_dark'] <= 0.75) & (i['hair_dark'] > 0.35),
        'fair_hair': coloured & ~red & (i['hair_dark'] <= 0.35),
        'pale_skin': i['skin'] < 0.25,
        'smile': m['smile'] > 0.4,
        'mouth_open': m['open'] > 0.25,
        'eyes_shut': m['blink'] > 0.7,
    }


def _adult_male(i: Params) -> np.ndarray:
    return np.clip((i['masculine'] - 0.45) * 8, 0, 1)


def beard_of(i: Params) -> np.ndarray:
    """How much beard shows: the parameter, on masculine faces only."""
    return i['beard'] * _adult_male(i)


def moustache_of(i: Params) -> np.ndarray:
    """How much moustache shows; a full beard brings one."""
    return np.maximum(i['moustache'], 0.9 * i['beard']) * _adult_male(i)

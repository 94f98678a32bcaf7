"""Many random people with independent labels: what classifiers, attribute vectors and translations are tried on.

Every label is one parameter, drawn from one of two ranges with a gap between, by a fair coin of its own. Whatever would
tie labels together is held back: all have masculine features (else none could have a beard), nobody is bald.
"""

import zlib

import numpy as np

from dfjax.data.render.parameters import IDENTITY, MOTION, Params, Range

# label: its parameter, the range without it and the range with it
LABELS = {
    'smile': ('smile', (-0.4, -0.1), (0.8, 1.0)),
    'mouth_open': ('open', (0.0, 0.0), (0.4, 0.9)),
    'glasses': ('glasses', (0.0, 0.0), (0.7, 1.0)),
    'beard': ('beard', (0.0, 0.0), (0.9, 1.0)),
    'dark_hair': ('hair_dark', (0.0, 0.2), (0.75, 1.0)),
    'long_hair': ('hair_length', (0.0, 0.25), (0.8, 1.0)),
    'fringe': ('fringe', (0.0, 0.0), (0.95, 1.0)),
}
# parameters that would hide a label, or come with one
HELD = {
    'masculine': Range(0.58, 0.8),
    'build': Range(0.0, 0.4),
    'bald': Range(0.0, 0.0),
    'forehead': Range(0.0, 1.0),
    'hair_red': Range(0.0, 0.3),
    'hair_grey': Range(0.0, 0.0),
    'hair_frame': Range(0.5, 1.0),
    'skin': Range(0.0, 0.5),
    'moustache': Range(0.0, 0.0),
    'glasses_thick': Range(0.6, 1.0),
    'glasses_dark': Range(0.6, 1.0),
    'mouth_width': Range(-0.3, 1.0),
    'pucker': Range(0.0, 0.0),
    'blink': Range(0.0, 0.0),
    'wink': Range(0.0, 0.0),
    'squint': Range(0.0, 0.4),
    'yaw': Range(-15.0, 15.0),
    'light_yaw': Range(-45.0, 45.0),
    'ambient': Range(0.4, 0.6),
}


def random_people(seed: int, count: int) -> tuple[Params, Params, dict[str, np.ndarray]]:
    """`count` people, each in a moment of its own; more of them go on from fewer.

    Returns:
        Identity (every key of IDENTITY, [count]), motion (every key of MOTION, [count]), and labels: name of LABELS to
        bool [count].
    """
    drawn = _draw(IDENTITY | MOTION | HELD, seed, count)
    labels = {}
    for label, (name, without, having) in LABELS.items():
        rng = _rng(seed, f'label {label}')
        coin, place = rng.random((count, 2)).T
        labels[label] = coin < 0.5
        low, high = np.where(labels[label], np.array([having]).T, np.array([without]).T)  # [count] each
        drawn[name] = (low + (high - low) * place).astype(np.float32)
    return {k: drawn[k] for k in IDENTITY}, {k: drawn[k] for k in MOTION}, labels


def random_motions(seed: int, count: int) -> Params:
    """`count` moments, each of its own pose, expression and light: every key of MOTION, [count]; fewer begin alike."""
    return _draw(MOTION, seed, count)


def _rng(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, 3, zlib.crc32(name.encode())])


def _draw(table: dict[str, Range], seed: int, count: int) -> Params:
    """[count] values for each row of a table of parameters."""
    out = {}
    for name, r in table.items():
        rare, place = _rng(seed, name).random((count, 2)).T
        out[name] = np.where(rare < r.rare, r.rest, r.low + (r.high - r.low) * place).astype(np.float32)
    return out

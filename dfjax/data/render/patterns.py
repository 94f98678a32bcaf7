"""Styles that need no file: pictures drawn by formula, for style transfer to learn from.

    pattern:strokes         short strokes of thick paint that follow a swirling flow, night blue to yellow
    pattern:mosaic          bits of coloured glass between dark joints
    pattern:hatching        ink hatched in two directions on warm paper

A number may follow, as in `pattern:mosaic:7`: another picture of the same kind.
"""

from collections.abc import Callable

import cv2
import numpy as np

from dfjax.errors import InputError

PREFIX = 'pattern:'
NIGHT = ((10, 18, 60), (24, 58, 128), (58, 110, 176), (140, 182, 200), (240, 206, 92), (252, 236, 170))
GLASS = ((150, 24, 38), (216, 72, 32), (240, 170, 40), (24, 110, 90), (26, 70, 150), (70, 36, 110), (236, 224, 190))
PAPER, INK = np.array([242, 230, 206.0]), np.array([38, 32, 40.0])
STROKE = 12  # steps of one pixel along the flow, each way, at 256 px


def pattern(name: str, size: int) -> np.ndarray:
    """The picture uint8 [size, size, 3] of a name; the same pattern at every size.

    Raises:
        InputError: if there is no such pattern.
    """
    kind, _, seed = name.removeprefix(PREFIX).partition(':')
    if not name.startswith(PREFIX) or kind not in PATTERNS or not (seed or '0').isdecimal():
        raise InputError(f'{name}: no such pattern; there are: {", ".join(PREFIX + kind for kind in PATTERNS)}')
    drawn = PATTERNS[kind](np.random.default_rng(int(seed or 0)), 256)
    drawn = np.uint8(np.clip(drawn, 0, 255).round())
    how = cv2.INTER_AREA if size < 256 else cv2.INTER_CUBIC
    return drawn if size == 256 else cv2.resize(drawn, (size, size), interpolation=how)


def _smooth(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    """Gaussian noise [size, size] of that scale, mean 0 and variance 1."""
    noise = cv2.GaussianBlur(rng.normal(size=(size, size)), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return (noise - noise.mean()) / noise.std()


def _coloured(values: np.ndarray, palette: tuple) -> np.ndarray:
    """Colours [..., 3] of values in [0, 1] along a palette."""
    at = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(values, at, channel) for channel in np.array(palette, float).T], -1)


def _strokes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise smeared along a flow (line integral convolution; Cabral & Leedom 1993), lit as if it stood out."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle = np.zeros((size, size), complex)  # flow's direction: a drift, and swirls that die away from their centres
    angle += np.exp(0.5j * _smooth(rng, size, size / 5))
    for _ in range(6):
        cx, cy, reach = *rng.uniform(0, size, 2), rng.uniform(size / 12, size / 6)
        away = (x - cx) + 1j * (y - cy)
        angle += 4j * rng.choice([-1, 1]) * away / (np.abs(away) + 1) * np.exp(-0.5 * (np.abs(away) / reach) ** 2)
    flow = angle / np.maximum(np.abs(angle), 1e-6)

    grain, tone = _smooth(rng, size, 1.6), _smooth(rng, size, size / 14) + 0.5 * _smooth(rng, size, 4.0)
    layers = np.stack([grain, tone], -1).astype(np.float32)
    total = layers.copy()
    for sign in (1, -1):
        px, py = x.copy(), y.copy()
        for _ in range(STROKE):
            step = cv2.remap(np.stack([flow.real, flow.imag], -1).astype(np.float32), px, py, cv2.INTER_LINEAR)
            px = np.clip(px + sign * step[..., 0], 0, size - 1)
            py = np.clip(py + sign * step[..., 1], 0, size - 1)
            total += cv2.remap(layers, px, py, cv2.INTER_LINEAR)
    grain, tone = ((layer - layer.mean()) / layer.std() for layer in np.moveaxis(total, -1, 0))
    relief = np.gradient(grain, axis=0) - np.gradient(grain, axis=1)  # light from the upper right
    rank = np.argsort(np.argsort((tone + 0.45 * grain).ravel())).reshape(size, size) / size**2
    return _coloured(rank, NIGHT) + 60 * np.tanh(relief)[..., None]


def _mosaic(rng: np.random.Generator, size: int) -> np.ndarray:
    """Cells of the nearest point, evened out by moving points to the middles of their cells (Lloyd 1982)."""
    points = rng.uniform(0, size, (220, 2))
    for side in (64, 64, 64, size):  # the grid
        y, x = (np.mgrid[:side, :side].reshape(2, -1) + 0.5) * (size / side)
        distance = ((x[:, None] - points[:, 0]) ** 2 + (y[:, None] - points[:, 1]) ** 2).astype(np.float32)  # [S S, N]
        cell = distance.argmin(1)
        if side < size:
            count = np.maximum(np.bincount(cell, minlength=len(points)), 1)
            points = np.stack([np.bincount(cell, v, len(points)) / count for v in (x, y)], -1)
    nearest = distance[np.arange(len(cell)), cell].copy()
    distance[np.arange(len(cell)), cell] = np.inf
    nearest, second, cell = (v.reshape(size, size) for v in (nearest**0.5, distance.min(1) ** 0.5, cell))
    joint = np.clip((second - nearest) / 2 - 0.8, 0, 1)[..., None]  # 0 in the joints
    colours = np.array(GLASS, float)[rng.integers(0, len(GLASS), len(points))] + rng.normal(0, 12, (len(points), 3))
    light = 1 + 0.12 * _smooth(rng, size, 3.0) - 0.15 * nearest / nearest.max()
    return joint * colours[cell] * light[..., None] + (1 - joint) * np.array([24, 20, 26.0])


def _hatching(rng: np.random.Generator, size: int) -> np.ndarray:
    """Two sets of lines, as wide as the tone is dark; the second where it is darker yet."""
    tone = _smooth(rng, size, size / 10)
    y, x = np.mgrid[:size, :size] + 1.5 * np.stack([_smooth(rng, size, 12.0) for _ in range(2)])
    ink = np.zeros((size, size))
    for slant, period, start in ((0.9, 6.0, -0.8), (-0.7, 5.0, 0.2), (0.1, 4.5, 0.9)):
        wave = np.sin(2 * np.pi / period * (x * np.cos(slant) + y * np.sin(slant)))
        dark = tone - start + 0.35 * _smooth(rng, size, 2.5)
        ink = np.maximum(ink, 1 / (1 + np.exp(-6 * (wave + 1.1 * np.tanh(1.2 * dark) - 0.9))))
    return PAPER + (INK - PAPER) * ink[..., None] + 4 * rng.normal(size=(size, size, 1))


PATTERNS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    'strokes': _strokes,
    'mosaic': _mosaic,
    'hatching': _hatching,
}

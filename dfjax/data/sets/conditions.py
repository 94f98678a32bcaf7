"""Conditions: what a picture becomes where translation is to learn the way back, or to another look of the same.

    edges       dark lines on white, where brightness changes
    grey        brightness alone
    mask        one colour each for background, body, hair and skin; skin alone where only that is known
    landmarks   the lines of jaw, brows, nose, eyes and lips, on black or over the condition before it
    cartoon     a flat drawing by night: few tones, blue for warm, dark outlines

Several are joined by +, each drawn over the one before: `mask+landmarks`. Pure functions of an item of a data set.
"""

from collections.abc import Callable

import cv2
import numpy as np

from dfjax.errors import InputError
from dfjax.ops.geometry import to_pixels

PARTS = np.array([[236, 188, 160], [150, 80, 30], [70, 130, 90]], np.float32)  # skin, hair, body
BACKGROUND = np.array([40, 40, 60], np.float32)
# (landmarks of each line, whether it is closed, its colour)
LINES = (
    (range(0, 17), False, (255, 255, 255)),
    (range(17, 22), False, (255, 200, 0)),
    (range(22, 27), False, (255, 200, 0)),
    (range(27, 31), False, (0, 200, 255)),
    (range(31, 36), False, (0, 200, 255)),
    (range(36, 42), True, (0, 255, 0)),
    (range(42, 48), True, (0, 255, 0)),
    (range(48, 60), True, (255, 0, 80)),
    (range(60, 68), True, (255, 0, 255)),
)
TONES = 6  # grey levels of a cartoon
NIGHT_DARK, NIGHT_LIGHT = (
    np.array([0.02, 0.05, 0.12], np.float32),
    np.array([0.4, 0.5, 0.7], np.float32),
)  # linear from the darkest tone to the lightest
FINER = 4  # supersampling of lines, per side


def condition_image(name: str, item: dict) -> np.ndarray:
    """The image of a condition for an item: uint8 [S, S, 3].

    Raises:
        InputError: if there is no such condition, or the item lacks what it needs.
    """
    picture = np.zeros_like(item['image'])
    for part in name.split('+'):
        picture = CONDITIONS[part](item, picture)
    return picture


def check_condition(name: str, item: dict | None = None) -> None:
    """Raises InputError unless there is such a condition, and the item, where given, has what it needs."""
    for part in name.split('+'):
        if part not in CONDITIONS:
            raise InputError(f'condition {part!r} does not exist; there are: {", ".join(CONDITIONS)}')
        if item and part in ('mask', 'landmarks') and part not in item:
            raise InputError(f'condition {part!r} needs faces with known landmarks: a face set, or rendered ones')


def _edges(item: dict, _: np.ndarray) -> np.ndarray:
    grey = cv2.GaussianBlur(cv2.cvtColor(item['image'], cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 0.8)
    x, y = (cv2.Sobel(grey, cv2.CV_32F, *d, scale=1 / 8) for d in ((1, 0), (0, 1)))
    lines = 255 - np.clip(9 * (np.hypot(x, y) - 3), 0, 255)
    return np.repeat(lines.astype(np.uint8)[..., None], 3, -1)


def _grey(item: dict, _: np.ndarray) -> np.ndarray:
    return np.repeat(cv2.cvtColor(item['image'], cv2.COLOR_RGB2GRAY)[..., None], 3, -1)


def _mask(item: dict, _: np.ndarray) -> np.ndarray:
    if 'parts' in item:
        share = item['parts'].astype(np.float32) / 255  # [S, S, 3]
    else:
        share = item['mask'].astype(np.float32)[..., None] / 255 * np.array([1, 0, 0], np.float32)
    picture = share @ PARTS + (1 - share.sum(-1, keepdims=True)) * BACKGROUND
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def _landmarks(item: dict, under: np.ndarray) -> np.ndarray:
    size = under.shape[0]
    large = cv2.resize(under, (size * FINER, size * FINER), interpolation=cv2.INTER_NEAREST)
    at = np.round(to_pixels(item['landmarks'], size * FINER) * 16).astype(np.int32)
    thick = max(FINER * size // 64, 1)
    for points, closed, colour in LINES:
        cv2.polylines(large, [at[list(points)]], closed, colour, thick, cv2.LINE_AA, 4)
    return cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)


def _cartoon(item: dict, _: np.ndarray) -> np.ndarray:
    size = item['image'].shape[0]
    flat = cv2.bilateralFilter(item['image'], 5, 40, size / 32).astype(np.float32) / 255
    light = flat @ np.array([0.299, 0.587, 0.114], np.float32)
    tone = np.floor(light * TONES + 0.5) / TONES
    night = (NIGHT_DARK + tone[..., None] * NIGHT_LIGHT) + 0.45 * (flat - light[..., None])[..., ::-1]
    ink = _edges(item, item['image']).astype(np.float32) / 255
    return np.clip(np.round(255 * night * (0.5 + 0.5 * ink)), 0, 255).astype(np.uint8)


CONDITIONS: dict[str, Callable[[dict, np.ndarray], np.ndarray]] = {
    'edges': _edges,
    'grey': _grey,
    'mask': _mask,
    'landmarks': _landmarks,
    'cartoon': _cartoon,
}

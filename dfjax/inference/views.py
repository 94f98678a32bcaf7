"""What is written of a frame and the faces laid into it: views beside the result, or a layer of its own."""

import numpy as np

from dfjax.inference.paste import Placed

TINT = np.float32([255, 40, 40])  # colour of what a mask covers
TINTED = 0.5  # how much of it


def coverage(shape: tuple, parts: list[Placed]) -> np.ndarray:
    """How much of each pixel of a frame is painted over: float32 [H, W, 1] in [0, 1]."""
    left = np.ones((*shape[:2], 1), np.float32)
    for part in parts:
        left[part.rows, part.columns] *= 1 - part.mask
    return 1 - left


def masked(frame: np.ndarray, parts: list[Placed]) -> np.ndarray:
    """The frame uint8 [H, W, 3] with what the masks cover tinted."""
    tint = TINTED * coverage(frame.shape, parts)
    return np.rint(frame + tint * (TINT - frame)).astype(np.uint8)


def layer(shape: tuple, parts: list[Placed]) -> np.ndarray:
    """The faces alone: uint16 RGBA [H, W, 4], colours not multiplied by alpha, as compositing programs take a PNG."""
    colour, alpha = np.zeros((*shape[:2], 3), np.float32), np.zeros((*shape[:2], 1), np.float32)
    for part in parts:  # over what is there (Porter & Duff 1984)
        at = part.rows, part.columns
        under = alpha[at] * (1 - part.mask)
        whole = part.mask + under
        colour[at] = (part.face * part.mask + colour[at] * under) / np.maximum(whole, 1e-6)
        alpha[at] = whole
    colour = np.where(alpha > 0, np.clip(colour / 255, 0, 1), 0)
    return np.rint(np.concatenate([colour, alpha], -1) * 65535).astype(np.uint16)

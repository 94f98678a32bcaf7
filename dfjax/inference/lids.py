"""Lids that shut: skin over the eye, down to a line of lashes.

A bend can press an open eye to a slit, in which the iris still shows; two edges that come to lie in one place cannot
be bent at all. So edges keep a little apart, and what is left between them is covered.
"""

import cv2
import numpy as np

from dfjax.inference.opening import Opening, paint, smoothstep

EYES = (([36, 37, 38, 39], [36, 41, 40, 39]), ([42, 43, 44, 45], [42, 47, 46, 45]))  # upper and lower lid of each
PAIRS = np.array([[37, 41], [38, 40], [43, 47], [44, 46], [61, 67], [62, 66], [63, 65]])  # edges that can meet
APART = 0.03  # gap, in distances between the eyes, that PAIRS keep in a bend
HALF, SHUT = 0.5, 0.25  # shares of an eye's own opening: a lid begins to be painted over it, and covers it whole
OVER = 0.02  # overlap of the lid past the slit, in distances between the eyes: hides the lashes of the open eye
LASHES, THICK = 0.45, 0.014  # darkness of their line; half its width in distances between the eyes


def keep_apart(points: np.ndarray, own: np.ndarray, eyes: float, down: np.ndarray) -> np.ndarray:
    """Points [85, 2] with the edges of eyes and mouth apart, if they are so in the picture's own points.

    Args:
        own: [85, 2] of the picture.
        eyes: the distance between the eyes, pixels.
        down: [2] unit vector, from brows to chin.
    """
    points = points.copy()
    gap = ((points[PAIRS[:, 1]] - points[PAIRS[:, 0]]) * down).sum(-1)
    least = np.clip(np.linalg.norm(own[PAIRS[:, 1]] - own[PAIRS[:, 0]], axis=-1), 0, APART * eyes)
    half = np.maximum(least - gap, 0)[:, None] / 2 * down
    points[PAIRS[:, 0]] -= half
    points[PAIRS[:, 1]] += half
    return points


def openings(points: np.ndarray) -> np.ndarray:
    """How far both eyes of points [..., 68+, 2] are open, over their width: [..., 2]."""
    out = []
    for upper, lower in EYES:
        gap = np.linalg.norm(points[..., upper[1:3], :] - points[..., lower[1:3], :], axis=-1).mean(-1)
        out.append(gap / np.linalg.norm(points[..., upper[0], :] - points[..., upper[3], :], axis=-1))
    return np.stack(out, -1)


def shut_lids(picture: np.ndarray, points: np.ndarray, share: np.ndarray, eyes: float) -> None:
    """Covers eyes that shut, in place.

    Args:
        picture: uint8 [H, W, 3], bent.
        points: [85, 2] as they were bent to, edges apart.
        share: [2] of their own opening, that the eyes are open.
        eyes: the distance between the eyes, pixels.
    """
    for (upper, lower), open_ in zip(EYES, share):
        covered = float(smoothstep(HALF, SHUT, open_))
        if covered <= 0:
            continue
        slit = Opening(points[upper], points[lower], eyes, picture.shape, room=2 * OVER)
        if not slit.x.size:
            continue
        # The skin above the lid, mirrored down over the slit.
        up = (2 * np.maximum(slit.below + OVER, 0) + OVER)[..., None] * eyes * slit.down
        at = np.stack([slit.x, slit.y], -1) - up
        skin = cv2.remap(picture, np.float32(at), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        ends = smoothstep(1.0, 0.85, np.abs(slit.across))
        line = np.exp(-((slit.above / THICK) ** 2)) * ends
        colour = skin * (1 - LASHES * line[..., None])
        paint(picture, slit, colour, covered * slit.within(OVER) * ends)

"""Another mouth in a frame: a patch of the lower face bent to the wanted landmarks, laid in by a soft matte.

Outside the matte the frame keeps its bits. Colours follow the frame's at the matte's rim, so that no edge shows.
"""

import cv2
import numpy as np

from dfjax.inference import mouth as mouths
from dfjax.inference.mouthpool import LOWER, lower_box
from dfjax.inference.opening import paint, smoothstep

OUTER = [*range(3, 14), 31, 35]  # landmarks round the matte
BELOW = 0.05  # distances between the eyes by which it reaches beyond them
SOFT = 0.16  # distances between the eyes over which it fades
TONE = 0.3  # distances between the eyes over which a difference of colour is spread
STEPS = 10  # places where the bend is evaluated, between the eyes


def remouth(
    frame: np.ndarray,
    own: np.ndarray,
    wanted: np.ndarray,
    patch: np.ndarray,
    corner: np.ndarray,
    theirs: np.ndarray,
    their_gap: float,
    tone: np.ndarray | None = None,
) -> np.ndarray:
    """The frame with another mouth, uint8 [H, W, 3].

    Args:
        frame: uint8 [H, W, 3].
        own, wanted: [68, 2] landmarks that it has and should have.
        patch: uint8 [h, w, 3] lower face of another moment; `corner` [2] is where it lies in its frame.
        theirs: [68, 2] its landmarks in its frame.
        their_gap: how far its lips are apart, in distances between the eyes.
        tone: [3] of the skin; a mouth is drawn between lips that part much further than the patch's.
    """
    eyes = float(np.linalg.norm(own[36:42].mean(0) - own[42:48].mean(0)))
    x0, y0, x1, y1 = lower_box(np.where(np.isin(np.arange(68), LOWER)[:, None], wanted, own), frame.shape)
    soft = matte(own, wanted, eyes, (x0, y0, x1, y1))
    under = frame[y0:y1, x0:x1].astype(np.float32)
    at = field(wanted[LOWER], theirs[LOWER] - corner, (x0, y0, x1, y1), max(1, round(eyes / STEPS)))
    made = cv2.remap(patch, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    made += rim_difference(under, made, soft, eyes)
    lips = wanted - (x0, y0)
    shown = np.clip(np.rint(made), 0, 255).astype(np.uint8)
    inside = mouths.between_lips(lips, eyes, shown.shape)
    mouths.shut(shown, inside, their_gap, lips)
    if tone is not None and (alpha := mouths.shown(inside, their_gap)).any():
        paint(shown, inside, mouths.drawn(inside, tone), alpha)
    out = frame.copy()
    out[y0:y1, x0:x1] = np.rint(under + soft[..., None] * (shown - under)).astype(np.uint8)
    return out


def matte(own: np.ndarray, wanted: np.ndarray, eyes: float, window: tuple[int, int, int, int]) -> np.ndarray:
    """How much of each pixel of a window (x0, y0, x1, y1) is another's: [h, w], 0 outside the lower face."""
    x0, y0, x1, y1 = window
    ring = np.concatenate([own[OUTER], wanted[OUTER]])
    middle = ring.mean(0)
    away = ring - middle
    ring = ring + away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6) * BELOW * eyes
    hull = cv2.convexHull(np.float32(ring - (x0, y0)))
    inside = cv2.fillConvexPoly(np.zeros((y1 - y0, x1 - x0), np.uint8), np.round(hull).astype(np.int32), 1)
    inside = np.pad(inside, 1)  # a face that leaves the picture does so without a fade
    inside[0], inside[-1], inside[:, 0], inside[:, -1] = inside[1], inside[-2], inside[:, 1], inside[:, -2]
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return smoothstep(0, SOFT * eyes, depth).astype(np.float32)


def field(points: np.ndarray, goals: np.ndarray, window: tuple[int, int, int, int], step: int) -> np.ndarray:
    """Where each pixel of a window comes from: float32 [h, w, 2], the thin plate from points [K, 2] to goals [K, 2]."""
    x0, y0, x1, y1 = window
    nodes_x, nodes_y = np.arange(x0 - step, x1 + 2 * step, step), np.arange(y0 - step, y1 + 2 * step, step)
    nodes = np.stack(np.meshgrid(nodes_x, nodes_y), -1).astype(np.float64)
    # Shifts are interpolated, not places: OpenCV rounds weights, by which large numbers would be off.
    shift = np.float32(mouths.spline(points, goals - points, nodes.reshape(-1, 2)).reshape(nodes.shape))
    x, y = np.meshgrid(np.arange(x1 - x0, dtype=np.float32), np.arange(y1 - y0, dtype=np.float32))
    shift = cv2.remap(shift, 1 + x / step, 1 + y / step, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return shift + np.stack([x + x0, y + y0], -1)


def rim_difference(under: np.ndarray, made: np.ndarray, soft: np.ndarray, eyes: float) -> np.ndarray:
    """What has to be added to `made` [h, w, 3] to have the frame's colours at the rim, smooth within."""
    rim = (4 * soft * (1 - soft))[..., None]
    shrink = max(1, round(eyes / 24))  # what is smooth is computed on fewer pixels
    size = (-(-soft.shape[1] // shrink), -(-soft.shape[0] // shrink))
    small = cv2.resize(np.concatenate([rim * (under - made), rim], -1), size, interpolation=cv2.INTER_AREA)
    total = cv2.GaussianBlur(small, (0, 0), TONE * eyes / shrink, borderType=cv2.BORDER_CONSTANT) + 1e-6
    spread = total[..., :3] / (total[..., 3:] + 1e-4)
    return cv2.resize(spread, soft.shape[::-1], interpolation=cv2.INTER_LINEAR)

"""What is seen between lips that part: the driver's mouth, in the picture's tone, or a drawn one.

A picture of shut lips says nothing of what is behind them. Pixels within the inner lips are painted over the bent
picture, softly at their edge, and fade in as the lips part further than they do in the picture itself.
"""

import cv2
import numpy as np

from dfjax.inference.opening import Opening, paint, smoothstep

PARTED, FULL = 0.03, 0.06  # gap of the lips in distances between the eyes: painting fades in from one to the other
OWN = 1.6  # up to so many times the picture's own gap its own mouth is shown
SKIN = ([1, 2, 3, 31, 48], [15, 14, 13, 35, 54], [6, 7, 8, 9, 10, 57])  # landmarks round both cheeks and the chin
INNER = [60, 61, 62, 63, 64], [60, 67, 66, 65, 64]  # the inner edges of the lips, from left to right
BACK = np.array([0.26, 0.13, 0.12])  # colour of the back of the mouth, share of the skin's
TONGUE = np.array([0.74, 0.46, 0.45])
TEETH_FROM = 0.05  # gap of the lips in distances between the eyes, from which teeth show
TEETH_LONG, TEETH_SHARE = 0.085, 0.5  # length of teeth at most, in distances between the eyes and as share of the gap
HUE = 0.5  # share of the difference between two skins' hues that the driver's mouth takes over
OUTER = [49, 51, 53, 55, 57, 59]  # landmarks on the edge of the lips
PALE = 0.5  # saturation of the light on teeth, share of the skin's
LUMA = np.array([0.299, 0.587, 0.114])


def between_lips(landmarks: np.ndarray, eyes: float, shape: tuple) -> Opening:
    """The opening of the mouth; arguments as of `Opening`."""
    return Opening(landmarks[INNER[0]], landmarks[INNER[1]], eyes, shape)


def shown(inside: Opening, own_gap: float) -> np.ndarray:
    """How much of each pixel of an open mouth is painted [h, w]; `own_gap` is that of the picture itself."""
    start = max(PARTED, OWN * own_gap)
    return smoothstep(start, start + FULL - PARTED, inside.gap) * inside.within()


def skin_tone(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The median colour [3] of cheeks and chin in a picture uint8 [H, W, 3], 0..255; grey where none of it is seen."""
    area = np.zeros(picture.shape[:2], np.uint8)
    for ring in SKIN:
        cv2.fillConvexPoly(area, cv2.convexHull(np.round(landmarks[ring]).astype(np.int32))[:, 0], 1)
    seen = picture[area > 0]
    return np.median(seen, 0) if len(seen) else np.full(3, 128.0)


def drawn(inside: Opening, tone: np.ndarray) -> np.ndarray:
    """A mouth [h, w, 3] in 0..255: its dark back, a tongue, teeth of the upper jaw.

    Args:
        tone: [3] colour of the skin, 0..255.
    """
    gap = max(inside.gap, 1e-3)
    depth = np.clip(inside.below / np.maximum(inside.below + inside.above, 1e-3), 0, 1)
    side = 1 - np.abs(inside.across)
    colour = BACK * (0.6 + 0.4 * depth)[..., None]
    tongue = smoothstep(0.5, 0.85, depth) * smoothstep(0.15, 0.6, side) * smoothstep(0.08, 0.2, gap)
    colour = colour + tongue[..., None] * (TONGUE * (0.6 + 0.4 * depth)[..., None] - colour)
    # Teeth do not move with the lips: their lower edge is straight, and curved lips hide the teeth at the sides.
    long = min(TEETH_LONG, TEETH_SHARE * gap) - 0.03 * inside.across**2
    seen = smoothstep(long + 0.014, long - 0.014, inside.under) * smoothstep(0.02, 0.4, side)
    seen = seen * smoothstep(TEETH_FROM - 0.01, TEETH_FROM + 0.05, gap)
    lit = (0.5 + 0.5 * smoothstep(-0.01, 0.06, inside.below)) * (0.6 + 0.4 * smoothstep(0.1, 0.8, side))
    colour = colour + seen[..., None] * (lit[..., None] - colour)
    grey = float(tone @ LUMA)
    # The mouth is as saturated as the skin, so that a statue's is grey; teeth are nearly white.
    colourful = min(1.0, float(np.ptp(tone)) / max(0.28 * grey, 1.0))
    plain = (colour @ LUMA)[..., None]
    colour = (plain + colourful * (colour - plain)) * (grey + PALE * colourful * (tone - grey))
    return np.clip(colour, 0, 255)


class DriverMouth:
    """The driver's own mouth, in the tone of the picture.

    Args:
        picture_tone, driver_tone: [3] colours of the skin, 0..255, once a shot: tones for each frame flicker.
    """

    def __init__(self, picture_tone: np.ndarray, driver_tone: np.ndarray):
        grey, other = float(picture_tone @ LUMA), float(driver_tone @ LUMA)
        self.light = np.clip(grey / max(other, 1.0), 0.3, 2.0)
        own, theirs = (float(np.ptp(tone)) / max(float(tone @ LUMA), 1.0) for tone in (picture_tone, driver_tone))
        self.colourful = float(np.clip(own / max(theirs, 1e-3), 0, 1))
        # Luminance follows the skin's wholly, hue in part: full ratios of channels would paint green teeth on a dog.
        hue = (picture_tone / max(grey, 1.0)) / np.maximum(driver_tone / max(other, 1.0), 0.05)
        self.hue = np.clip(hue ** (HUE * self.colourful), 0.8, 1.25)

    def __call__(self, inside: Opening, lips: np.ndarray, frame: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """The mouth [h, w, 3] in 0..255 at the pixels of `inside`.

        Args:
            lips: [68, 2] where the landmarks are in the picture.
            frame: uint8 [H, W, 3] of the driver.
            theirs: [68, 2] where they are in it.
        """
        ys, xs = np.mgrid[inside.rows, inside.columns]
        at = spline(lips[48:68], theirs[48:68], np.stack([xs, ys], -1).reshape(-1, 2))
        at = np.float32(at.reshape(*xs.shape, 2))
        seen = cv2.remap(frame, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float64)
        grey = (seen @ LUMA)[..., None]
        return np.clip(self.light * self.hue * (grey + self.colourful * (seen - grey)), 0, 255)


def spline(points: np.ndarray, goals: np.ndarray, at: np.ndarray, stiffness: float = 0.003) -> np.ndarray:
    """Positions `at` [P, 2] under the thin plate that takes points [K, 2] to goals [K, 2]."""
    unit = np.linalg.norm(points - points.mean(0), axis=1).mean() + 1e-6
    middle = points.mean(0)
    p, q = (points - middle) / unit, (at - middle) / unit

    def kernel(a: np.ndarray) -> np.ndarray:
        squared = np.maximum(((a[:, None] - p) ** 2).sum(-1), 1e-12)
        return np.concatenate([0.5 * squared * np.log(squared), np.ones((len(a), 1)), a], 1)

    rows = kernel(p)
    rows[:, : len(p)] += stiffness * np.eye(len(p))
    system = np.concatenate([rows, np.concatenate([rows[:, len(p) :].T, np.zeros((3, 3))], 1)])
    return kernel(q) @ np.linalg.solve(system, np.concatenate([goals, np.zeros((3, 2))]))


def shut(picture: np.ndarray, inside: Opening, own_gap: float, lips: np.ndarray) -> None:
    """Covers what is left between lips that close further than the picture's own, in place.

    Teeth and tongue that the bend has squeezed to a line would shine between shut lips: they become lip, with a dark
    line where the lips meet.
    """
    closed = smoothstep(0.6, 0.25, inside.gap / max(own_gap, 1e-6)) if own_gap >= PARTED else 0
    if closed <= 0:
        return
    x, y = np.clip(np.round(lips[OUTER]).astype(int), 0, np.array(picture.shape[1::-1]) - 1).T
    colour = np.median(picture[y, x], 0)
    edge = np.maximum(0.02, inside.gap)
    alpha = closed * smoothstep(-edge, 0, np.minimum(inside.below, inside.above)) * (np.abs(inside.across) < 1)
    line = np.exp(-(((inside.below - inside.above) / 0.02) ** 2))[..., None]
    paint(picture, inside, colour * (1 - 0.45 * line), alpha)

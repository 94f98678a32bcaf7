"""Where the brows are, as the picture shows it.

dlib's regression trees have seen few faces with brows raised high, and leave the landmarks half-way. A brow is a dark
band between two bright ones: each brow is moved along the face's height to where the picture has that band.
"""

import numpy as np

BROWS, EYES = (slice(17, 22), slice(22, 27)), (slice(36, 42), slice(42, 48))
# Heights in distances between the eyes, upwards.
REACH = (-0.14, 0.36)  # range in which a brow is looked for
STEP = 0.01
HALF, GAP = 0.03, 0.13  # half a brow's thickness, and from its middle to the skin on either side
ABOVE_EYE = 0.16  # least distance from lashes to brow
MIDDLE = -0.05  # prior of a brow's middle, from its landmarks
# Contrasts, in shares of skin's brightness.
FAR = 0.10  # penalty, in contrast, for a brow one distance between the eyes away from the prior
SHARP = 0.02  # scale of the soft maximum: heights with this much less contrast than the best count a third of it
FAINT, CLEAR = 0.10, 0.25  # contrast below which landmarks stay where they were, and above which they follow fully


def find_brows(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Landmarks [68, 2] with the brows where they are seen, in pixels of an upright picture uint8 [H, W, 3]."""
    import cv2

    points = np.array(landmarks, np.float64)
    across = points[EYES[1]].mean(0) - points[EYES[0]].mean(0)
    distance = np.linalg.norm(across)
    up = np.array([across[1], -across[0]]) / distance
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    heights = np.arange(REACH[0] - GAP - HALF, REACH[1] + GAP + HALF, STEP)  # [T]
    gap, half = round(GAP / STEP), round(HALF / STEP)
    for brow, eye in zip(BROWS, EYES):
        along = np.stack([np.interp(np.linspace(0.6, 3.4, 15), range(5), points[brow, k]) for k in (0, 1)], 1)
        at = (along[:, None] + (heights[:, None] * distance) * up).astype(np.float32)  # [15, T, 2]
        seen = cv2.remap(grey, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        profile = np.convolve(np.median(seen, 0), np.ones(2 * half + 1) / (2 * half + 1), 'same')
        beside = np.minimum(np.roll(profile, gap), np.roll(profile, -gap))
        stands_out = (beside - profile) / max(np.median(profile), 1.0)  # [T]
        lashes = (points[eye][1:3] - along.mean(0)).mean(0) @ up / distance
        allowed = (heights >= max(REACH[0], lashes + ABOVE_EYE)) & (heights <= REACH[1])
        score = np.where(allowed, stands_out - FAR * np.abs(heights - MIDDLE), -np.inf)
        if allowed.any():
            weight = np.exp((score - score.max()) / SHARP)
            height, clear = (weight @ v / weight.sum() for v in (heights, stands_out))
            belief = np.clip((clear - FAINT) / (CLEAR - FAINT), 0, 1)
            points[brow] += belief * (height - MIDDLE) * distance * up
    return points

"""From what is heard to landmarks: how this person's lips and jaw look for an opening and a width."""

import functools
from dataclasses import dataclass

import numpy as np

from dfjax.inference.head import Motion
from dfjax.inference.mouthpool import lip_gap, lip_shapes
from dfjax.inference.opening import smoothstep

USUAL = 0.16  # gap of a wide open mouth in distances between the eyes, where it is not known of the person
LEAST, MOST = 0.09, 0.3  # what it may be
SAID = 0.7  # opening that is heard of a wide open mouth, usually
FAINTEST, LOUDEST = 0.4, 0.8  # what it may be in one sound: some mumble
SPOKEN = 0.05  # opening that is heard of one who speaks
SPREAD = 0.12  # change of the width from rest to lips spread or rounded, in distances between the eyes
JAW = range(2, 15)  # landmarks that follow the lower lip
JAW_SHARE = 0.6  # how far they do: less than the renderer's, whose chin hangs on the lip
STILL = 0.3  # share of frames, the most closed ones, that a mouth at rest is found in


@dataclass(frozen=True, eq=False)
class MouthShape:
    """A person's mouth.

    Attributes:
        rest: [20, 3] of closed lips in the head's axes, distances between the eyes.
        wide_open: the gap of a mouth that is wide open, likewise.
    """

    rest: np.ndarray
    wide_open: float

    def targets(self, heard: np.ndarray, gain: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Gap and change of width [T] in distances between the eyes, of what is heard [T, 4] in a whole sound: who
        speaks in it opens the mouth as wide as this person does."""
        opening, width, closed, teeth = heard.T
        spoken = opening[opening > SPOKEN]
        said = np.clip(np.quantile(spoken, 0.95), FAINTEST, LOUDEST) if len(spoken) else SAID
        gap = gain * opening.clip(0) / said * self.wide_open
        gap = np.minimum(gap, MOST) * (1 - smoothstep(0.25, 0.5, closed)) * (1 - 0.6 * smoothstep(0.4, 0.7, teeth))
        return gap, gain * SPREAD * width.clip(-1, 1)

    def seen(self, motion: Motion) -> np.ndarray:
        """Opening and width [T, 2] of a motion, in the units in which they are heard: the inverse of `targets`."""
        lips = lip_shapes(motion)
        gap = lip_gap(lips[..., :2])
        moved = directions()[0]
        rest = self.rest[6, 0] - self.rest[0, 0] + gap * (moved[54, 0] - moved[48, 0])
        return np.stack([gap / self.wide_open * SAID, (lips[:, 6, 0] - lips[:, 0, 0] - rest) / SPREAD], -1)

    def lips(self, gap: np.ndarray, width: np.ndarray) -> np.ndarray:
        """Lips [T, 20, 3] in the head's axes."""
        opened, wider = directions()
        return self.rest + gap[:, None, None] * opened[48:] + width[:, None, None] * wider[48:]

    def points(self, own: np.ndarray, lips: np.ndarray) -> np.ndarray:
        """The face [T, 68, 3] with other lips [T, 20, 3], its jaw moved along."""
        points = own.copy()
        change = lip_gap(lips[..., :2]) - lip_gap(own[:, 48:, :2])
        points[:, JAW] += JAW_SHARE * change[:, None, None] * directions()[0][JAW]
        points[:, 48:] = lips
        return points


def shape_of(motion: Motion) -> MouthShape:
    """The mouth of the person whose motion this is: at rest, and as wide as it opens."""
    lips = lip_shapes(motion)
    gap = lip_gap(lips[..., :2])
    opened, wider = directions()
    width = lips[:, 6, 0] - lips[:, 0, 0] - gap * (opened[54, 0] - opened[48, 0])
    still = gap <= np.quantile(gap, STILL)
    away = (width - np.median(width[still]))[:, None, None]
    rest = np.median((lips - gap[:, None, None] * opened[48:] - away * wider[48:])[still], 0)
    own = float(np.quantile(gap, 0.95)) if len(motion) > 25 else 0.0
    return MouthShape(rest, float(np.clip(own, LEAST, MOST)) if own > LEAST else USUAL)


@functools.lru_cache(1)
def directions() -> tuple[np.ndarray, np.ndarray]:
    """How landmarks [68, 3] move for a gap, and for a width, larger by 1: those of a rendered head, whose truth is
    known; x to the right, y down, z away."""
    from dfjax.data.render.head_basis import REST, head_points
    from dfjax.data.render.parameters import random_identity

    who = {name: float(value) for name, value in random_identity(0).items()}

    def points(**face: float) -> np.ndarray:
        found = head_points(who, REST | face)[:68] * [1, -1, -1]
        return found / np.linalg.norm(found[36:42].mean(0) - found[42:48].mean(0))

    closed, opened, rounded = points(), points(open=0.6), points(pucker=0.6)
    gaps = [lip_gap(x[48:, :2]) for x in (closed, opened)]
    wider = (closed[54] - closed[48] - rounded[54] + rounded[48])[0]
    return (opened - closed) / (gaps[1] - gaps[0]), (closed - rounded) / wider

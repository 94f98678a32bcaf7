"""Finds the mark of `mark.py` in pictures that were compressed, scaled, cut or recoloured since.

    found = find_mark('posted.mp4')
    print(f'{found.bits:012x}' if found else 'no mark')

Every scale is tried: the picture is scaled to it and folded into one tile, in which the beacon shows the place by its
correlation; there the words are read, each by its most likely codeword. All values are counted in standard deviations
of what is found where there is no mark, and the sum of the beacon's and the words' must be beyond what chance gives.
"""

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dfjax.data.media.mark import CHIPS, HIGH, LINES, LOW, TILE, WEIGHTS, WORDS, code, detail, waves

STEP = 1.004  # from one scale that is tried to the next: half a unit at the edges of a picture
SMALLEST, LARGEST = 180, 1300  # units of the shorter side that are tried: cut out of a picture, or a screen about it
SHRUNK = 2.5  # units of a pixel, at most: beyond that no wave is left
WORK = 1024  # pixels of the shorter side that are looked at
LOUD = 3.0  # standard deviations at which detail is cut
FLAT = 1.5  # grey levels, added to the detail by which it is divided
RINGS = 8  # of waves, each brought to the same strength
FINE = 2 * TILE  # places at which the beacon is looked for, a side
CERTAIN = 31.0  # standard deviations above which there is a mark: chance gives that in less than one of 10^7 files
AT_ONCE, MOST_FRAMES = 32, 320  # frames that are added up, and that are looked at


@dataclass(frozen=True)
class Found:
    """A mark.

    Attributes:
        bits: its number.
        score: how far it stands out, in standard deviations of beacon and words together.
    """

    bits: int
    score: float


def find_mark(path: Path | str) -> Found | None:
    """The mark of a picture or video, None where there is none to be found. Raises ReadError as the readers do."""
    from dfjax.data.media.inputs import iter_frames

    with contextlib.closing(iter_frames(path)) as frames:
        pictures = (rgb for _, _, rgb, _ in itertools.islice(frames, MOST_FRAMES))
        while group := list(itertools.islice(pictures, AT_ONCE)):
            if found := search(group):
                return found
    return None


def search(pictures: Iterable[np.ndarray]) -> Found | None:
    """The mark of pictures uint8 [H, W, 3] of one size together, None where chance could give as much."""
    found = best(sum(flattened(rgb) for rgb in pictures))
    return found if found.score > CERTAIN else None


def best(flat: np.ndarray) -> Found:
    """The most likely mark of flattened detail [H, W], be it by chance."""
    return max((read(spectrum(folded(flat, side))) for side in sides(min(flat.shape))), key=lambda found: found.score)


def sides(shorter: int) -> Iterator[float]:
    """Units that a shorter side of so many pixels may have, the likely one first."""
    yield float(min(shorter, LINES))
    least, most = min(SMALLEST, 0.7 * shorter), min(LARGEST, SHRUNK * shorter)
    yield from least * STEP ** np.arange(int(np.log(most / least) / np.log(STEP)))


def flattened(rgb: np.ndarray) -> np.ndarray:
    """Fine detail of a picture uint8 [H, W, 3] over its own strength about each pixel, float32 [H, W]."""
    share = WORK / min(rgb.shape[:2])
    if share < 1:
        rgb = cv2.resize(rgb, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    luma = rgb @ WEIGHTS
    unit = max(1.0, min(luma.shape) / LINES)
    span = 2 * round(12 * unit) + 1
    fine = luma - cv2.blur(cv2.blur(luma, (span, span)), (span, span))
    return np.clip(fine / (detail(luma, unit) + FLAT), -LOUD, LOUD)


def folded(flat: np.ndarray, side: float) -> np.ndarray:
    """The sum of all tiles [TILE, TILE] if the shorter side has so many units."""
    share = side / min(flat.shape)
    size = tuple(round(n * share) for n in flat.shape[::-1])
    middle = (share - 1) / 2  # centres of pixels, on the exact scale: sizes are rounded
    to = np.float32([[share, 0, middle], [0, share, middle]])
    scaled = (
        cv2.resize(flat, size, interpolation=cv2.INTER_AREA)
        if share < 1
        else cv2.warpAffine(flat, to, size, flags=cv2.INTER_LINEAR)
    )
    whole = np.zeros([-(-n // TILE) * TILE for n in scaled.shape], np.float32)
    whole[: scaled.shape[0], : scaled.shape[1]] = scaled
    return whole.reshape(whole.shape[0] // TILE, TILE, -1, TILE).sum((0, 2))


def spectrum(tile: np.ndarray) -> np.ndarray:
    """The waves complex [N] of a tile, over the RMS of those that are about as long."""
    rows, columns, _, _ = waves()
    found = np.fft.rfft2(tile)[rows, columns]
    ring = np.minimum((np.hypot(rows, columns) - LOW) * (RINGS / (HIGH - LOW)), RINGS - 1).astype(int)
    power = np.bincount(ring, np.abs(found) ** 2) / np.bincount(ring)
    return found / np.sqrt(power + 1e-12)[ring]


def read(found: np.ndarray) -> Found:
    """The number in waves complex [N], where the beacon is seen best."""
    rows, columns, phases, chips = waves()
    beacon = chips < 0
    grid = np.zeros((FINE, FINE // 2 + 1), complex)
    grid[rows[beacon] % FINE, columns[beacon]] = found[beacon] * np.exp(-1j * phases[beacon])
    seen = np.fft.irfft2(grid, (FINE, FINE))
    y, x = (n * TILE / FINE for n in np.unravel_index(seen.argmax(), seen.shape))
    here = (found * np.exp(1j * (2 * np.pi / TILE * (rows * y + columns * x) - phases))).real  # [N]
    values = np.zeros(WORDS * CHIPS)
    values[chips[~beacon]] = here[~beacon]
    values = values.reshape(WORDS, CHIPS)
    words = values @ code() / np.sqrt(np.sum(np.square(values), 1, keepdims=True) + 1e-12)  # [WORDS, CHIPS]
    most = np.abs(words).argmax(1)
    taken = words[np.arange(WORDS), most]
    score = here[beacon].sum() / np.sqrt(np.sum(np.abs(found[beacon]) ** 2) / 2 + 1e-12) + np.abs(taken).sum()
    return Found(int.from_bytes(bytes(np.where(taken < 0, most + CHIPS, most).astype(np.uint8)), 'big'), float(score))

"""The contact sheet of a face set."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from dfjax.data.media.image import read_image

MOST = 240  # pictures of a sheet


def evenly(count: int, most: int = MOST) -> np.ndarray:
    """Numbers [M] of the pictures of a sheet, of so many that there are."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(int)


def contact_sheet(pictures: Sequence[tuple[Path, str]], side: int = 96, most: int = MOST) -> np.ndarray:
    """Thumbnails in rows, left to right: uint8 RGB [H, W, 3].

    Args:
        pictures: files, each with a short text to write below it.
        side: of a thumbnail, pixels.
        most: of more pictures this many are shown, chosen evenly.
    """
    shown = [pictures[n] for n in evenly(len(pictures), most)]
    columns = min(len(shown), 20, int(np.ceil(np.sqrt(1.5 * len(shown)))))
    width, height, gap = side, side + 15, 4
    lines = -(-len(shown) // columns)
    sheet = np.full((gap + lines * (height + gap), gap + columns * (width + gap), 3), 245, np.uint8)
    for place, (path, text) in enumerate(shown):
        y, x = gap + place // columns * (height + gap), gap + place % columns * (width + gap)
        picture = cv2.resize(read_image(path), (side, side), interpolation=cv2.INTER_AREA)
        sheet[y : y + side, x : x + side] = picture
        cv2.putText(sheet, text, (x + 1, y + side + 11), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (40, 40, 40), 1, cv2.LINE_AA)
    return sheet

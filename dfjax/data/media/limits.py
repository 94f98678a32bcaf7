"""How large a picture or a frame may be: known from a file's header, before any memory is taken for its pixels.

A file of a few kB can say that it is 20000 pixels a side. DFJAX_MAX_MEGAPIXELS, or --max-megapixels of any command, is
another limit, for both kinds.
"""

import math
import os
import struct
from typing import BinaryIO

from dfjax.errors import InputError, ReadError

SETTING = 'DFJAX_MAX_MEGAPIXELS'
PICTURE, FRAME = 128, 36  # megapixels: 108 MP of a phone, and 8192 x 4320, some to spare each; several frames are held
TIFF = {b'II*\0': '<', b'MM\0*': '>'}


def most_pixels(usual: int) -> int:
    """The limit, in pixels: `usual` megapixels unless it is set."""
    text = os.environ.get(SETTING)
    if not text:
        return usual * 10**6
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 10**6:
        raise InputError(f'{SETTING} is {text!r}; give a number of megapixels, as 400')
    return int(value * 10**6)


def check_pixels(name, width: int, height: int, usual: int = PICTURE) -> None:
    """Raises ReadError for a picture or frame that is larger than the limit, or has no pixels."""
    if min(width, height) < 1:
        raise ReadError(name, f'says that it has {width}x{height} pixels')
    if width * height > (most := most_pixels(usual)):
        enough = math.ceil(width * height / 10**6)
        raise ReadError(
            name,
            f'is {width}x{height}, more than {most / 10**6:g} megapixels; '
            f'if it is to be read all the same, pass --max-megapixels {enough} or set {SETTING}={enough}',
        )


def tiff_size(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height in the first directory of a TIFF; None if it is none. Pillow does not know all kinds."""
    file.seek(0)
    order, found = TIFF.get(file.read(4)), {}
    if not order:
        return None
    try:
        file.seek(*struct.unpack(f'{order}I', file.read(4)))
        (count,) = struct.unpack(f'{order}H', file.read(2))
        for _ in range(count):
            tag, kind, _, value = struct.unpack(f'{order}HHI4s', file.read(12))
            if tag in (256, 257) and kind in (3, 4):
                found[tag] = struct.unpack(order + ('H' if kind == 3 else 'I'), value[: 2 if kind == 3 else 4])[0]
    except struct.error:
        return None
    return (found[256], found[257]) if len(found) == 2 else None

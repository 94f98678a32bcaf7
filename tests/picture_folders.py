"""Folders of grey pictures, and what is read of them. It is not a test."""

import numpy as np
from ml_collections import ConfigDict

from dfjax.data.media.image import write_image

SIZE = 32


def flat(value: int, height: int = 40, width: int = 40) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def write(folder, names: dict[str, int], **shape):
    """Grey pictures of these values."""
    for name, value in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, flat(value, **shape))
    return folder


def cut_short(folder, name: str):
    """A JPEG whose header is whole and whose picture is not."""
    write_image(folder / name, np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    (folder / name).write_bytes((folder / name).read_bytes()[:-1500])


def section(**keys) -> ConfigDict:
    return ConfigDict(dict(size=SIZE, resident_bytes=2**30) | keys)


def values(source) -> list[int]:
    """The grey of each picture."""
    return [int(source[n]['image'].mean()) for n in range(len(source))]

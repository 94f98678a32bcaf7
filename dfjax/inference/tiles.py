"""Pictures of any size through a net in tiles that overlap and fade into each other."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

LEAST = 8  # pixels a side that every generator takes


def tiled(
    pictures: Sequence[np.ndarray],
    tile: int,
    step: int,
    batch_size: int,
    apply: Callable[[np.ndarray, list[int]], np.ndarray],
) -> list[np.ndarray]:
    """What a net makes of pictures uint8 [H, W, 3] of one size, as large as they are.

    One that is no larger than a tile goes through as it is, with its mirror image beyond it up to what the net takes.

    Args:
        tile: largest side that goes through in one piece, a multiple of `step`.
        step: what the sides of the net's pictures are to be divided by.
        batch_size: tiles at once, at most.
        apply: the net: of tiles uint8 [N, h, w, 3], and of which of the pictures each is a part, tiles of that shape.
    """
    height, width = pictures[0].shape[:2]
    tops, h = starts(height, tile, step)
    lefts, w = starts(width, tile, step)
    places = list(itertools.product(tops, lefts))
    room = (max(tops[-1] + h - height, 0), max(lefts[-1] + w - width, 0))
    items = ((n, *place) for n in range(len(pictures)) for place in places)
    weight = fade(h, tops)[:, None, None] * fade(w, lefts)[None, :, None]  # [h, w, 1]
    totals, out = {}, [None] * len(pictures)
    while group := list(itertools.islice(items, batch_size)):
        tiles = np.stack([padded(pictures[n], room)[y : y + h, x : x + w] for n, y, x in group])
        for made, (n, y, x) in zip(apply(tiles, [n for n, *_ in group]), group):
            if len(places) == 1:
                out[n] = made[:height, :width]
                continue
            total, seen = totals.setdefault(n, [np.zeros((height + room[0], width + room[1], 4), np.float32), 0])
            total[y : y + h, x : x + w] += weight * np.concatenate([made, np.ones_like(made[..., :1])], -1)
            totals[n][1] = seen + 1
            if seen + 1 == len(places):
                total, _ = totals.pop(n)
                out[n] = np.round(total[..., :3] / total[..., 3:])[:height, :width].astype(np.uint8)
    return out


def starts(length: int, tile: int, step: int) -> tuple[list[int], int]:
    """Where tiles begin along a side, and their length: one if it fits, else evenly, a quarter or more in common.

    All are multiples of `step`; the last may end up to a step after the side.
    """
    whole = max(-(-length // step) * step, -(-LEAST // step) * step)
    if whole <= tile:
        return [0], whole
    count = -(-(whole - tile) // (tile - tile // 4 - step)) + 1
    places = np.linspace(0, (whole - tile) // step, count).round().astype(int) * step
    return places.tolist(), tile


def fade(length: int, places: Sequence[int]) -> np.ndarray:
    """How much a tile counts along a side [length]: 1 in its middle, and less towards its ends where tiles meet."""
    if len(places) == 1:
        return np.ones(length, np.float32)
    common = places[0] + length - places[1]
    ramp = (np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5) / common
    return np.minimum(ramp, 1).astype(np.float32)


def padded(picture: np.ndarray, room: tuple[int, int]) -> np.ndarray:
    """The picture with its mirror image below and to the right."""
    return np.pad(picture, ((0, room[0]), (0, room[1]), (0, 0)), 'symmetric') if any(room) else picture

"""Pictures repainted by a trained run, of any size and in a steady stream.

stylist = Stylist(load_run('runs/night', can='paint'))
painted = stylist(frames)
"""

from collections.abc import Sequence

import cv2
import jax
import numpy as np

from dfjax.errors import InputError
from dfjax.inference.gatys import resized
from dfjax.inference.run import Run
from dfjax.inference.tiles import tiled
from dfjax.models.features import LEAST
from dfjax.ops import backend
from dfjax.ops.image import to_float, to_uint8

TILE = 3840  # pixels a side: frames of 3840x2160 go through whole, which takes the light net 1.1 GB
FRAME = 1920 * 1080  # pixels of a usual video: what decides how many go through at once
LEAST_TILE = 64  # pixels: smaller ones are edge only


class Stylist:
    """stylist(frames) -> frames, by a run that can `paint`.

    Frames larger than a tile go through in tiles, see `tiles`; what the net normalises them by is that of the whole
    frame made as small as a tile, else each would get tones of its own.

    Args:
        run: as `load_run` gave it.
        size: longer side at which the net works, the smaller the larger its strokes; None is that of the frames.
        tile: largest side that goes through in one piece.

    Attributes:
        batch: frames or tiles at once, for which the net is compiled.

    Raises:
        InputError: if tiles are too small.
    """

    def __init__(self, run: Run, size: int | None = None, tile: int = TILE):
        if tile < LEAST_TILE:
            raise InputError(f'tiles of {tile} pixels are too small to be repainted; give {LEAST_TILE} or more')
        self.size, self.batch = size, backend.group_size(size**2 if size else FRAME)
        (net,) = run.system.nets(run.cfg).values()
        self.step = net.multiple
        self.tile = tile // self.step * self.step
        self._params = jax.device_put(run.params)
        self._apply = jax.jit(lambda p, x, whole: to_uint8(run.system.paint(run.cfg, p, to_float(x), whole)))
        self._statistics = jax.jit(lambda p, x: run.system.statistics(run.cfg, p, to_float(x)))

    def __call__(self, frames: list[np.ndarray]) -> list[np.ndarray]:
        """Up to `batch` frames uint8 [H, W, 3] of equal sizes, repainted, as large as they were."""
        h, w = frames[0].shape[:2]
        if min(h, w) * (self.size or max(h, w)) / max(h, w) < LEAST:
            raise InputError(f'pictures of {w}x{h} are too small to be repainted; the net needs {LEAST} pixels a side')
        seen = [resized(frame, self.size) if self.size else frame for frame in frames]
        whole = None
        if max(seen[0].shape[:2]) > self.tile:
            small = [cv2.resize(frame, self._thumbnail(frame), interpolation=cv2.INTER_AREA) for frame in seen]
            whole = self._statistics(self._params, self._filled(small))

        def apply(tiles: np.ndarray, which: list[int]) -> np.ndarray:
            rows = np.array(which + which[-1:] * (self.batch - len(which)))
            own = jax.tree.map(lambda x: x[rows], whole)
            return np.asarray(self._apply(self._params, self._filled(tiles), own))[: len(tiles)]

        made = tiled(seen, self.tile, self.step, self.batch, apply)
        if made[0].shape[:2] == (h, w):
            return made
        return [cv2.resize(picture, (w, h), interpolation=cv2.INTER_CUBIC) for picture in made]

    def _filled(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """As many as `batch`: a last group that is smaller is not worth compiling anew."""
        return np.stack([*pictures, *[pictures[-1]] * (self.batch - len(pictures))])

    def _thumbnail(self, frame: np.ndarray) -> tuple[int, int]:
        """Width and height of a frame made as small as a tile, and no smaller than the net takes."""
        h, w = frame.shape[:2]
        scale = self.tile / max(h, w)
        return tuple(min(n, max(LEAST, round(n * scale))) for n in (w, h))

"""Pictures of any size through a generator that translates them.

    translate = Translator(load_run('runs/horses', can='translate'), direction='ab')
    zebras = translate(pictures)

A picture that is no larger than a tile goes through as it is, with its reflection around it where the net needs other
sides. A larger one goes through in tiles that overlap and fade into each other; nets with instance normalisation then
see the statistics of each tile, so tiles should be no smaller than they have to be.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import jax
import numpy as np

from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.errors import InputError
from dfjax.inference.frames import Job
from dfjax.inference.labels import wanted_labels
from dfjax.inference.run import Run
from dfjax.inference.tiles import tiled
from dfjax.ops.image import to_float, to_uint8

LEAST_TILE = 32  # pixels


class Translator:
    """Translates pictures in batches.

    Args:
        run: of a system that can `translate`.
        direction: one of its system's DIRECTIONS; None is the first.
        batch_size: pictures or tiles at once.
        tile: largest side that goes through in one piece.

    Raises:
        InputError: a direction that there is not, a run without the generator, one of other than RGB, a tile that is
            too small.
    """

    def __init__(self, run: Run, direction: str | None = None, batch_size: int = 4, tile: int = 512):
        cfg, directions = run.cfg, run.system.DIRECTIONS
        direction = next(iter(directions)) if direction is None else direction
        if direction not in directions:
            raise InputError(f'{run.path}: a run of system {cfg.system!r} goes {" or ".join(directions)}')
        name = directions[direction]
        if name not in run.params:
            raise InputError(f'{run.path}: has no generator {name}, only {", ".join(run.params)}; import that too')
        net = run.system.nets(cfg)[name]
        pictures = jax.eval_shape(net.module.init_with_output, jax.random.key(0), *net.inputs.values())[0]
        channels = next(iter(net.inputs.values())).shape[-1], pictures.shape[-1]
        if channels != (3, 3):
            raise InputError(f'{run.path}: makes {channels[1]} channels of {channels[0]}; use `dfjax apply` for those')
        self.run, self.batch_size, self.step = run, batch_size, net.multiple
        least = max((4 if net.multiple < LEAST_TILE // 4 else 2) * net.multiple, LEAST_TILE)
        if tile < least:
            raise InputError(f'tiles of {tile} pixels are too small for this net; give {least} or more')
        self.tile = tile // self.step * self.step
        self._params = jax.device_put(run.params)

        @jax.jit
        def apply(params: dict, x: jax.Array, labels: jax.Array | None) -> jax.Array:
            condition = labels if labels is not None else direction or None
            y = run.system.translate(cfg, params, to_float(x), condition)
            return to_uint8(y)

        self._apply = apply

    def __call__(self, pictures: Sequence[np.ndarray], labels: np.ndarray | None = None) -> list[np.ndarray]:
        """Translated pictures of the same sizes.

        Args:
            pictures: uint8 [H, W, 3], all of one size.
            labels: the condition of each, [N, K], of a generator that takes labels.
        """
        own = lambda which: None if labels is None else labels[which]
        apply = lambda tiles, which: self._batch(tiles, own(which))
        return tiled(pictures, self.tile, self.step, self.batch_size, apply)

    def _batch(self, tiles: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Any number up to the batch size, by one program."""
        room = self.batch_size - len(tiles)
        filled = lambda v: np.pad(v, ((0, room), *[(0, 0)] * (v.ndim - 1)))
        labels = None if labels is None else filled(np.asarray(labels, np.float32))
        return np.asarray(self._apply(self._params, filled(tiles), labels))[: len(tiles)]


class TranslateJob(Job):
    """Whole pictures of files, translated.

    Args:
        to: labels to ask for, of a generator that takes labels; the others stay as they are seen at the start of each
            file.
        size: the shorter side that pictures are made for the net, and enlarged from again; None: as they are.
    """

    def __init__(self, translator: Translator, to: Mapping[str, int] | None = None, size: int | None = None):
        super().__init__('translated by a trained model', translator.run.cfg.system, batch=translator.batch_size)
        self.translator, self.to, self.size = translator, to or {}, size
        self._labels: dict[Path, np.ndarray] = {}

        self.labelled = hasattr(translator.run.system, 'condition_of')
        if self.labelled:  # what cannot be made is said before any file is read
            wanted_labels(translator.run, self.to, [np.zeros((64, 64, 3), np.uint8)])

    def process(self, info: MediaInfo, group: list[Frame]) -> list[np.ndarray]:
        pictures, labels = [frame.rgb for frame in group], None
        if self.size:
            scale = self.size / min(info.size)
            small = tuple(max(round(side * scale), 1) for side in info.size)
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            pictures = [cv2.resize(rgb, small, interpolation=how) for rgb in pictures]
        if self.labelled:
            if info.path not in self._labels:
                self._labels[info.path] = wanted_labels(self.translator.run, self.to, pictures)
            labels = np.repeat(self._labels[info.path][None], len(pictures), 0)
        made = self.translator(pictures, labels)
        return [cv2.resize(rgb, info.size, interpolation=cv2.INTER_CUBIC) for rgb in made] if self.size else made

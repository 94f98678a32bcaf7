"""Pictures of any size through the generator of a pix2pix, CycleGAN or StarGAN run.

    translate = Translator(load_run('runs/horses'), side='ab')
    zebras = translate(pictures)

A picture that is no larger than a tile goes through as it is, with its reflection around it where the net needs other
sides. A larger one goes through in tiles that overlap and fade into each other; nets with instance normalisation then
see the statistics of each tile, so tiles should be no smaller than they have to be.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from dfjax.config import build
from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.errors import InputError
from dfjax.inference.frames import Job
from dfjax.inference.run import Run
from dfjax.inference.tiles import tiled
from dfjax.ops.image import resize
from dfjax.systems import SYSTEMS, load_system


class Translator:
    """Translates pictures in batches.

    Args:
        run: of system pix2pix, cyclegan or stargan.
        side: of CycleGAN: 'ab' makes pictures b of pictures a, 'ba' the other way.
        batch_size: pictures or tiles at once.
        tile: largest side that goes through in one piece.

    Raises:
        InputError: another system, a run without the generator, one of other than RGB, a tile that is too small.
    """

    def __init__(self, run: Run, side: str = 'ab', batch_size: int = 4, tile: int = 512):
        cfg = run.cfg
        if not hasattr(run.system, 'translate'):
            able = ', '.join(name for name in SYSTEMS if hasattr(load_system(name), 'translate'))
            raise InputError(f'{run.path}: a run of system {cfg.system!r}; this needs one of {able}')
        name, nets = f'g_{side}' if cfg.system == 'cyclegan' else 'g', run.system.nets(cfg)
        if name not in run.params:
            there = ', '.join(net for net in nets if net in run.params)
            raise InputError(f'{run.path}: has no generator {name}, only {there}; import that too')
        if cfg.system != 'stargan' and (cfg.model.inputs, cfg.model.outputs) != (3, 3):
            raise InputError(
                f'{run.path}: makes {cfg.model.outputs} channels of {cfg.model.inputs}; use `dfjax apply` for those'
            )
        self.run, self.batch_size = run, batch_size
        self.step = nets[name].multiple
        least = max(4 * self.step, 32) if self.step == 4 else 2 * self.step
        if tile < least:
            raise InputError(f'tiles of {tile} pixels are too small for this net; give {least} or more')
        self.tile = tile // self.step * self.step
        self._variables = jax.device_put(run.variables(name))

        @jax.jit
        def apply(variables: dict, x: jax.Array, c: jax.Array | None) -> jax.Array:
            y = nets[name].module.apply(variables, x / 127.5 - 1, *([] if c is None else [c]))
            return jnp.round(127.5 * jnp.clip(y, -1, 1) + 127.5).astype(jnp.uint8)

        self._apply = apply

    def __call__(self, pictures: Sequence[np.ndarray], labels: np.ndarray | None = None) -> list[np.ndarray]:
        """Translated pictures of the same sizes.

        Args:
            pictures: uint8 [H, W, 3], all of one size.
            labels: what StarGAN's generator takes for each, [N, K].
        """
        own = lambda which: None if labels is None else labels[which]
        apply = lambda tiles, which: self._batch(tiles, own(which))
        return tiled(pictures, self.tile, self.step, self.batch_size, apply)

    def _batch(self, tiles: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Any number up to the batch size, by one program."""
        room = self.batch_size - len(tiles)
        filled = lambda v: np.pad(v, ((0, room), *[(0, 0)] * (v.ndim - 1)))
        labels = None if labels is None else filled(np.asarray(labels, np.float32))
        return np.asarray(self._apply(self._variables, filled(tiles), labels))[: len(tiles)]


# StarGAN's labels


def label_names(run: Run) -> list[str]:
    """The labels of a StarGAN run in order; those of an imported one are numbered, unless its config names them."""
    count = run.cfg.model.g.labels - len(run.cfg.groups)
    names = list(run.cfg.data.labels)
    return names if len(names) == count else [f'label_{k}' for k in range(count)]


def wanted_labels(run: Run, asked: Mapping[str, int], pictures: Sequence[np.ndarray]) -> np.ndarray:
    """What the generator is told to make of pictures of one thing, frames of a video say: [K].

    Labels that are not asked for stay as the run's discriminator sees them in the pictures.

    Raises:
        InputError: labels that there are not, or of several data sets; no label, or several, of those that exclude each
            other; no discriminator where one is needed; a run whose groups of labels are not known.
    """
    from dfjax.systems.stargan import exclusive_slices, group_slices, told

    cfg, names = run.cfg, label_names(run)
    if 'd' in run.params and len(names) != cfg.model.d.labels:
        more = len(names) - cfg.model.d.labels
        raise InputError(
            f'{run.path}: its generator takes {more} numbers more than there are labels, a mask of as many groups; '
            f'import it again and say how many labels each has, as --groups 5,8'
        )
    if strange := [name for name in asked if name not in names]:
        raise InputError(f'{run.path}: has no label {strange[0]!r}; it has: {", ".join(names)}')
    if not asked:
        raise InputError(f'say what to make, as in --to {names[0]}=1; there are: {", ".join(names)}')
    slices = group_slices(cfg)
    groups = {g for g, part in enumerate(slices) for name in asked if name in names[part]}
    if len(groups) > 1:
        raise InputError(f'{run.path}: {", ".join(asked)} are labels of different data sets; ask for those of one')
    part = slices[groups.pop()]
    labels, known = np.zeros((2, 1, len(names)), np.float32)
    known[:, part] = 1
    if part in exclusive_slices(cfg):
        if sum(asked.values()) != 1:
            raise InputError(f'{run.path}: a picture has one of {", ".join(names[part])}; ask for one of them')
    elif not set(names[part]) <= set(asked):
        labels[0, part] = seen_labels(run, pictures)[part]
    for name, value in asked.items():
        labels[0, names.index(name)] = value
    return np.asarray(told(cfg, labels, known))[0]


def seen_labels(run: Run, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """The labels [K] in {0, 1} that the run's discriminator sees in pictures of one thing."""
    if 'd' not in run.params:
        raise InputError(
            f'{run.path}: has no discriminator to see which labels the picture has; name all of: '
            f'{", ".join(label_names(run))}'
        )
    x = resize(jnp.asarray(np.stack(pictures), jnp.float32) / 127.5 - 1, run.cfg.model.size)
    d = run.system.nets(build(run.cfg, {'dtype': 'float32'}))['d']
    logits = jax.jit(d.module.apply)(run.variables('d'), x)[1]
    return (np.asarray(logits).mean(0) > 0).astype(np.float32)


# Files


class TranslateJob(Job):
    """Whole pictures of files, translated.

    Args:
        to: StarGAN's labels to ask for; the others stay as they are seen at the start of each file.
        size: the shorter side that pictures are made for the net, and enlarged from again; None: as they are.
    """

    def __init__(self, translator: Translator, to: Mapping[str, int] | None = None, size: int | None = None):
        super().__init__('translated by a trained model', translator.run.cfg.system, batch=translator.batch_size)
        self.translator, self.to, self.size = translator, to or {}, size
        self._labels: dict[Path, np.ndarray] = {}

    def check_labels(self) -> None:
        """Raises InputError if the labels asked for cannot be made."""
        wanted_labels(self.translator.run, self.to, [np.zeros((64, 64, 3), np.uint8)])

    def process(self, info: MediaInfo, group: list[Frame]) -> list[np.ndarray]:
        pictures, labels = [frame.rgb for frame in group], None
        if self.size:
            scale = self.size / min(info.size)
            small = tuple(max(round(side * scale), 1) for side in info.size)
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            pictures = [cv2.resize(rgb, small, interpolation=how) for rgb in pictures]
        if self.system == 'stargan':
            if info.path not in self._labels:
                self._labels[info.path] = wanted_labels(self.translator.run, self.to, pictures)
            labels = np.repeat(self._labels[info.path][None], len(pictures), 0)
        made = self.translator(pictures, labels)
        return [cv2.resize(rgb, info.size, interpolation=cv2.INTER_CUBIC) for rgb in made] if self.size else made

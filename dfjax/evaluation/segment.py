"""Figures of a mask net, on rendered people and things that it has not learnt from, laid in front of each other as they
were drawn, without what training adds.

iou         intersection over union of what is found and what is seen of a face, both cut at a half; the mean over faces
iou_bare    the same of faces with nothing in front of them
iou_hull    the outline of the landmarks in place of the net: what a merge does without it
"""

import functools

import jax
import numpy as np
from ml_collections import ConfigDict

from dfjax.data.faces.mask import hull_polygon, rasterise
from dfjax.data.kinds import open_streams
from dfjax.data.names import parse
from dfjax.evaluation.held_out import APART, held_out_name
from dfjax.inference.run import Run
from dfjax.ops.geometry import to_pixels

FACES = 256
GROUP = 32


def figures(run: Run, *, data: str | None = None) -> dict:
    """The figures of the module, with 'faces', their number, and 'iou_KIND' for each kind of thing.

    Args:
        run: of the system.
        data: faces with known masks; by default other rendered people.

    Raises:
        InputError: as `held_out_name` and the openers do.
    """
    from dfjax.data.render.things import KINDS

    section = ConfigDict(run.cfg.data.to_dict())
    section.source = data or held_out_name(run.cfg, FACES)
    things = parse(run.cfg.data.things)
    section.things = str(things.with_seed(things.drawn + APART, FACES))
    faces, rgba = (open_streams('masked', section)[name].arrays() for name in ('face', 'thing'))
    rgba = rgba['rgba']
    pictures, seen = composed(faces['image'], faces['mask'], rgba[np.arange(len(faces['image'])) % len(rgba)])
    bare = faces['mask'][..., None].astype(np.float32) / 255
    size = run.cfg.data.size
    hulls = [rasterise(hull_polygon(to_pixels(points, size)), size) for points in faces['landmarks']]
    apply = jax.jit(functools.partial(run.system.mask, run.cfg))

    def found(images: np.ndarray) -> np.ndarray:
        groups = range(0, len(images), GROUP)
        return np.concatenate([np.asarray(apply(run.params, images[n : n + GROUP] / 127.5 - 1)) for n in groups])

    each = iou(found(pictures), seen)
    report = {'iou': each.mean(), 'iou_bare': iou(found(faces['image'].astype(np.float32)), bare).mean()}
    report['iou_hull'] = iou(np.stack(hulls)[..., None] / 255, seen).mean()
    kinds = np.arange(len(each)) % len(rgba) % len(KINDS)
    report |= {f'iou_{kind}': each[kinds == n].mean() for n, kind in enumerate(KINDS) if (kinds == n).any()}
    return {name: round(float(value), 4) for name, value in report.items()} | {'faces': len(each)}


def composed(images: np.ndarray, masks: np.ndarray, rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces uint8 [N, S, S, 3] with masks [N, S, S] and things [N, S, S, 4] in front: pictures float32 in 0..255, and
    what is seen of the faces [N, S, S, 1] in [0, 1]."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return images * (1 - alpha) + rgba[..., :3] * alpha, masks[..., None].astype(np.float32) / 255 * (1 - alpha)


def iou(found: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Intersection over union [N] of masks [N, S, S, 1], both cut at a half; 1 where both are empty."""
    one, other = found > 0.5, seen > 0.5
    both, either = ((one & other).sum((1, 2, 3)), (one | other).sum((1, 2, 3)))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)

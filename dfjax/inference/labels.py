"""What a generator that takes labels is asked for: StarGAN's, of one data set or of several.

condition = wanted_labels(run, {'smile': 1}, frames)                    [K], for `Translator`
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.errors import InputError
from dfjax.inference.run import Run
from dfjax.ops.image import resize, to_float


def label_names(run: Run) -> list[str]:
    """The labels of a run in order; those of an imported one are numbered, unless its config names them."""
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
    slices = run.system.group_slices(cfg)
    groups = {g for g, part in enumerate(slices) for name in asked if name in names[part]}
    if len(groups) > 1:
        raise InputError(f'{run.path}: {", ".join(asked)} are labels of different data sets; ask for those of one')
    part = slices[groups.pop()]
    labels, known = np.zeros((2, 1, len(names)), np.float32)
    known[:, part] = 1
    if part in run.system.exclusive_slices(cfg):
        if sum(asked.values()) != 1:
            raise InputError(f'{run.path}: a picture has one of {", ".join(names[part])}; ask for one of them')
    elif not set(names[part]) <= set(asked):
        labels[0, part] = seen_labels(run, pictures)[part]
    for name, value in asked.items():
        labels[0, names.index(name)] = value
    return np.asarray(run.system.condition_of(cfg, labels, known))[0]


def seen_labels(run: Run, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """The labels [K] in {0, 1} that the run's discriminator sees in pictures of one thing."""
    if 'd' not in run.params:
        raise InputError(
            f'{run.path}: has no discriminator to see which labels the picture has; name all of: '
            f'{", ".join(label_names(run))}'
        )
    net = run.system.nets(run.cfg)['d']
    x = resize(to_float(jnp.asarray(np.stack(pictures))), net.inputs['x'].shape[1])
    logits = jax.jit(net.module.apply)(run.variables('d'), x)[1]
    return (np.asarray(logits).mean(0) > 0).astype(np.float32)

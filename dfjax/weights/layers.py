"""From a state dict to parameters, by a table of layers.

A table has the path of each of our layers, and what it is in the file:

    {'net/first': conv('main.0'), 'net/first_norm': norm('main.1'), 'net/up_0': up('main.15')}

Names of arrays follow from the kind of layer, and shapes from the net. Every array of the net has to be in the file,
and every array of the file in the net.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flax
import numpy as np

from dfjax.errors import InputError

# Of a layer's kind: our leaf -> its name there, and the order of its axes there in terms of ours.
_WEIGHTS = {
    'conv': {'kernel': ('weight', (3, 2, 0, 1)), 'bias': ('bias', (0,))},  # [k, k, I, O] -> [O, I, k, k]
    'up': {'kernel': ('weight', (2, 3, 0, 1)), 'bias': ('bias', (0,))},  # [k, k, I, O] -> [I, O, k, k]
    'norm': {
        'scale': ('weight', (0,)),
        'bias': ('bias', (0,)),
        'mean': ('running_mean', (0,)),
        'var': ('running_var', (0,)),
    },
    'spectral': {  # what a convolution is before it is divided by its largest singular value, whose vectors these are
        'kernel': ('weight_orig', (3, 2, 0, 1)),
        'bias': ('bias', (0,)),
        'u': ('weight_u', (0,)),
        'v': ('weight_v', (0,)),
    },
}
# What a layer may hold that is of no use: a normalisation a count, and averages where each picture has its own
# statistics; and windows that are computed here.
_UNUSED = {'norm': ('num_batches_tracked', 'running_mean', 'running_var'), 'window': ('weight',)}


@dataclass(frozen=True)
class Layer:
    """A layer of the original: its kind (a key of `_WEIGHTS`, or 'window') and its name."""

    kind: str
    name: str


def conv(name: str) -> Layer:
    """A convolution."""
    return Layer('conv', name)


def up(name: str) -> Layer:
    """A transposed convolution."""
    return Layer('up', name)


def norm(name: str) -> Layer:
    """A normalisation, with parameters or without."""
    return Layer('norm', name)


def spectral(name: str) -> Layer:
    """A convolution under spectral normalisation."""
    return Layer('spectral', name)


def window(name: str) -> Layer:
    """A fixed filter, which a file may hold and no net here does."""
    return Layer('window', name)


def compare(weights: Mapping[str, np.ndarray], table: Mapping[str, Layer], variables: Any) -> list[str]:
    """What does not fit, a line each with both shapes; [] if everything does.

    Args:
        weights: a state dict.
        table: of the net.
        variables: the net's, as shapes: {'params': ..., 'batch_stats': ...}.
    """
    wanted = {name: shape for name, _, shape in expected(table, variables).values()}
    unused = {f'{layer.name}.{leaf}' for layer in table.values() for leaf in _UNUSED.get(layer.kind, ())}
    rows = []
    for name in [*wanted, *(n for n in weights if n not in wanted and n not in unused)]:
        there = tuple(weights[name].shape) if name in weights else None
        here = wanted.get(name)
        if there != here:
            what = 'missing' if there is None else 'unexpected' if here is None else 'another shape'
            rows.append((name, _text(there), _text(here), what))
    if not rows:
        return []
    rows.insert(0, ('name', 'in the file', 'in the net', ''))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return ['  '.join(f'{cell:<{w}}' for cell, w in zip(row, widths)) + f'  {row[3]}' for row in rows]


def convert(weights: Mapping[str, np.ndarray], table: Mapping[str, Layer], variables: Any) -> dict[str, Any]:
    """The variables with the file's numbers, float32; for weights that `compare` has found to fit.

    Raises:
        InputError: if a number is not finite.
    """
    leaves = {}
    for path, (name, axes, _) in expected(table, variables).items():
        array = np.asarray(weights[name], np.float32).transpose(np.argsort(axes))
        if not np.isfinite(array).all():
            raise InputError(f'{name} holds numbers that are not finite; give a checkpoint of sound weights')
        leaves[path] = np.ascontiguousarray(array)
    return flax.traverse_util.unflatten_dict(leaves)


def expected(table: Mapping[str, Layer], variables: Any) -> dict[tuple, tuple[str, tuple, tuple]]:
    """By path of our arrays: the file's name, the order of the axes there, and the shape there."""
    found, order = {}, {layer: i for i, layer in enumerate(table)}
    leaves = flax.traverse_util.flatten_dict(variables)
    for path in sorted(leaves, key=lambda path: order['/'.join(path[1:-1])]):  # the original's order
        layer = table['/'.join(path[1:-1])]
        name, axes = _WEIGHTS[layer.kind][path[-1]]
        found[path] = (f'{layer.name}.{name}', axes, tuple(leaves[path].shape[axis] for axis in axes))
    return found


def _text(shape: tuple | None) -> str:
    return '-' if shape is None else '(' + ', '.join(map(str, shape)) + ')'

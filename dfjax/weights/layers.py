"""From a state dict to parameters, by a table of layers.

A table has the path of each of our layers, and what it is in the file:

    {'net/first': conv('main.0'), 'net/first_norm': norm('main.1'), 'net/up_0': up('main.15')}

Names of arrays follow from the kind of layer, and shapes from the net. Every array of the net has to be in the file,
and every array of the file in the net. A reader may have kinds of its own: `Layer` with other leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flax
import numpy as np

from dfjax.errors import InputError

_BIAS = {'bias': ('.bias', (0,))}
_CONV = _BIAS | {'kernel': ('.weight', (3, 2, 0, 1))}  # [k, k, I, O] -> [O, I, k, k]
_UP = _BIAS | {'kernel': ('.weight', (2, 3, 0, 1))}  # [k, k, I, O] -> [I, O, k, k]
_DENSE = _BIAS | {'kernel': ('.weight', (1, 0))}  # [I, O] -> [O, I]
_NORM = _BIAS | {'scale': ('.weight', (0,)), 'mean': ('.running_mean', (0,)), 'var': ('.running_var', (0,))}
# A convolution before its division by the largest singular value, whose vectors u and v are
_SPECTRAL = _BIAS | {'kernel': ('.weight_orig', (3, 2, 0, 1)), 'u': ('.weight_u', (0,)), 'v': ('.weight_v', (0,))}


@dataclass(frozen=True)
class Layer:
    """A layer of the original.

    Attributes:
        name: in the file.
        leaves: by each of our arrays, what its name in the file has after the layer's, and the order of its axes there
            in terms of ours: {'kernel': ('.weight', (1, 0))} for [I, O] here and [O, I] there.
        unused: ends of names in the file that no array here needs.
    """

    name: str
    leaves: Mapping[str, tuple[str, tuple[int, ...]]]
    unused: tuple[str, ...] = ()


def conv(name: str) -> Layer:
    """A convolution."""
    return Layer(name, _CONV)


def up(name: str) -> Layer:
    """A transposed convolution."""
    return Layer(name, _UP)


def dense(name: str) -> Layer:
    """A matrix."""
    return Layer(name, _DENSE)


def norm(name: str) -> Layer:
    """A normalisation, with parameters or without; averages are unused where each picture has its own statistics."""
    return Layer(name, _NORM, ('.num_batches_tracked', '.running_mean', '.running_var'))


def spectral(name: str) -> Layer:
    """A convolution under spectral normalisation."""
    return Layer(name, _SPECTRAL)


def window(name: str) -> Layer:
    """A fixed filter, which a file may hold and no net here does."""
    return Layer(name, {}, ('.weight',))


def compare(weights: Mapping[str, np.ndarray], table: Mapping[str, Layer], variables: Any) -> list[str]:
    """What does not fit, a line each with both shapes; [] if everything does.

    Args:
        weights: a state dict.
        table: of the net.
        variables: the net's, as shapes: {'params': ..., 'batch_stats': ...}.
    """
    wanted = {name: shape for name, _, shape in expected(table, variables).values()}
    unused = {layer.name + end for layer in table.values() for end in layer.unused}
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
        end, axes = layer.leaves[path[-1]]
        found[path] = (layer.name + end, axes, tuple(leaves[path].shape[axis] for axis in axes))
    return found


def _text(shape: tuple | None) -> str:
    return '-' if shape is None else '(' + ', '.join(map(str, shape)) + ')'

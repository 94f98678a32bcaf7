"""How a net of an original project is read, and what the shapes in its file say about sizes.

A system whose original has checkpoints has a module of its name here, with

    NETS = {net: Reader}                    by the names of the system's own nets
    config(found, what, *, ...) -> dict     optional: from the sizes found to changes of the system's config; arguments
                                            after the * are options of `dfjax import`, which has its help from the
                                            docstring and reads bool, int, float, str and Sequence[int]
    assumed(found, options) -> list[str]    optional: what the files do not say and the user did not, a line each
    NOTICE: str                             optional: what whoever uses published files has to know, said at import
    read(path) -> {section: arrays by name} optional: where files are not PyTorch's or safetensors
    files(folder) -> {net: path}            optional: the nets in a folder as the original leaves it
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, islice, takewhile
from typing import Any

import numpy as np

from dfjax.weights.layers import Layer

Weights = Mapping[str, np.ndarray]
MOST = 100  # layers of one kind that are believed
DEEPEST = 12  # halvings that are believed: a picture of 4096 pixels


@dataclass(frozen=True)
class Reader:
    """How one net is read.

    Attributes:
        sizes: state dict -> values by dotted key of `cfg.model`: only what names and shapes tell; where they are unlike
            any, defaults.
        layers: the `model` section -> what each of our layers is in the file, for `layers.py`.
        prepare: a state dict, and what the user said of it (`config`'s options) -> the same net as one that the others
            know, and what is to be said of that, a line each.
    """

    sizes: Callable[[Weights], dict[str, Any]]
    layers: Callable[[Mapping], dict[str, Layer]]
    prepare: Callable[[Weights, Mapping[str, Any]], tuple[Weights, list[str]]] = lambda weights, options: (weights, [])


def side(weights: Weights, name: str, axis: int, default: int) -> int:
    """A side of an array of four axes; `default` if it is not one, which the comparison then shows."""
    array = weights.get(name)
    return array.shape[axis] if array is not None and array.ndim == 4 and array.size else default


def consecutive(weights: Weights, name: str, start: int, step: int, default: int) -> int:
    """How many arrays there are with the names that `name` makes of start, start + step and so on, up to MOST."""
    places = islice(count(start, step), MOST)
    return sum(1 for _ in takewhile(lambda i: name.format(i) in weights, places)) or default

"""Defaults of a config and their ranges, side by side.

    cfg = ConfigDict(dict(batch_size=size(16), flip=share(0.5), kind=choice('adam', KINDS)))
    cfg.flip = 0.25                     a default is read and set as any value, and its range stays beside it
    check('flip', 7.0, cfg.get_ref('flip'))         InputError: config key 'flip' is from 0 to 1, not 7.0

`dfjax.config.build` checks every key of a run. The range of a list's default is that of its elements. A number with no
range of its own is finite, and not below 0 unless its default is.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

from ml_collections import FieldReference

from dfjax.errors import InputError
from dfjax.foreign import shown

LARGEST = 2**14  # pixels a side, channels, examples in a batch: more is a slip of the keyboard
MANY = 100  # layers and the like
INT32 = 2**31 - 1  # steps are counted in int32


class Ranged(FieldReference):
    """A default that carries its range.

    Attributes:
        says: the range in words, after "is".
        holds: whether a value is in it.
    """

    def __init__(self, default: Any, says: str, holds: Callable[[Any], bool]):
        super().__init__(default)
        self.says = says
        self.holds = holds

    def copy(self) -> 'Ranged':
        """The same value and range, to be set apart from this one."""
        return Ranged(self.get(), self.says, self.holds)


def between(least: float, most: float, default: Any) -> Ranged:
    """From `least` to `most`, both included."""
    return Ranged(default, f'from {least} to {most}', lambda x: least <= x <= most)


def positive(default: Any) -> Ranged:
    """Any finite number above 0: what is divided by."""
    return Ranged(default, 'above 0', lambda x: 0 < x < math.inf)


def decay(default: float) -> Ranged:
    """From 0 to below 1: of a running average."""
    return Ranged(default, '0 or more and below 1', lambda x: 0 <= x < 1)


def share(default: Any) -> Ranged:
    """From 0 to 1: probabilities, and parts of a whole."""
    return between(0, 1, default)


def size(default: Any, least: int = 1) -> Ranged:
    """Pixels a side, channels, examples in a batch; `least` is 0 where that switches something off."""
    return between(least, LARGEST, default)


def count(default: Any, least: int = 0) -> Ranged:
    """Layers, blocks and other parts of a net, each of which makes programs longer."""
    return between(least, MANY, default)


def steps(default: int, least: int = 0) -> Ranged:
    """Steps of training."""
    return between(least, INT32, default)


def choice(default: str, names: Iterable[str]) -> Ranged:
    """One of `names`."""
    names = tuple(names)
    return Ranged(default, f'one of {", ".join(names)}', lambda x: x in names)


def check(key: str, value: Any, default: Any) -> None:
    """Raises InputError if the value of a key is not in the range of its default, a plain value or a `Ranged`."""
    holds = default.holds if isinstance(default, Ranged) else lambda x: _plain(x, _negative(default))
    for x in _elements(value):
        try:
            right = x is None or holds(x)
        except TypeError:  # a list or a text where a number stands
            right = False
        if not right:
            raise InputError(f'config key {key!r} is {says(default)}, not {shown(x)}')


def says(default: Any) -> str:
    """The range of a default, a plain value or a `Ranged`, in words; '' where it is no number and has none."""
    if isinstance(default, Ranged):
        return default.says
    if not any(isinstance(x, int | float) and not isinstance(x, bool) for x in _elements(default)):
        return ''
    return 'a finite number' if _negative(default) else '0 or more'


def _negative(default: Any) -> bool:
    return any(isinstance(x, int | float) and x < 0 for x in _elements(default))


def _plain(x: Any, negative: bool) -> bool:
    return not isinstance(x, int | float) or (abs(x) < math.inf and (negative or x >= 0))


def _elements(value: Any) -> tuple | list:
    return value if isinstance(value, tuple | list) else (value,)

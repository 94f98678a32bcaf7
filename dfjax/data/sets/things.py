"""Things in front of faces by name, `render:things:SEED:COUNT`: of all kinds in turn, see `render.things`."""

from functools import partial

import numpy as np

from dfjax.data.names import Name, Rendered
from dfjax.data.render.things import KINDS, thing
from dfjax.data.sets.cache import cached
from dfjax.data.sets.dataset import Dataset
from dfjax.errors import InputError

APART = 1_000_000  # things of a seed


class Things(Dataset):
    """Items are {'rgba': uint8 [size, size, 4]}, colours not multiplied by alpha.

    Raises:
        InputError: if it is a name of something else.
    """

    def __init__(self, name: Name, size: int):
        if not isinstance(name, Rendered) or name.form != 'things':
            raise InputError(f'{name}: no things in front of faces; write render:things:SEED:COUNT')
        self.name = str(name)
        self._drawn = cached(f'{name} {size}', __file__, partial(_draw, name, size))

    def __len__(self) -> int:
        return len(self._drawn['rgba'])

    def read(self, index: int, seed: int) -> dict[str, np.ndarray]:
        """The n-th thing."""
        return {'rgba': self._drawn['rgba'][index]}


def _draw(name: Rendered, size: int) -> dict[str, np.ndarray]:
    first = APART * name.drawn
    return {'rgba': np.stack([thing(KINDS[n % len(KINDS)], first + n, size) for n in range(name.count)])}

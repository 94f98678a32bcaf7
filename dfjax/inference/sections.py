"""Which of the state dicts in a file is the one of a net.

Files hold a state dict alone, under a key, or several: nets beside each other, averaged ones, an optimiser's numbers;
and names may have the name of a net before them, as Lightning's do: 'generator.', 'netG_A.'. Each is a section.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from dfjax.errors import InputError

DEEP = 3  # words before the names of a net
MOST = 200  # sections that are looked at
LISTED = 12  # sections that a line names
AVERAGED = ('ema', 'avg', 'averaged')  # words in the name of a section of running averages

Weights = Mapping[str, np.ndarray]


def split_name(path: str) -> tuple[str, str]:
    """'nets.pth:G_B' as file and section, which is '' if none is named."""
    file, colon, section = path.rpartition(':')
    return (file, section) if colon and not Path(path).exists() and Path(file).is_file() else (path, '')


def choose(
    sections: Mapping[str, Weights], section: str, fits: Callable[[Weights], int], net: str, file: str
) -> tuple[Weights, list[str]]:
    """The state dict of a net, and what is to be said of the choice.

    Args:
        sections: of the file, as `read_checkpoint` gives them.
        section: the one that the user named, or ''.
        fits: how many of the net's arrays a state dict has, by their names.
        net, file: for messages.

    Raises:
        InputError: several fit alike, or there is none of that name.
    """
    found = dict(parts(sections))
    if section:
        named = [where for where in found if where == section or where.endswith(f'.{section}')]
        if not named:
            raise InputError(f'{file}: holds no {section!r}; it holds {_listed(found)}')
        found = {where: found[where] for where in named}
    scores = {where: fits(weights) for where, weights in found.items()}
    best = [where for where, score in scores.items() if score == max(scores.values())]
    averaged = [where for where in best if _words(where) & set(AVERAGED)]
    if len(best) > 1 and len(averaged) == 1:
        others = ', '.join(where or 'the top' for where in best if where not in averaged)
        said = (
            f'{net}: {averaged[0]} is taken, the averaged one; also there: {others}; {net}={file}:SECTION takes another'
        )
        return found[averaged[0]], [said]
    if len(best) > 1 and max(scores.values()) > 0:
        names = [where for where in best if where]
        raise InputError(
            f'{file}: holds several nets that fit {net}: {", ".join(names[:LISTED])}; '
            f'name one, as {net}={file}:{names[-1]}'
        )
    others = [where for where, score in scores.items() if score > 0.9 * max(scores.values()) and where not in best]
    return found[best[0]], [f'{net}: {best[0]} is taken; also there: {", ".join(others)}'] if others and best[0] else []


def parts(sections: Mapping[str, Weights]) -> Iterator[tuple[str, Weights]]:
    """All state dicts by name: those of the file, and within each those whose names begin alike, without that."""
    waiting = [(where, weights, 0) for where, weights in sections.items()]
    for where, weights, deep in waiting:  # which grows
        yield where, weights
        begins = Counter(name.partition('.')[0] for name in weights if '.' in name)
        for begin, arrays in begins.items():
            if deep < DEEP and arrays > 1 and not begin.isdecimal() and len(waiting) < MOST:
                inside = {n.partition('.')[2]: array for n, array in weights.items() if n.startswith(f'{begin}.')}
                waiting.append((f'{where}.{begin}'.lstrip('.'), inside, deep + 1))


def _words(where: str) -> set[str]:
    return set(where.lower().replace('.', '_').replace('-', '_').split('_'))


def _listed(found: Mapping[str, Weights]) -> str:
    names = [where for where in found if where]
    return ', '.join(names[:LISTED]) + (f' and {len(names) - LISTED} more' if len(names) > LISTED else '')

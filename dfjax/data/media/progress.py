"""A progress bar on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dfjax.interrupts import check

Tick = Callable[[int, int | None], None]  # called with what is done and how much there is, None where it is not known


@contextmanager
def bar(text: str, show: bool = True, unit: str = 'frame') -> Iterator[Tick]:
    """Yields a function of (done, total or None) that draws a progress bar on stderr, and lets a signal that waits stop
    the work. A rate is of `unit`s."""
    from tqdm import tqdm

    with tqdm(desc=text, unit=unit, file=sys.stderr, disable=not show, dynamic_ncols=True) as line:

        def tick(done: int, total: int | None) -> None:
            check()
            line.total = total
            line.update(done - line.n)

        yield tick


def say(text: str) -> None:
    """A line on stderr that does not run into a bar."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


def spoken(seconds: float | None) -> str:
    """A length of time as people say it: '40 s', '12 min', '3.5 h'."""
    if seconds is None:
        return '?'
    if seconds < 90:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'

"""`dfjax watch` within a notebook: the newest preview of a run and the curves of its losses, in one place of a cell.

with dfjax.watching('runs/vae'):
    dfjax.train('vae:laptop', 'runs/vae', minutes=10)
"""

import base64
import contextlib
import html
import importlib.util
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfjax.apps.watch import state_of
from dfjax.data.media.image import encode_image, read_image, resized
from dfjax.errors import InputError

EVERY = 5.0  # seconds between two looks
LONGEST = 1280  # pixels of a preview's longer side: a notebook drops what comes at more than 1 MB a second
MOST = 12  # curves
COLUMNS, WIDE, HIGH = 4, 250, 140  # curves beside each other, and pixels of one with its labels
LEFT, RIGHT, TOP, BOTTOM = 70, 10, 30, 24  # pixels of its margins
TENFOLD = 10  # ratio of the greatest value to the least, from which on heights are logarithms
NO_LOSSES = ('rate', 'steps_per_second')  # columns of figures, and what begins with one and a slash


@contextlib.contextmanager
def watching(run: Path | str, every: float = EVERY) -> Iterator[None]:
    """While the block runs, one place in the notebook's cell shows the newest preview and the curves of a run.

        with watching('runs/vae'):
            train('vae:laptop', 'runs/vae', minutes=10)

    Whoever trains it: what is shown is read from the run's folder, with the rows from before it was gone on with.
    Outside of notebooks a line with the step is printed instead.

    Args:
        run: its folder, which need not be there yet; of `dfjax.swap`, the output's name and '.run'.
        every: seconds between two looks.

    Raises:
        InputError: IPython is not installed.
    """
    if importlib.util.find_spec('IPython') is None:
        raise InputError('watching: draws in notebooks; pip install ipython')
    from IPython.display import DisplayHandle

    first, place, over = _look(Path(run)), DisplayHandle(), threading.Event()
    place.display(first)

    def follow() -> None:
        shown, ended = first, False
        while not ended:
            ended = over.wait(every)
            view = _look(Path(run), ended)
            if view != shown:
                place.update(view)
                shown = view

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True)
class _View:
    """What is shown: in a notebook the page, elsewhere its line."""

    line: str
    pictures: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return self.line

    def _repr_html_(self) -> str:
        return f'<div>{html.escape(self.line)}</div>' + '\n'.join(self.pictures)


def _look(run: Path, ended: bool = False) -> _View:
    """The run as it stands, also one that is not begun, or whose preview a power cut has damaged."""
    try:
        state = state_of(run)
    except InputError:
        return _View(f'{run.name}: not begun yet')
    line = f'{state["name"]} ({state["system"]}): step {state["step"]} of {state["steps"]}'
    line += f', {state["rate"]} steps/s' if state['rate'] else ''
    line += f', {state["left"]} left' if state['left'] and not ended else ''
    pictures = []
    curves = [(name, curve) for name, curve in state['curves'].items() if name.partition('/')[0] not in NO_LOSSES]
    if drawn := draw(curves[:MOST]):
        pictures.append(_image('svg+xml', drawn.encode(), 'losses over the steps'))
    with contextlib.suppress(InputError):
        picture = read_image(run / 'preview.jpg')
        shrink = min(1.0, LONGEST / max(picture.shape))
        size = round(picture.shape[1] * shrink), round(picture.shape[0] * shrink)
        jpeg = encode_image('preview.jpg', resized(picture, size), quality=90)
        pictures.append(_image('jpeg', jpeg.tobytes(), 'the newest preview'))
    return _View(line, tuple(pictures))


def _image(kind: str, data: bytes, text: str) -> str:
    source = f'data:image/{kind};base64,{base64.b64encode(data).decode()}'
    return f'<img style="display:block;max-width:100%;margin-top:8px" alt="{text}" src="{source}">'


def draw(curves: Sequence[tuple[str, Sequence[tuple[int, float]]]]) -> str:
    """An SVG of curves beside each other, each with its newest, greatest and least value, and the steps below.

    Heights are logarithms where all values are positive and far from each other, as the caption then says.

    Args:
        curves: names, and points (step, value); values that are not finite are left out, and so are curves of fewer
            than two points.

    Returns:
        The file, '' where no curve is left.
    """
    finite = {name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in curves}
    panels = [_panel(name, np.array(points, float)) for name, points in finite.items() if len(points) > 1]
    if not panels:
        return ''
    wide, high = WIDE * min(len(panels), COLUMNS), HIGH * math.ceil(len(panels) / COLUMNS)
    placed = [
        f'<g transform="translate({n % COLUMNS * WIDE} {n // COLUMNS * HIGH})">{panel}</g>'
        for n, panel in enumerate(panels)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" '
        f'font-family="sans-serif" font-size="12" fill="#444"><rect width="{wide}" height="{high}" fill="#fff"/>'
        f'{"".join(placed)}</svg>'
    )


def _panel(name: str, points: np.ndarray) -> str:
    """One curve, of points float [N, 2] from left to right."""
    (first, last), (low, top) = points[[0, -1], 0], (points[:, 1].min(), points[:, 1].max())
    spreads = low > 0 and top > TENFOLD * low
    right, floor = WIDE - RIGHT, HIGH - BOTTOM
    x = LEFT + (points[:, 0] - first) / max(last - first, 1) * (right - LEFT)
    y = np.log(points[:, 1]) if spreads else points[:, 1]
    y = floor - (y - y.min()) / (np.ptp(y) or 1.0) * (floor - TOP)
    line = ' '.join(f'{across:.1f},{down:.1f}' for across, down in zip(x, y))
    caption = f'{name} {points[-1, 1]:.4g}' + (' (log)' if spreads else '')
    return (
        f'<text x="{LEFT}" y="18" font-size="13" font-weight="bold" fill="#000">{html.escape(caption)}</text>'
        f'<path d="M{LEFT} {TOP}H{right}M{LEFT} {floor}H{right}" stroke="#ccc"/>'
        f'<text x="{LEFT - 6}" y="{TOP + 4}" text-anchor="end">{top:.4g}</text>'
        f'<text x="{LEFT - 6}" y="{floor + 4}" text-anchor="end">{low:.4g}</text>'
        f'<text x="{LEFT}" y="{HIGH - 6}">{first:.0f}</text>'
        f'<text x="{right}" y="{HIGH - 6}" text-anchor="end">step {last:.0f}</text>'
        f'<polyline points="{line}" fill="none" stroke="#1f5fbf" stroke-width="1.5" stroke-linejoin="round"/>'
    )

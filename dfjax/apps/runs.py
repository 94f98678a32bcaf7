"""`dfjax runs`: the runs of a folder in a table, and their losses as curves on the terminal."""

import argparse
from itertools import pairwise

EXAMPLE = 'dfjax runs runs --plot'
WIDE, HIGH = 60, 12  # characters of a plot
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # of a Braille character, by column and row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}'
    parser.add_argument('folder', nargs='?', default='.', metavar='DIR', help='where to look; default here')
    parser.add_argument('--plot', action='store_true', help='draw the losses of each run')
    parser.add_argument('--loss', default='total', metavar='NAME', help='which one; default total')


def run(args: argparse.Namespace) -> dict:
    """A row a run: prints the plots, returns the table."""
    from dfjax.apps.glance import glance, runs_under
    from dfjax.errors import InputError

    found = [glance(path) for path in runs_under(args.folder)]
    if not found:
        raise InputError(f'{args.folder}: no runs in it; `dfjax train` makes one')
    for one in found if args.plot and not args.json else ():
        known = sorted({name for row in one.rows for name in row})
        if one.rows and args.loss not in known:
            raise InputError(f'--loss {args.loss}: {one.path} has {", ".join(known)}')
        print(
            f'{one.path}: {args.loss}\n{plot([(row["step"], row[args.loss]) for row in one.rows if args.loss in row])}'
        )
    return {'runs': [_row(one) for one in found]} if args.json else {str(one.path): _line(one) for one in found}


def _row(one) -> dict:
    row = {name: getattr(one, name) for name in ('path', 'system', 'size', 'step', 'steps', 'saved', 'state', 'rate')}
    return row | {'left': one.left, 'preview': one.preview, 'last': one.rows[-1] if one.rows else {}}


def _line(one) -> str:
    from dfjax.apps.glance import spoken

    size = f'{one.size} px' if one.size else ''
    loss = f'loss {one.rows[-1]["total"]:.4g}' if one.rows and 'total' in one.rows[-1] else ''
    left = f'{spoken(one.left)} left' if one.state == 'training' else ''
    share = 100 * one.step / max(one.steps, 1)
    line = f'{one.system:<9} {size:>7}  {one.step:>7} of {one.steps} ({share:.0f} %)  {one.state}  {loss}  {left}'
    return line.rstrip()


def plot(points: list[tuple[float, float]], wide: int = WIDE, high: int = HIGH) -> str:
    """A curve in Braille dots, with its greatest and least value at the left and the steps below."""
    points = [(x, y) for x, y in points if abs(y) < float('inf')]
    if len(points) < 2:
        return '  (too few rows yet)\n'
    (left, right), values = (points[0][0], points[-1][0]), [y for _, y in points]
    low, top = min(values), max(values)
    cells = [[0] * wide for _ in range(high)]
    for across in range(2 * wide):
        y = between(points, left + (right - left) * across / (2 * wide - 1))
        down = round((top - y) / max(top - low, 1e-9) * (4 * high - 1))
        cells[down // 4][across // 2] |= DOTS[across % 2][down % 4]
    labels = {0: f'{top:.4g}', high - 1: f'{low:.4g}'}
    lines = [f'{labels.get(n, ""):>10} │{"".join(chr(0x2800 + c) for c in row)}' for n, row in enumerate(cells)]
    return '\n'.join(lines) + f'\n{"step":>10}  {left:<{wide // 2}}{right:>{wide // 2}}\n'


def between(points: list[tuple[float, float]], x: float) -> float:
    """The value of a curve through points of rising x, straight from one to the next."""
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / max(x1 - x0, 1e-9)
    return points[-1][1]

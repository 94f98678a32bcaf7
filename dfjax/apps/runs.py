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
    """Where every run stands."""
    from dfjax.apps.glance import glance, runs_under
    from dfjax.errors import InputError

    found = [glance(path) for path in runs_under(args.folder)]
    if not found:
        raise InputError(f'{args.folder}: no runs in it; `dfjax train` makes one')
    for one in found:
        known = sorted({name for row in one.rows for name in row})
        if args.plot and known and args.loss not in known:
            raise InputError(f'--loss {args.loss}: {one.path} has {", ".join(known)}')
    return {'runs': [_row(one) for one in found]}


def spoken(report: dict, args: argparse.Namespace) -> dict:
    """A line a run, after the curves that were asked for."""
    if args.plot:
        for row in report['runs']:
            points = [(one['step'], one[args.loss]) for one in row['rows'] if args.loss in one]
            print(f'{row["path"]}: {args.loss}\n{plot(points)}')
    return {str(row['path']): _line(row) for row in report['runs']}


def _row(one) -> dict:
    names = ('path', 'system', 'size', 'step', 'steps', 'saved', 'state', 'rate', 'left', 'preview', 'rows')
    return {name: getattr(one, name) for name in names}


def _line(row: dict) -> str:
    from dfjax.data.media.progress import spoken

    size = f'{row["size"]} px' if row['size'] else ''
    loss = f'loss {row["rows"][-1]["total"]:.4g}' if row['rows'] and 'total' in row['rows'][-1] else ''
    left = f'{spoken(row["left"])} left' if row['state'] == 'training' else ''
    share = 100 * row['step'] / max(row['steps'], 1)
    done = f'{row["step"]:>7} of {row["steps"]} ({share:.0f} %)'
    return f'{row["system"]:<9} {size:>7}  {done}  {row["state"]}  {loss}  {left}'.rstrip()


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

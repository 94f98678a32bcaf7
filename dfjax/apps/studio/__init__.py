"""`dfjax studio`: a page on this machine for those who would rather click than type.

The page is three plain files (`page/`) and asks a small server (`app.py`) that starts what a person would type: every
job is a process of its own (`runner.py`) with the words of a command line (`commands.py`), kept as a small file
(`jobs.py`). The server imports neither JAX nor a decoder: what needs them is asked of another process (`looker.py`).
"""

import argparse
import os
import sys
from pathlib import Path

from dfjax.errors import InputError

EXAMPLE = 'dfjax studio --folder studio'
PORT = 7860
MEGABYTES, MINUTES = 4096, 120  # limits of an upload


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'Prints an address with a secret token, and opens it where there is a desktop. Everything stays on this\n'
        'machine: the page asks nobody else for anything. Results and runs lie in the folder. Ctrl-C ends the studio\n'
        'and stops the job that is at work, which saves what it has: a button of the page then goes on with it.'
    )
    parser.add_argument('--port', type=int, default=PORT, metavar='N', help=f'default {PORT}')
    parser.add_argument('--folder', default='dfjax-studio', metavar='DIR', help='of results; default dfjax-studio')
    parser.add_argument(
        '--host', default='127.0.0.1', metavar='ADDRESS', help='where to listen; default 127.0.0.1: this machine alone'
    )
    parser.add_argument(
        '--allow-host',
        action='append',
        default=[],
        metavar='NAME',
        help='a further name that browsers may call it by, as that of a proxy; .NAME for all names under it',
    )
    parser.add_argument('--max-upload', type=int, default=MEGABYTES, metavar='MB', help=f'default {MEGABYTES}')
    parser.add_argument(
        '--max-minutes', type=float, default=MINUTES, metavar='M', help=f'longest video or sound; default {MINUTES}'
    )
    parser.add_argument('--no-browser', action='store_true', help='print the address and open nothing')


def run(args: argparse.Namespace) -> dict:
    """Serves the page until Ctrl-C; returns the report."""
    from dfjax.apps.studio.server import serve

    if not 0 <= args.port < 65536:
        raise InputError(f'--port {args.port}: give a number from 0 to 65535')
    if args.max_upload < 1 or not args.max_minutes > 0:
        raise InputError('--max-upload and --max-minutes: give numbers above 0')
    limits = {'bytes': args.max_upload << 20, 'minutes': args.max_minutes}
    jobs = serve(Path(args.folder), args.host, args.port, args.allow_host, limits, opens=_desktop(args))
    return {'folder': args.folder, 'jobs': jobs}


def _desktop(args: argparse.Namespace) -> bool:
    """Whether there is a screen to open the page on: a browser in a terminal would take that away."""
    screen = sys.platform == 'darwin' or os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')
    return bool(screen) and not args.no_browser

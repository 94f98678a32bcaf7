"""`dfjax preview`: the newest preview of a run, opened, or copied to where it is wanted."""

import argparse
import shutil
from pathlib import Path

EXAMPLE = 'dfjax preview --run out.mp4.run -o now.jpg'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}\n\nWithout -o it is opened by what this machine opens pictures with.'
    parser.add_argument('--run', required=True, metavar='W', help='the folder of a run')
    parser.add_argument('-o', '--out', metavar='FILE.jpg', help='a copy to write instead of opening it')
    parser.add_argument('--force', action='store_true', help='replace a file that exists')


def run(args: argparse.Namespace) -> dict:
    """Opens or copies the picture; returns where it is and of which step of how many."""
    import webbrowser

    from dfjax.apps.glance import glance
    from dfjax.data.media.output import atomic_path
    from dfjax.errors import InputError

    one = glance(args.run)
    if one.preview is None:
        raise InputError(f'{args.run}: no preview yet; the first comes when training begins')
    shown = one.preview
    if args.out:
        shown = Path(args.out)
        if shown.suffix.lower() not in ('.jpg', '.jpeg'):
            raise InputError(f'{shown}: a preview is a JPEG; name the copy *.jpg')
        with atomic_path(shown, args.force) as part:
            shutil.copyfile(one.preview, part)
    elif not args.json:
        webbrowser.open(shown.absolute().as_uri())
    return {'preview': str(shown), 'step': one.step, 'of': one.steps, 'state': one.state}

"""`dfjax translate`: pictures and videos through a trained pix2pix, CycleGAN or StarGAN."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from dfjax.apps.consent import add_consent
from dfjax.errors import InputError

EXAMPLE = 'dfjax translate --run runs/stargan anna.mp4 -o out.mp4 --to smile=1,glasses=0'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}\n\nAsk the people shown for their consent.'
    parser.add_argument('input', metavar='IN', help='a picture, a video or a folder of them')
    parser.add_argument('--run', required=True, metavar='W', help='the folder of a run that translates')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='what to write, of the same kind')
    parser.add_argument('--side', choices=('ab', 'ba'), help='of two: from a to b (default), or from b to a')
    parser.add_argument('--to', metavar='LABELS', help='labels: NAME=0 or 1, joined by commas; others stay')
    parser.add_argument(
        '--size', type=int, metavar='N', help='make pictures N pixels high or wide, whichever is less, for the net'
    )
    parser.add_argument(
        '--tile', type=int, default=512, metavar='N', help='larger pictures go through in pieces of this side'
    )
    parser.add_argument('--batch-size', type=int, default=4, metavar='N', help='pictures or pieces at once; default 4')
    parser.add_argument('--recursive', action='store_true', help='of a folder, the files in its folders too')
    add_consent(parser)
    parser.add_argument('--force', action='store_true', help='replace an output that exists')


def run(args: argparse.Namespace) -> dict:
    """Translates as the arguments say; returns the report."""
    how = {'side': args.side, 'to': parse_labels(args.to), 'size': args.size, 'tile': args.tile}
    how |= {'batch_size': args.batch_size, 'recursive': args.recursive}
    return translate(args.run, args.input, args.out, force=args.force, **how)


def parse_labels(text: str | None) -> dict[str, int] | None:
    """`NAME=0,NAME=1` as values by name; a name alone is 1.

    Raises:
        InputError: a word is not of that form.
    """
    if text is None:
        return None
    labels = {}
    for word in text.split(','):
        name, _, value = word.strip().partition('=')
        if not name or value not in ('', '0', '1'):
            raise InputError(f'--to {text}: write labels as smile=1,glasses=0')
        labels[name] = int(value or 1)
    return labels


def translate(
    run,
    source: Path | str,
    out: Path | str,
    *,
    side: str | None = None,
    to: Mapping[str, int] | None = None,
    size: int | None = None,
    tile: int = 512,
    batch_size: int = 4,
    recursive: bool = False,
    force: bool = False,
    progress: bool = True,
) -> dict:
    """Writes `source` to `out`, every picture translated, and content credentials that say so.

        translate('runs/horses', 'ride.mp4', 'zebra.mp4', side='ab')

    Frame count, times and sound of a video are the input's. Files of a folder that cannot be read are left out, named
    and counted.

    Args:
        run: the folder of a run of pix2pix, cyclegan or stargan, or what `load_run` gave.
        source: a picture, a video or a folder of them.
        out: of the same kind.
        side, tile, batch_size: see `inference.translate.Translator`.
        to: StarGAN's labels to ask for; the others stay as they are seen in the picture, or at the start of a video.
        size: the shorter side that pictures are made for the net, and enlarged from again; as they are by default.
        recursive: of a folder, the files in its folders too.
        force: replace an output that exists.

    Returns:
        The report of `run_job`.

    Raises:
        InputError: as `load_run`, `plan_outputs`, Translator and `wanted_labels`.
    """
    from dfjax.data.media.progress import bar
    from dfjax.inference.frames import run_job
    from dfjax.inference.plan import plan_outputs
    from dfjax.inference.run import check_can, load_run
    from dfjax.inference.translate import TranslateJob, Translator
    from dfjax.training.parallel import enable_compilation_cache

    for name, value, least in (('--batch-size', batch_size, 1), ('--size', size, 8)):
        if value is not None and value < least:
            raise InputError(f'{name} {value}: give {least} or more')
    enable_compilation_cache()
    plan = plan_outputs(source, out, force, recursive=recursive)
    run = load_run(run, can='translate') if isinstance(run, str | Path) else run
    if side is not None and len(run.system.DIRECTIONS) < 2:
        raise InputError(f'--side {side}: {run.path} is a run of system {run.cfg.system!r}, which goes one way')
    if to is not None:
        check_can(run.path, run.cfg.system, 'condition_of', '--to')
    job = TranslateJob(Translator(run, side, batch_size, tile), to, size)
    with bar(f'writing {Path(out).name}', progress) as tick:
        return run_job(job, plan, tick)

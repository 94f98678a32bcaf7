"""`dfjax stylize`: pictures in the style of another by optimisation, pictures and videos by a trained run."""

import argparse
from pathlib import Path

from dfjax.errors import InputError

EXAMPLE = 'dfjax stylize anna.jpg --style pattern:mosaic -o out.png'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n         dfjax stylize anna.mp4 --run runs/night -o out.mp4\n\n'
        "Nothing has to be downloaded. --features uses VGG-19 instead, if you have torchvision's vgg19-dcbb9e9d.pth or "
        "Keras's vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5; without a picture, -o FILE.npz writes it as "
        'training reads it.'
    )
    parser.add_argument('input', nargs='?', metavar='IN', help='a picture, a folder of them, or with --run a video')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='what to write, of the same kind')
    parser.add_argument('--style', metavar='PICTURE', help='a picture, or pattern:strokes, mosaic or hatching')
    parser.add_argument('--run', metavar='W', help='the folder of a run of system style, instead of --style')
    parser.add_argument('--size', type=int, metavar='N', help='longer side; default 256, with --run that of the input')
    parser.add_argument(
        '--tile', type=int, metavar='N', help='with --run: larger pictures go through in pieces; default 3840'
    )
    parser.add_argument('--steps', type=int, metavar='N', help='of the optimisation at each scale; default 60')
    parser.add_argument('--strength', type=float, metavar='T', help='of the style; default 1')
    parser.add_argument('--features', metavar='FILE', help="VGG-19: torchvision's .pth, Keras's .h5, or .npz")
    parser.add_argument('--recursive', action='store_true', help='of a folder, the files in its folders too')
    parser.add_argument('--force', action='store_true', help='replace an output that exists')


def run(args: argparse.Namespace) -> dict:
    """Does as the arguments say; returns the report."""
    how = {name: getattr(args, name) for name in ('size', 'tile', 'steps', 'strength', 'features')}
    how = {name: value for name, value in how.items() if value is not None}
    if args.size is not None and args.size < 1:
        raise InputError(f'--size {args.size}: give the pixels of the longer side')
    if args.input is None:
        if not args.features or args.style or args.run:
            raise InputError('give a picture, and --style or --run; or --features alone, to rewrite it')
        return rewrite_features(args.features, args.out, force=args.force)
    if bool(args.style) == bool(args.run):
        raise InputError('give --style PICTURE or --run W, one of the two')
    if args.style:
        if args.tile is not None:
            raise InputError('--tile: not an option with --style; it is for the net of --run')
        return stylize(args.input, args.style, args.out, recursive=args.recursive, force=args.force, **how)
    if strange := [name for name in how if name not in ('size', 'tile')]:
        raise InputError(f'--{strange[0]}: not an option with --run; it says how --style is optimised')
    return stylize_by_run(args.run, args.input, args.out, recursive=args.recursive, force=args.force, **how)


def spoken(report: dict, args: argparse.Namespace) -> dict:
    """The report; that a picture was made smaller than it was is said."""
    small = args.style and args.size is None
    return report | ({'note': 'the longer side is 256 px; --size 1024 for more, which takes longer'} if small else {})


def stylize(
    source: Path | str,
    style: Path | str,
    out: Path | str,
    *,
    size: int = 256,
    features: Path | str | None = None,
    recursive: bool = False,
    force: bool = False,
    progress: bool = True,
    **how,
) -> dict:
    """Writes a picture, or each of a folder, in the style of another, with content credentials that say so.

        stylize('anna.jpg', 'pattern:strokes', 'out.png', size=512)

    Args:
        source: a picture or a folder of them.
        style: a picture, or `pattern:...`.
        out: of the same kind as `source`.
        size: longer side of what is written.
        recursive: of a folder, the files in its folders too.
        features: a file of VGG-19; without, the filter bank.
        how: `steps` and `strength` of `inference.gatys.stylise`.

    Returns:
        The report of `run_job`, and of the last picture the figures of `inference.gatys.figures`.

    Raises:
        InputError: as `plan_outputs`, `stylise` and the readers do; a video, or a folder of nothing else.
    """
    from dfjax.data.media.progress import bar
    from dfjax.inference.frames import run_job
    from dfjax.inference.gatys import PictureJob, read_style
    from dfjax.inference.plan import plan_outputs
    from dfjax.training.parallel import enable_compilation_cache
    from dfjax.weights.vgg import read_features

    enable_compilation_cache()
    film = 'is a video; train a run of system style, and give it as --run'
    plan = plan_outputs(source, out, force, recursive=recursive, stills=film)
    with bar(f'painting {Path(out).name}', progress, 'step') as tick:
        job = PictureJob(read_style(style, size), size, read_features(features) if features else None, how, tick)
        return run_job(job, plan) | job.figures


def stylize_by_run(
    run,
    source: Path | str,
    out: Path | str,
    *,
    size: int | None = None,
    tile: int | None = None,
    recursive: bool = False,
    force: bool = False,
    progress: bool = True,
) -> dict:
    """Writes pictures or videos repainted by a trained run; a video keeps its frames, times and sound.

        stylize_by_run('runs/night', 'anna.mp4', 'out.mp4')

    Args:
        run: the folder of a run of system style, or what `load_run` gave.
        source: a picture, a video or a folder of them.
        out: of the same kind.
        size, tile: see `inference.style.Stylist`.
        recursive: of a folder, the files in its folders too.

    Returns:
        The report of `run_job`.

    Raises:
        InputError: as `load_run`, `plan_outputs` and the readers do.
    """
    from dfjax.data.media.progress import bar
    from dfjax.inference.frames import Job, run_job
    from dfjax.inference.plan import plan_outputs
    from dfjax.inference.run import load_run
    from dfjax.inference.style import TILE, Stylist
    from dfjax.training.parallel import enable_compilation_cache

    enable_compilation_cache()
    plan = plan_outputs(source, out, force, recursive=recursive)
    run = load_run(run, can='paint') if isinstance(run, str | Path) else run
    stylist = Stylist(run, size, TILE if tile is None else tile)
    job = Job('repainted by a trained model', run.cfg.system, stylist, stylist.batch)
    with bar(f'painting {Path(out).name}', progress) as tick:
        return run_job(job, plan, tick)


def rewrite_features(source: Path | str, out: Path | str, *, force: bool = False) -> dict:
    """Writes torchvision's or Keras's VGG-19 as `weights.vgg.load` reads it: {'out', 'layers'}.

    Raises:
        InputError: as `read_features`; a name that does not end with .npz.
    """
    from dfjax.data.media.output import atomic_path
    from dfjax.weights.vgg import read_features, save

    if Path(out).suffix != '.npz':
        raise InputError(f'{out}: give a picture to paint; or name features FILE.npz, to rewrite them for training')
    weights = read_features(source)
    with atomic_path(out, force) as part:
        save(part, weights)
    return {'out': str(out), 'layers': len(weights)}

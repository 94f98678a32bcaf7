"""`dfjax evaluate`: the figures of a swapped video, of an animated picture, or of a run, by independent judges."""

import argparse
import importlib
import importlib.util
import inspect

from dfjax.errors import InputError
from dfjax.inference.choices import SOLVERS

EXAMPLE = 'dfjax evaluate --swap out.mp4 --input a.mp4 --face b.mp4 --json'
MEANS = {
    'transfer': 'whose face it is: 0.5 is half-way, more is more of the person put in',
    'ceiling': "what that person's own frames have of it",
    'reached': '1 is as much of the person as their own frames have',
    'distance_to_face': 'below 0.6 dlib calls it the same person',
    'expression': 'how eyes and mouth follow the input, at most 1; 0.97 is what a re-encoding keeps',
    'pose': 'degrees between the heads',
    'detail': "sharpness beside the person's own video: 1 is as sharp",
    'jitter': 'shaking that the input has not: 0 is none',
    'faces_lost': 'frames in which no face is found any more',
}
OPTIONS = ('data', 'samples', 'against', 'steps', 'solver')  # that `figures(run, ...)` of a system may take


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}\n         dfjax evaluate --run runs/vae --against runs/plain --json'
    swap = parser.add_argument_group('of a swapped video')
    swap.add_argument('--swap', metavar='OUT', help='the swapped video')
    swap.add_argument('--input', metavar='VIDEO', help='the video that it was made from')
    swap.add_argument('--face', metavar='WHO', help='the person put in: a video, picture or folder')
    swap.add_argument('--truth', metavar='VIDEO', help='what should be seen, where that is known: adds figures')
    swap.add_argument('--mask', metavar='VIDEO', help='white where PSNR and SSIM count; default everywhere')
    swap.add_argument(
        '--every', type=int, default=1, metavar='N', help='descriptor (70 ms) of every N-th frame; default 1'
    )
    swap.add_argument('--report', metavar='PAGE', help='an HTML page to write: figures, frames, and which to look at')
    animation = parser.add_argument_group('of an animated picture, with --truth, --mask and --every')
    animation.add_argument('--animation', metavar='OUT', help='what `dfjax animate` made')
    animation.add_argument('--driving', metavar='VIDEO', help='the video that drives it')
    animation.add_argument('--image', metavar='PICTURE', help='the picture that it was made from')
    lips = parser.add_argument_group('of a video whose lips follow a sound')
    lips.add_argument('--lipsync', metavar='OUT', help='what `dfjax lipsync` made, or any video of a speaker')
    lips.add_argument('--audio', metavar='SOUND', help='the sound; default its own')
    run = parser.add_argument_group('of a run')
    run.add_argument('--run', metavar='W', help='the folder of a trained run')
    run.add_argument('--data', metavar='NAME', help='pictures it has not learnt from; default: rendered, other seeds')
    run.add_argument('--samples', type=int, metavar='N', help='for the Frechet distance; default 500, 0 leaves it out')
    run.add_argument('--against', metavar='W0', help='a run of the same system to be compared with')
    run.add_argument('--steps', type=int, metavar='N', help='of a solver of samples; default 20')
    run.add_argument('--solver', choices=SOLVERS, help='of samples; default dpm++')


def run(args: argparse.Namespace) -> dict:
    """The figures; see `evaluation.swap.compare`, `evaluation.animation.evaluate_animation` and `dfjax.evaluation`."""
    if args.run:
        options = {name: getattr(args, name) for name in OPTIONS}
        return evaluate_run(args.run, **{name: value for name, value in options.items() if value is not None})
    if args.lipsync:
        from dfjax.evaluation.lipsync import evaluate_lipsync

        return evaluate_lipsync(args.lipsync, args.audio)
    what = ('animation', 'driving', 'image') if args.animation else ('swap', 'input', 'face')
    for name in what:
        if not getattr(args, name):
            raise InputError(
                f'--{name} is missing: a swap is measured by --swap, --input and --face, an animated picture by '
                '--animation, --driving and --image, lips by --lipsync, a run by --run'
            )
    if args.every < 1:
        raise InputError(f'--every {args.every}: give 1 (every frame) or more')
    if args.mask and not args.truth:
        raise InputError('--mask says where --truth is compared: give both')
    paths = [getattr(args, name) for name in what]
    if args.animation:
        from dfjax.evaluation.animation import evaluate_animation

        return evaluate_animation(*paths, args.truth, args.mask, every=args.every)
    from dfjax.evaluation.swap import evaluate

    return evaluate(*paths, args.truth, args.mask, every=args.every, report=args.report, progress=True)


def spoken(report: dict, args: argparse.Namespace | None = None) -> dict:
    """Figures of a swap with what they mean to a person."""
    if 'transfer' not in report:
        return report
    known = lambda name, value: name in MEANS and isinstance(value, int | float)
    return {name: f'{x:<8.4g} {MEANS[name]}' if known(name, x) else x for name, x in report.items()}


def evaluate_run(workdir: str, **options) -> dict:
    """The figures of the run in a folder: `figures(run, ...)` of `dfjax.evaluation.<its system>`.

    Raises:
        InputError: a run of a system that has no such module, or an option that its figures do not take.
    """
    from dfjax.inference.run import load_run
    from dfjax.systems import SYSTEMS
    from dfjax.training.parallel import enable_compilation_cache

    enable_compilation_cache()
    run = load_run(workdir)
    system = run.cfg.system
    if not has_figures(system):
        measured = ', '.join(filter(has_figures, SYSTEMS))
        raise InputError(f'{workdir}: a run of system {system!r}, which --run has no figures of; it has of: {measured}')
    figures = importlib.import_module(f'dfjax.evaluation.{system}').figures
    if strange := [name for name in options if name not in inspect.signature(figures).parameters]:
        raise InputError(f'--{strange[0]}: not an option for a run of system {system!r}')
    if options.get('samples', 0) < 0 or options.get('samples') == 1:
        raise InputError(f'--samples {options["samples"]}: give 2 or more, or 0')
    if 'against' in options:
        other = options['against'] = load_run(options['against'])
        if other.cfg.system != system:
            raise InputError(f'--against {other.path}: a run of system {other.cfg.system!r}; give one of {system!r}')
    return figures(run, **options)


def has_figures(system: str) -> bool:
    """Whether runs of a system can be measured: whether there is a module of its name in `dfjax.evaluation`."""
    return importlib.util.find_spec(f'dfjax.evaluation.{system}') is not None

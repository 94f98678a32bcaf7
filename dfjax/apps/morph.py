"""`dfjax morph`: a transition between pictures, through the codes of a trained VAE."""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

from dfjax.apps.edit import parse_amounts, vectors_of
from dfjax.errors import InputError
from dfjax.inference.choices import EASINGS, PATHS

PART = 64  # frames decoded at once, so that memory does not grow with their number
EXAMPLE = 'dfjax morph --run runs/vae anna.jpg bert.jpg bert.jpg@smile=1.5 -o morph.gif --loop'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}'
    parser.add_argument(
        'stops',
        nargs='+',
        metavar='A',
        help='two or more: pictures, folders of them or render:NAME; PICTURE@smile=1.5,glasses=-1 is an edit',
    )
    parser.add_argument('--run', required=True, metavar='W', help='the folder of a trained VAE')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='a .gif, .webp, .mp4, .m4v or .mov')
    parser.add_argument('--path', choices=PATHS, default='spherical', help='default spherical')
    parser.add_argument('--easing', choices=EASINGS, default='smooth', help='of each leg; default smooth')
    parser.add_argument('--frames', type=int, default=24, metavar='N', help='of each leg; default 24')
    parser.add_argument('--fps', type=int, default=24, metavar='N', help='frames a second; default 24')
    parser.add_argument('--size', type=int, default=256, metavar='PX', help='side of the frames; default 256')
    parser.add_argument('--loop', action='store_true', help='go back to the first at the end')
    parser.add_argument('--whole', action='store_true', help='take whole pictures, not the faces in them')
    parser.add_argument('--force', action='store_true', help='replace an output that exists')


def run(args: argparse.Namespace) -> dict:
    """Morphs as the arguments say; returns the report."""
    names = ('path', 'easing', 'frames', 'fps', 'size', 'loop', 'whole', 'force')
    return morph(args.run, args.stops, args.out, **{name: getattr(args, name) for name in names})


def morph(
    run,
    stops: Sequence[str],
    out: Path | str,
    *,
    path: str = 'spherical',
    easing: str = 'smooth',
    frames: int = 24,
    fps: int = 24,
    size: int = 256,
    loop: bool = False,
    whole: bool = False,
    force: bool = False,
) -> dict:
    """Writes a walk through the codes of pictures, with content credentials.

        morph('runs/vae', ['anna.jpg', 'bert.jpg'], 'morph.gif', loop=True)

    Args:
        run: the folder of a run whose system can encode and decode, or what `load_run` gave.
        stops: pictures, folders or render names; with `@NAME=T,...` their codes are moved by attribute vectors.
        path, easing: of `inference.choices.PATHS` and EASINGS.
        frames: of each leg.
        size: side of the frames.
        loop: go back to the first; the last frame is then the one before it.
        whole: take the middle squares of pictures, not the faces in them.

    Returns:
        {'out', 'stops', 'frames', 'path_length': perceptual, of a leg, by path}.

    Raises:
        InputError: fewer than two stops, numbers below 1, as `read_pictures` and `write_animation`.
    """
    import cv2

    from dfjax.data.media.animation import write_animation
    from dfjax.data.media.output import check_output
    from dfjax.data.media.signed import signed_path
    from dfjax.inference import latents as codes
    from dfjax.inference.attributes import face_type_of
    from dfjax.inference.run import load_run
    from dfjax.training.parallel import enable_compilation_cache

    enable_compilation_cache()
    check_numbers(frames=frames, fps=fps, size=size)
    out = check_output(out, force)
    check_animation(out)
    run = load_run(run, can=('encode', 'decode')) if isinstance(run, str | Path) else run
    nets = codes.Latents(run)
    places = stop_codes(run, nets, stops, None if whole else face_type_of(run.cfg))
    if len(places) < 2:
        raise InputError('a transition needs two or more pictures')
    places += places[:1] if loop else []
    walk = codes.path(places, frames, path, easing)
    walk = walk[:-1] if loop else walk
    made = itertools.chain.from_iterable(nets.decode(walk[n : n + PART]) for n in range(0, len(walk), PART))
    shown = (cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC) for frame in made)
    with signed_path(
        out, 'transition between pictures by a trained model', force=force, details={'system': run.cfg.system}
    ) as (part, mark):
        write_animation(part, map(mark.on, shown), fps)
    lengths = {kind: codes.path_length(nets, places, kind) for kind in PATHS}
    return {'out': str(out), 'stops': len(places) - loop, 'frames': len(walk), 'path_length': lengths}


def stop_codes(run, nets, stops: Sequence[str], face_type: str | None) -> list:
    """The codes [L] of all pictures that the stops name, in order."""
    from dfjax.inference.crops import read_pictures

    found = []
    for stop in stops:
        name, at, words = stop.rpartition('@')
        amounts = parse_amounts(words.split(',')) if at and '=' in words else {}
        codes = nets.encode(read_pictures(name if amounts else stop, run.cfg.data.size, face_type))
        found += list(codes + vectors_of(run, names=list(amounts)).shift(amounts) if amounts else codes)
    return found


def check_numbers(**numbers: int) -> None:
    """Raises InputError for a number below 1, by the name of its option."""
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f'--{name} {number}: give 1 or more')


def check_animation(out: Path) -> None:
    """Raises InputError for a name that is no animation's, before the work."""
    from dfjax.data.media.animation import ANIMATION_SUFFIXES

    if out.suffix.lower() not in ANIMATION_SUFFIXES:
        raise InputError(f'{out}: an animation is written as {", ".join(ANIMATION_SUFFIXES)}; change the name')

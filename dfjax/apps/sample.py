"""`dfjax sample`: pictures of a trained VAE, GAN or diffusion model."""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

from dfjax.apps.morph import check_animation, check_numbers
from dfjax.data.media.progress import bar
from dfjax.errors import InputError
from dfjax.inference.choices import SOLVERS

EXAMPLE = 'dfjax sample --run runs/gan -n 16 -o sheet.png --truncation 0.8'
OF_DENOISERS = ('steps', 'solver', 'label', 'guidance', 'init', 'strength', 'mask')  # options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\nOUT.png is a sheet; a name without suffix a folder of pictures; with --interpolate, '
        '.gif, .webp and .mp4 are a walk.'
    )
    parser.add_argument('--run', required=True, metavar='W', help='the folder of a trained vae, gan or diffusion model')
    parser.add_argument('-n', type=int, metavar='N', help='how many; default 16, with a mask 1')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='a picture, a new folder or an animation')
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='of the noise; default 0')
    parser.add_argument('--truncation', type=float, metavar='T', help='vae, gan: nearer to the mean below 1; default 1')
    parser.add_argument('--interpolate', type=int, default=0, metavar='K', help='so many pictures between each two')
    parser.add_argument('--invert', metavar='IN', help='gan: a picture or folder, and what the generator makes of it')
    parser.add_argument('--steps', type=int, metavar='N', help='diffusion: of the solver; default 20')
    parser.add_argument('--solver', choices=SOLVERS, help='diffusion: default dpm++')
    parser.add_argument('--label', action='append', metavar='NAME=1', help='diffusion: with (1) or without (0)')
    parser.add_argument('--guidance', type=float, metavar='G', help='diffusion: above 1 follows labels more')
    parser.add_argument('--init', metavar='IN', help='diffusion: a picture to begin from')
    parser.add_argument('--strength', type=float, metavar='S', help='of its change, 0 to 1; default 0.5, 1 with a mask')
    parser.add_argument('--mask', metavar='PICTURE', help='white where --init is to be made anew; gives it whole again')
    parser.add_argument('--whole', action='store_true', help='take whole pictures, not the faces in them')
    parser.add_argument('--force', action='store_true', help='replace a file that exists')


def run(args: argparse.Namespace) -> dict:
    """Samples as the arguments say; returns the report."""
    options = {name: getattr(args, name) for name in OF_DENOISERS if getattr(args, name) is not None}
    if 'label' in options:
        from dfjax.apps.edit import parse_amounts

        options['labels'] = parse_amounts(options.pop('label'))
    names = ('seed', 'truncation', 'interpolate', 'invert', 'whole', 'force')
    return sample(args.run, args.n, args.out, diffusion=options, **{name: getattr(args, name) for name in names})


def sample(
    run,
    count: int | None,
    out: Path | str,
    *,
    seed: int = 0,
    truncation: float | None = None,
    interpolate: int = 0,
    invert: str | None = None,
    diffusion: Mapping | None = None,
    whole: bool = False,
    force: bool = False,
    progress: bool = True,
) -> dict:
    """Writes pictures of a run as a sheet, a folder or an animation, with content credentials.

        sample('runs/gan', 16, 'sheet.png', truncation=0.8)

    Args:
        run: the folder of a run of system vae, gan or diffusion, or what `load_run` gave.
        count: how many, before interpolation; None is 16, and 1 with a mask.
        out: a picture's name, an animation's, or a folder's, which has no suffix.
        seed: of the noise.
        truncation: see `from_noise` of the system.
        interpolate: so many pictures between each two, on a spherical path of the noise.
        invert: a picture or folder: of system gan, shows each beside the nearest that the generator makes.
        diffusion: `inference.sampling.diffuse`'s options steps, solver, labels, guidance, strength; and 'init' and
            'mask', the names of pictures. With a mask the result is the picture of 'init', as it was but for the mask.
        whole: take the middle squares of pictures given, not the faces in them.

    Returns:
        {'out', 'pictures', 'system'}, and of an inversion 'psnr'.

    Raises:
        InputError: options that the system does not have or that do not go together, numbers out of range, as
            `diffuse`, `inference.pictures` and the writers.
    """
    from dfjax.inference.run import load_run
    from dfjax.training.parallel import enable_compilation_cache

    enable_compilation_cache()
    options = dict(diffusion or {})
    if invert and (count is not None or interpolate or truncation is not None):
        raise InputError('--invert makes one picture of each given; leave out -n, --interpolate and --truncation')
    count = (1 if 'mask' in options else 16) if count is None else count
    check_numbers(n=count)
    out = check_out(Path(out), interpolate, force)
    run = load_run(run, can='noise_shape') if isinstance(run, str | Path) else run
    check_options(run, truncation, interpolate, invert, options)
    if invert:
        made, extra = _inverted(run, invert, whole)
    else:
        made, extra = _sampled(run, count, seed, truncation, interpolate, options, whole, progress), {}
    animated = is_animation(out, interpolate)
    told = {'description': 'made by a trained model', 'details': {'system': run.cfg.system}}
    told['composite'] = 'init' in options  # a picture altered, not made from nothing
    write_pictures(out, made, 2 if invert else interpolate + 1, animated, told, force)
    return {'out': str(out), 'pictures': len(made), 'system': run.cfg.system} | extra


def check_out(out: Path, interpolate: int, force: bool) -> Path:
    """Raises InputError for an output that cannot be written, before the work."""
    from dfjax.data.media.credentials import SIGNED_SUFFIXES
    from dfjax.data.media.image import IMAGE_SUFFIXES
    from dfjax.data.media.output import check_output

    if interpolate < 0:
        raise InputError(f'--interpolate {interpolate}: give 0 or more')
    if not out.suffix:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f'{out}: exists; name a new folder')
        return out
    if is_animation(out, interpolate) or out.suffix.lower() not in set(IMAGE_SUFFIXES) & set(SIGNED_SUFFIXES):
        check_animation(out)
        if not interpolate:
            raise InputError(f'{out}: an animation needs --interpolate; a sheet of pictures is a .png')
    return check_output(out, force)


def is_animation(out: Path, interpolate: int) -> bool:
    """Whether the pictures are frames: a .webp may be either."""
    from dfjax.data.media.image import IMAGE_SUFFIXES

    return bool(interpolate) and (out.suffix.lower() == '.webp' or out.suffix.lower() not in ('', *IMAGE_SUFFIXES))


def check_options(run, truncation: float | None, interpolate: int, invert: str | None, options: Mapping) -> None:
    """Raises InputError for what a run's system cannot do."""
    from dfjax.inference.run import check_can

    system = run.cfg.system
    if options:
        check_can(run.path, system, 'denoiser', f'--{min(options)}')
    if truncation is not None:
        check_can(run.path, system, 'from_noise', '--truncation')
        if not math.isfinite(truncation):
            raise InputError(f'--truncation {truncation:g}: give a number')
    if invert:
        check_can(run.path, system, ('styles', 'decode'), '--invert')
    if 'init' in options and interpolate:
        raise InputError('--interpolate is between samples; leave it out with --init')
    for name in ('strength', 'mask'):
        if name in options and 'init' not in options:
            raise InputError(f'--{name} is of a picture to begin from: give --init IN')
    if not math.isfinite(options.get('guidance', 1.0)):
        raise InputError(f'--guidance {options["guidance"]:g}: give a number')


def _sampled(run, count, seed, truncation, interpolate, options: dict, whole: bool, progress: bool):
    """uint8 pictures [N, S, S, 3] out of noise; with a mask [N, H, W, 3], whole ones."""
    import numpy as np

    from dfjax.inference import crops as pictures
    from dfjax.inference import sample as sampling

    noise = sampling.draw_noise(run, count, seed)
    noise = sampling.interpolated(noise, interpolate) if interpolate else noise
    if hasattr(run.system, 'from_noise'):
        return sampling.make(run, noise, 1.0 if truncation is None else truncation)
    part = white = None
    if 'init' in options:
        options['strength'] = options.get('strength', 1.0 if 'mask' in options else 0.5)
        part = pictures.Part(options['init'], run.cfg.data.size, face_type_for(run, whole))
        options['init'] = part.seen
    if 'mask' in options:
        white, options['mask'] = part.masked(options['mask'])
    with bar('painting', progress, 'step') as tick:
        made = sampling.diffuse(run, noise, seed=seed, progress=tick, **options)
    return made if white is None else np.stack([part.restored(one, white) for one in made])


def _inverted(run, name: str, whole: bool):
    """Pictures and what the generator makes of them, in turn, and how near it came."""
    import numpy as np

    from dfjax.evaluation.metrics import decibels, squared_errors
    from dfjax.inference.crops import read_pictures
    from dfjax.inference.invert import invert

    given = read_pictures(name, run.cfg.data.size, face_type_for(run, whole))
    made = invert(run, given)[1]
    psnr = round(float(decibels(squared_errors(made, given).mean())), 3)
    return np.stack([given, made], 1).reshape(-1, *given.shape[1:]), {'psnr': psnr}


def face_type_for(run, whole: bool) -> str | None:
    """How faces are cut out of the pictures given; None takes their middle squares."""
    from dfjax.inference.attributes import face_type_of

    return None if whole else face_type_of(run.cfg)


def write_pictures(out: Path, pictures, columns: int, animated: bool, told: dict, force: bool) -> None:
    """Writes uint8 pictures [N, H, W, 3]: a folder, an animation, or a sheet in rows of `columns` (1: a square).

    Args:
        told: what `credentials.sign` says of them.
    """

    from dfjax.data.media.animation import write_animation
    from dfjax.data.media.image import write_image
    from dfjax.data.media.output import atomic_folder
    from dfjax.data.media.signed import signed_path
    from dfjax.ops.image import to_float
    from dfjax.training.previews import sheet

    if not out.suffix:
        with atomic_folder(out) as folder:
            for n, picture in enumerate(pictures):
                with signed_path(folder / f'{n:05d}.png', **told) as (part, mark):
                    write_image(part, mark.on(picture))
        return
    with signed_path(out, force=force, **told) as (part, mark):
        if animated:
            write_animation(part, map(mark.on, pictures), 24)
        else:
            columns = columns if columns > 1 else math.ceil(len(pictures) ** 0.5)
            write_image(part, mark.on(sheet(to_float(pictures), columns)))

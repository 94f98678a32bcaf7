"""`dfjax mask`: where faces are seen, by a trained mask net: into a face set, or as a preview of a video."""

import argparse
from pathlib import Path

from dfjax.errors import InputError

EXAMPLE = 'dfjax mask faces/anna --run runs/mask'
DESCRIPTION = 'what a trained net sees of faces, tinted'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'Into a face set it writes, beside each picture, polygons that labelme opens, labelled "face" and "not face":\n'
        'correct them there, and they are what trainings go by. Of a video or a picture it writes a preview, --out.'
    )
    parser.add_argument('source', metavar='FACES|VIDEO', help='a face set; or a video, a picture or a folder of them')
    parser.add_argument('--run', required=True, metavar='W', help='the folder of a trained mask net')
    parser.add_argument('-o', '--out', metavar='OUT', help='the preview of a video, of the same kind')
    parser.add_argument(
        '--force', action='store_true', help='replace an output that exists, and polygons that somebody has drawn'
    )


def run(args: argparse.Namespace) -> dict:
    """Masks as the arguments say; returns the report."""
    return mask(args.source, args.run, args.out, force=args.force)


def mask(source: Path | str, run, out: Path | str | None = None, *, force: bool = False, progress: bool = True) -> dict:
    """Says where the faces of a source are seen.

        mask('faces/anna', 'runs/mask')

    Args:
        source: a face set, beside whose pictures outlines are written; or a video, a picture or a folder of them.
        run: the folder of a run whose system can mask, or what `load_run` gave.
        out: of a video, a picture or a folder: where it is written with what is seen of faces tinted.
        force: replace an output that exists; of a face set, outlines that somebody has drawn or saved.
        progress: show bars on stderr.

    Returns:
        {'faces', 'written', 'kept' (outlines that somebody has drawn)}, or the report of `run_job`.

    Raises:
        InputError: as `load_run`, `load_faceset`, `analyse` and the readers and writers do; `out` of a face set, none
            of something else.
    """
    from dfjax.data.faces.analyse import analyse
    from dfjax.data.media.inputs import kind
    from dfjax.data.media.progress import bar
    from dfjax.inference.frames import FaceJob, run_job
    from dfjax.inference.masking import Masker
    from dfjax.inference.plan import plan_outputs
    from dfjax.inference.run import load_run
    from dfjax.training.parallel import enable_compilation_cache

    enable_compilation_cache()
    faceset = kind(source) == 'faceset'
    if faceset and out is not None:
        raise InputError(f'{out}: outlines of a face set are written beside its pictures; leave --out out')
    if not faceset and out is None:
        raise InputError(f'{source}: is no face set; name the preview, as --out preview.mp4')
    plan = None if faceset else plan_outputs(source, out, force)
    run = load_run(run, can='mask') if isinstance(run, str | Path) else run
    masker = Masker(run)
    if faceset:
        return _into_faceset(Path(source), masker, force, progress)
    with bar(f'faces of {Path(source).name}', progress) as tick:
        found = analyse(source, every_face=True, progress=tick, skipped=plan.left)
    root = plan.source if plan.many else None
    job = FaceJob(DESCRIPTION, run.cfg.system, masker.tint, found.faces, masker.batch, root)
    job.total = found.frames
    with bar(f'writing {Path(out).name}', progress) as tick:
        return run_job(job, plan, tick)


def _into_faceset(path: Path, masker, force: bool, progress: bool) -> dict:
    from dfjax.data.faces.faceset import load_faceset
    from dfjax.data.faces.polygons import outlines_path, read_outlines, traced, write_outlines
    from dfjax.data.media.image import read_image
    from dfjax.data.media.progress import bar

    faces, counts = load_faceset(path), {'written': 0, 'kept': 0}
    if faces.face_type != masker.face_type:
        raise InputError(f'{path}: faces of type {faces.face_type}, where the net has learnt {masker.face_type}')
    with bar(f'masks of {path.name}', progress, 'picture') as tick:
        for n, row in enumerate(faces.rows, 1):
            file = outlines_path(row.path, row.file)
            if file.is_file() and not force and not read_outlines(file).ours:
                counts['kept'] += 1
            else:
                write_outlines(file, traced(masker.of_picture(read_image(row.path))), faces.size, row.path)
                counts['written'] += 1
            tick(n, len(faces))
    return {'faces': len(faces)} | counts

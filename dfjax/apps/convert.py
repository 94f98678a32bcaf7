"""`dfjax convert`: a trained swap applied to a video, a picture or a folder of them."""

import argparse
import time
from pathlib import Path

EXAMPLE = 'dfjax convert --run runs/anna --into video.mp4 -o out.mp4'
DESCRIPTION = 'face swapped by a trained model'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}'
    parser.add_argument('--run', required=True, metavar='W', help='the folder of a trained face swap')
    parser.add_argument('--into', required=True, metavar='VIDEO', help='a video, a picture or a folder of them')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='what to write, of the same kind')
    parser.add_argument('--person', metavar='PICTURE', help='whose face to replace; default: who is there most')
    parser.add_argument('--side', choices=('a', 'b'), default='b', help='whose face to put in; default b')
    parser.add_argument('--batch-size', type=int, metavar='N', help='faces at once; default: by the device')
    parser.add_argument(
        '--colour',
        default='reinhard',
        metavar='HOW',
        help='none, reinhard (default), lct, mkl, idt or sot: from the frame',
    )
    parser.add_argument('--no-detail', action='store_true', help="leave the net's picture as soft as it is")
    parser.add_argument(
        '--seamless', action='store_true', help="blend by gradients (slower, needs a mask's clear edge)"
    )
    parser.add_argument('--detector', default='dlib', metavar='NAME', help='dlib (default) or yunet')
    parser.add_argument('--detector-model', metavar='FILE', help='the ONNX file of yunet')
    parser.add_argument('--recursive', action='store_true', help='of a folder, the files in its folders too')
    parser.add_argument('--force', action='store_true', help='replace an output that exists')


def run(args: argparse.Namespace) -> dict:
    """Converts as the arguments say; returns the report."""
    look = {'colour': args.colour, 'detail': not args.no_detail, 'seamless': args.seamless}
    found = {'person': args.person, 'detector': args.detector, 'detector_model': args.detector_model}
    where = {'side': args.side, 'batch_size': args.batch_size, 'recursive': args.recursive, 'force': args.force}
    return convert(args.run, args.into, args.out, **where, **look, **found)


def convert(
    run,
    video: Path | str,
    out: Path | str,
    *,
    analysis=None,
    side: str = 'b',
    batch_size: int | None = None,
    colour: str = 'reinhard',
    detail: bool = True,
    seamless: bool = False,
    recursive: bool = False,
    force: bool = False,
    progress: bool = True,
    **found,
) -> dict:
    """Writes `video` to `out` with the face of one person replaced, and content credentials that say so.

    Frames without that face pass through untouched and are counted. Frame count, times and sound are the input's.

        convert('runs/anna', 'video.mp4', 'out.mp4', colour='reinhard')

    Args:
        run: the folder of a run whose system can swap, or what `load_run` gave.
        video: a video, a picture or a folder of them.
        out: of the same kind as `video`.
        analysis: what `analyse` returned for `video`, where that is done already.
        side, batch_size, colour, seamless: see `inference.swap.Swapper`.
        detail: give the face the crispness of the person's pictures, see `inference.sharpen`.
        recursive: of a folder, the files in its folders too.
        force: replace an output that exists.
        progress: show bars on stderr.
        found: detector, detector_model, person and workers of `analyse`.

    Returns:
        The report of `run_job`, with 'swapped' and 'passed_through' (frames), 'passed_at' (when, see
        `inference.frames.stretches`), 'detail' (gains or None) and
        'analysis_seconds'; 'seconds' and 'fps' are of the conversion alone.

    Raises:
        InputError: as `load_run`, `analyse`, Swapper and the readers and writers do; `out` of another kind.
    """
    from dfjax.data.faces.analyse import analyse
    from dfjax.data.faces.table import as_faces
    from dfjax.data.media.inputs import name_in
    from dfjax.data.media.progress import bar
    from dfjax.errors import InputError
    from dfjax.inference.frames import FaceJob, run_job, stretches
    from dfjax.inference.plan import plan_outputs
    from dfjax.inference.run import load_run
    from dfjax.inference.sharpen import run_gains
    from dfjax.inference.swap import Swapper
    from dfjax.training.parallel import enable_compilation_cache

    enable_compilation_cache()
    plan = plan_outputs(video, out, force, recursive=recursive)
    run = load_run(run, can='swap') if isinstance(run, str | Path) else run
    gains = run_gains(run, side) if detail else None
    swapper = Swapper(run, side, batch_size, colour, gains, seamless)
    start = time.monotonic()
    if analysis is None:
        with bar(f'faces of {Path(video).name}', progress) as tick:
            analysis = analyse(video, progress=tick, recursive=recursive, skipped=plan.left, **found)
    faces = as_faces(analysis.faces)
    if strange := set(faces.sources) - {name_in(video, file) for file in plan.files}:
        raise InputError(f'{video}: the analysis given is of another source ({min(strange)})')
    searched = round(time.monotonic() - start, 2)
    job = FaceJob(
        DESCRIPTION, run.cfg.system, swapper.begin, faces, swapper.batch_size, plan.source if plan.many else None
    )
    job.total = analysis.frames
    with bar(f'writing {Path(out).name}', progress) as tick:
        report = run_job(job, plan, tick)
    swapped = job.counts['changed']
    report |= {'swapped': swapped, 'passed_through': report['frames'] - swapped}
    if job.passed:
        report |= {'passed_at': stretches(job.passed, plan.many)}
    return report | {'detail': gains, 'analysis_seconds': searched}

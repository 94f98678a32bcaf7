"""`dfjax convert`: a trained swap applied to a video, a picture or a folder of them."""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dfjax.apps.consent import add_consent
from dfjax.apps.merging import add_settings, settings_of
from dfjax.errors import InputError
from dfjax.inference.settings import DEFAULTS, Settings

SOFT = 2  # times, by which pictures of a net that has learnt little are sharpened
EXAMPLE = 'dfjax convert --run runs/anna --into video.mp4 -o out.mp4'
DESCRIPTION = 'face swapped by a trained model'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}'
    parser.add_argument(
        '--run',
        required=True,
        action='append',
        metavar='W',
        help='the folder of a trained face swap; once for each --person',
    )
    parser.add_argument('--into', required=True, metavar='VIDEO', help='a video, a picture or a folder of them')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='what to write, of the same kind')
    parser.add_argument(
        '--person',
        action='append',
        default=[],
        metavar='WHO',
        help='whose face to replace: a picture, or the number that `dfjax people` gives; several, each with a --run',
    )
    parser.add_argument('--side', choices=('a', 'b'), default='b', help='whose face to put in; default b')
    parser.add_argument('--morph', type=float, metavar='X', help='how far to go, 0 to 1, by a run that can; default 1')
    parser.add_argument('--batch-size', type=int, metavar='N', help='faces at once; default: by the device')
    parser.add_argument('--detector', choices=('dlib', 'yunet'), default='dlib', help='default dlib')
    parser.add_argument('--detector-model', metavar='FILE', help='the ONNX file of yunet')
    parser.add_argument('--recursive', action='store_true', help='of a folder, the files in its folders too')
    add_consent(parser)
    parser.add_argument('--force', action='store_true', help='replace an output that exists')
    add_settings(parser)


def run(args: argparse.Namespace) -> dict:
    """Converts as the arguments say; returns the report."""
    from dfjax.apps.swap import by_person

    names = ('side', 'morph', 'batch_size', 'recursive', 'force', 'detector', 'detector_model')
    how = {name: getattr(args, name) for name in names}
    if len(args.run) == 1 and len(args.person) < 2:
        how |= {'person': (*args.person, None)[0]}
        return convert(args.run[0], args.into, args.out, settings=settings_of(args), **how)
    return convert(by_person(args.person, args.run, '--run'), args.into, args.out, settings=settings_of(args), **how)


def spoken(report: dict, args: argparse.Namespace) -> dict:
    """The report, with what the gains of the detail mean."""
    said, gains = {'detail': 'as soft as the net paints it'}, report.get('detail')
    if gains and not isinstance(gains[0], float):  # one list a person
        said = {}
    elif gains:
        said['detail'] = f'from fine to coarse {", ".join(f"{gain:.1f}" for gain in gains)} times what the net paints'
        if max(gains) > SOFT:
            said['note'] = 'the net still paints much softer than the person is: a longer training helps'
    return report | said | {'next': f'open {args.out}'}


def convert(
    run,
    video: Path | str,
    out: Path | str,
    *,
    settings: Settings = DEFAULTS,
    analysis=None,
    side: str = 'b',
    morph: float | None = None,
    batch_size: int | None = None,
    recursive: bool = False,
    force: bool = False,
    progress: bool = True,
    person: Path | str | int | None = None,
    detector: str = 'dlib',
    detector_model: Path | str | None = None,
    workers: int | None = None,
) -> dict:
    """Writes `video` to `out` with the face of one person replaced, and content credentials that say so.

    Frames without that face pass through untouched and are counted. Frame count, times and sound are the input's.

        convert('runs/anna', 'video.mp4', 'out.mp4', settings=Settings(colour='mkl', erode=0.02))
        convert({'anna.jpg': 'runs/anna', 'carl.jpg': 'runs/carl'}, 'both.mp4', 'out.mp4')

    Args:
        run: the folder of a run whose system can swap, or what `load_run` gave. To replace several people in one pass:
            such a run for each of them, by whom it replaces, as `person` says it.
        video: a video, a picture or a folder of them.
        out: of the same kind as `video`; a picture for a preview, a folder for pictures with alpha.
        settings: how, see `inference.settings`. Where it names people, they are replaced, each by their own settings.
        analysis: what `analyse` returned for `video`, where that is done already; with all its faces where several
            people are replaced or the settings name some.
        side, batch_size: see `inference.swap.Swapper`.
        morph: how far from the person in the video to the one put in, see `inference.run.with_morph`.
        recursive: of a folder, the files in its folders too.
        force: replace an output that exists.
        progress: show bars on stderr.
        person, detector, detector_model, workers: of `analyse`.

    Returns:
        The report of `run_job`, with 'swapped' and 'passed_through' (frames), 'passed_at' (when, see
        `inference.frames.stretches`), 'detail' (gains or None) and 'analysis_seconds'; 'seconds' and 'fps' are of the
        conversion alone.

    Raises:
        InputError: as `Settings.check`, `load_run`, `analyse`, Swapper and the readers and writers do; `out` of another
            kind.
    """
    from concurrent.futures import ThreadPoolExecutor

    from dfjax.data.faces.table import as_faces
    from dfjax.data.media.inputs import name_in
    from dfjax.data.media.progress import bar
    from dfjax.inference.frames import run_job
    from dfjax.inference.plan import plan_settings
    from dfjax.inference.swap import SwapJob, open_swapper
    from dfjax.training.parallel import enable_compilation_cache

    enable_compilation_cache()
    plan = plan_settings(video, out, settings.check(), force, recursive)

    runs: Mapping = run if isinstance(run, Mapping) else {person: run}
    several = len(runs) > 1
    found: dict = {'detector': detector, 'detector_model': detector_model, 'workers': workers}
    found |= {'every_face': True} if several else {'person': next(iter(runs))}
    opened = lambda: [open_swapper(one, settings, side, morph, batch_size) for one in runs.values()]
    moment = settings.preview
    with ThreadPoolExecutor(1) as aside:  # a preview is there sooner if its net is read while its face is searched for
        ready = aside.submit(opened) if moment is None else aside.submit(_warm, opened, moment)
        if moment is None:
            ready.result()  # what is wrong with a run is said before a search
        start = time.monotonic()
        if analysis is None:
            with bar(f'faces of {Path(video).name}', progress) as tick:
                analysis = _search(video, plan, settings, recursive, tick, found)
        swappers = ready.result()
    faces = as_faces(analysis.faces)
    if strange := set(faces.sources) - {name_in(video, file) for file in plan.files}:
        raise InputError(f'{video}: the analysis given is of another source ({min(strange)})')
    if settings.people:
        faces, looks = of_people(faces, settings, video)
        for swapper in swappers:
            swapper.owner = looks
    faces, swapper = _of_each(analysis, list(runs), swappers) if several else (faces, swappers[0])
    searched = round(time.monotonic() - start, 2)
    job = SwapJob(DESCRIPTION, swapper.run.cfg.system, swapper, faces, plan.source if plan.many else None)
    job.total = None if plan.span else analysis.frames
    with bar(f'writing {Path(out).name}', progress) as tick:
        report = run_job(job, plan, tick)
    return report | _counted(job, report['frames'], plan.many) | _gains(swappers) | {'analysis_seconds': searched}


def _counted(job, frames: int, many: bool) -> dict:
    """What the report says of frames with a face and without."""
    from dfjax.inference.frames import stretches

    swapped = job.counts['changed']
    report = {'swapped': swapped, 'passed_through': frames - swapped}
    return report | ({'passed_at': stretches(job.passed, many)} if job.passed else {})


def _gains(swappers: list) -> dict:
    """The gains of the net's detail; of several people a list of them."""
    return {'detail': swappers[0].gains if len(swappers) == 1 else [swapper.gains for swapper in swappers]}


def _of_each(analysis, people: list, swappers: list) -> tuple:
    """The faces of several people in order, and what swaps each by the swapper of that person."""
    import numpy as np

    from dfjax.data.faces.analyse import several_people
    from dfjax.data.faces.table import as_faces
    from dfjax.inference.swap import Together

    parts = [as_faces(part.faces) for part in several_people(analysis, people)]
    owner = {track: n for n, part in enumerate(parts) for track in np.unique(part.rows['track']).tolist()}
    rows = np.concatenate([part.rows for part in parts])
    faces = parts[0].take(rows[np.lexsort([rows['track'], rows['frame'], rows['source']])])
    return faces, Together(swappers, owner)


def _warm(opened: Callable, moment: float):
    swappers = opened()
    for swapper in swappers:
        swapper.warm(moment)
    return swappers


def _search(video: Path | str, plan, settings: Settings, recursive: bool, tick, found: dict):
    """The analysis of what is written; of all its faces, where people are named."""
    from dfjax.data.faces.analyse import analyse

    if settings.people and found.get('person'):
        raise InputError(f'--person {found["person"]}: the settings name people already; leave it out')
    how = {'every_face': bool(settings.people)} | found | {'span': plan.span, 'skipped': plan.left}
    if plan.span and plan.span[0] == plan.span[1]:
        how |= {'workers': 1}  # one frame
    return analyse(video, progress=tick, recursive=recursive, **how)


def of_people(faces, settings: Settings, video: Path | str) -> tuple:
    """The faces of the people that settings name, and of which of them each track is.

    Raises:
        InputError: a picture that does not show one person, or shows somebody who is not in the video.
    """
    import numpy as np

    from dfjax.data.faces.analyse import describe
    from dfjax.data.faces.identity import SAME_PERSON, descriptor_distance, track_descriptors

    means = track_descriptors(faces)
    wanted = [describe(part.picture) for part in settings.people]
    owner = {}
    for track, mean in means.items():
        away = [float(descriptor_distance(mean, who)) for who in wanted]
        if min(away) < SAME_PERSON:
            owner[track] = int(np.argmin(away))
    for n, part in enumerate(settings.people):
        if n not in owner.values():
            raise InputError(f'{video}: nobody looks like {part.picture}; give another picture of the person')
    return faces[np.isin(faces.rows['track'], list(owner))], owner

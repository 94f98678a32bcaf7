"""`dfjax swap`: the main job in one command: find the faces of both people, train, put one into the other's video."""

import argparse
import contextlib
import math
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from dfjax.apps.consent import add_consent
from dfjax.apps.merging import add_settings, settings_of
from dfjax.apps.train import add_fit
from dfjax.errors import InputError
from dfjax.inference.settings import DEFAULTS, Settings

EVERYONE = 'everyone.jsonl'  # all faces of the video, where settings name people
USABLE = 1000  # steps of a run that begins without references
EXAMPLE = 'dfjax swap --face bert.mp4 --into anna.mp4 -o out.mp4 --minutes 10'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'Interrupted, it goes on where it was when it is run again; after its end, with --force, it trains on\n'
        'for as many --minutes, or up to --steps. All that it has is kept in OUT.run/. Keys of the config are\n'
        'set as --config.batch_size=8. Ask the people shown for their consent.'
    )
    parser.add_argument(
        '--face',
        required=True,
        nargs='+',
        metavar='WHO',
        help='who is put in: videos, pictures (one will do), folders or a face set',
    )
    parser.add_argument('--into', required=True, metavar='VIDEO', help='where: a video, a picture or a folder of them')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='what to write, of the same kind')
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument('--minutes', type=float, metavar='M', help='for everything, conversion included')
    how_long.add_argument('--steps', type=int, metavar='N', help="of training; default: the config's; 0 is --instant")
    how_long.add_argument('--instant', action='store_true', help='no training: the references alone')
    parser.add_argument('--workdir', metavar='W', help='where faces and training are kept; default OUT.run')
    parser.add_argument(
        '--config',
        metavar='NAME',
        help='SYSTEM:VARIANT or FILE:VARIANT; default: laptop on a CPU, gpu on an accelerator',
    )
    parser.add_argument(
        '--person', metavar='WHO', help='whose face to replace: a picture, or the number that `dfjax people` gives'
    )
    add_fit(parser)
    parser.add_argument('--start-from', metavar='RUN', help='begin with the parameters of another run, where they fit')
    add_consent(parser)
    parser.add_argument('--force', action='store_true', help='replace an output that exists')
    add_settings(parser)


def run(args: argparse.Namespace) -> dict:
    """Swaps as the arguments say; returns the report."""
    if args.instant:
        args.steps = 0
    names = ('minutes', 'steps', 'workdir', 'config', 'overrides', 'fit', 'start_from', 'person', 'force')
    return swap(
        args.face, args.into, args.out, settings=settings_of(args), **{name: getattr(args, name) for name in names}
    )


def spoken(report: dict, args: argparse.Namespace) -> dict:
    """The report, with what a person may think of the result, and do next."""
    from dfjax.apps import convert
    from dfjax.training.workdir import read_config

    said = convert.spoken(report, args)
    known = read_config(report['workdir']).get('references', {}).get('count')
    if not known and report['steps'] < USABLE:
        said['note'] = f'{report["steps"]} steps are few: faces are seldom usable before {USABLE}'
    judge = ['dfjax', 'evaluate', '--swap', args.out, '--input', args.into, '--face', args.face[0]]
    more = 'not good enough? the same command with --force --minutes 20 trains on from here'
    return said | {'next': [f'open {args.out}', more, f'how good is it? {shlex.join(judge)}']}


def swap(
    face: Sequence[Path | str],
    into: Path | str,
    out: Path | str,
    *,
    settings: Settings = DEFAULTS,
    minutes: float | None = None,
    steps: int | None = None,
    workdir: Path | str | None = None,
    config: str | None = None,
    overrides: Sequence[str] = (),
    fit: bool | str = False,
    start_from: Path | str | None = None,
    person: Path | str | int | None = None,
    force: bool = False,
    progress: bool = True,
) -> dict:
    """Writes `into` to `out` with the face of another person.

        swap(['bert.mp4'], 'anna.mp4', 'out.mp4', minutes=10)

    Args:
        face: videos, pictures or folders that show who is put in, or one face set; one photograph will do.
        into: the video (or picture, or folder) whose face is replaced.
        out: of the same kind; a picture for a preview, a folder for pictures with alpha.
        settings: how the face is laid in, and what is written, see `inference.settings`.
        minutes: for everything; the training gets what extraction and conversion leave. A run that is gone on with
            gets so many minutes again: up to the steps that it was planned with, or beyond them if it has done those.
        steps: of training instead; by default the config's. With 0 nothing is trained: the references alone are mixed,
            or a run that is there already is used as it is.
        workdir: where faces and training are kept, and found again; by default `out` + '.run'.
        config: see `config_name`.
        overrides: changes to it, as '--config.batch_size=8'.
        fit: choose the batch by the memory at hand, or by so much, as '8GB': see `apps.train.train`.
        start_from: another run, whose parameters a new one begins with where name and shape fit, see `training.train`.
        person: a picture of whom to replace in `into`, or a number that `dfjax people` gives; by default who is there
            most.
        force: replace an `out` that exists.
        progress: show bars on stderr.

    Returns:
        The report of `convert`, with 'workdir', 'faces' found of each side, 'steps' trained and 'seconds' of each part.

    Raises:
        InputError: as extraction, training and conversion do; a workdir of another job; a time too short.
    """
    from dfjax.apps.convert import convert
    from dfjax.apps.job import check_inputs, check_minutes, claimed, seconds_to_convert, suited
    from dfjax.apps.train import train_for
    from dfjax.data.media.output import fitting
    from dfjax.inference.plan import plan_settings
    from dfjax.inference.swap import check_masks
    from dfjax.training.fit import kept, read_size
    from dfjax.training.workdir import last_step, read_config

    began, out = time.monotonic(), Path(out)
    check_length(minutes, steps)
    if isinstance(fit, str):
        read_size(fit)
    plan_settings(into, out, settings.check(), force)
    # The config says where the faces are, from any folder
    workdir = Path(workdir or out.with_name(fitting(f'{out.name}.run'))).resolve()
    check_inputs(face, into, person, minutes, workdir)
    done = last_step(workdir)
    cfg = read_config(workdir) if done else _config(config, overrides, workdir, face)
    if done and (config is not None or overrides):
        _check_same(
            cfg, suited(_config(config, overrides, workdir, face), overrides), workdir, kept(cfg) if fit else {}
        )
    check_masks(settings, cfg)
    if steps == 0 and not cfg.get('references', {}).get('count'):
        raise InputError('--instant: a run without references knows nobody before it is trained; give --steps')
    with claimed(workdir, face, into, person):
        found, analysis = _extract(cfg, workdir, face, into, person, settings, progress)
        cfg = cfg if done else suited(cfg, overrides)
        extracted, deadline = time.monotonic(), None
        if minutes is not None:
            deadline = check_minutes(minutes, extracted - began + seconds_to_convert(analysis.frames), workdir)
        step = done
        if not done or steps != 0:
            with good_enough(workdir, into, out):
                step = train_for(cfg, workdir, steps, deadline, fit, start_from=start_from, progress=progress)
        trained = time.monotonic()
        report = convert(workdir, into, out, settings=settings, analysis=analysis, force=force, progress=progress)
    ends = {'extract': (began, extracted), 'train': (extracted, trained), 'convert': (trained, time.monotonic())}
    seconds = {part: round(end - start, 1) for part, (start, end) in ends.items()}
    seconds |= {'total': round(sum(seconds.values()), 1)}
    own = {'workdir': str(workdir), 'faces': found, 'steps': step, 'seconds': seconds}
    return {name: value for name, value in report.items() if name != 'analysis_seconds'} | own


@contextlib.contextmanager
def good_enough(workdir: Path, into: Path | str, out: Path) -> Iterator[None]:
    """A block of training: interrupted, it says how what has been learnt is used as it is."""
    from dfjax.training.workdir import last_step, say

    try:
        yield
    except KeyboardInterrupt:
        if step := last_step(workdir):
            words = shlex.join(['dfjax', 'convert', '--run', str(workdir), '--into', str(into), '-o', str(out)])
            say(f'does preview.jpg look good already? Convert with the {step} steps that it has:\n  {words}')
        raise


def check_length(minutes: float | None, steps: int | None) -> None:
    """Raises InputError unless there can be a run of that length."""
    if minutes is not None and not 0 < minutes < math.inf:
        raise InputError(f'--minutes {minutes:g}: give a number above 0')
    if steps is not None and steps < 0:
        raise InputError(f'--steps {steps}: give 1 or more, or 0 for --instant')


def config_name(name: str | None = None) -> str:
    """FILE:VARIANT of a run that swaps: see `config.full_name`; also :VARIANT of the first system that can swap."""
    from dfjax.config import full_name
    from dfjax.systems import systems_with

    name = name or ':'
    return full_name(systems_with(['swap'])[0] + name if name.startswith(':') else name)


def _config(name: str | None, overrides: Sequence[str], workdir: Path, face: Sequence):
    """The config of a new run and the face sets of this job."""
    from dfjax.config import build, load_config
    from dfjax.data.media.inputs import kind
    from dfjax.systems import systems_with

    name = config_name(name)
    cfg = load_config(name, overrides)
    if cfg.system not in (able := systems_with(['swap'])):
        raise InputError(f'{name}: of system {cfg.system!r}, which cannot swap; can: {", ".join(able)}')
    kinds = [kind(path) for path in face]
    if 'faceset' in kinds and len(face) > 1:
        raise InputError(f'{face[kinds.index("faceset")]}: is a face set; give it alone')
    side_b = str(Path(face[0]).resolve()) if kinds == ['faceset'] else str(workdir / 'faces_b')
    return build(cfg, {'data.a': str(workdir / 'faces_a'), 'data.b': side_b})


def _check_same(cfg, wanted, workdir: Path, chosen: dict) -> None:
    """Raises InputError where a run goes on with another config than the one that is asked for, but for `chosen`."""
    from dfjax.config import flatten

    before, now = dict(flatten(cfg)), dict(flatten(wanted)) | chosen
    others = sorted(key for key in before.keys() | now.keys() if key != 'steps' and before.get(key) != now.get(key))
    if others:
        raise InputError(
            f'{workdir}: its training began with another {", ".join(others[:3])} than --config says; leave '
            '--config out to go on with it, or give another --workdir'
        )


def _extract(
    cfg,
    workdir: Path,
    face: Sequence,
    into: Path | str,
    person: Path | str | int | None,
    settings: Settings,
    progress: bool,
) -> tuple:
    """Makes the face sets that are not there yet; returns the number of faces of each side, and the analysis of `into`:
    of one person, or of everybody where settings name people.

    The person put in comes first: pictures are soon searched, and what is wrong with them is said before the long one.
    """
    from dfjax.apps.convert import of_people
    from dfjax.apps.extract import extract_faces
    from dfjax.apps.job import looked_at, stored_side
    from dfjax.data.faces.analyse import analyse, load_analysis, one_person
    from dfjax.data.faces.faceset import load_faceset
    from dfjax.data.kinds import stored_size
    from dfjax.data.media.progress import bar

    look = {'face_type': cfg.data.face_type, 'progress': progress}
    if not Path(cfg.data.b).is_dir():
        analyses = [looked_at(path, progress) for path in face]
        extract_faces(face, cfg.data.b, analyses=analyses, size=stored_side(analyses, cfg), **look)

    def searched(name: str, **whom):
        if not (workdir / name).is_file():
            with bar(f'faces of {Path(into).name}', progress) as tick:
                analyse(into, progress=tick, **whom).save(workdir / name)
        return load_analysis(workdir / name)

    everyone = searched(EVERYONE, every_face=True) if settings.people else None
    if everyone:
        of_people(everyone.faces, settings, into)  # who is not there is said before the training
    analysis = everyone or searched('into.jsonl', person=person)
    if not Path(cfg.data.a).is_dir():
        learnt = one_person(everyone, person) if everyone else analysis
        extract_faces([into], cfg.data.a, analyses=[learnt], size=stored_size(cfg.data), **look)
    found = {side: len(load_faceset(cfg.data[side])) for side in ('a', 'b')}
    if progress:
        print(f'faces: {found["a"]} to be replaced, {found["b"]} of the person put in', file=sys.stderr)
    return found, analysis

"""`dfjax swap`: the main job in one command: find the faces of both people, train, put one into the other's video."""

import argparse
import contextlib
import math
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dfjax.apps.consent import add_consent
from dfjax.apps.merging import add_settings, settings_of
from dfjax.apps.train import add_fit
from dfjax.errors import InputError
from dfjax.inference.settings import DEFAULTS, Settings

if TYPE_CHECKING:
    from dfjax.apps.pair import Pair
    from dfjax.data.faces.analyse import Analysis

EVERYONE = 'everyone.jsonl'  # all faces of the video, where settings name people
UNTRAINED = 'finding the faces took the time: no step was trained, the references alone are mixed; give more --minutes'
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
        action='append',
        metavar='WHO',
        help='who is put in: videos, pictures (one will do), folders or a face set; once for each --person',
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
        '--person',
        action='append',
        default=[],
        metavar='WHO',
        help='whose face to replace: a picture, or the number that `dfjax people` gives; several, each with a --face',
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
    names = ('minutes', 'steps', 'workdir', 'config', 'overrides', 'fit', 'start_from', 'force')
    how = {name: getattr(args, name) for name in names}
    if len(args.face) == 1 and len(args.person) < 2:
        return swap(
            args.face[0], args.into, args.out, settings=settings_of(args), person=(*args.person, None)[0], **how
        )
    return swap(by_person(args.person, args.face, '--face'), args.into, args.out, settings=settings_of(args), **how)


def spoken(report: dict, args: argparse.Namespace) -> dict:
    """The report, with what a person may think of the result, and do next."""
    from dfjax.apps import convert
    from dfjax.training.workdir import read_config

    said = convert.spoken(report, args)
    steps = report['steps'] if isinstance(report['steps'], int) else min(report['steps'])
    run = report['workdir'] if isinstance(report['workdir'], str) else report['workdir'][0]
    if not read_config(run).get('references', {}).get('count') and steps < USABLE:
        said['note'] = f'{steps} steps are few: faces are seldom usable before {USABLE}'
    elif not steps and args.minutes:
        said['note'] = UNTRAINED
    following = [f'open {args.out}', 'not good enough? the same command with --force --minutes 20 trains on from here']
    if len(args.face) == 1:  # a swap is judged by one person
        judge = ['dfjax', 'evaluate', '--swap', args.out, '--input', args.into, '--face', args.face[0][0]]
        following.append(f'how good is it? {shlex.join(judge)}')
    return said | {'next': following}


def swap(
    face: Sequence[Path | str] | Mapping[Path | str | int, Sequence[Path | str]],
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
        swap({'anna.jpg': ['bert.mp4'], 'carl.jpg': ['dora.jpg']}, 'both.mp4', 'out.mp4', minutes=20)

    Args:
        face: videos, pictures or folders that show who is put in, or one face set; one photograph will do. To replace
            several people in one pass: such a list for each of them, by whom it replaces, as `person` says it.
        into: the video (or picture, or folder) whose face is replaced.
        out: of the same kind; a picture for a preview, a folder for pictures with alpha.
        settings: how the face is laid in, and what is written, see `inference.settings`.
        minutes: for everything; the training gets what extraction and conversion leave. A run that is gone on with
            gets so many minutes again: up to the steps that it was planned with, or beyond them if it has done those.
        steps: of training instead; by default the config's. With 0 nothing is trained: the references alone are mixed,
            or a run that is there already is used as it is.
        workdir: where faces and training are kept, and found again; by default `out` + '.run'. Of several people each
            has a folder of their own in it, 1 and so on.
        config: see `apps.pair.config_name`.
        overrides: changes to it, as '--config.batch_size=8'.
        fit: choose the batch by the memory at hand, or by so much, as '8GB': see `apps.train.train`.
        start_from: another run, whose parameters a new one begins with where name and shape fit, see `training.train`.
        person: a picture of whom to replace in `into`, or a number that `dfjax people` gives; by default who is there
            most.
        force: replace an `out` that exists.
        progress: show bars on stderr.

    Returns:
        The report of `convert`, with 'workdir', 'faces' found of each side, 'steps' trained (lists of them for several
        people) and 'seconds' of each part.

    Raises:
        InputError: as extraction, training and conversion do; a workdir of another job; a time too short.
    """
    from dfjax.apps.convert import convert
    from dfjax.apps.job import check_inputs, check_minutes, claimed, seconds_to_convert
    from dfjax.apps.pair import config_of, extract_put_in, extract_replaced
    from dfjax.data.media.output import fitting
    from dfjax.inference.plan import plan_settings
    from dfjax.training.fit import read_size

    began, out = time.monotonic(), Path(out)
    check_length(minutes, steps)
    if isinstance(fit, str):
        read_size(fit)
    plan_settings(into, out, settings.check(), force)
    folder = Path(workdir or out.with_name(fitting(f'{out.name}.run'))).resolve()
    pairs = _pairs(face, person, folder)
    several = len(pairs) > 1
    for pair in pairs:
        check_inputs(pair.face, into, pair.person, minutes, pair.workdir)
    configs = [config_of(pair, config, overrides, settings, steps, fit) for pair in pairs]
    with contextlib.ExitStack() as stack:
        for pair in [*_whole(pairs, folder), *pairs]:
            stack.enter_context(claimed(pair.workdir, pair.face, into, pair.person))
        for pair, cfg in zip(pairs, configs):
            extract_put_in(pair, cfg, progress)
        analysis, replaced = _searched(pairs, into, folder, settings, progress)
        found = [extract_replaced(cfg, into, one, progress) for cfg, one in zip(configs, replaced)]
        extracted, trained = time.monotonic(), []
        needed = extracted - began + seconds_to_convert(analysis.frames)
        until = None if minutes is None else extracted + check_minutes(minutes, needed, folder)
        for n, (pair, cfg) in enumerate(zip(pairs, configs)):
            share = None if until is None else max((until - time.monotonic()) / (len(pairs) - n), 1.0)
            if progress and several:
                print(f'{pair.face[0]} in for {pair.person}', file=sys.stderr)
            with good_enough(pair, into, out):
                trained.append(_trained(pair, cfg, overrides, steps, share, fit, start_from, progress))
        converting = time.monotonic()
        runs = {pair.person: pair.workdir for pair in pairs} if several else folder
        report = convert(runs, into, out, settings=settings, analysis=analysis, force=force, progress=progress)
    ends = {'extract': (began, extracted), 'train': (extracted, converting), 'convert': (converting, time.monotonic())}
    seconds = {part: round(end - start, 1) for part, (start, end) in ends.items()}
    seconds['total'] = round(sum(seconds.values()), 1)
    each: dict[str, list] = {'workdir': [str(pair.workdir) for pair in pairs], 'faces': found, 'steps': trained}
    own = each if several else {name: values[0] for name, values in each.items()}
    return {name: value for name, value in report.items() if name != 'analysis_seconds'} | own | {'seconds': seconds}


def _pairs(face: Sequence | Mapping, person: Path | str | int | None, folder: Path) -> list['Pair']:
    """Who is put in for whom, and where that is kept."""
    from dfjax.apps.pair import Pair

    if not isinstance(face, Mapping):
        return [Pair(face, person, folder)]
    if person is not None or not face:
        raise InputError('face: names who is replaced; leave person out')
    if len(face) == 1:
        return [Pair(put_in, who, folder) for who, put_in in face.items()]
    return [Pair(put_in, who, folder / str(n)) for n, (who, put_in) in enumerate(face.items(), 1)]


def _whole(pairs: Sequence['Pair'], folder: Path) -> list['Pair']:
    """What the folder that holds those of several pairs is claimed for: nothing, where there is one."""
    from dfjax.apps.pair import Pair

    return [Pair([path for pair in pairs for path in pair.face], None, folder)] if len(pairs) > 1 else []


def _trained(pair: 'Pair', cfg, overrides: Sequence[str], steps: int | None, share, fit, start_from, progress) -> int:
    """The steps of a pair's run after its training; with 0 asked for, one that is there is left as it is."""
    from dfjax.apps.job import suited
    from dfjax.apps.train import train_for
    from dfjax.training.workdir import last_step

    done = last_step(pair.workdir)
    if done and steps == 0:
        return done
    return train_for(
        cfg if done else suited(cfg, overrides),
        pair.workdir,
        steps,
        share,
        fit,
        start_from=start_from,
        progress=progress,
    )


def _searched(
    pairs: Sequence['Pair'], into: Path | str, folder: Path, settings: Settings, progress: bool
) -> tuple['Analysis', list['Analysis']]:
    """The analysis of `into`, of one person, or of everybody where several are replaced or settings name people; and
    that of each pair's person."""
    from dfjax.apps.convert import of_people
    from dfjax.apps.pair import searched
    from dfjax.data.faces.analyse import one_person, several_people

    several = len(pairs) > 1
    if not several and not settings.people:
        analysis = searched(into, folder / 'into.jsonl', progress, person=pairs[0].person)
        return analysis, [analysis]
    everyone = searched(into, folder / EVERYONE, progress, every_face=True)
    if settings.people:
        of_people(everyone.faces, settings, into)  # who is not there is said before the training
    if not several:
        return everyone, [one_person(everyone, pairs[0].person)]
    return everyone, several_people(everyone, [pair.person for pair in pairs if pair.person is not None])


def by_person(people: Sequence[str], others: Sequence, option: str) -> dict:
    """What was given with each --person, by who that is.

    Raises:
        InputError: more of the one than of the other, or somebody twice.
    """
    if len(people) != len(others):
        raise InputError(f'{option}: given {len(others)} times, and --person {len(people)}; give as many of both')
    for n, who in enumerate(people):
        if who in people[:n]:
            raise InputError(f'--person {who}: is given twice')
    return dict(zip(people, others))


@contextlib.contextmanager
def good_enough(pair: 'Pair', into: Path | str, out: Path) -> Iterator[None]:
    """A block of training: interrupted, it says how what has been learnt is used as it is."""
    from dfjax.training.workdir import last_step, say

    try:
        yield
    except KeyboardInterrupt:
        if step := last_step(pair.workdir):
            words = ['dfjax', 'convert', '--run', str(pair.workdir), '--into', str(into), '-o', str(out)]
            words += [] if pair.person is None else ['--person', str(pair.person)]
            say(
                f'does preview.jpg look good already? Convert with the {step} steps that it has:\n  {shlex.join(words)}'
            )
        raise


def check_length(minutes: float | None, steps: int | None) -> None:
    """Raises InputError unless there can be a run of that length."""
    if minutes is not None and not 0 < minutes < math.inf:
        raise InputError(f'--minutes {minutes:g}: give a number above 0')
    if steps is not None and steps < 0:
        raise InputError(f'--steps {steps}: give 1 or more, or 0 for --instant')

"""`dfjax edit`: attributes of pictures and videos changed by vectors in the code of a trained VAE."""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dfjax.apps.consent import add_consent
from dfjax.data.media.progress import bar, say
from dfjax.errors import InputError

TOLD = 0.7  # area under the curve, from which on a vector does what its name says
EXAMPLE = 'dfjax edit --run runs/vae --vector smile=+1.5 --vector glasses=-1 anna.jpg -o out.png'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\nThe vectors are made from a labelled set on first use, and kept with the run. '
        'Ask the people shown for their consent.'
    )
    parser.add_argument('input', nargs='?', metavar='IN', help='a picture, a video or a folder of them')
    parser.add_argument('--run', required=True, metavar='W', help='the folder of a trained VAE')
    parser.add_argument('-o', '--out', metavar='OUT', help='what to write, of the same kind')
    parser.add_argument(
        '--vector', action='append', default=[], metavar='NAME=T', help='1 moves from without to with; repeatable'
    )
    parser.add_argument('--orthogonal', metavar='A,B', help='attributes that the others are to leave alone')
    parser.add_argument('--list', action='store_true', help='say which attributes there are, and how well told apart')
    parser.add_argument('--data', metavar='NAME', help="the labelled set; default: the run's own. Makes vectors anew")
    parser.add_argument('--whole', action='store_true', help='edit whole pictures, not the faces in them')
    parser.add_argument(
        '--detail',
        action=argparse.BooleanOptionalAction,
        default=True,
        help="add the change to the picture, which stays sharp (default); or show the net's own picture",
    )
    add_consent(parser)
    parser.add_argument('--force', action='store_true', help='replace an output that exists')


def run(args: argparse.Namespace) -> dict:
    """Edits, or lists the attributes, as the arguments say; returns the report."""
    against = args.orthogonal.split(',') if args.orthogonal else ()
    if args.list:
        return list_vectors(args.run, orthogonal=against, data=args.data)
    if not args.input or not args.out:
        raise InputError('give a picture, video or folder to edit and -o OUT, or --list')
    how = {'whole': args.whole, 'detail': args.detail, 'force': args.force}
    return edit(args.run, parse_amounts(args.vector), args.input, args.out, orthogonal=against, data=args.data, **how)


def parse_amounts(words: Sequence[str]) -> dict[str, float]:
    """`NAME=T` words as numbers by name.

    Raises:
        InputError: a word is not of that form, a name comes twice, or there is none.
    """
    if not words:
        raise InputError('say what to change, as in --vector smile=+1.5')
    amounts = {}
    for word in words:
        name, _, text = word.partition('=')
        if name in amounts:
            raise InputError(f'{word}: a second number for {name}; give one')
        try:
            amounts[name] = float(text)
        except ValueError:
            amounts[name] = math.nan
        if not name or not math.isfinite(amounts[name]):
            raise InputError(f'--vector {word}: write NAME=NUMBER, as in smile=+1.5')
    return amounts


def vectors_of(run, data: str | None = None, names: Sequence[str] = (), progress: bool = True):
    """The vectors kept with a loaded run; made from a labelled set, and kept, if there are none or `data` is given.

    Attributes that too few pictures have, or have not, are left out and named on stderr.

    Args:
        names: attributes that there have to be.

    Raises:
        InputError: as `inference.attributes.open_labelled` and `Vectors.index`.
    """
    from dfjax.inference import attributes as vectors
    from dfjax.inference.latents import Latents

    kept = None if data else vectors.load(run)
    if kept is None:
        labelled, there, few = vectors.open_labelled(run.cfg, data, names)
        with bar(f'codes of {labelled.name}', progress, 'picture') as tick:
            kept = vectors.compute(Latents(run), labelled, there, few, progress=tick)
        vectors.save(run, kept)
        if few:
            print(f'{labelled.name}: left out, for {vectors.TOO_FEW}: {", ".join(few)}', file=sys.stderr)
    for name in names:
        kept.index(name)
    return kept


def list_vectors(
    run: Path | str, *, orthogonal: Sequence[str] = (), data: str | None = None, progress: bool = True
) -> dict:
    """{'source', and each attribute: its AUC, the pictures of each class, its correlation with the others}.

    Args:
        orthogonal: attributes that the others leave alone; correlations are then those that are left.

    Raises:
        InputError: as `load_run` and `vectors_of`.
    """
    from dfjax.inference.run import load_run

    vectors = vectors_of(load_run(run, can=('encode', 'decode')), data, orthogonal, progress)
    if orthogonal:
        vectors = vectors.orthogonal(orthogonal)
    return {'source': vectors.source} | vectors.table()


def edit(
    run,
    amounts: Mapping[str, float],
    source: Path | str,
    out: Path | str,
    *,
    orthogonal: Sequence[str] = (),
    data: str | None = None,
    whole: bool = False,
    detail: bool = True,
    force: bool = False,
    progress: bool = True,
) -> dict:
    """Writes `source` to `out` with attributes changed, and content credentials that say so.

        edit('runs/vae', {'smile': 1.5}, 'video.mp4', 'out.mp4')

    A run on faces edits every face that is found, and frames without one pass through and are counted; a run on plain
    pictures edits the middle square of every picture.

    Args:
        run: the folder of a run whose system can encode and decode, or what `load_run` gave.
        amounts: how far to go, by attribute.
        source: a picture, a video or a folder of them.
        out: of the same kind.
        orthogonal: attributes that the others leave alone.
        data: a labelled set to make the vectors from; by default those kept with the run, or its own set.
        whole, detail: see `inference.edit.Editor`.
        force: replace an output that exists.

    Returns:
        The report of `run_job`, with 'edited' and 'passed_through' (frames).

    Raises:
        InputError: as `load_run`, `vectors_of` and `plan_outputs`; an attribute that there is not.
    """
    from dfjax.data.faces.analyse import analyse
    from dfjax.inference.attributes import face_type_of
    from dfjax.inference.edit import Editor
    from dfjax.inference.frames import FaceJob, run_job
    from dfjax.inference.latents import Latents
    from dfjax.inference.plan import plan_outputs
    from dfjax.inference.run import load_run
    from dfjax.training.parallel import enable_compilation_cache

    enable_compilation_cache()
    plan = plan_outputs(source, out, force)
    run = load_run(run, can=('encode', 'decode')) if isinstance(run, str | Path) else run
    vectors = vectors_of(run, data, [*amounts, *orthogonal], progress)
    if orthogonal:
        vectors = vectors.orthogonal(orthogonal)
    shift = vectors.shift(amounts)
    for name in amounts:
        if (told := float(vectors.auc[vectors.index(name)])) < TOLD:
            say(f'{name}: hardly told apart by this run ({told:.2f}; 0.5 is chance): expect little; train it longer')
    face_type = None if whole else face_type_of(run.cfg)
    faces = []
    if face_type is not None:
        with bar(f'faces of {Path(source).name}', progress) as tick:
            faces = analyse(source, every_face=True, progress=tick).faces
    editor = Editor(Latents(run), shift, face_type, detail)
    job = FaceJob('attributes changed by a trained model', run.cfg.system, editor, faces, batch=8)
    with bar(f'writing {Path(out).name}', progress) as tick:
        report = run_job(job, plan, tick)
    edited = report['frames'] if face_type is None else job.counts['changed']
    return report | {'edited': edited, 'passed_through': report['frames'] - edited}

"""`dfjax import`: checkpoints of the original projects, as a run; and face sets of others, as one of ours."""

import argparse
import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path

FACES = 'faceset'  # a face set, in place of a system
EXAMPLE = 'dfjax import stargan g=200000-G.ckpt d=200000-D.ckpt -o runs/celeba'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'Systems and their nets: stargan (g, d), pix2pix (g, d), cyclegan (g_ab, g_ba, d_a, d_b), fomm (kp, g, d),\n'
        'syncnet (sync), wav2lip (g, sync, d), saehd, amp. Of cyclegan d_a is the one that judges pictures of a, and\n'
        "the original's D_A judges those of b: give latest_net_D_A.pth as d_b.\n"
        'A StarGAN of several data sets, as CelebA and RaFD: --groups 5,8 --exclusive 1.\n'
        "Of saehd and amp, DeepFaceLab's folder: dfjax import saehd workspace/model -o RUN; of saehd with --cosine\n"
        'for a c in the name of the architecture and --no-normalised where there is no u.\n'
        "A face set of DeepFaceLab, or faceswap's alignments with the video or pictures that they are of:\n"
        'dfjax import faceset data_src/aligned -o FACES, dfjax import faceset anna_alignments.fsa -o FACES\n'
        '`dfjax import SYSTEM --help` has the options of a system. Nothing in a file is run; PyTorch is not needed.'
    )
    parser.add_argument('system', metavar='SYSTEM', help=f'one of those below, or {FACES}')
    parser.add_argument(
        'files',
        nargs='+',
        metavar='NET=FILE',
        help='a net, and its .pth, .ckpt, .pt or .safetensors file; NET=FILE:SECTION where it has several; of saehd '
        f"and amp the model's folder instead; of {FACES} a folder of aligned pictures, or alignments (.fsa, .json)",
    )
    parser.add_argument('-o', '--out', required=True, metavar='RUN', help='the folder to write')
    parser.add_argument('--force', action='store_true', help='replace a run or a face set that exists')


def add_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Adds the options of the systems that are named among the words of a command; see `weights.reader`.

    Those of other systems are understood too, but not shown, for `run` to say whose they are.
    """
    from dfjax.systems import SYSTEMS

    if FACES in words:
        how = {'metavar': 'SRC', 'help': 'what alignments are of: a video or a folder; default: what lies beside them'}
        parser.add_argument('--frames', **how)
        parser.add_argument('--face-type', metavar='TYPE', help='as of `dfjax extract`; default: that of the pictures')
        parser.add_argument('--size', type=int, metavar='PX', help='side of the pictures; default: theirs, or 256')
    named = [word for word in dict.fromkeys(words) if word in SYSTEMS]
    if not named:
        return
    for name, (system, kind) in _options((*named, *SYSTEMS)).items():
        text = _said(system, name) if system in named else argparse.SUPPRESS
        how = {'metavar': 'N,N' if kind == Sequence[int] else 'X', 'type': kind if kind in (int, float) else str}
        how = {'action': argparse.BooleanOptionalAction} if kind is bool else how
        parser.add_argument(f'--{name.replace("_", "-")}', **how, help=text)


def run(args: argparse.Namespace) -> dict:
    """Imports as the arguments say; see `dfjax.inference.importing.import_run`, and `facesets.import_faces`."""
    from dfjax.errors import InputError

    if args.system == FACES:
        from dfjax.inference.facesets import import_faces

        if len(args.files) > 1:
            raise InputError(f'{args.files[1]}: give one folder or file; what alignments are of is --frames')
        how = {name: getattr(args, name) for name in ('frames', 'face_type', 'size', 'force')}
        return import_faces(args.files[0], args.out, **how)
    from dfjax.inference.importing import import_run, nets_in
    from dfjax.systems import SYSTEMS

    if len(args.files) == 1 and Path(args.files[0]).is_dir():
        args.files = [f'{net}={path}' for net, path in nets_in(args.system, args.files[0]).items()]
    files = {}
    for word in args.files:
        net, equals, path = word.partition('=')
        if not equals or not path:
            raise InputError(f'{word!r} is not understood; give a net and its file as g=FILE')
        if net in files:
            raise InputError(f'{net} is given twice: {files[net]} and {path}')
        files[net] = path
    options = {}
    for name, (_, kind) in _options((args.system, *SYSTEMS)).items():
        if (value := getattr(args, name, None)) is not None:
            options[name] = _numbers(f'--{name}', value) if kind == Sequence[int] else value
    report = import_run(args.system, files, args.out, args.force, **options)
    for note in report.get('notes', ()):
        print(f'{args.out}: {note}', file=sys.stderr)
    return report


def _options(systems: Sequence[str]) -> dict[str, tuple[str, type]]:
    """The options of systems by name: the first that has it, and its type there."""
    from dfjax.inference.importing import importable, options_of

    found = {}
    for system in filter(importable, systems):
        for name, parameter in options_of(system).items():
            found.setdefault(name, (system, parameter.annotation))
    return found


def _said(system: str, name: str) -> str:
    """What the reader of a system's checkpoints says of an option, on one line."""
    from dfjax.inference.importing import weights_of

    said = inspect.getdoc(weights_of(system).config) or ''
    found = re.search(rf'^ +{name}: (.*(?:\n {{8,}}.*)*)', said, re.M)
    return ' '.join(found[1].split()) if found else ''


def _numbers(option: str, text: str) -> tuple[int, ...]:
    from dfjax.errors import InputError

    words = text.split(',')
    if not all(word.strip().isdecimal() for word in words):
        raise InputError(f'{option} {text}: give numbers joined by commas, as 5,8')
    return tuple(map(int, words))

"""`dfjax import`: checkpoints of the original projects, as a run."""

import argparse
import sys

EXAMPLE = 'dfjax import stargan g=200000-G.ckpt d=200000-D.ckpt -o runs/celeba'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'Systems and their nets: stargan (g, d), pix2pix (g, d), cyclegan (g_ab, g_ba, d_a, d_b). d_a is the one that\n'
        "judges pictures of a: CycleGAN's own D_A judges those of b, so give latest_net_D_A.pth as d_b.\n"
        'A StarGAN of several data sets, as CelebA and RaFD: --groups 5,8 --exclusive 1.\n'
        'Nothing in a file is run, and PyTorch is not needed.'
    )
    parser.add_argument('system', metavar='SYSTEM', help='stargan, pix2pix or cyclegan')
    parser.add_argument(
        'files', nargs='+', metavar='NET=FILE', help='a net, and its .pth, .ckpt, .pt or .safetensors file'
    )
    parser.add_argument('-o', '--out', required=True, metavar='RUN', help='the folder to write')
    parser.add_argument('--groups', metavar='N,N', help='stargan: how many labels each of its data sets has')
    parser.add_argument(
        '--exclusive', metavar='N,N', help='stargan: which of the groups, from 0, have one label at a time'
    )
    parser.add_argument('--force', action='store_true', help='replace a run that exists')


def run(args: argparse.Namespace) -> dict:
    """Imports as the arguments say; see `dfjax.inference.importing.import_run`."""
    from dfjax.errors import InputError
    from dfjax.inference.importing import import_run

    files = {}
    for word in args.files:
        net, equals, path = word.partition('=')
        if not equals or not path:
            raise InputError(f'{word!r} is not understood; give a net and its file as g=FILE')
        if net in files:
            raise InputError(f'{net} is given twice: {files[net]} and {path}')
        files[net] = path
    options = {name: getattr(args, name) for name in ('groups', 'exclusive')}
    options = {name: _numbers(f'--{name}', text) for name, text in options.items() if text is not None}
    report = import_run(args.system, files, args.out, args.force, **options)
    if hint := report.pop('hint', None):
        print(f'{args.out}: {hint}', file=sys.stderr)
    return report


def _numbers(option: str, text: str) -> tuple[int, ...]:
    from dfjax.errors import InputError

    words = text.split(',')
    if not all(word.strip().isdecimal() for word in words):
        raise InputError(f'{option} {text}: give numbers joined by commas, as 5,8')
    return tuple(map(int, words))

"""`dfjax import`: checkpoints of the original projects, as a run."""

import argparse

EXAMPLE = 'dfjax import stargan g=200000-G.ckpt d=200000-D.ckpt -o runs/celeba'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'Systems and their nets: stargan (g, d), pix2pix (g, d), cyclegan (g_ab, g_ba, d_a, d_b). d_a is the one that\n'
        "judges pictures of a: CycleGAN's own D_A judges those of b, so give latest_net_D_A.pth as d_b.\n"
        'Nothing in a file is run, and PyTorch is not needed.'
    )
    parser.add_argument('system', metavar='SYSTEM', help='stargan, pix2pix or cyclegan')
    parser.add_argument(
        'files', nargs='+', metavar='NET=FILE', help='a net, and its .pth, .ckpt, .pt or .safetensors file'
    )
    parser.add_argument('-o', '--out', required=True, metavar='RUN', help='the folder to write')
    parser.add_argument('--force', action='store_true', help='replace a run that exists')


def run(args: argparse.Namespace) -> dict:
    """Imports as the arguments say; see `dfjax.inference.foreign.convert.import_run`."""
    from dfjax.errors import InputError
    from dfjax.inference.foreign.convert import import_run

    files = {}
    for word in args.files:
        net, equals, path = word.partition('=')
        if not equals or not path:
            raise InputError(f'{word!r} is not understood; give a net and its file as g=FILE')
        if net in files:
            raise InputError(f'{net} is given twice: {files[net]} and {path}')
        files[net] = path
    return import_run(args.system, files, args.out, args.force)

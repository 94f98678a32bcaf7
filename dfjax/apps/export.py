"""`dfjax export`: a net of a run as one file that runs without this program."""

import argparse

EXAMPLE = 'dfjax export --run runs/celeba --net g -o g.jaxexport'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'What nets do together is one file too: --net animate, or lipsync, of a run that can; dfjax apply --run RUN\n'
        'lists what there is. The file holds the parameters and runs on CPU, CUDA and TPU, on any number of pictures:\n'
        'jax.export.deserialize(bytearray(content)).call({"x": pictures}), or dfjax.inference.export.load_exported.'
    )
    parser.add_argument('--run', required=True, metavar='RUN', help='the folder of a run, trained or imported')
    parser.add_argument('--net', metavar='NAME', help='which net; not needed if there is only one')
    parser.add_argument('--size', type=int, metavar='N', help='side of the pictures, if the net takes any; default 256')
    parser.add_argument('-o', '--out', required=True, metavar='FILE', help='the file to write')
    parser.add_argument('--force', action='store_true', help='replace a file that exists')


def run(args: argparse.Namespace) -> dict:
    """Exports as the arguments say; see `dfjax.inference.export.export_net`."""
    from dfjax.errors import InputError
    from dfjax.inference.export import export_net
    from dfjax.inference.nets import open_net
    from dfjax.inference.run import load_run

    if args.size is not None and args.size < 1:
        raise InputError(f'--size {args.size}: give the side of the pictures in pixels')
    return export_net(open_net(load_run(args.run), args.net), args.out, args.size, args.force)

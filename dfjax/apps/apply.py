"""`dfjax apply`: one net of a run on raw arrays, for scripts."""

import argparse
from pathlib import Path

EXAMPLE = 'dfjax apply --run runs/celeba --net g --input in.npz --output out.npz'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'Without --input and --output it lists the nets of the run, the arrays that each takes with their shapes, and\n'
        'the names of those that it gives. Arrays are floating point, pictures [B, H, W, C] in [-1, 1].'
    )
    parser.add_argument('--run', required=True, metavar='RUN', help='the folder of a run, trained or imported')
    parser.add_argument('--net', metavar='NAME', help='which net; not needed if there is only one')
    parser.add_argument('--input', metavar='IN', help='an .npz file of arrays')
    parser.add_argument('--output', metavar='OUT', help='the .npz file to write')
    parser.add_argument('--force', action='store_true', help='replace an output that exists')


def run(args: argparse.Namespace) -> dict:
    """Applies as the arguments say; returns the shapes of what was written, or what nets take and give."""
    import numpy as np

    from dfjax.data.media.output import atomic_path
    from dfjax.errors import InputError
    from dfjax.foreign import read_npz
    from dfjax.inference.nets import apply_net, open_net, open_nets
    from dfjax.inference.run import load_run
    from dfjax.training.parallel import enable_compilation_cache

    if not args.input and not args.output:
        loaded = load_run(args.run)
        nets = {args.net: open_net(loaded, args.net)} if args.net else open_nets(loaded)
        return {name: net.signature() for name, net in nets.items()}
    if not args.input or not args.output:
        raise InputError('give both --input and --output, or neither to see what nets take')
    if Path(args.output).suffix != '.npz':
        raise InputError(f'{args.output}: arrays are written as .npz; name it so')
    enable_compilation_cache()
    arrays = read_npz(args.input)
    net = open_net(load_run(args.run), args.net)
    with atomic_path(args.output, args.force) as part:
        try:
            outputs = apply_net(net, arrays)
        except InputError as error:
            raise InputError(f'{args.input}: {error}') from None
        np.savez(part, **outputs)
    return {'out': args.output, **{name: ','.join(map(str, array.shape)) for name, array in outputs.items()}}

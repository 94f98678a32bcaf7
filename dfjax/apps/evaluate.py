"""`dfjax evaluate`: the figures of a swapped video, from an independent detector, landmarks and descriptor."""

import argparse

EXAMPLE = 'dfjax evaluate --swap out.mp4 --input a.mp4 --face b.mp4 --json'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}'
    parser.add_argument('--swap', required=True, metavar='OUT', help='the swapped video')
    parser.add_argument('--input', required=True, metavar='VIDEO', help='the video that it was made from')
    parser.add_argument('--face', required=True, metavar='WHO', help='the person put in: a video, picture or folder')
    parser.add_argument('--truth', metavar='VIDEO', help='the true swap, where there is one: adds PSNR and SSIM')
    parser.add_argument('--mask', metavar='VIDEO', help='white where PSNR and SSIM count; default everywhere')
    parser.add_argument(
        '--every', type=int, default=1, metavar='N', help='descriptor (70 ms) of every N-th frame; default 1'
    )


def run(args: argparse.Namespace) -> dict:
    """The figures; see `dfjax.inference.measure.compare`."""
    from dfjax.errors import InputError
    from dfjax.inference.measure import evaluate

    if args.every < 1:
        raise InputError(f'--every {args.every}: give 1 (every frame) or more')
    if args.mask and not args.truth:
        raise InputError('--mask says where --truth is compared: give both')
    return evaluate(args.swap, args.input, args.face, args.truth, args.mask, every=args.every)

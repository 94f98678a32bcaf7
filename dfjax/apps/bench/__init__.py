"""`dfjax bench`: speed, measured on this machine, each target in a module of its own."""

import argparse
import importlib

from dfjax.errors import InputError

EXAMPLE = 'dfjax bench faceswap --json'

TARGETS = {  # name: module, its options, what it measures
    'faceswap': ('faceswap', {}, 'a training step and the whole loop beside PyTorch'),
    'faceswap-original': ('faceswap', {'variant': 'paper'}, 'the same for the 82-million-parameter network'),
    'vae': ('systems', {'system': 'vae', 'variant': 'laptop'}, 'a step, inference and the loop beside PyTorch'),
    'diffusion': ('systems', {'system': 'diffusion', 'variant': 'laptop'}, 'the same'),
    'pix2pix': ('systems', {'system': 'pix2pix', 'variant': 'paper'}, "the same at the original's size"),
    'cyclegan': ('systems', {'system': 'cyclegan', 'variant': 'paper'}, 'the same'),
    'stargan': ('systems', {'system': 'stargan', 'variant': 'paper'}, 'the same'),
    'extract': ('extract', {}, 'extraction beside bare dlib on all cores'),
    'convert': ('convert', {}, 'frames a second of conversion'),
    'render': ('render', {}, 'heads a second that are drawn, at 256 px'),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    listing = '\n'.join(f'  {name:<18} {text}' for name, (_, _, text) in TARGETS.items())
    parser.epilog = f'targets:\n{listing}\n\nExample: {EXAMPLE}'
    parser.add_argument('target', choices=list(TARGETS), metavar='TARGET', help='what to measure')
    parser.add_argument(
        '--batch-size', type=int, metavar='N', help="examples a step, where the run's own take minutes (vae to stargan)"
    )


def run(args: argparse.Namespace) -> dict:
    """Measures the target; returns its report.

    Raises:
        InputError: if the target has no batches; as its module.
    """
    module, options, _ = TARGETS[args.target]
    if args.batch_size is not None:
        if 'system' not in options:
            raise InputError(f'--batch-size does not go with {args.target}')
        options = options | {'changes': {'batch_size': args.batch_size}}
    return importlib.import_module(f'dfjax.apps.bench.{module}').run(**options)

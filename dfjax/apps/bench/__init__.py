"""`dfjax bench`: speed, measured on this machine, each target in a module of its own."""

import argparse
import importlib
import inspect

from dfjax.apps.bench.torch import SIDES
from dfjax.errors import InputError

EXAMPLE = 'dfjax bench faceswap --json'

BESIDE = 'a step, inference and the loop beside PyTorch'
TARGETS = {  # name: module, its options, what it measures
    'faceswap': ('faceswap', {}, 'a training step and the whole loop beside PyTorch'),
    **{name: ('systems', {'system': name, 'variant': side.variant}, BESIDE) for name, side in SIDES.items()},
    'extract': ('extract', {}, 'extraction beside bare dlib on all cores'),
    'convert': ('convert', {}, 'frames a second of conversion'),
    'render': ('render', {}, 'heads a second that are drawn, at 256 px'),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    listing = '\n'.join(f'  {name:<18} {text}' for name, (_, _, text) in TARGETS.items())
    parser.epilog = f'targets:\n{listing}\n\nExample: {EXAMPLE}'
    parser.add_argument('target', choices=list(TARGETS), metavar='TARGET', help='what to measure')
    parser.add_argument('--batch-size', type=int, metavar='N', help='examples a step, of a system beside PyTorch')
    parser.add_argument('--variant', metavar='NAME', help='the named run of a system; as `paper`, the original net')


def run(args: argparse.Namespace) -> dict:
    """Measures the target; returns its report.

    Raises:
        InputError: if the target has no batches; as its module.
    """
    module, options, _ = TARGETS[args.target]
    target = importlib.import_module(f'dfjax.apps.bench.{module}')
    asked = {'changes': args.batch_size and {'batch_size': args.batch_size}, 'variant': args.variant}
    asked = {name: value for name, value in asked.items() if value is not None}
    known = inspect.signature(target.run).parameters
    if strange := [name for name in asked if name not in known]:
        option = {'changes': '--batch-size'}.get(strange[0], f'--{strange[0]}')
        raise InputError(f'{option} does not go with {args.target}')
    return target.run(**options | asked)

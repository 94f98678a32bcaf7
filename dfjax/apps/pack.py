"""`dfjax pack`: turns a face set into a tfds dataset, one file instead of thousands, readable without TensorFlow."""

import argparse
from pathlib import Path

EXAMPLE = 'dfjax pack faces -o packed        # then data.a=packed in a config, or tfds.builder_from_directory("packed")'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.epilog = f'Example: {EXAMPLE}'
    parser.add_argument('faces', type=Path, help='a face set: a folder that `dfjax extract` made')
    parser.add_argument('-o', '--output', type=Path, required=True, help="the dataset's folder")
    parser.add_argument('--force', action='store_true', help='replace a dataset that is there')


def run(args: argparse.Namespace) -> dict:
    """Packs as the arguments say; returns the report: 'faces', 'bytes', 'output'."""
    from dfjax.data.faceset import load_faceset

    faces = load_faceset(args.faces)
    from dfjax.data.packing import pack_faceset  # after the check: tfds takes a second to import

    size = pack_faceset(faces, args.output, args.force)
    return {'faces': len(faces), 'bytes': size, 'output': str(args.output)}

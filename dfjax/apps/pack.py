"""`dfjax pack`: turns a face set into a tfds dataset, one file instead of thousands, readable without TensorFlow."""

import argparse
from pathlib import Path

EXAMPLE = 'dfjax pack faces/anna -o packed/anna'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    reader = 'tfds.builder_from_directory("packed/anna").as_data_source()'
    parser.epilog = f'Example: {EXAMPLE}\nIn Python: {reader}; in a config: data.a'
    parser.add_argument('faces', type=Path, metavar='FACES', help='a face set: a folder that `dfjax extract` made')
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='FOLDER', help="the dataset's folder")
    parser.add_argument('--force', action='store_true', help='replace a dataset that is there')


def run(args: argparse.Namespace) -> dict:
    """Packs as the arguments say; returns the report: 'faces', 'bytes', 'out'."""
    from dfjax.data.faceset import load_faceset

    faces = load_faceset(args.faces)
    from dfjax.data.packing import pack_faceset  # after the check: tfds takes a second to import

    size = pack_faceset(faces, args.out, args.force)
    return {'faces': len(faces), 'bytes': size, 'out': str(args.out)}

"""`dfjax data convert`: rewrites a prepared tfds dataset so that it is read without TensorFlow."""

import argparse
from pathlib import Path

EXAMPLE = 'dfjax data convert tensorflow_datasets/celeb_a/2.1.0 celeb_a'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.epilog = f'Example: {EXAMPLE}\nThe new folder is a name for data.source, data.a and data.b of a config.'
    parser.add_argument('what', choices=['convert'], help='from tfrecord to array_record, once')
    parser.add_argument('source', type=Path, metavar='SRC', help='the folder with dataset_info.json')
    parser.add_argument('out', type=Path, metavar='OUT', help="the new dataset's folder")
    parser.add_argument('--force', action='store_true', help='replace a dataset that is there')


def run(args: argparse.Namespace) -> dict:
    """Converts as the arguments say; returns the report: 'records', 'out'."""
    from dfjax.data.sets.tfrecord import convert_dataset

    return {'records': convert_dataset(args.source, args.out, args.force), 'out': str(args.out)}

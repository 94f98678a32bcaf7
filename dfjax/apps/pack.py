"""`dfjax pack`: turns a face set, or any pictures with labels, into a tfds dataset, one file instead of thousands."""

import argparse
from pathlib import Path

EXAMPLE = 'dfjax pack faces/anna -o packed/anna'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    reader = 'tfds.builder_from_directory("packed/anna").as_data_source()'
    parser.epilog = f'Example: {EXAMPLE}\nIn Python: {reader}; in a config: data.a, data.source'
    what = 'a face set that `dfjax extract` made, a folder of pictures (with a CSV of labels), or render:people:1:2000'
    parser.add_argument('faces', metavar='FACES', help=what)
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='FOLDER', help="the dataset's folder")
    parser.add_argument('--size', type=int, default=64, metavar='PIXELS', help='side of rendered pictures; default 64')
    parser.add_argument('--force', action='store_true', help='replace a dataset that is there')


def run(args: argparse.Namespace) -> dict:
    """Packs as the arguments say; returns the report."""
    return pack(args.faces, args.out, size=args.size, force=args.force)


def pack(src: Path | str, out: Path | str, *, size: int = 64, force: bool = False) -> dict:
    """Writes a face set, or pictures with their labels, as a tfds dataset (array_record).

        pack('faces/anna', 'packed/anna')

    Args:
        src: a face set, a folder of pictures (with a CSV of labels), or rendered people, as render:people:1:2000.
        out: the dataset's folder, the argument of `tfds.builder_from_directory`.
        size: side of rendered pictures, pixels.
        force: replace a dataset that is there.

    Returns:
        'faces' or 'pictures' and 'labels', 'bytes' written, 'out'.

    Raises:
        InputError: if there is nothing to pack, a picture is damaged, or `out` exists or cannot be written.
    """
    from dfjax.data.faces.faceset import load_faceset
    from dfjax.data.media.image import IMAGE_SUFFIXES
    from dfjax.data.media.inputs import ROWS
    from dfjax.errors import InputError

    name = str(src)
    folder = Path(name)
    if not name.startswith('render:') and not _has_pictures_only(folder, ROWS, IMAGE_SUFFIXES):
        faces = load_faceset(folder)
        from dfjax.data.sets.pack import pack_faceset  # after the check: tfds takes a second to import

        return {'faces': len(faces), 'bytes': pack_faceset(faces, out, force), 'out': str(out)}
    if size < 32:
        raise InputError(f'--size {size}: give 32 or more')
    from dfjax.data.sets.open import open_dataset
    from dfjax.data.sets.pack import pack_pictures

    source = open_dataset(name, size)
    written = pack_pictures(source, out, force)
    return {'pictures': len(source), 'labels': list(source.labels), 'bytes': written, 'out': str(out)}


def _has_pictures_only(folder: Path, rows: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a folder is one of pictures, and no face set."""
    if not folder.is_dir() or (folder / rows).is_file():
        return False
    return any(path.suffix.lower() in suffixes for path in folder.rglob('*'))

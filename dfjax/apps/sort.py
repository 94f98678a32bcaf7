"""`dfjax sort`: puts the pictures of a face set in an order, so that bad ones lie together and can be deleted."""

import argparse
from pathlib import Path

EXAMPLE = 'dfjax sort faces/anna --by blur'
ORDERS = {
    'blur': 'sharpest first',
    'yaw': 'from looking left to looking right',
    'pitch': 'from looking down to looking up',
    'brightness': 'darkest first',
    'identity': 'most like the person that most of them show first; others last',
    'similarity': 'neighbours look alike, the most unusual first',
    'name': 'as extracted: takes the ranks off the names',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    orders = '\n'.join(f'  {key:<10}  {text}' for key, text in ORDERS.items())
    parser.epilog = (
        f'orders:\n{orders}\n\nDelete what you do not want: a face is gone with its picture.\nExample: {EXAMPLE}'
    )
    parser.add_argument('faces', type=Path, metavar='FACES', help='a face set: a folder that `dfjax extract` made')
    parser.add_argument('--by', choices=ORDERS, required=True, help='what to sort by')
    parser.add_argument('--reverse', action='store_true', help='the other way round')


def run(args: argparse.Namespace) -> dict:
    """Sorts as the arguments say; returns the report."""
    return sort_faces(args.faces, args.by, args.reverse)


def sort_faces(path: Path | str, by: str, reverse: bool = False) -> dict:
    """Renames the pictures of a face set to `00000@name`, `00001@name`, ... and draws its contact sheet anew.

        sort_faces('faces/anna', by='blur')

    Nothing else changes: `faces.jsonl` knows the plain names, so that sorting can be stopped at any moment.

    Args:
        path: the face set.
        by: one of `ORDERS`.
        reverse: the other way round.

    Returns:
        'faces', 'by', 'first' and 'last' (file names), 'sheet' (path).

    Raises:
        InputError: if it is not a face set, a picture cannot be read, or `by` needs descriptors that it lacks.
    """
    from dfjax.data.faces.faceset import load_faceset, rank_pictures
    from dfjax.data.faces.sheet import contact_sheet
    from dfjax.data.media.image import write_image
    from dfjax.data.media.inputs import SHEET

    faces = load_faceset(path)
    if by == 'name':
        order, captions = list(range(len(faces))), None
    else:
        order, captions = ordered(faces, by)
    if reverse:
        order = order[::-1]
    captions = captions or [str(row.face.frame) for row in faces.rows]
    picture = contact_sheet(
        [(faces.rows[n].path, captions[n]) for n in order]
    )  # before the renaming: a damaged picture stops it here
    faces = rank_pictures(faces, None if by == 'name' and not reverse else order)
    sheet = faces.path / SHEET
    write_image(sheet, picture)
    first, last = (faces.rows[n].path.name for n in (order[0], order[-1]))
    return {'faces': len(faces), 'by': by, 'first': first, 'last': last, 'sheet': str(sheet)}


def ordered(faces, by: str) -> tuple[list[int], list[str] | None]:
    """The order of a face set's rows, and for each row the value that it was sorted by, as a caption."""
    import numpy as np

    from dfjax.data.faces import quality
    from dfjax.data.faces.faceset import gather, read_face
    from dfjax.errors import InputError

    if by in ('yaw', 'pitch'):
        values = quality.pose(np.stack([row.landmarks for row in faces.rows]))[:, 0 if by == 'yaw' else 1]
        return list(np.argsort(values, kind='stable')), [f'{round(value):+d}' for value in values]
    if by == 'identity':
        values = quality.identity_distance(faces.descriptors())
        if not np.isfinite(values).any():
            raise InputError(f'{faces.path}: no face has an identity descriptor; extract again with one')
        return list(np.argsort(values, kind='stable')), [f'{value:.2f}' for value in values]
    if by == 'similarity':
        side = 24
        pictures = gather(lambda n: read_face(faces.rows[n], faces.size, side), len(faces))['image']
        return list(quality.similarity_order(pictures)), None
    measure = {'blur': quality.sharpness, 'brightness': quality.brightness}[by]

    def value(n: int) -> dict:
        face = read_face(faces.rows[n], faces.size, faces.size)
        return {'value': np.float64(measure(face['image'], face['mask']))}

    values = gather(value, len(faces))['value']
    return list(np.argsort(-values if by == 'blur' else values, kind='stable')), [f'{value:.1f}' for value in values]

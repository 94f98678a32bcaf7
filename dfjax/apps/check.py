"""`dfjax check`: says which pictures of a face set are of no use for training, and why."""

import argparse
from pathlib import Path

EXAMPLE = 'dfjax check faces/anna --move faces/bad'
MIN_SHARPNESS = 3.0  # standard deviation of the Laplacian at 128 px; a face blurred by 4 px has about 2
MIN_RELATIVE = 0.4  # least sharpness, share of the set's median
MAX_YAW, MAX_PITCH = 60.0, 45.0  # degrees
BRIGHTNESS = (25.0, 235.0)  # mean grey level
MAX_ENLARGED = 4.0  # picture pixels a source pixel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.epilog = f'Example: {EXAMPLE}'
    parser.add_argument('faces', type=Path, metavar='FACES', help='a face set: a folder that `dfjax extract` made')
    parser.add_argument('--move', type=Path, metavar='FOLDER', help='move the unusable pictures to this folder')


def run(args: argparse.Namespace) -> dict:
    """Checks as the arguments say; returns the report: 'faces', 'usable', 'reasons' (counts), 'unusable' (lines)."""
    from collections import Counter

    report = check_faces(args.faces)
    bad = report['unusable']
    counts = Counter(reason.split(' (')[0] for reasons in bad.values() for reason in reasons)
    lines = [f'{name}: {"; ".join(reasons)}' for name, reasons in bad.items()]
    report |= {'reasons': dict(counts.most_common()), 'unusable': lines}
    if args.move:
        move_pictures(args.faces, list(bad), args.move)
        report['moved_to'] = str(args.move)
    return report


def check_faces(path: Path | str) -> dict:
    """Looks at every picture of a face set.

        check_faces('faces/anna')['unusable']

    Args:
        path: the face set.

    Returns:
        'faces' (pictures in the folder), 'usable' (how many), and 'unusable': {file name: [reasons]}, where a reason
        is unreadable, wrong size, no line in faces.jsonl, blurred, extreme pose, too dark, too bright, too small in
        its source, or another person, with the value in brackets.

    Raises:
        InputError: if it is not a face set, is empty, or a line of faces.jsonl is damaged.
    """
    import numpy as np

    from dfjax.data.faces import quality
    from dfjax.data.faces.faceset import load_faceset
    from dfjax.data.media.inputs import picture_files

    faces = load_faceset(path)
    reasons = {file.name: ['no line in faces.jsonl'] for file in picture_files(faces.path)}
    looks = look_at(faces)
    sharp = [look['sharpness'] for look in looks if 'sharpness' in look]
    limit = max(MIN_SHARPNESS, MIN_RELATIVE * np.median(sharp)) if sharp else MIN_SHARPNESS
    poses = quality.pose(np.stack([row.landmarks for row in faces.rows]))
    distances = quality.identity_distance(faces.descriptors())
    for row, look, (yaw, pitch, _), distance in zip(faces.rows, looks, poses, distances):
        enlarged = float(np.sqrt(abs(np.linalg.det(row.matrix[:, :2]))))
        look |= {'yaw': yaw, 'pitch': pitch, 'distance': distance, 'enlarged': enlarged}
        reasons[row.path.name] = faults(look, limit)
    unusable = {name: why for name, why in reasons.items() if why}
    return {'faces': len(reasons), 'usable': len(reasons) - len(unusable), 'unusable': unusable}


def look_at(faces) -> list[dict]:
    """For each face of a set 'sharpness' and 'brightness' of its picture, or 'error': why it cannot be used at all."""
    from concurrent.futures import ThreadPoolExecutor

    from dfjax.data.faces import quality
    from dfjax.data.faces.faceset import example
    from dfjax.data.faces.polygons import Outlines
    from dfjax.data.media.image import read_image
    from dfjax.errors import InputError

    def look(row) -> dict:
        try:
            picture = read_image(row.path)
        except InputError:
            return {'error': 'unreadable'}
        height, width = picture.shape[:2]
        if (height, width) != (faces.size, faces.size):
            return {'error': f'wrong size ({width}x{height}, the face set has {faces.size}x{faces.size})'}
        mask = example(picture, row.landmarks, row.polygon, None, faces.size, Outlines((), ()))['mask']
        return {'sharpness': quality.sharpness(picture, mask), 'brightness': quality.brightness(picture, mask)}

    with ThreadPoolExecutor() as pool:
        return list(pool.map(look, faces.rows))


def faults(look: dict, limit: float) -> list[str]:
    """What is wrong with a face, given what is known of it and the least sharpness to accept."""
    if 'error' in look:
        return [look['error']]
    from dfjax.data.faces.identity import CLUSTER

    found = []
    if look['sharpness'] < limit:
        found.append(f'blurred (sharpness {look["sharpness"]:.1f}, the least is {limit:.1f})')
    if abs(look['yaw']) > MAX_YAW or abs(look['pitch']) > MAX_PITCH:
        found.append(f'extreme pose (yaw {look["yaw"]:+.0f}, pitch {look["pitch"]:+.0f} degrees)')
    if not BRIGHTNESS[0] <= look['brightness'] <= BRIGHTNESS[1]:
        found.append(f'too {"dark" if look["brightness"] < 128 else "bright"} (grey level {look["brightness"]:.0f})')
    if look['enlarged'] > MAX_ENLARGED:
        found.append(f'too small in its source (enlarged {look["enlarged"]:.1f} times)')
    if look['distance'] > CLUSTER:  # never true of NaN, a face without a descriptor
        found.append(f'another person (descriptor distance {look["distance"]:.2f})')
    return found


def move_pictures(path: Path, names: list[str], folder: Path) -> None:
    """Moves pictures of a face set to another folder, where none of that name may be."""
    import shutil

    from dfjax.errors import InputError

    for name in names:
        if (folder / name).exists():
            raise InputError(f'{folder / name}: exists; name another folder')
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.move(path / name, folder / name)
    except OSError as error:
        raise InputError(f'{folder}: pictures cannot be moved there: {error.strerror}') from error

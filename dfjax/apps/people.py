"""`dfjax people`: who is in a video: a numbered sheet, for `--person NUMBER` of other verbs."""

import argparse
from pathlib import Path

EXAMPLE = 'dfjax people holiday.mp4 -o who.jpg'
MOST = 24  # people that are shown
SIDE = 192  # pixels of a thumbnail
COLUMNS = 6
ROOM = 1.8  # sides of the landmarks' box that a thumbnail shows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'The numbers are those of --person: dfjax swap --face bert.mp4 --into holiday.mp4 --person 2 -o out.mp4'
    )
    parser.add_argument('src', metavar='VIDEO', help='a video, a picture or a folder of them')
    parser.add_argument('-o', '--out', metavar='WHO.jpg', help='the sheet to write')
    parser.add_argument('--force', action='store_true', help='replace a sheet that exists')


def run(args: argparse.Namespace) -> dict:
    """Finds them, and writes the sheet."""
    return people(args.src, args.out, force=args.force, progress=True)


def spoken(report: dict, args: argparse.Namespace) -> dict:
    """A line a person, and the sheet."""
    lines = [f'{p["frames"]} frames ({100 * p["share"]:.0f} %), from {p["from"]} s' for p in report['people']]
    return {f'--person {n}': line for n, line in enumerate(lines, 1)} | ({'sheet': args.out} if args.out else {})


def people(src: Path | str, out: Path | str | None = None, *, force: bool = False, progress: bool = False) -> dict:
    """Who is in a video, by the numbers that `--person` takes: first who takes most room.

    Args:
        src: a video, a picture or a folder of pictures and videos.
        out: a sheet of their faces to write, a picture.
        force: replace it if it exists.
        progress: show a bar on stderr.

    Returns:
        'people': for each 'frames', 'share' of all frames, and the seconds 'from' which and 'to' which; and 'out'.

    Raises:
        InputError: as `analyse`, which finds nobody; as the picture's writer.
    """
    from dfjax.data.faces.analyse import analyse
    from dfjax.data.faces.identity import clusters
    from dfjax.data.media.image import check_suffix, write_image
    from dfjax.data.media.inputs import kind
    from dfjax.data.media.output import check_output
    from dfjax.data.media.progress import bar

    kind(src)  # says what is missing
    if out is not None:
        check_suffix(out)
        check_output(out, force)
    with bar(f'faces of {Path(src).name}', progress) as tick:
        found = analyse(src, every_face=True, progress=tick)
    report, best = [], []
    for tracks in clusters(found.faces)[:MOST]:
        own = [face for face in found.faces if face.track in tracks]
        frames = len({(face.source, face.frame) for face in own})
        times = [face.time for face in own]
        spans = {'from': round(min(times), 1), 'to': round(max(times), 1)}
        report.append({'frames': frames, 'share': round(frames / found.frames, 3)} | spans)
        best.append(max(own, key=lambda face: (face.sharpness or 0) * (face.box[2] - face.box[0])))
    if out is not None:
        write_image(out, sheet(src, best, [f'{n}: {100 * p["share"]:.0f} %' for n, p in enumerate(report, 1)]))
    return {'people': report, 'out': str(out) if out else None}


def sheet(src: Path | str, faces: list, captions: list[str]):
    """Thumbnails of faces of a source, each above its caption: uint8 RGB [H, W, 3]."""
    import cv2
    import numpy as np

    from dfjax.data.media.inputs import iter_frames

    shown: dict[int, np.ndarray] = {}
    wanted: dict[tuple[str, int], list] = {(face.source, face.frame): [] for face in faces}
    for n, face in enumerate(faces):
        wanted[face.source, face.frame].append((n, face))
    for index, _, rgb, name in iter_frames(src):
        for n, face in wanted.get((name, index), ()):
            centre = (face.landmarks.min(0) + face.landmarks.max(0)) / 2
            side = ROOM * (face.landmarks.max(0) - face.landmarks.min(0)).max()
            scale = SIDE / side
            matrix = np.array([[scale, 0, SIDE / 2 - scale * centre[0]], [0, scale, SIDE / 2 - scale * centre[1]]])
            shown[n] = cv2.warpAffine(rgb, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    columns, height = min(len(faces), COLUMNS), SIDE + 28
    page = np.full((-(-len(faces) // columns) * height, columns * SIDE, 3), 245, np.uint8)
    for n, text in enumerate(captions):
        y, x = n // columns * height, n % columns * SIDE
        page[y : y + SIDE, x : x + SIDE] = shown[n]
        cv2.putText(page, text, (x + 6, y + SIDE + 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 20, 20), 1, cv2.LINE_AA)
    return page

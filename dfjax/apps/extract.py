"""`dfjax extract`: the faces of videos, pictures and folders as a face set; or, with `--clips`, clips of videos."""

import argparse
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from dfjax.errors import InputError

EXAMPLE = 'dfjax extract anna.mp4 holiday/ -o faces/anna --person anna.jpg'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}\n         dfjax extract talks/ -o clips --clips'
    parser.add_argument('src', nargs='+', metavar='SRC', help='a video, a picture, or a folder of them')
    parser.add_argument('-o', '--out', required=True, metavar='FACES', help='the folder to make')
    parser.add_argument(
        '--face-type',
        choices=('half', 'mid', 'full', 'whole_face', 'head'),
        default='full',
        help='how much of the head; default full',
    )
    parser.add_argument('--size', type=int, default=256, metavar='PX', help='side of the pictures; default 256')
    parser.add_argument('--format', choices=('png', 'jpg'), default='jpg', help='of the pictures; default jpg')
    parser.add_argument('--detector', choices=('dlib', 'yunet'), default='dlib', help='default dlib')
    parser.add_argument('--detector-model', metavar='FILE', help='the ONNX file of yunet')
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        '--person', metavar='WHO', help='of whom to take: a picture, or the number that `dfjax people` gives'
    )
    who.add_argument('--every-face', action='store_true', help='take everybody')
    parser.add_argument('--clips', action='store_true', help='moving clips of faces, 25 frames a second, with sound')
    parser.add_argument('--any', action='store_true', help='with --clips: whole pictures, whatever they show')
    parser.add_argument('--recursive', action='store_true', help='of folders, the files in their folders too')
    parser.add_argument('--force', action='store_true', help='replace a face set that exists')


def run(args: argparse.Namespace) -> dict:
    """Extracts as the arguments say; returns the report."""
    if args.any and not args.clips:
        raise InputError('--any is for --clips')
    if args.clips:
        from dfjax.inference.clipset import extract_clips

        if args.face_type != 'full':
            raise InputError('--face-type: not with --clips, whose square holds the whole head wherever it goes')
        if args.recursive:
            raise InputError('--recursive: not with --clips; name the folders')
        names = ('size', 'format', 'person', 'force', 'detector', 'detector_model')
        options = {name: getattr(args, name) for name in names}
        return extract_clips(args.src, args.out, whole=args.any, **options)
    found = {k: getattr(args, k) for k in ('detector', 'detector_model', 'person', 'every_face', 'recursive')}
    pictures = {'face_type': args.face_type, 'size': args.size, 'format': args.format, 'force': args.force}
    return extract_faces(args.src, args.out, **pictures, **found)


def extract_faces(
    srcs: Sequence[Path | str],
    out: Path | str,
    *,
    face_type: str = 'full',
    size: int = 256,
    format: str = 'jpg',
    force: bool = False,
    analyses: Sequence | None = None,
    recursive: bool = False,
    progress: bool = True,
    **found,
) -> dict:
    """Writes the faces of `srcs` as the face set `out`, aligned.

    Faces that were interpolated where the detector found none are left out: nothing says that their pictures show one.

        extract_faces(['anna.mp4'], 'faces/anna', face_type='whole_face', size=512, person='anna.jpg')

    Args:
        srcs: videos, pictures or folders of them.
        out: the folder to make.
        face_type, size: see faces.align; the side of the pictures in pixels.
        format: 'jpg' (quality 95, colours in full: less loss than the video's own) or 'png'.
        force: replace a face set that exists.
        analyses: what `analyse` returned for each of `srcs`, where that is done already.
        recursive: of folders, the files in their folders too.
        progress: show bars on stderr.
        found: detector, detector_model, person, every_face and workers of `analyse`.

    Returns:
        {'out', 'sources', 'frames', 'faces', 'frames_without', 'skipped', 'seconds'}; files of folders that cannot be
        read are skipped, and named on stderr.

    Raises:
        InputError: as `analyse`, FaceSetWriter and the readers do; a size under 16.
    """
    from dfjax.data.faces.align import check_face_type
    from dfjax.data.faces.analyse import analyse
    from dfjax.data.faces.faceset import FaceSetWriter
    from dfjax.data.faces.table import as_faces
    from dfjax.data.media.inputs import iter_frames, kind
    from dfjax.data.media.progress import bar, say
    from dfjax.errors import ReadError
    from dfjax.interrupts import deferred

    start = time.monotonic()
    skipped: dict[Path, str] = {}
    check_face_type(face_type)
    if size < 16:
        raise InputError(f'--size {size}: give 16 or more pixels')
    for src in srcs:
        if kind(src) == 'faceset':
            raise ReadError(src, 'is a face set already; give the videos or pictures that it was made from')
    # The writer comes first: an output that is in the way is found before the long search.
    with deferred(), FaceSetWriter(out, face_type, size, format, force) as writer:
        if analyses is None:
            analyses = []
            for src in srcs:
                with bar(f'faces of {Path(src).name}', progress) as tick:
                    analyses.append(analyse(src, progress=tick, recursive=recursive, skipped=skipped, **found))
            for file, fault in skipped.items():
                say(f'left out: {file}: {fault}')
        for src, analysis in zip(srcs, analyses, strict=True):
            with bar(f'cutting {Path(src).name}', progress) as tick:
                _cut(iter_frames(src, recursive, skipped), analysis, writer, tick)
        faces = len(writer.names)
    seen = sum(as_faces(analysis.faces).seen() for analysis in analyses)
    frames = sum(analysis.frames for analysis in analyses)
    report = {'out': str(out), 'sources': len(srcs), 'frames': frames, 'faces': faces}
    return report | {
        'frames_without': frames - seen,
        'skipped': len(skipped),
        'seconds': round(time.monotonic() - start, 2),
    }


def _cut(frames: Generator, analysis, writer, tick: Callable[[int, int | None], None]) -> None:
    """Adds the faces of one source to the set, in a second pass over its frames, as `iter_frames` gives them."""
    from dfjax.data.faces.align import align_matrices, crop
    from dfjax.data.faces.mask import face_outline
    from dfjax.data.faces.table import as_faces
    from dfjax.data.faces.warp import apply
    from dfjax.data.media.threads import Behind

    faces = as_faces(analysis.faces)
    landmarks, guessed = faces.rows['landmarks'], faces.rows['interpolated']
    if guessed.all():
        return
    with closing(frames), Behind(lambda item: writer.add(*item), depth=8) as behind:
        for count, (index, _, rgb, name) in enumerate(frames, 1):
            for n in (n for n in faces.at(name, index) if not guessed[n]):
                face, matrix = faces[n], align_matrices(landmarks[n : n + 1], writer.face_type, writer.size)[0]
                picture = crop(rgb, matrix, writer.size)
                behind.put((picture, face, matrix, face_outline(picture, apply(matrix, face.landmarks))))
            tick(count, analysis.frames)

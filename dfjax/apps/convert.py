"""`dfjax convert`: a trained swap applied to a video, a picture or a folder of them."""

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dfjax.apps.extract import bar
from dfjax.errors import InputError

EXAMPLE = 'dfjax convert --run runs/anna --into video.mp4 -o out.mp4'
DESCRIPTION = 'face swapped by a trained model'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}'
    parser.add_argument('--run', required=True, metavar='W', help='the folder of a trained face swap')
    parser.add_argument('--into', required=True, metavar='VIDEO', help='a video, a picture or a folder of them')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='what to write, of the same kind')
    parser.add_argument('--person', metavar='PICTURE', help='whose face to replace; default: who is there most')
    parser.add_argument('--side', choices=('a', 'b'), default='b', help='whose face to put in; default b')
    parser.add_argument('--batch-size', type=int, default=8, metavar='N', help='faces at once; default 8')
    parser.add_argument(
        '--colour', default='reinhard', metavar='HOW', help='none, reinhard (default) or mkl: from the frame'
    )
    parser.add_argument('--no-detail', action='store_true', help="leave the net's picture as soft as it is")
    parser.add_argument(
        '--seamless', action='store_true', help="blend by gradients (slower, needs a mask's clear edge)"
    )
    parser.add_argument('--detector', default='dlib', metavar='NAME', help='dlib (default) or yunet')
    parser.add_argument('--detector-model', metavar='FILE', help='the ONNX file of yunet')
    parser.add_argument('--force', action='store_true', help='replace an output that exists')


def run(args: argparse.Namespace) -> dict:
    """Converts as the arguments say; returns the report."""
    look = {'colour': args.colour, 'detail': not args.no_detail, 'seamless': args.seamless}
    found = {'person': args.person, 'detector': args.detector, 'detector_model': args.detector_model}
    where = {'side': args.side, 'batch_size': args.batch_size, 'force': args.force}
    return convert(args.run, args.into, args.out, **where, **look, **found)


def convert(
    run,
    video: Path | str,
    out: Path | str,
    *,
    analysis=None,
    side: str = 'b',
    batch_size: int = 8,
    colour: str = 'reinhard',
    detail: bool = True,
    seamless: bool = False,
    force: bool = False,
    progress: bool = True,
    **found,
) -> dict:
    """Writes `video` to `out` with the face of one person replaced, and content credentials that say so.

    Frames without that face pass through untouched and are counted. Frame count, times and sound are the input's.

        convert('runs/anna', 'video.mp4', 'out.mp4', colour='reinhard')

    Args:
        run: the folder of a run of system faceswap, or what `load_run` gave.
        video: a video, a picture or a folder of them.
        out: of the same kind as `video`.
        analysis: what `analyse` returned for `video`, where that is done already.
        side, batch_size, colour, seamless: see `inference.swapper.Swapper`.
        detail: give the face the crispness of the person's pictures, see `inference.detail`.
        force: replace an output that exists.
        progress: show bars on stderr.
        found: detector, detector_model, person and workers of `analyse`.

    Returns:
        {'out', 'frames', 'swapped' and 'passed_through' (frames), 'detail' (gains or None), 'analysis_seconds',
        'seconds' (of the conversion alone), 'fps'}.

    Raises:
        InputError: as `load_run`, `analyse`, Swapper and the readers and writers do; `out` of another kind.
    """
    from dfjax.data.faces.analyse import analyse
    from dfjax.inference.run import load_run
    from dfjax.inference.sharpen import run_gains
    from dfjax.inference.swap import Swapper
    from dfjax.training.parallel import enable_compilation_cache

    enable_compilation_cache()
    plan = plan_outputs(video, out, force)  # an output that is in the way is found before the long search
    run = load_run(run, system='faceswap') if isinstance(run, str | Path) else run
    gains = run_gains(run, side) if detail else None
    swapper = Swapper(run, side, batch_size, colour, gains, seamless)
    start = time.monotonic()
    if analysis is None:
        with bar(f'faces of {Path(video).name}', progress) as tick:
            analysis = analyse(video, progress=tick, **found)
    names = {file.name for file in plan}
    if strange := {face.source for face in analysis.faces} - names:
        raise InputError(f'{video}: the analysis given is of another source ({min(strange)})')
    middle = time.monotonic()
    job = Job(swapper, analysis.faces, batch_size)
    with bar(f'writing {Path(out).name}', progress) as tick:
        write_outputs(job, plan, Path(out), Path(video).is_dir(), force, lambda: tick(job.frames, analysis.frames))
    seconds = time.monotonic() - middle
    return {
        'out': str(out),
        'frames': job.frames,
        'swapped': job.swapped,
        'passed_through': job.frames - job.swapped,
        'detail': gains,
        'analysis_seconds': round(middle - start, 2),
        'seconds': round(seconds, 2),
        'fps': round(job.frames / seconds, 1),
    }


class Job:
    """The faces of a source at hand, by file and frame, and the count of frames done.

    Attributes:
        description, system: what the credentials of its outputs say.
    """

    description, system = DESCRIPTION, 'faceswap'

    def __init__(self, swapper, faces: list, batch: int):
        self.swapper, self.batch = swapper, batch
        self.frames = self.swapped = 0
        self._faces = defaultdict(list)
        for face in faces:
            self._faces[face.source, face.frame].append(face)

    def __call__(self, name: str, frames: list) -> list:
        """Frames (index, time, rgb) of the file `name`, swapped."""
        faces = [self._faces.get((name, index), []) for index, _, _ in frames]
        self.frames += len(frames)
        self.swapped += sum(map(bool, faces))
        return self.swapper([rgb for _, _, rgb in frames], faces)


def write_outputs(job, plan: dict[Path, str], out: Path, many: bool, force: bool, progress: Callable[[], None]) -> int:
    """Converts what is planned. Nothing is called `out` before it is whole and signed.

    Returns:
        How many files of a folder are left out, for they cannot be read; they are named on stderr.

    Raises:
        InputError: as the readers, writers and `job` do; if nothing of a folder can be read.
    """
    from tqdm import tqdm

    from dfjax.data.media.output import atomic_folder, atomic_path

    if many:
        skipped = 0
        with atomic_folder(out) as folder:
            for src, name in plan.items():
                frames = job.frames
                try:
                    _convert_file(job, src, folder / name, progress)
                except InputError:
                    if not (fault := _fault(src)):
                        raise
                    tqdm.write(f'left out: {fault}', file=sys.stderr)  # not into the bar
                    job.frames, skipped = frames, skipped + 1
            if skipped == len(plan):
                raise InputError(f'{next(iter(plan)).parent}: none of its {len(plan)} pictures and videos can be read')
        return skipped
    # In a folder of its own the file has its final name, which its credentials state.
    with atomic_path(out, force) as part, tempfile.TemporaryDirectory(prefix='.', dir=out.parent) as folder:
        whole = Path(folder, out.name)
        try:
            _convert_file(job, next(iter(plan)), whole, progress)
        except InputError as error:
            raise InputError(str(error).replace(str(whole), str(out))) from error
        os.replace(whole, part)
    return 0


def _fault(src: Path) -> str | None:
    """What is wrong with a picture or video, read to its end; None if nothing is."""
    from dfjax.data.media.image import read_image
    from dfjax.data.media.inputs import kind
    from dfjax.data.media.video import read_frames

    try:
        if kind(src) == 'image':
            read_image(src)
        else:
            for _ in read_frames(src):
                pass
    except InputError as error:
        return str(error)
    return None


def plan_outputs(video: Path | str, out: Path | str, force: bool) -> dict[Path, str]:
    """The files to convert and the name that each gets. What can be wrong with the names and `out` is found here."""
    from dfjax.data.media.credentials import SIGNED_SUFFIXES
    from dfjax.data.media.encode import WRITTEN_SUFFIXES
    from dfjax.data.media.image import IMAGE_SUFFIXES
    from dfjax.data.media.inputs import kind, media_files
    from dfjax.data.media.output import check_output

    video, out, what = Path(video), Path(out), kind(video)
    if what == 'faceset':
        raise InputError(f'{video}: is a face set; give the video or the pictures that it was made from')
    if what == 'folder':
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f'{out}: exists; a folder is converted into a new folder')
        return {file: _name(file) for file in media_files(video)}
    check_output(out, force)
    possible = [s for s in (IMAGE_SUFFIXES if what == 'image' else WRITTEN_SUFFIXES) if s in SIGNED_SUFFIXES]
    if out.suffix.lower() not in possible:
        kind_name = {'image': 'picture', 'video': 'video'}[what]
        raise InputError(f'{out}: {video} is a {kind_name}; name the output {", ".join("*" + s for s in possible)}')
    return {video: out.name}


def _name(file: Path) -> str:
    """The name of a folder's file when it is written: of a type that can be written and can hold credentials."""
    from dfjax.data.media.inputs import kind

    suffix = '.png' if kind(file) == 'image' else '.mp4'
    return file.name if file.suffix.lower() in ('.jpg', '.jpeg', suffix) else f'{file.name}{suffix}'


def _convert_file(job: Job, src: Path, dst: Path, progress: Callable[[], None]) -> None:
    """Converts one picture or video to `dst`, a new file, and signs it."""
    from dfjax.data.media.credentials import sign
    from dfjax.data.media.image import read_image, write_image
    from dfjax.data.media.inputs import kind
    from dfjax.data.media.video import transform_video

    if kind(src) == 'image':
        write_image(dst, job(src.name, [(0, 0.0, read_image(src))])[0])
        progress()
    else:
        transform_video(src, dst, partial(job, src.name), batch=job.batch, progress=lambda *_: progress())
    sign(dst, job.description, composite=True, details={'system': job.system})

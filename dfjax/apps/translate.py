"""`dfjax translate`: pictures and videos through a trained pix2pix, CycleGAN or StarGAN."""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dfjax.apps.convert import Job, plan_outputs, write_outputs
from dfjax.apps.extract import bar
from dfjax.errors import InputError

EXAMPLE = 'dfjax translate --run runs/stargan anna.mp4 -o out.mp4 --to smile=1,glasses=0'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}\n\nAsk the people shown for their consent.'
    parser.add_argument('input', metavar='IN', help='a picture, a video or a folder of them')
    parser.add_argument('--run', required=True, metavar='W', help='the folder of a run of pix2pix, cyclegan or stargan')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='what to write, of the same kind')
    parser.add_argument('--side', choices=('ab', 'ba'), help='cyclegan: from a to b (default), or from b to a')
    parser.add_argument('--to', metavar='LABELS', help='stargan: NAME=0 or 1, joined by commas; others stay')
    parser.add_argument(
        '--size', type=int, metavar='N', help='make pictures N pixels high or wide, whichever is less, for the net'
    )
    parser.add_argument(
        '--tile', type=int, default=512, metavar='N', help='larger pictures go through in pieces of this side'
    )
    parser.add_argument('--batch-size', type=int, default=4, metavar='N', help='pictures or pieces at once; default 4')
    parser.add_argument('--force', action='store_true', help='replace an output that exists')


def run(args: argparse.Namespace) -> dict:
    """Translates as the arguments say; returns the report."""
    how = {'side': args.side, 'to': parse_labels(args.to), 'size': args.size, 'tile': args.tile}
    return translate(args.run, args.input, args.out, batch_size=args.batch_size, force=args.force, **how)


def parse_labels(text: str | None) -> dict[str, int] | None:
    """`NAME=0,NAME=1` as values by name; a name alone is 1.

    Raises:
        InputError: a word is not of that form.
    """
    if text is None:
        return None
    labels = {}
    for word in text.split(','):
        name, _, value = word.strip().partition('=')
        if not name or value not in ('', '0', '1'):
            raise InputError(f'--to {text}: write labels as smile=1,glasses=0')
        labels[name] = int(value or 1)
    return labels


def translate(
    run,
    source: Path | str,
    out: Path | str,
    *,
    side: str | None = None,
    to: Mapping[str, int] | None = None,
    size: int | None = None,
    tile: int = 512,
    batch_size: int = 4,
    force: bool = False,
    progress: bool = True,
) -> dict:
    """Writes `source` to `out`, every picture translated, and content credentials that say so.

        translate('runs/horses', 'ride.mp4', 'zebra.mp4', side='ab')

    Frame count, times and sound of a video are the input's. Files of a folder that cannot be read are left out, named
    and counted.

    Args:
        run: the folder of a run of pix2pix, cyclegan or stargan, or what `load_run` gave.
        source: a picture, a video or a folder of them.
        out: of the same kind.
        side, tile, batch_size: see `inference.translate.Translator`.
        to: StarGAN's labels to ask for; the others stay as they are seen in the picture, or at the start of a video.
        size: the shorter side that pictures are made for the net, and enlarged from again; as they are by default.
        force: replace an output that exists.

    Returns:
        {'out', 'frames', 'skipped', 'seconds', 'fps'}.

    Raises:
        InputError: as `load_run`, `plan_outputs`, Translator and `wanted_labels`.
    """
    from dfjax.inference.run import load_run
    from dfjax.inference.translate import Translator
    from dfjax.training.parallel import enable_compilation_cache

    for name, value, least in (('--batch-size', batch_size, 1), ('--size', size, 8)):
        if value is not None and value < least:
            raise InputError(f'{name} {value}: give {least} or more')
    enable_compilation_cache()
    plan = plan_outputs(source, out, force)
    run = load_run(run) if isinstance(run, str | Path) else run
    job = TranslateJob(Translator(run, side or 'ab', batch_size, tile), to, size)
    for given, option, system in ((side, '--side', 'cyclegan'), (to, '--to', 'stargan')):
        if given is not None and run.cfg.system != system:
            raise InputError(f'{option} is for runs of {system}; {run.path} is one of {run.cfg.system}')
    if run.cfg.system == 'stargan':
        job.check_labels()
    many, start = Path(source).is_dir(), time.monotonic()
    with bar(f'writing {Path(out).name}', progress) as tick:
        skipped = write_outputs(job, plan, Path(out), many, force, lambda: tick(job.frames, None))
    seconds = time.monotonic() - start
    report = {'out': str(out), 'frames': job.frames, 'skipped': skipped}
    return report | {'seconds': round(seconds, 2), 'fps': round(job.frames / seconds, 1)}


class TranslateJob(Job):
    """A conversion that translates whole pictures."""

    description = 'translated by a trained model'

    def __init__(self, translator, to: Mapping[str, int] | None, size: int | None):
        super().__init__(None, [], translator.batch_size)
        self.translator, self.to, self.size = translator, to or {}, size
        self.system = translator.run.cfg.system
        self._labels: dict[str, Callable] = {}  # by file

    def check_labels(self) -> None:
        """Raises InputError if the labels asked for cannot be made."""
        import numpy as np

        self._wanted([np.zeros((64, 64, 3), np.uint8)])

    def _wanted(self, pictures: list):
        from dfjax.inference.translate import wanted_labels

        return wanted_labels(self.translator.run, self.to, pictures)

    def __call__(self, name: str, frames: list) -> list:
        """Frames (index, time, rgb) of the file `name`, translated."""
        import cv2
        import numpy as np

        pictures, labels = [rgb for _, _, rgb in frames], None
        height, width = pictures[0].shape[:2]
        if self.size:
            scale = self.size / min(height, width)
            small = (max(round(width * scale), 1), max(round(height * scale), 1))
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            pictures = [cv2.resize(rgb, small, interpolation=how) for rgb in pictures]
        if self.system == 'stargan':
            if name not in self._labels:
                self._labels[name] = self._wanted(pictures)
            labels = np.repeat(self._labels[name][None], len(pictures), 0)
        self.frames += len(frames)
        made = self.translator(pictures, labels)
        if self.size:
            made = [cv2.resize(rgb, (width, height), interpolation=cv2.INTER_CUBIC) for rgb in made]
        return made

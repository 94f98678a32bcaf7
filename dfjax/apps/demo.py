"""`dfjax demo`: two rendered people, the whole pipeline between them, and the score against the truth."""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

EXAMPLE = 'dfjax demo -o demo --json'
SEEDS = {'a': 49, 'b': 54}  # people of like proportions: a swap puts b's features where the truth has them
FRAMES = {'a': 96, 'b': 240}
SIZE = 256
FPS = 25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}\n\nInterrupted, it goes on where it was when it is run again.'
    parser.add_argument('-o', '--out', default='dfjax-demo', metavar='FOLDER', help='default dfjax-demo')
    parser.add_argument('--minutes', type=float, default=2.5, metavar='M', help='of the swap; default 2.5')
    parser.add_argument('--steps', type=int, metavar='N', help='of training, instead of --minutes')
    parser.add_argument('--force', action='store_true', help='replace a folder that an earlier demo made')


def run(args: argparse.Namespace) -> dict:
    """Renders, swaps and measures; returns the figures."""
    return demo(args.out, minutes=args.minutes if args.steps is None else None, steps=args.steps, force=args.force)


def spoken(report: dict, args: argparse.Namespace) -> dict:
    """The figures with what they mean, and where to look."""
    from dfjax.apps.evaluate import spoken
    from dfjax.apps.swap import UNTRAINED

    said = spoken(report) | ({'note': UNTRAINED} if not report['steps'] and args.steps is None else {})
    return said | {'next': f'look at {Path(args.out) / "comparison.png"}'}


def demo(out: Path | str, *, minutes: float | None = 2.5, steps: int | None = None, force: bool = False) -> dict:
    """Renders video.mp4 (person A) and face.mp4 (person B), swaps B into A, and compares with the rendered truth.

        demo('dfjax-demo', minutes=2.5)

    Returns:
        'psnr' and 'ssim' of the swap inside the face's mask, 'psnr_untouched' of the input there, 'transfer',
        'expression', 'detail' and the rest of `dfjax evaluate`, 'steps', 'seconds', and 'out'; look at comparison.png.

    Raises:
        InputError: if `out` holds other things, or an earlier demo that is complete, and not `force`.
    """
    from dfjax.apps.swap import check_length, swap
    from dfjax.data.media.output import atomic_folder
    from dfjax.evaluation.reference import compare_truth
    from dfjax.evaluation.swap import evaluate
    from dfjax.inference.settings import Settings
    from dfjax.ops.backend import accelerated
    from dfjax.training.workdir import last_step

    began = time.monotonic()
    check_length(minutes, steps)
    out = Path(out)
    begun = (out / 'truth.mp4').is_file() and not (out / 'comparison.png').exists() and not force
    if not begun:
        with atomic_folder(out, force, marker='truth.mp4') as folder:
            render_videos(folder)
    names = {name: out / f'{name}.mp4' for name in ('video', 'face', 'truth', 'mask', 'swap')}
    # Both are filmed in one light, and the truth has the skin of B: no colours are taken from the frame.
    if not names['swap'].exists():
        swap(
            [names['face']],
            names['video'],
            names['swap'],
            minutes=minutes,
            steps=steps,
            settings=Settings(colour='none'),
            config=None if accelerated() else ':quick',
        )
    figures = evaluate(
        names['swap'], names['video'], names['face'], names['truth'], names['mask'], every=4, progress=True
    )
    untouched = compare_truth(names['video'], names['truth'], names['mask'])
    write_comparison(names, out / 'comparison.png')
    figures |= {'psnr_untouched': untouched['psnr'], 'steps': last_step(f'{names["swap"]}.run'), 'out': str(out)}
    return figures | {'seconds': round(time.monotonic() - began, 1)}


def render_videos(folder: Path, frames: Mapping[str, int] = FRAMES, size: int = SIZE) -> None:
    """Writes video.mp4, face.mp4, truth.mp4 and mask.mp4 into `folder`, so many `frames` of sides a and b."""
    import numpy as np

    from dfjax.data.media.encode import VideoWriter
    from dfjax.data.render import animate, random_identity, render, truth
    from dfjax.data.render.parameters import LIGHT

    who = {side: random_identity(seed) for side, seed in SEEDS.items()}
    motion = {side: animate(seed, frames[side], FPS) for side, seed in SEEDS.items()}
    motion['b'] |= {name: motion['a'][name][:1] for name in LIGHT}
    video = render(who['a'], motion['a'], size)
    pictures = {
        'video': video.image,
        'face': render(who['b'], motion['b'], size).image,
        'truth': truth(who['a'], who['b'], motion['a'], size).image,
        'mask': np.repeat(video.mask[..., None], 3, -1),
    }
    for name, picture in pictures.items():
        with VideoWriter(folder / f'{name}.mp4', FPS, (size, size)) as writer:
            for frame in picture:
                writer.write(frame)


def write_comparison(names: dict[str, Path], path: Path) -> None:
    """A picture with six moments: the input, the swap, the truth, one above the other."""
    import numpy as np

    from dfjax.data.media.image import write_image
    from dfjax.data.media.video import probe, read_frames

    rows = []
    for name in ('video', 'swap', 'truth'):
        moments = np.linspace(0, (probe(names[name]).frames or 1) - 1, 6).astype(int)
        frames = {n: rgb for n, _, rgb in read_frames(names[name]) if n in moments}
        rows.append(np.concatenate([frames[n] for n in moments], 1))
    write_image(path, np.concatenate(rows))

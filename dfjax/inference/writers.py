"""What the frame pipeline writes into: a picture, a folder of them, a video or an animation, marked and signed."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from dfjax.data.media.animation import MOVING_SUFFIXES, AnimationWriter
from dfjax.data.media.choices import sdr
from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.image import over_white, write_image
from dfjax.data.media.mark import Mark
from dfjax.data.media.output import atomic_folder
from dfjax.data.media.planes import BT709
from dfjax.data.media.progress import say
from dfjax.data.media.signed import signed_path

TRANSPARENT = ('.png', '.webp', '.tif', '.tiff')  # kinds of pictures that can be
Write = Callable[[np.ndarray, Frame | None], None]


@contextlib.contextmanager
def open_writer(
    kind: str,
    target: Path,
    info: MediaInfo,
    *,
    size: tuple[int, int],
    fps: Fraction | float | None,
    sound: object,
    force: bool,
    credentials: dict,
    codec: str = '',
    crf: int | None = None,
) -> Iterator[Write]:
    """Yields a function of (uint8 RGB [H, W, 3], the frame that it was made of or None); pictures may be uint16 RGBA.

    `target` is whole, marked where it differs from its source, and signed when the block ends.

    Args:
        kind: 'image', 'images' or 'video'.
        info: of the source; a video's times, depth and colours are taken over.
        size: (width, height) of what is written.
        fps: frames a second of frames that follow each other; None: each has the time of that which it was made of.
        sound, codec, crf: as `VideoWriter` takes them; None for its own.
        credentials: as `sign` takes them.
    """
    if kind == 'images':
        numbers = itertools.count()
        with atomic_folder(target) as folder:

            def write(rgb: np.ndarray, _: Frame | None) -> None:
                with signed_path(folder / f'{next(numbers):06d}.png', **credentials) as (part, mark):
                    write_image(part, mark.on(rgb))

            yield write
        return
    with signed_path(target, force=force, **credentials) as (part, mark):
        marked = lambda rgb, of: mark.on(rgb) if _is_new(rgb, of) else rgb
        if kind == 'image':
            yield lambda rgb, of: write_image(part, _seen(marked(rgb, of), of, target))
        elif target.suffix.lower() in MOVING_SUFFIXES:
            if sound is not None:
                say(f'{target}: without its sound; a {target.suffix} has none')
            with AnimationWriter(part, fps or info.fps, size, force=True) as writer:
                yield lambda rgb, of: writer.write(marked(rgb, of), of.time if of else None)
        else:
            with _video_writer(part, info, size, fps, sound, codec, crf, mark) as write:
                yield write


@contextlib.contextmanager
def _video_writer(
    part: Path,
    info: MediaInfo,
    size: tuple,
    fps: Fraction | float | None,
    sound: object,
    codec: str,
    crf: int | None,
    mark: Mark,
) -> Iterator[Write]:
    like, keep = info if info.kind == 'video' else None, True
    if like and fps is not None:
        like = replace(like, time_base=1 / Fraction(fps).limit_denominator(100_000))
    if like and like.hdr and sdr():
        like, keep = replace(like, depth=8, colour=(BT709,) * 3, full_range=False, mastering=()), False
    how = {} if crf is None else {'crf': crf}
    with VideoWriter(part, fps or info.fps, size, sound=sound, like=like, codec=codec, **how) as writer:

        def write(rgb: np.ndarray, of: Frame | None) -> None:
            times = (of.pts, of.duration) if of else ()
            writer.write(rgb, *times, of=of if keep else None, mark=mark if _is_new(rgb, of) else None)

        yield write


def _is_new(rgb: np.ndarray, of: Frame | None) -> bool:
    """Whether a picture is another than the one that it was made of."""
    return of is None or (rgb is not of.rgb and not np.array_equal(rgb, of.rgb))


def _seen(rgb: np.ndarray, of: Frame | None, target: Path) -> np.ndarray:
    """A picture with the transparency of the one that it was made of, where its file can hold it, else over white."""
    if of is None or of.alpha is None:
        return rgb
    alpha = of.alpha
    if alpha.shape != rgb.shape[:2]:
        alpha = cv2.resize(alpha, rgb.shape[1::-1], interpolation=cv2.INTER_AREA)
    if target.suffix.lower() in TRANSPARENT:
        return np.dstack([rgb, alpha])
    say(f'{target.name}: transparency is laid over white; name the output .png to keep it')
    return over_white(rgb, alpha)

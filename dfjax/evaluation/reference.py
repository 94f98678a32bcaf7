"""PSNR and SSIM of a video against the true one, inside a mask: where the renderer gives the truth."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import zip_longest
from pathlib import Path

import numpy as np

from dfjax.data.media.inputs import iter_frames
from dfjax.errors import InputError
from dfjax.evaluation.metrics import decibels, ssim_map


def compare_truth(video: str | Path, truth: str | Path, mask: str | Path | None = None) -> dict:
    """PSNR in dB and SSIM of a video against the true one, inside the mask (white, above half) or everywhere.

    PSNR is of the mean squared error over all such pixels of all frames; SSIM (`metrics.ssim_map`) is their mean.

    Raises:
        InputError: the videos differ in length or size, or the mask is black throughout.
    """
    squared, similar, pixels = 0.0, 0.0, 0
    paths = [video, truth] if mask is None else [video, truth, mask]
    with side_by_side(paths) as frames:
        for a, b, *inside in frames:
            for frame, path in zip([a, b, *inside], paths):
                if a is None or frame is None or frame.shape != a.shape:
                    short, other = (video, truth) if a is None else (path, video)
                    raise InputError(f'{short}: its frames differ in number or size from those of {other}')
            inside = inside[0][..., 0] > 127 if inside else np.ones(a.shape[:2], bool)
            squared += ((a[inside].astype(np.float64) - b[inside]) ** 2).mean(-1).sum()
            similar += ssim_map(a, b)[inside].mean(-1).sum()
            pixels += int(inside.sum())
    if not pixels:
        raise InputError(f'{mask}: black throughout; it must be white where the videos are compared')
    return {'psnr': round(float(decibels(squared / pixels)), 3), 'ssim': round(float(similar / pixels), 4)}


@contextmanager
def side_by_side(paths: Sequence[str | Path]) -> Iterator[Iterator[tuple[np.ndarray | None, ...]]]:
    """Yields the frames uint8 [H, W, 3] of several videos together, None where one has ended; closed with the block."""
    with ExitStack() as stack:
        sources = [stack.enter_context(closing(iter_frames(path))) for path in paths]
        yield zip_longest(*((rgb for _, _, rgb, _ in frames) for frames in sources))

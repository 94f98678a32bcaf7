"""Jobs for tests, and videos passed through a function. It is not a test."""

from pathlib import Path

import numpy as np

from dfjax.inference.frames import Job, run_job
from dfjax.inference.plan import plan_outputs


class ListJob(Job):
    """A function of lists of (index, time, uint8 RGB [H, W, 3]), up to `batch` of them."""

    def process(self, info, group):
        return self.change([(frame.index, frame.time, frame.rgb) for frame in group])


def transform_video(src, dst, fn, *, batch=1, force=False, progress=None) -> int:
    """Writes `src` to `dst` with every picture passed through `fn`; returns the number of frames."""
    job = ListJob('made by a test', 'none', fn, batch)
    return run_job(job, plan_outputs(Path(src), Path(dst), force), progress)['frames']


def same(frames: list) -> list[np.ndarray]:
    return [rgb for _, _, rgb in frames]

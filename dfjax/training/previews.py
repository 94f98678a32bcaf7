"""Previews of a run: what it has learnt, on the same examples every time, for a person to judge by.

W/previews/N.jpg   the sheet after N steps: at the first steps, at every `preview_every`-th and the last, and those that
                   the clock asks for, while few steps are long; the later ones of these are not kept
W/preview.jpg      the newest
W/timelapse.webp   all that are kept, one after the other, when the run is complete

A preview is of the state as it is and changes nothing: neither the clock nor a preview ever touches what is learnt.
"""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
from ml_collections import ConfigDict

from dfjax.data.media.animation import AnimationWriter
from dfjax.data.media.progress import say
from dfjax.ops.image import to_uint8
from dfjax.systems import load_system
from dfjax.systems.state import State
from dfjax.training.parallel import Devices, on_first_device
from dfjax.training.report import Report
from dfjax.training.workdir import is_remote

EXAMPLES = 8  # at most
FIRST = (0, 10, 30, 100)  # steps at which a person sees whether it begins well
CLOCK = 30.0  # seconds after which there is a newer one, whatever the step
SHARE = 30  # times what a preview takes, which the next one by the clock waits
APART = 1.05  # steps of kept ones by the clock, one over the other: a run of any length keeps a few hundred
LEAST = 96  # pixels of a column, so that its name can be read
STRIP = 22  # pixels of the strip with names and step
SHOWN, LONGEST, TALLEST = 60, 960, 720  # frames of a timelapse, at most, and its sides in pixels
FPS = 8


class Previews:
    """When previews are due, and making them.

    Args:
        cfg: reads `preview_every`: 0 for none at all.
        report: where the pictures go; a process that does not speak makes none.
        step: after which the run goes on.
    """

    def __init__(self, cfg: ConfigDict, devices: Devices, report: Report, step: int):
        self.cfg, self.report = cfg, report
        self._picture = devices.previewer(EXAMPLES) if report.speaks and cfg.preview_every else None
        self._names = (*getattr(load_system(cfg.system), 'COLUMNS', ()), *cfg.get('data', {}).get('labels', ()))
        self._kept = step
        self._again = math.inf  # when the clock asks for one
        self._by_clock = self._picture is not None and jax.process_count() == 1

    def next(self, step: int) -> float:
        """The next step at which one is due."""
        every = self.cfg.preview_every
        if not every:
            return math.inf
        return min([first for first in FIRST if first > step] + [(step // every + 1) * every])

    def due(self, step: int) -> bool:
        """Whether one is due at this step, the last included."""
        return bool(self.cfg.preview_every) and (step == self.cfg.steps or self.next(step - 1) == step)

    def overdue(self) -> bool:
        """Whether the clock asks for one: never where there are several processes, which would wait for this one."""
        return time.monotonic() > self._again

    def later(self, state: State, step: int) -> Callable[[], None]:
        """How to `show` a state that a step is about to use up: it waits on the host, and devices hold one alone."""
        if self._picture is None:
            return lambda: None
        device, frozen = jax.local_devices()[0], state.frozen
        kept = jax.device_get(on_first_device(state.replace(opt={}, frozen={})))
        return lambda: self.show(jax.device_put(kept, device).replace(frozen=frozen), step)

    def show(self, state: Any, step: int) -> None:
        """Makes the sheet of a state; keeps it but for one by the clock that is hardly further than the one before."""
        if self._picture is None:
            return
        began = time.monotonic()
        pictures, examples = self._picture(on_first_device(state))
        n = len(pictures)
        columns = n // examples if n > examples and n % examples == 0 else math.ceil(n**0.5)
        names = self._names[:columns] if n > examples else ()
        picture = labelled(sheet(np.asarray(pictures, np.float32), columns), columns, names, step)
        keep = self.due(step) or step >= APART * self._kept
        self.report.preview(step, picture, keep)
        self._kept = step if keep else self._kept
        if self._by_clock:
            now = time.monotonic()
            self._again = now + max(CLOCK, SHARE * (now - began))

    def finish(self) -> None:
        """Writes the timelapse of a complete run."""
        if self._picture is not None and not is_remote(self.report.workdir):
            write_timelapse(Path(self.report.workdir))


def sheet(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures [N, H, W, 3] in [-1, 1] side by side, in rows of `columns`: uint8 [rows * H, columns * W, 3]."""
    n, h, w, _ = pictures.shape
    rows = math.ceil(n / columns)
    full = np.full((rows * columns, h, w, 3), -1.0, np.float32)
    full[:n] = pictures
    full = full.reshape(rows, columns, h, w, 3).transpose(0, 2, 1, 3, 4).reshape(rows * h, columns * w, 3)
    return to_uint8(full)


def labelled(picture: np.ndarray, columns: int, names: Sequence[str], step: int) -> np.ndarray:
    """A sheet under a strip with the names of its columns and the step at the right; small ones are enlarged.

    Args:
        picture: uint8 [H, W, 3].
        names: of the columns from left to right, or none.
    """
    times = math.ceil(LEAST * columns / picture.shape[1])
    picture = picture.repeat(times, 0).repeat(times, 1)
    width = picture.shape[1]
    strip = np.zeros((STRIP, width, 3), np.uint8)
    for n, name in enumerate(names):
        _write(strip, name, n * width // columns + 3, width // columns - 6, 'left')
    below = np.zeros((STRIP, width, 3), np.uint8)
    _write(below, f'step {step}', 3, width - 6, 'right')
    return np.concatenate([*([strip] if names else []), picture, below])


def _write(strip: np.ndarray, text: str, left: int, room: int, side: str) -> None:
    """Draws a line of text into so many pixels of a strip, smaller where it is long."""
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    scale = 0.45 * min(1.0, room / width)
    at = left if side == 'left' else left + max(room - round(width * scale / 0.45), 0)
    cv2.putText(strip, text, (at, STRIP - 7), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)


def write_timelapse(workdir: Path) -> None:
    """Writes W/timelapse.webp of W/previews, their upper rows, where there are two or more of one size."""
    files = sorted(workdir.glob('previews/*.jpg'), key=lambda file: file.name)
    files = [files[n] for n in np.unique(np.linspace(0, len(files) - 1, SHOWN).round().astype(int))] if files else []
    pictures = [picture for file in files if (picture := cv2.imread(str(file))) is not None]
    pictures = [picture[..., ::-1] for picture in pictures if picture.shape == pictures[-1].shape]
    if len(pictures) < 2:
        return
    height, width = pictures[-1].shape[:2]
    shrink = min(1.0, LONGEST / width, TALLEST / height)
    size = (int(width * shrink) // 2 * 2, int(height * shrink) // 2 * 2)
    with AnimationWriter(workdir / 'timelapse.webp', FPS, size, force=True) as writer:
        for picture in pictures:
            writer.write(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    say(f'{workdir / "timelapse.webp"}: how it learnt')

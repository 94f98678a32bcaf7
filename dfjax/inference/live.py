"""A face swap for frames that come one at a time: cameras, servers, loops of one's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from dfjax.data.faces.live import LiveSearch
from dfjax.data.media.mark import Mark
from dfjax.data.media.signing_key import identity, signer_file
from dfjax.errors import InputError
from dfjax.inference.run import Run
from dfjax.inference.settings import DEFAULTS, Settings
from dfjax.inference.swap import Swapper, open_swapper
from dfjax.training.parallel import enable_compilation_cache


def swapper(
    run: Run | Path | str,
    *,
    settings: Settings = DEFAULTS,
    side: str = 'b',
    morph: float | None = None,
    person: Path | str = '',
    detector: str = 'dlib',
    detector_model: Path | str | None = None,
) -> 'LiveSwapper':
    """Opens a trained swap for frames that come one at a time.

        swapper = dfjax.swapper('runs/anna')
        shown = swapper.frame(rgb)

    It does with one frame what `convert` does with a picture. From frame to frame a face is followed, its colours and
    mask are steadied, and nothing is compiled after the first one, whatever the frames' size. Frames have no content
    credentials: those are of files.

    Args:
        run: the folder of a run whose system can swap, or what `load_run` gave.
        settings: how, see `inference.settings`; without parts of a video, people, views and codecs.
        side: whose face to put in: 'b', or 'a'.
        morph: how far from the person seen to the one put in, see `inference.run.with_morph`.
        person: a picture of whose face to replace; '' for the largest face.
        detector, detector_model: see `data.faces.detect.load_detector`.

    Raises:
        InputError: as `load_run`, `Settings.check` and `LiveSearch`; settings of files.
    """
    enable_compilation_cache()
    if replace(settings.check().look(0.0), mask_net=settings.mask_net) != settings:
        raise InputError('settings: frames that come one at a time have no times, people, views and codecs')
    search = LiveSearch(detector, detector_model, person)
    return LiveSwapper(open_swapper(run, settings, side, morph, batch_size=1), search)


class LiveSwapper:
    """What `swapper` gives; for one stream of frames, in order."""

    def __init__(self, swap: Swapper, search: LiveSearch):
        self._swap, self._search = swap, search
        self._mark = Mark(owner=identity(signer_file())[0])

    def frame(self, rgb: np.ndarray) -> np.ndarray:
        """The frame uint8 RGB [H, W, 3] with the face swapped and the invisible mark of `dfjax verify`.

        A frame without the face, or whose settings leave it, is returned itself.

        Raises:
            InputError: another shape, or another kind of numbers.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
            raise InputError(f'frame: {rgb.dtype} {rgb.shape}; give uint8 RGB [H, W, 3]')
        seen = np.ascontiguousarray(rgb)  # as OpenCV's with its channels turned about is not
        face = self._search(seen)
        (made,) = self._swap([seen], [[] if face is None else [face]])
        return rgb if made is seen else self._mark.on(made)

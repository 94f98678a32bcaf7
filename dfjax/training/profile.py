"""What the devices do in a few steps of a run: a trace that TensorBoard, with XProf, shows on a time line."""

import contextlib
import math
from pathlib import Path

import jax

from dfjax.training.workdir import say

FROM, TO = 10, 20  # steps after the first: those before compile


class Profile(contextlib.ExitStack):
    """Traces steps FROM to TO of a call of `train`, or fewer if it ends before: a context manager.

    Args:
        folder: where the trace is written; None to trace nothing.
        step: the one that training begins with.

    Raises:
        OSError: if the folder cannot be made.
    """

    def __init__(self, folder: str | Path | None, step: int):
        super().__init__()
        self.folder, self._due = folder, []
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._due = [step + FROM, step + TO]

    def next(self, step: int) -> float:
        """Begins or ends the trace if it is to before `step`, all before which are done; the step when this is next."""
        if self._due and step == self._due[0]:
            del self._due[0]
            if self._due:
                jax.profiler.start_trace(str(self.folder))
                self.callback(self._written)
            else:
                self.close()
        return self._due[0] if self._due else math.inf

    def _written(self) -> None:
        jax.profiler.stop_trace()
        say(f'{self.folder}: a trace of steps; `tensorboard --logdir {self.folder}` shows it (pip install xprof)')

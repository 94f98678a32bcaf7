"""Why a run stops before its end: a signal, a deadline, or somebody who has seen enough and made the file W/stop.

With several processes a run stops for all of them at the same step: each says with every dispatch whether it wants to
stop, and reads with the metrics of the dispatch before whether one of them does (`parallel.Devices.advance`). JAX's own
`multihost_utils.reached_preemption_sync_point` serves SIGTERM alone, and once in the life of a process.
"""

import contextlib
import signal
import threading
import time
from pathlib import Path
from typing import Any

from dfjax.training.processes import greatest

STOP = 'stop'  # a file in a run's folder, of any content: the run saves and returns, and a swap is then converted


class Stop:
    """Notices signals and the deadline while it is entered; a second signal does what it did before.

    Args:
        until: the deadline, by `time.monotonic`.
        workdir: the run's folder, where `STOP` is looked for.
    """

    def __init__(self, until: float, workdir: str | Path):
        self.until = until
        self.signal = 0
        self._enough = Path(workdir) / STOP

    def __enter__(self) -> 'Stop':
        self._before = {}
        self._forget()  # one of an earlier training
        if threading.current_thread() is threading.main_thread():  # Python allows it nowhere else
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number in self._before:
            self._restore(number)
        self._forget()

    def _forget(self) -> None:
        with contextlib.suppress(OSError):  # as in a bucket
            self._enough.unlink()

    def _note(self, number: int, frame: Any) -> None:
        self.signal = number
        self._restore(number)

    def _restore(self, number: int) -> None:
        before = self._before[number]
        signal.signal(number, signal.SIG_DFL if before is None else before)  # None: not set by Python

    def wanted(self) -> bool:
        """Whether it is time to stop."""
        return self.signal != 0 or time.monotonic() > self.until or self._enough.exists()

    def share(self) -> None:
        """All processes leave alike: by the signal that one of them has got."""
        self.signal = greatest(self.signal)

    def leave(self) -> None:
        """Ends the program as the signal asked, if there was one."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal:
            raise SystemExit(128 + self.signal)

"""Why a run stops before its end: a signal, or a deadline.

With several processes a run stops for all of them at the same step: each says with every dispatch whether it wants to
stop, and reads with the metrics of the dispatch before whether one of them does (`parallel.Devices.advance`). JAX's own
`multihost_utils.reached_preemption_sync_point` serves SIGTERM alone, and once in the life of a process.
"""

import signal
import threading
import time
from typing import Any

from dfjax.training.processes import greatest


class Stop:
    """Notices signals and the deadline while it is entered; a second signal does what it did before.

    Args:
        until: the deadline, by `time.monotonic`.
    """

    def __init__(self, until: float):
        self.until = until
        self.signal = 0

    def __enter__(self) -> 'Stop':
        self._before = {}
        if threading.current_thread() is threading.main_thread():  # Python allows it nowhere else
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number in self._before:
            self._restore(number)

    def _note(self, number: int, frame: Any) -> None:
        self.signal = number
        self._restore(number)

    def _restore(self, number: int) -> None:
        before = self._before[number]
        signal.signal(number, signal.SIG_DFL if before is None else before)  # None: not set by Python

    def wanted(self) -> bool:
        """Whether it is time to stop."""
        return self.signal != 0 or time.monotonic() > self.until

    def share(self) -> None:
        """All processes leave alike: by the signal that one of them has got."""
        self.signal = greatest(self.signal)

    def leave(self) -> None:
        """Ends the program as the signal asked, if there was one."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal:
            raise SystemExit(128 + self.signal)

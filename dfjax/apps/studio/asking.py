"""The server's side of `looker.py`: one process that is started when it is needed, and again when it has died."""

import threading
from concurrent.futures import TimeoutError as TooLong
from typing import Any

from dfjax.data.processes import ENDED, Workers
from dfjax.errors import InputError

PATIENCE = 180  # seconds for an answer, compilation included
LONG = 1200  # seconds for attributes, which are learnt from a labelled set when they are first asked for
IDLE = 900  # seconds without a question after which its memory is given back


class Asking:
    """`ask(do, ...)` has the other process do it; one question after the other. Thread-safe."""

    def __init__(self) -> None:
        self._turn, self._workers, self._timer = threading.Lock(), None, None

    def ask(self, do: str, patience: float = PATIENCE, **what: Any) -> Any:
        """The answer, which may take so many seconds.

        Raises:
            InputError: as the method of `Looker`; it takes too long, or its process died.
        """
        with self._turn:
            self._rest(None)
            if self._workers is None:
                self._workers = Workers('dfjax.apps.studio.looker', count=1).__enter__()
            try:
                return self._workers.ask({'do': do, **what}).result(patience)[0]
            except TooLong:
                self._drop()
                raise InputError('It took too long; try again when less is at work.') from None
            except InputError as error:
                if str(error) == ENDED:
                    self._drop()
                    raise InputError('It cannot be read: the program that looks at it ended.') from None
                raise
            finally:
                self._rest(IDLE)

    def close(self) -> None:
        """Ends the other process."""
        self._rest(None)
        self._drop()

    def _idle(self) -> None:
        with self._turn:
            self._drop()

    def _rest(self, seconds: float | None) -> None:
        """Lets the process end after a while without questions; None: not yet."""
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if seconds is not None and self._workers is not None:
            self._timer = threading.Timer(seconds, self._idle)
            self._timer.daemon = True
            self._timer.start()

    def _drop(self) -> None:
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.__exit__(InputError)

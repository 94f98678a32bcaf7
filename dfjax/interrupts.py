"""Signals that stop the program: noticed where it is safe to stop, and never lost.

Python raises KeyboardInterrupt wherever the main thread happens to be. Between a thread's start and the `with` that
ends it, a file is then closed under an encoder, which crashes the process; inside a callback of the garbage collector
(JAX has one), a destructor or C code, the exception is printed or dropped, and the program goes on to its end.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 0.02  # seconds until a lost interrupt is raised once more: time to leave the callback that it was lost in

_before: dict[int, object] = {}  # handlers in force outside the outermost `deferred`
_noted: int | None = None  # a signal that has arrived and has not been acted upon


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """A block in which SIGINT and SIGTERM wait for the next `check`, or for its end; a second one does not wait."""
    if _before or threading.current_thread() is not threading.main_thread():  # handlers can be set in no other thread
        yield
        return
    try:
        for number in SIGNALS:
            if callable(handler := signal.getsignal(number)) or handler is signal.SIG_DFL:  # not one that is ignored
                _before[number] = signal.signal(number, _note)
        yield
    finally:
        for number, handler in _before.items():
            signal.signal(number, handler)
        handlers, number = dict(_before), _taken()
        _before.clear()
        _act(number, handlers)


def check() -> None:
    """Does what a signal that waits asks for: raises KeyboardInterrupt, or what its handler does."""
    if _noted is not None and threading.current_thread() is threading.main_thread():
        _act(_taken(), _before)


def watch() -> None:
    """For a program's start: SIGTERM unwinds as Ctrl-C does, and neither is lost in a callback."""
    signal.signal(signal.SIGTERM, _interrupt)
    hook = sys.unraisablehook

    def again(lost) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            return hook(lost)
        timer = threading.Timer(AGAIN, signal.pthread_kill, [threading.main_thread().ident, signal.SIGTERM])
        timer.daemon = True
        timer.start()

    sys.unraisablehook = again


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _note(number: int, frame: object) -> None:
    global _noted
    if _noted is None:
        _noted = number
    else:
        _act(number, _before)


def _taken() -> int | None:
    global _noted
    number, _noted = _noted, None
    return number


def _act(number: int | None, handlers: dict) -> None:
    if number is None:
        return
    if callable(handler := handlers[number]):
        handler(number, None)
    else:
        raise SystemExit(128 + number)

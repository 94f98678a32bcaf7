"""Two threads around a loop: one that reads ahead of it and one that works off what it leaves behind."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator

END = object()
POLL = 0.1  # seconds; how soon a thread blocked on a full queue sees that the other side has gone


def ahead(items: Iterator, depth: int) -> Iterator:
    """Yields `items`, produced by a thread up to `depth` ahead. Its exception is raised here, after what came before.

    Closing the generator (or an exception where it is used) ends the thread and closes `items` before returning.
    """
    ready: queue.Queue = queue.Queue(depth)
    gone = threading.Event()

    def run():
        last = (END, None)
        try:
            with contextlib.closing(items):
                for item in items:
                    if not _put(ready, (item, None), gone):
                        return
        except BaseException as error:
            last = (END, error)
        _put(ready, last, gone)

    thread = threading.Thread(target=run, daemon=True, name='ahead')
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is END:
                return
            yield item
    finally:
        gone.set()
        thread.join()


class Behind:
    """A context manager whose `put(item)` has `work(item)` done by a thread, in order, at most `depth` items behind.

    An exception of `work` is raised by a later `put` or at the end of the block. The block ends when all is done, or,
    where it ends by an exception, when the item at work is.
    """

    def __init__(self, work: Callable, depth: int):
        self._work, self._todo = work, queue.Queue(depth)
        self._gone, self._error = threading.Event(), None
        self._thread = threading.Thread(target=self._run, daemon=True, name='behind')

    def __enter__(self):
        self._thread.start()
        return self

    def put(self, item) -> None:
        if not _put(self._todo, item, self._gone) and self._error is not None:
            raise self._error

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.put(END)
                self._thread.join()
        finally:  # after an exception of the block, or a Ctrl-C in the lines above
            self._gone.set()
            self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def _run(self):
        try:
            while True:
                try:
                    item = self._todo.get(timeout=POLL)
                except queue.Empty:
                    if self._gone.is_set():
                        return
                    continue
                if item is END or self._gone.is_set():
                    return
                self._work(item)
        except BaseException as error:
            self._error = error
            self._gone.set()


def _put(to: queue.Queue, item, gone: threading.Event) -> bool:
    """Waits for room; False when the other side has gone."""
    while not gone.is_set():
        with contextlib.suppress(queue.Full):
            to.put(item, timeout=POLL)
            return True
    return False

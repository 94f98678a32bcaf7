"""Worker processes on all cores, and futures of what they find."""

import contextlib
import json
import queue
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from dfjax.data.faces.search import Found
from dfjax.data.processes import cores, ended, start_worker


class Pool:
    """A context manager around worker processes, one thread here for each; `search` and `describe` return futures."""

    def __init__(self, kind: str = 'dlib', model=None, thorough: bool = False, workers: int | None = None):
        self.workers = workers or cores()
        self._arguments = [kind, '' if model is None else str(model), 'thorough' if thorough else '']

    def __enter__(self) -> 'Pool':
        command = ['dfjax.data.faces.worker', *self._arguments]
        pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
        self._processes = [start_worker(*command, **pipes) for _ in range(self.workers)]
        self._free: queue.Queue = queue.Queue()
        for process in self._processes:
            self._free.put(process)
        self._threads = ThreadPoolExecutor(self.workers)
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            self._threads.shutdown()
        for process in self._processes:  # they hold nothing, and freeing their models would take a while
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            with contextlib.suppress(BrokenPipeError):  # one that died with a request half-written
                process.stdin.close()
            process.wait()
            process.stdout.close()

    def search(self, frames: list[np.ndarray]) -> 'Future[list[list[Found]]]':
        """The faces of consecutive frames uint8 [H, W, 3] of one size; see search.Search.run."""
        return self._threads.submit(self._search, frames)

    def describe(self, rgb: np.ndarray, landmarks: np.ndarray) -> 'Future[np.ndarray]':
        """The descriptor float32 [128] of the face with these landmarks [68, 2]."""
        return self._threads.submit(lambda: np.array(self._ask([rgb], landmarks.tolist()), np.float32))

    def _search(self, frames: list[np.ndarray]) -> list[list[Found]]:
        return [[_found(row) for row in rows] for rows in self._ask(frames, None)]

    def _ask(self, frames: list[np.ndarray], landmarks: list | None):
        process = self._free.get()
        try:
            request = {'shape': [len(frames), *frames[0].shape], 'landmarks': landmarks}
            process.stdin.write(json.dumps(request).encode() + b'\n')
            for frame in frames:
                process.stdin.write(np.ascontiguousarray(frame).data)
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = b''
        finally:
            self._free.put(process)
        if not answer:
            raise ended()
        return json.loads(answer)


def _found(row: dict) -> Found:
    return Found(tuple(row['box']), row['score'], np.array(row['landmarks'], np.float32), row['sharpness'])

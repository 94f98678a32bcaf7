"""One worker process of `render.render`: a line of JSON in, arrays of bytes out, picture by picture."""

import json
import signal
import sys

import cv2
import numpy as np

from dfjax.data.render.render import draw


def serve() -> None:
    """Draws the job of the first line of the input: 'who' and 'how', lists by name, 'size' and 'skin'."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)
    job = json.loads(sys.stdin.readline())
    for n in range(len(next(iter(job['how'].values())))):
        for array in draw(job['who'], job['how'], n, job['size'], job['skin']):
            sys.stdout.buffer.write(np.ascontiguousarray(array).data)
    sys.stdout.buffer.flush()


if __name__ == '__main__':
    serve()

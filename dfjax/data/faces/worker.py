"""One worker process of `pool.Pool`: requests on standard input, a line of JSON for each on standard output.

A request is a line of JSON, {"shape": [N, H, W, 3], "landmarks": [[x, y], ...] or null}, and that many bytes of RGB.
Without landmarks the frames are searched; with them the one frame's face is described. dlib's Python functions hold
the interpreter's lock, so threads do not help; a process of its own, which never imports JAX, does. The process ends
when its input does, also when its parent is killed.
"""

import json
import os
import signal
import sys

import numpy as np

from dfjax.data.faces.detect import load_detector
from dfjax.data.faces.face import numbers
from dfjax.data.faces.identity import load_descriptor
from dfjax.data.faces.landmarks import load_landmarker
from dfjax.data.faces.search import Search


def serve(kind: str, model: str | None, thorough: bool) -> None:
    """Answers requests until the input ends."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    search = Search(load_detector(kind, model), load_landmarker(), thorough)
    describe = None
    while line := requests.readline():
        request = json.loads(line)
        shape = request['shape']
        frames = np.frombuffer(requests.read(int(np.prod(shape))), np.uint8).reshape(shape)
        if request['landmarks'] is not None:
            describe = describe or load_descriptor()
            answer = numbers(describe(frames[0], np.array(request['landmarks'])))
        else:
            answer = [[_row(face) for face in faces] for faces in search.run(list(frames))]
        answers.write(json.dumps(answer) + '\n')
        answers.flush()


def _row(face) -> dict:
    return vars(face) | {'landmarks': numbers(face.landmarks)}


if __name__ == '__main__':
    serve(sys.argv[1], sys.argv[2] or None, sys.argv[3] == 'thorough')

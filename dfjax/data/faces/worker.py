"""A worker of `workers.Pool`: searches frames, or describes a face.

dlib's Python functions hold the interpreter's lock, so threads do not help; a process of its own, which never imports
JAX, does.
"""

import sys

import numpy as np

from dfjax.data.faces.detect import load_detector
from dfjax.data.faces.identity import load_descriptor
from dfjax.data.faces.landmarks import load_landmarker
from dfjax.data.faces.search import Search
from dfjax.data.processes import serve


def main(kind: str, model: str, thorough: str) -> None:
    """Answers 'search' (of frames) and 'describe' (of a frame and landmarks [68, 2]), see `workers.Pool`."""
    import cv2

    cv2.setNumThreads(1)
    search = Search(load_detector(kind, model or None), load_landmarker(), thorough == 'thorough')
    describe = None

    def answer(what: str, arrays: list[np.ndarray]) -> tuple[list | None, list[np.ndarray]]:
        nonlocal describe
        if what == 'describe':
            describe = describe or load_descriptor()
            return None, [describe(*arrays)]
        found = search.run(arrays)
        rows = [[[face.box, face.score, face.sharpness] for face in faces] for faces in found]
        return rows, [face.landmarks for faces in found for face in faces]

    serve(answer)


if __name__ == '__main__':
    main(*sys.argv[1:])

"""A worker of `measure.measure`: looks at one frame a request."""

from functools import partial

import cv2

from dfjax.data.processes import serve
from dfjax.evaluation.measure import load_models, look


def main() -> None:
    """Answers as `measure.look` does."""
    cv2.setNumThreads(1)
    serve(partial(look, load_models()))


if __name__ == '__main__':
    main()

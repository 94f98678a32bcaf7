"""A worker of `render.render`: draws one picture a request."""

import cv2
import numpy as np

from dfjax.data.processes import serve
from dfjax.data.render.render import draw


def main() -> None:
    """Draws pictures: the value is {'who', 'how': numbers by name, 'size', 'skin'}, the arrays are those of `draw`."""
    cv2.setNumThreads(1)

    def answer(job: dict, arrays: list[np.ndarray]) -> tuple[None, tuple[np.ndarray, ...]]:
        who, how = ({name: [number] for name, number in job[part].items()} for part in ('who', 'how'))
        return None, draw(who, how, 0, job['size'], job['skin'])

    serve(answer)


if __name__ == '__main__':
    main()

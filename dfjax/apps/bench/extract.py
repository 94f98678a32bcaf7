"""`dfjax bench extract`: extraction beside bare dlib, which makes the same calls for every frame, on all cores."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path


def run(src: Path | str | None = None, frames: int = 240, repeats: int = 5) -> dict:
    """Times `extract_faces` (decoding, search, descriptors, cutting, writing) and bare dlib in turns.

    Bare dlib is one process a core, on decoded frames in memory: its detector and landmarks for every frame, its
    descriptor for every 30th, models loaded and nothing else.

    Args:
        src: a video with one face; without it, rendered heads.
        frames: how many of its frames.
        repeats: of both; the fastest of each counts.

    Returns:
        {'frames', 'cores', 'dlib_s', 'extract_s', 'dlib_over_extract', 'faces', 'faces_dlib'}.
    """
    import itertools

    import numpy as np

    from dfjax.apps.extract import extract_faces
    from dfjax.data.media.video import VideoWriter, read_frames
    from dfjax.data.processes import cores

    with tempfile.TemporaryDirectory() as folder:
        video, stack = Path(folder) / 'bench.mp4', Path(folder) / 'frames.npy'
        pictures = _rendered(frames) if src is None else [p for *_, p in itertools.islice(read_frames(src), frames)]
        with VideoWriter(video, 30, pictures[0].shape[1::-1]) as writer:
            for picture in pictures:
                writer.write(picture)
        np.save(stack, np.stack(pictures))
        ours, theirs = [], []
        for _ in range(repeats):
            seconds, found = _bare(stack, cores())
            theirs.append(seconds)
            start = time.perf_counter()
            report = extract_faces([video], Path(folder) / 'faces', force=True, progress=False)
            ours.append(time.perf_counter() - start)
    return {
        'frames': len(pictures),
        'cores': cores(),
        'dlib_s': round(min(theirs), 3),
        'extract_s': round(min(ours), 3),
        'dlib_over_extract': round(min(theirs) / min(ours), 3),
        'faces': report['faces'],
        'faces_dlib': found,
    }


def _rendered(frames: int) -> list:
    from dfjax.data.render import animate, random_identity, render

    return list(render(random_identity(0), animate(0, frames), 512).image)


def _bare(stack: Path, count: int) -> tuple[float, int]:
    """Seconds that `count` processes of bare dlib take together, and the frames in which they found a face."""
    start = time.perf_counter()
    command = [sys.executable, '-m', 'dfjax.apps.bench.extract', str(stack), str(count)]
    processes = [subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, text=True) for n in range(count)]
    found = sum(int(process.communicate()[0]) for process in processes)
    return time.perf_counter() - start, found


def _bare_worker(stack: str, count: int, number: int) -> int:
    import dlib
    import numpy as np

    from dfjax.data.faces.analyse import DESCRIBE_EVERY
    from dfjax.data.faces.dlib_models import DESCRIPTOR, LANDMARKS, dlib_model

    detector = dlib.get_frontal_face_detector()
    landmarks = dlib.shape_predictor(dlib_model(LANDMARKS))
    descriptor = dlib.face_recognition_model_v1(dlib_model(DESCRIPTOR))
    pictures, found = np.load(stack, mmap_mode='r'), 0
    for n in range(number, len(pictures), count):
        picture = np.array(pictures[n])
        boxes = detector(picture, 0)
        found += bool(boxes)
        for box in boxes:
            shape = landmarks(picture, box)
            if n % DESCRIBE_EVERY == 0:
                descriptor.compute_face_descriptor(picture, shape)
    return found


if __name__ == '__main__':
    print(_bare_worker(sys.argv[1], *map(int, sys.argv[2:])))

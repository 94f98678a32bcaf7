"""A job in a process of its own, in which the n-th change of the disk goes wrong. It is not a test.

    python faulty.py JOB FOLDER AT HOW

HOW is kill (there, leaving torn what was being written), full (from there on the disk is) or term (told to stop). A
change is what Python's audit hooks see of files under FOLDER: one opened for writing, renamed, deleted, or a folder
made. The last line printed is how many there were.
"""

import errno
import os
import shutil
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ.setdefault('JAX_PLATFORMS', 'cpu')

CHANGES = {'os.rename': 0, 'os.remove': 0, 'os.mkdir': 0, 'os.rmdir': 0, 'os.truncate': 0, 'open': 0}
KILLED = 9


class Faults:
    """An audit hook; `count` is how many changes it has seen."""

    def __init__(self, folder: Path, at: int, how: str):
        self.folder, self.at, self.how, self.count, self.busy = str(folder), at, how, 0, False

    def __call__(self, event: str, args: tuple) -> None:
        if self.busy or event not in CHANGES or not isinstance(args[0], str | bytes | os.PathLike):
            return
        path = os.fspath(args[0])
        path = os.fsdecode(path)
        if not os.path.abspath(path).startswith(self.folder):
            return
        if event == 'open' and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        self.count += 1
        if self.how == 'full' and self.count >= self.at > 0 and event != 'os.remove' and event != 'os.rmdir':
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if self.count != self.at:
            return
        if self.how == 'term':
            os.kill(os.getpid(), signal.SIGTERM)
        if self.how == 'kill':
            self.busy = True
            if event == 'open' and not os.path.isdir(path):  # torn: a part of what was to be written is there
                with open(path, 'ab') as file:
                    file.write(b'{"step": 1')
            os._exit(KILLED)


# Jobs, and what must hold after each of them


def convert(folder: Path) -> None:
    """A video with sound through the frame pipeline."""
    from dfjax.inference.frames import Job, run_job
    from dfjax.inference.plan import plan_outputs

    job = Job('', '', lambda pictures: [255 - rgb for rgb in pictures], 4)
    run_job(job, plan_outputs(folder.parent / 'in.mkv', folder / 'out.mp4', force=True))


def converted(folder: Path) -> None:
    from dfjax.data.media.credentials import read_credentials
    from dfjax.data.media.video import read_frames

    if (folder / 'out.mp4').exists():
        assert len(list(read_frames(folder / 'out.mp4'))) == 10
        assert read_credentials(folder / 'out.mp4')['intact']
    assert {path.name for path in folder.iterdir() if path.name[0] != '.'} <= {'out.mp4'}


def faces(folder: Path) -> None:
    """A face set, made or replaced."""
    from fake_faces import write_faces

    write_faces(folder / 'faces', force=True)


def faces_made(folder: Path) -> None:
    from dfjax.data.faces.faceset import load_faceset

    if (folder / 'faces').exists():
        assert len(load_faceset(folder / 'faces')) == 6
    assert {path.name for path in folder.iterdir() if path.name[0] != '.'} <= {'faces'}


def pictures(folder: Path) -> None:
    """A folder of pictures through the frame pipeline."""
    from dfjax.inference.frames import Job, run_job
    from dfjax.inference.plan import plan_outputs

    shutil.rmtree(folder / 'out', ignore_errors=True)
    run_job(Job('', '', lambda pictures: pictures), plan_outputs(folder.parent / 'in', folder / 'out'))


def pictures_made(folder: Path) -> None:
    from dfjax.data.media.credentials import read_credentials

    if (folder / 'out').exists():
        made = sorted((folder / 'out').iterdir())
        assert [path.name for path in made] == ['a.png', 'b.png']
        assert all(read_credentials(path)['intact'] for path in made)


def train(folder: Path) -> None:
    """A run of the toy system, whose end is compared."""
    import numpy as np
    import toy_run
    import toy_system as toy

    from dfjax.config import build
    from dfjax.training import loop

    with toy.installed():
        cfg = build(toy.default_config(), {'steps': 12, 'checkpoint_every': 4, 'preview_every': 6, 'log_every': 2})
        state = loop.train(cfg, folder / 'w', data=toy.resident(cfg), progress=False)
    if int(state.step) == 12:
        np.savez(folder.parent / f'{folder.name}.npz', *toy_run.leaves(state))


def trained(folder: Path) -> None:
    import json

    rows = folder / 'w' / 'metrics.jsonl'
    if (folder.parent / f'{folder.name}.npz').exists():
        steps = [json.loads(line)['step'] for line in rows.read_text().splitlines()]
        assert steps == sorted(set(steps)) and steps[-1] == 12, steps


JOBS = {'convert': (convert, converted), 'faces': (faces, faces_made), 'pictures': (pictures, pictures_made)}
JOBS |= {'train': (train, trained)}


def job_of(name: str):
    """What a job does in a folder, and what must hold afterwards."""
    import whole_jobs

    return JOBS[name] if name in JOBS else whole_jobs.job(name)


def main(job: str, folder: Path, at: int, how: str) -> int:
    from dfjax import interrupts
    from dfjax.errors import InputError

    interrupts.watch()
    faults = Faults(folder, at, how)
    sys.addaudithook(faults)
    status = 0
    try:
        job_of(job)[0](folder)
    except InputError as error:
        print(error, file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    faults.how = ''
    print(faults.count, flush=True)
    return status


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).resolve(), int(sys.argv[3]), sys.argv[4]))

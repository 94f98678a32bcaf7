"""The studio's jobs: a queue, one job at a time on each device, each a process of its own, kept as small files.

DIR/.studio/jobs/ID/job.json    what it is: `commands`, `out`, `run`, `state` and when
                    lock        held by its process, so that a studio that is started again knows whether it lives
                    log, out    what it said and reported
                    status      its exit status, written when it ends
"""

import contextlib
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from dfjax.apps.studio.progress import notes_of, progress_of, report_of, why_failed
from dfjax.apps.studio.store import HIDDEN, ID, Locked, clock, is_locked, new_id, read_json, write_json
from dfjax.errors import InputError

MOST = 20  # jobs that wait or are at work
KEPT = 200  # jobs that are remembered
TICK = 0.5  # seconds between looks at the processes
AGAIN = 20  # seconds after which a job that does not stop may be ended by force
ENDED = ('done', 'failed', 'stopped')
# A job speaks often, plainly and at once; XLA says at length that what it has kept is of another machine.
SPOKEN = {
    'TQDM_MININTERVAL': '1',
    'NO_COLOR': '1',
    'PYTHONUNBUFFERED': '1',
    'COLUMNS': '200',
    'TF_CPP_MIN_LOG_LEVEL': '3',
}
ENOUGH = 'stop'  # a file in a run's folder, see `training.stop`
UPLOAD = re.compile(r'\S*/uploads/([0-9a-f]{16})/file\.\w+')  # a path, whose name the person does not know
KEYS = {'id', 'uses', 'verb', 'title', 'state', 'created', 'queued', 'commands', 'out', 'inputs', 'line', 'can'}
BUSY = ('queued', 'running', 'stopping')


class Jobs:
    """The jobs of a folder.

    Args:
        folder: DIR.
        devices: values of CUDA_VISIBLE_DEVICES, one a device; (None,) where there is one device or none.
    """

    def __init__(self, folder: Path, devices: tuple[str | None, ...] = (None,)):
        self.folder, self.devices = folder, devices
        self.place = folder / HIDDEN / 'jobs'
        self.place.mkdir(parents=True, exist_ok=True)
        self._guard, self._children, self._end = threading.RLock(), {}, threading.Event()
        found = {path.parent.name: read_json(path) for path in self.place.glob('*/job.json')}
        self._jobs = {which: job for which, job in found.items() if ID.fullmatch(which) and job.keys() >= KEYS}
        self.tick()

    def watch(self) -> threading.Thread:
        """Starts the thread that starts jobs and sees them end."""

        def work() -> None:
            while not self._end.wait(TICK):
                try:
                    self.tick()
                except OSError as error:  # a disk that is full now may be mended soon
                    print(f'dfjax studio: jobs cannot be looked after: {error}', file=sys.stderr)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """No more jobs are started; those at work are stopped, and have a while to save."""
        self._end.set()
        for job in self.all():
            if job['state'] == 'running':
                self.stop(job['id'])
        for child in list(self._children.values()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(AGAIN)
        self.tick(start=False)

    # What there is

    def all(self) -> list[dict]:
        """All jobs, the newest first."""
        with self._guard:
            return [dict(job) for job in sorted(self._jobs.values(), key=lambda job: -job['created'])]

    def get(self, which: str) -> dict:
        """One job.

        Raises:
            InputError: there is none.
        """
        with self._guard:
            if which not in self._jobs:
                raise InputError('There is no such job.')
            return dict(self._jobs[which])

    def shown(self, job: dict) -> dict:
        """What the page is told of a job: no paths but its command line."""
        place = self.place / job['id']
        names = ('id', 'verb', 'title', 'state', 'created', 'started', 'ended', 'minutes', 'inputs', 'line', 'can')
        told = {name: job.get(name) for name in names}
        out = self.out_of(job)
        told |= {'out': out.name, 'run': self.run_of(job), 'made': out.is_file()}
        if job['state'] in ('running', 'stopping'):
            told |= {'progress': progress_of(place, job), 'stuck': clock() - job.get('asked', clock()) > AGAIN}
        if job['state'] == 'queued':
            at_work = sum(other['state'] in ('running', 'stopping') for other in self._jobs.values())
            told['ahead'] = at_work + sum(other['queued'] < job['queued'] for other in self._waiting())
        named = lambda text: UPLOAD.sub(lambda found: job['uses'].get(found[1], found[0]), text)
        if job['state'] == 'failed':
            told['why'] = named(why_failed(place))
        if job['state'] == 'done':
            notes = [] if 'train' in job['can'] else notes_of(place)  # a training's are of its folder and its clock
            told |= {'report': report_of(place), 'notes': list(map(named, notes))}
        return told

    def out_of(self, job: dict) -> Path:
        """Where a job's result lies, also when the folder has been moved since."""
        return self.folder / Path(job['out']).name

    def run_of(self, job: dict) -> str | None:
        """The name of a job's run."""
        if not job.get('run'):
            return None
        run = Path(job['run'])
        return run.relative_to(self.folder).as_posix() if run.is_relative_to(self.folder) else run.name

    def used(self) -> set[str]:
        """The uploads that jobs use."""
        return {which for job in self.all() for which in job.get('uses', ())}

    # What may be done

    def add(self, job: dict) -> dict:
        """Queues a job of `commands.build`.

        Raises:
            InputError: there are too many.
        """
        with self._guard:
            if sum(job['state'] in BUSY for job in self._jobs.values()) >= MOST:
                raise InputError(f'{MOST} jobs wait already: let some end, or cancel some.')
            job = job | {'id': new_id(), 'state': 'queued', 'created': clock(), 'queued': clock()}
            job['budget'] = job['minutes']
            self._keep(job)
            self._forget()
        return job

    def stop(self, which: str, then: list[list[str]] | None = None) -> dict:
        """Takes a job out of the queue, or asks its process to save and end; by force if it was asked long ago.

        Args:
            then: command lines to go on with at once when it has ended.
        """
        with self._guard:
            job = self.get(which)
            if job['state'] == 'queued':
                job |= {'state': 'stopped', 'ended': clock()}
            elif job['state'] == 'running':
                job |= {'state': 'stopping', 'asked': clock(), 'then': then}
                self._signal(job, signal.SIGINT)
            elif job['state'] == 'stopping' and clock() - job['asked'] > AGAIN:
                self._signal(job, signal.SIGKILL)
            self._keep(job)
        return job

    def enough(self, which: str, then: list[list[str]]) -> dict:
        """Has a swap that trains write its video now; one that is not there yet is stopped, and goes on with `then`."""
        with self._guard:
            job = self.get(which)
            run = Path(job['run'])
            if job['state'] == 'running':
                doing = progress_of(self.place / which, job)['what']
                if doing and doing == read_json(run / 'config.json').get('system'):
                    (run / ENOUGH).touch()
                    self._keep(job | {'budget': None})
                    return job
        return self.stop(which, then)

    def again(self, which: str, commands: list[list[str]], minutes: float | None = None) -> dict:
        """Queues a job that has ended once more, with other command lines, which are given so many minutes."""
        with self._guard:
            job = self.get(which)
            if job['state'] not in ENDED:
                raise InputError('It is at work.')
            self._requeue(job, commands, minutes)
        return job

    def remove(self, which: str) -> None:
        """Forgets a job that has ended; its results stay."""
        with self._guard:
            if self.get(which)['state'] not in ENDED:
                raise InputError('It is at work: stop it first.')
            del self._jobs[which]
            shutil.rmtree(self.place / which, ignore_errors=True)

    # Processes

    def tick(self, start: bool = True) -> None:
        """Sees which jobs have ended, and starts others where a device is free."""
        with self._guard:
            for job in list(self._jobs.values()):
                if job['state'] in ('running', 'stopping') and not self._lives(job):
                    self._ended(dict(job))
            busy = {job.get('device') for job in self._jobs.values() if job['state'] in ('running', 'stopping')}
            free = [device for device in self.devices if device not in busy] if start else []
            for job, device in zip(self._waiting(), free):
                self._start(dict(job), device)

    def _waiting(self) -> list[dict]:
        return sorted((job for job in self._jobs.values() if job['state'] == 'queued'), key=lambda job: job['queued'])

    def _start(self, job: dict, device: str | None) -> None:
        place = self.place / job['id']
        for name in ('status', 'at.json'):
            (place / name).unlink(missing_ok=True)
        environment = SPOKEN | os.environ
        if device is not None:
            environment['CUDA_VISIBLE_DEVICES'] = device
        lock = Locked(place / 'lock')
        try:
            with (place / 'log').open('wb') as log, (place / 'out').open('wb') as out:
                child = subprocess.Popen(
                    [sys.executable, '-m', 'dfjax.apps.studio.runner', str(place)],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    cwd=self.folder,
                    env=environment | {'DFJAX_STUDIO_LOCK': str(lock.descriptor)},
                    pass_fds=[lock.descriptor],
                    start_new_session=True,  # Ctrl-C at the studio's terminal is for the studio
                )
        except OSError as error:
            (place / 'log').write_text(f'dfjax: it could not be started: {error.strerror}\n')
            return self._keep(job | {'state': 'failed', 'started': clock(), 'ended': clock()})
        finally:
            lock.close()
        self._children[job['id']] = child
        self._keep(job | {'state': 'running', 'started': clock(), 'pid': child.pid, 'device': device})

    def _lives(self, job: dict) -> bool:
        child = self._children.get(job['id'])
        return child.poll() is None if child else is_locked(self.place / job['id'] / 'lock')

    def _ended(self, job: dict) -> None:
        self._children.pop(job['id'], None)
        status = read_json(self.place / job['id'] / 'status').get('status')
        job['state'] = 'done' if status == 0 else 'stopped' if job['state'] == 'stopping' else 'failed'
        job['ended'] = clock()
        if status in (130, 143) and job['state'] == 'failed':
            job['state'] = 'stopped'  # by somebody else
        if (then := job.pop('then', None)) and job['state'] == 'stopped':
            self._requeue(job, then, None)
        else:
            self._keep(job)

    def _requeue(self, job: dict, commands: list[list[str]], minutes: float | None) -> None:
        """In front of others that wait: somebody waits for it."""
        first = min((other['queued'] for other in self._waiting()), default=clock())
        self._keep(
            job
            | {
                'state': 'queued',
                'queued': min(first - 1, clock()),
                'commands': commands,
                'ended': None,
                'budget': minutes,
            }
        )

    def _signal(self, job: dict, number: int) -> None:
        """To the job's process; that it holds the lock says that the number is still its own."""
        if self._lives(job):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job['pid'], number) if number == signal.SIGKILL else os.kill(job['pid'], number)

    def _keep(self, job: dict) -> None:
        place = self.place / job['id']
        place.mkdir(exist_ok=True)
        self._jobs[job['id']] = job
        write_json(place / 'job.json', job)

    def _forget(self) -> None:
        ended = sorted((j for j in self._jobs.values() if j['state'] in ENDED), key=lambda j: j['created'])
        for job in ended[: max(0, len(ended) - KEPT)]:
            self.remove(job['id'])


def devices() -> tuple[str | None, ...]:
    """A job each for every CUDA device there is, and one job where there is none or one."""
    said = os.environ.get('CUDA_VISIBLE_DEVICES')
    found = said.split(',') if said else [path[len('/dev/nvidia') :] for path in glob.glob('/dev/nvidia[0-9]*')]
    return tuple(sorted(found)) if len(found) > 1 else (None,)

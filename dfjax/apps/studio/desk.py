"""What the studio can be asked, whoever asks: uploads, jobs, runs and consent together.

It holds no state of its own: they are files, so that two pages, or a page after a restart, see the same.
"""

import platform
import shutil
import time
from pathlib import Path

from dfjax import __version__
from dfjax.apps.studio import runs as kept
from dfjax.apps.studio.again import gone_on, used_now
from dfjax.apps.studio.asking import LONG, Asking
from dfjax.apps.studio.commands import Form, build
from dfjax.apps.studio.jobs import BUSY, Jobs, devices
from dfjax.apps.studio.laying import laid
from dfjax.apps.studio.store import HIDDEN, Consent
from dfjax.apps.studio.uploads import Refused, Uploads
from dfjax.errors import InputError
from dfjax.inference.settings import OWN


class Studio:
    """Answers what the page asks for.

    Args:
        folder: DIR, absolute.
        limits: of an upload: 'bytes', 'minutes'.
        looking: asks of uploads, which nobody should wait for while a run is opened.
        asking: asks of runs and systems.
    """

    def __init__(self, folder: Path, limits: dict, looking: Asking, asking: Asking):
        self.folder, self.limits, self.looking, self.asking = folder, limits, looking, asking
        self.uploads = Uploads(folder / HIDDEN / 'uploads', limits['bytes'])
        self.jobs = Jobs(folder, devices())
        self.consent = Consent(folder / HIDDEN)
        self.shots = folder / HIDDEN / 'shots'  # frames that were asked for
        shutil.rmtree(self.shots, ignore_errors=True)
        self.shots.mkdir()
        self.uploads.sweep(self.jobs.used())
        self._runs: tuple[float, dict[str, Path], list[dict]] = (0.0, {}, [])
        self._abilities = self._device = None

    def runs(self, fresh: bool = False) -> dict[str, Path]:
        """Runs by name; what was found a moment ago will do."""
        if fresh or time.monotonic() - self._runs[0] > 2:
            found = kept.find_runs(self.folder)
            self._runs = time.monotonic(), found, [kept.told(name, path) for name, path in found.items()]
        return self._runs[1]

    def run(self, name: object) -> Path:
        """The folder of a run that is there; InputError else."""
        found = self.runs().get(name) or self.runs(fresh=True).get(name)
        if found is None:
            raise Refused(404, 'There is no such run.')
        return found

    # What the page asks for

    def state(self) -> dict:
        """All that changes while the page is open."""
        jobs = [self.jobs.shown(job) for job in self.jobs.all()]
        self.runs()
        return {'jobs': jobs, 'runs': self._runs[2], 'consent': bool(self.consent.given()), 'limits': self.limits}

    def facts(self) -> dict:
        """What stays as it is."""
        if self._abilities is None:
            self._abilities = self.asking.ask('abilities')
        about = {'version': __version__, 'python': platform.python_version(), 'folder': str(self.folder)}
        return about | {'systems': self._abilities}

    def device(self) -> dict:
        """What the jobs work on."""
        self._device = self._device or self.asking.ask('device')
        return self._device

    def demo(self) -> list[dict]:
        """Two rendered people as uploads: the one to be replaced, and the one put in."""
        place = self.folder / HIDDEN / 'demo'
        if not (place / 'video.mp4').is_file():
            self.looking.ask('demo', folder=str(place))
        names = {'video.mp4': 'rendered Anna.mp4', 'face.mp4': 'rendered Bert.mp4'}
        return [without_path(self.uploads.adopt(place / name, shown)) for name, shown in names.items()]

    def look(self, which: str) -> dict:
        """An upload, and what is in it."""
        about = self.uploads.about(which)
        if not about['look']:
            folder = str(self.uploads.folder / which)
            self.looking.ask('look', path=about['path'], folder=folder, minutes=self.limits['minutes'])
        return without_path(self.uploads.about(which))

    def begin(self, said: dict) -> dict:
        """Queues what a form asks for."""
        taken = {Path(job['out']).name for job in self.jobs.all() if job['state'] in BUSY}
        consent = self.consent.given()
        words = f'all who are shown agree, said in the studio, {consent["said"]}' if consent else ''
        job = build(Form(said, self.uploads, self.runs(), self.folder, taken, words))
        if not consent and not all(self.uploads.about(which).get('rendered') for which in job['uses']):
            raise Refused(409, 'Say first whether the people shown agree.')
        return self.jobs.shown(self.jobs.add(job))

    def act(self, which: str, action: str, said: dict) -> dict:
        """Does what a job's buttons say."""
        job = self.jobs.get(which)
        if action == 'stop':
            job = self.jobs.stop(which)
        elif action == 'now' and 'now' in job['can']:
            then = used_now(job)
            job = self.jobs.enough(which, then) if job['state'] == 'running' else self.jobs.again(which, then)
        elif action == 'again':
            minutes = said.get('minutes')
            if minutes is not None and (type(minutes) not in (int, float) or not 0 < minutes < 100_000):
                raise InputError('minutes: give a number above 0.')
            minutes = minutes if 'train' in job['can'] else None
            job = self.jobs.again(which, gone_on(job, minutes), minutes)
        elif action == 'remove':
            self.jobs.remove(which)
            return {}
        else:
            raise Refused(404, 'That cannot be done.')
        return self.jobs.shown(job)

    def details(self, name: object) -> dict:
        """What of a run can be chosen, see `looker`."""
        return self.asking.ask('details', LONG, run=str(self.run(name)))

    def frame(self, said: dict, seconds: float) -> dict:
        """Has a run's swap of one frame written, laid in as the page says, for `shot`."""
        form = Form(said, self.uploads, self.runs(), self.folder, set())
        path, about = self.run(said.get('run')), self.uploads.about(said.get('upload'))
        shot, look = self.shots / f'{about["id"]}.jpg', laid(said, form.run('mask_net', needed=False))
        what = {'run': str(path), 'path': about['path'], 'seconds': seconds, 'out': str(shot)}
        return self.asking.ask('frame', **what, look={f.name: getattr(look, f.name) for f in OWN})

    def edited(self, said: dict) -> dict:
        """Has an edited picture written, for `shot`."""
        form = Form(said, self.uploads, self.runs(), self.folder, set())
        about, run = form.upload('input', ('image',)), form.run()
        shot, detail = self.shots / f'{about["id"]}.jpg', said.get('detail', True) is True
        amounts = form.amounts('amounts', -5, 5)
        return self.asking.ask('edit', run=run, path=about['path'], amounts=amounts, detail=detail, out=str(shot))

    def delete(self, name: object) -> dict:
        """Deletes a run at which no job is at work."""
        path = self.run(name)
        if any(job['state'] in BUSY and job.get('run') == str(path) for job in self.jobs.all()):
            raise InputError(f'{name}: a job is at work there; stop it first.')
        kept.remove(name, path)
        self.runs(fresh=True)
        return {}


def without_path(about: dict) -> dict:
    """Of an upload, what the page is told."""
    return {key: value for key, value in about.items() if key != 'path'}

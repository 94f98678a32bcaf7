"""How the studio's jobs live; none here is a training."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from studio_client import a_run

from dfjax.apps.studio.jobs import Jobs
from dfjax.apps.studio.progress import progress_of

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='the studio needs WSL on Windows')


BAR = """
import sys
print('faces of a.mp4:  25%|##  | 1/4 [00:01<00:03,  1.00frame/s]', file=sys.stderr, flush=True)
"""


def job_of(folder, body='pass', **more):
    """A job that runs a verb of the test's own: `run` in a module that stands for the command line."""
    job = {'verb': 'swap', 'title': 't', 'out': str(folder / 'out.mp4'), 'run': None, 'commands': [['x', body]]}
    return (
        job
        | {
            'line': '',
            'uses': {'0123456789abcdef': 'holiday.mp4'},
            'inputs': {},
            'can': ['now', 'train'],
            'minutes': None,
        }
        | more
    )


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Jobs whose command line is Python's own text: `sitecustomize` puts it in the place of `cli.main`."""
    site = tmp_path / 'site'
    site.mkdir()
    (site / 'sitecustomize.py').write_text(
        'import sys\n'
        'class Cli:\n'
        '    @staticmethod\n'
        '    def main(words):\n'
        '        scope = {}\n'
        '        try:\n'
        '            exec(words[1], scope)\n'
        '        except KeyboardInterrupt:\n'
        '            return 130\n'
        '        return scope.get("status", 0)\n'
        'sys.modules["dfjax.apps.cli"] = Cli\n'
    )
    root = Path(__file__).parents[1]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(site), str(root)]))
    folder = tmp_path / 'studio'
    folder.mkdir()
    made = Jobs(folder)
    yield made
    for child in made._children.values():
        child.kill()
        child.wait()


def until(jobs, which, *states, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        jobs.tick()
        if (job := jobs.get(which))['state'] in states:
            return job
        time.sleep(0.05)
    pytest.fail(f'{jobs.get(which)["state"]} and not {states}')


def ready(path, seconds=20):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


WAITS = 'import time\nopen("{mark}", "w").close()\ntime.sleep(60)'


def test_a_job_runs_alone_and_the_next_begins_when_it_has_ended(jobs):
    folder = jobs.folder
    body = f"""
import os, time
open("{folder}/first", "w").close()
while not os.path.exists("{folder}/go"):
    time.sleep(0.02)
print('{{"frames": 7}}')
"""
    first, second = jobs.add(job_of(folder, BAR + body))['id'], jobs.add(job_of(folder))['id']
    until(jobs, first, 'running')
    ready(folder / 'first')
    told = jobs.shown(jobs.get(first))
    assert jobs.get(second)['state'] == 'queued' and jobs.shown(jobs.get(second))['ahead'] == 1
    assert told['progress']['share'] == 0.25 and told['progress']['left'] == 3
    (folder / 'go').touch()
    until(jobs, first, 'done')
    assert jobs.shown(jobs.get(first))['report'] == {'frames': 7}
    until(jobs, second, 'done')


@pytest.mark.parametrize('background', [False, True])
def test_cancelling_is_ctrl_c_and_use_it_now_goes_on_at_once(jobs, background):
    """Also where the studio was started by a script, in the background, where Ctrl-C is ignored."""
    folder = jobs.folder
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if background else signal.default_int_handler)
    try:
        which = jobs.add(job_of(folder, WAITS.format(mark=folder / 'mark')))['id']
        until(jobs, which, 'running')
    finally:
        signal.signal(signal.SIGINT, before)
    ready(folder / 'mark')
    jobs.stop(which, [['x', 'print(\'{"used": 1}\')']])
    until(jobs, which, 'done')
    assert jobs.shown(jobs.get(which))['report'] == {'used': 1}
    assert json.loads((jobs.place / which / 'status').read_text()) == {'status': 0}


def test_a_training_that_is_good_enough_is_told_so_by_its_file(jobs):
    """It saves and goes on to write its video, in the same process, see `training.stop`."""
    folder = jobs.folder
    run = a_run(folder)
    body = f"""
import os, sys, time
print('toy 3/10 ##   00:01, 00:02 left, 3 steps/s', file=sys.stderr, flush=True)
open("{folder}/mark", "w").close()
while not os.path.exists("{run}/stop"):
    time.sleep(0.02)
print('{{"steps": 3}}')
"""
    which = jobs.add(job_of(folder, body, run=str(run), minutes=10))['id']
    until(jobs, which, 'running')
    ready(folder / 'mark')
    assert 'left' in jobs.shown(jobs.get(which))['progress'] and jobs.get(which)['budget'] == 10
    jobs.enough(which, [['x', 'status = 1']])
    assert jobs.get(which)['state'] == 'running' and jobs.get(which)['budget'] is None
    until(jobs, which, 'done')
    assert jobs.shown(jobs.get(which))['report'] == {'steps': 3}


def test_what_does_not_stop_is_ended_by_force_when_it_is_asked_again(jobs):
    folder = jobs.folder
    body = 'import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n' + WAITS.format(mark=folder / 'mark')
    which = jobs.add(job_of(folder, body))['id']
    until(jobs, which, 'running')
    ready(folder / 'mark')
    jobs.stop(which)
    jobs.stop(which)  # too soon: it may be saving
    jobs.tick()
    assert jobs.get(which)['state'] == 'stopping'
    jobs._jobs[which]['asked'] -= 60
    jobs.stop(which)
    until(jobs, which, 'stopped')


def test_a_studio_that_is_started_again_finds_its_jobs(jobs):
    """One that lives is still at work, one that ended meanwhile has its status, and the queue goes on."""
    folder = jobs.folder
    which = jobs.add(job_of(folder, WAITS.format(mark=folder / 'mark')))['id']
    until(jobs, which, 'running')
    ready(folder / 'mark')
    later = jobs.add(job_of(folder))['id']
    again = Jobs(folder)
    assert again.get(which)['state'] == 'running' and again.get(later)['state'] == 'queued'
    again.stop(which)
    jobs._children[which].wait(20)  # it is this process's child, whoever told it to end
    until(again, which, 'stopped')
    until(again, later, 'done')


def test_a_job_that_was_killed_has_failed(jobs):
    folder = jobs.folder
    which = jobs.add(job_of(folder, WAITS.format(mark=folder / 'mark')))['id']
    pid = until(jobs, which, 'running')['pid']
    ready(folder / 'mark')
    os.kill(pid, signal.SIGKILL)
    until(jobs, which, 'failed')
    assert 'memory' in jobs.shown(jobs.get(which))['why']


def test_what_a_job_said_is_told_beside_its_result_by_the_names_of_uploads(jobs):
    note = 'import sys\nprint("/x/uploads/0123456789abcdef/file.mp4: is shorter than the sound", file=sys.stderr)'
    for can, notes in (([], ['holiday.mp4: is shorter than the sound']), (['train'], [])):
        which = jobs.add(job_of(jobs.folder, BAR + note, can=can))['id']
        until(jobs, which, 'done')
        assert jobs.shown(jobs.get(which))['notes'] == notes


def test_a_job_that_fails_says_why(jobs):
    body = (
        'import sys\nprint("dfjax: /x/uploads/0123456789abcdef/file.mp4: no face found", file=sys.stderr)\nstatus = 2'
    )
    which = jobs.add(job_of(jobs.folder, body))['id']
    until(jobs, which, 'failed')
    assert jobs.shown(jobs.get(which))['why'] == 'holiday.mp4: no face found'
    which = jobs.add(job_of(jobs.folder, '1 / 0'))['id']
    until(jobs, which, 'failed')
    assert 'ZeroDivisionError' in jobs.shown(jobs.get(which))['why']


@pytest.mark.parametrize(
    ('log', 'what', 'share', 'left'),
    [
        ('', '', None, None),
        ('faces of a.mp4: 0frame [00:00, ?frame/s]', 'faces of a.mp4', None, None),
        ('faces of a.mp4: 12frame [00:02, 6.0frame/s]', 'faces of a.mp4', None, None),
        ('faceswap:   3%|3         | 300/10000 [01:02:03<10:20:30,  3.1s/ step, total=0.3]', 'faceswap', 0.03, 37230),
        ('x:  10%|1  | 1/10 [00:01<00:09]\rx:  50%|5  | 5/10 [00:05<00:05]\nsaved\n', 'x', 0.5, 5),
        ('x:   0%|   | 0/10 [00:00<?, ? step/s]', 'x', 0.0, None),
        ('x: 100%|###| 9/9 [00:09<00:00, 1.0frame/s]\ncompiling the training step\n', '', None, None),
        ('x:  50%|#  | 4/8 [00:04<00:04, 1.0frame/s]\nleft out: y\n', 'x', 0.5, 4),
        ('vae 300/10000 ##█      1:02:03, 10:20 left, 15.45 steps/s, total=0.3', 'vae', 0.03, 620),
        ('vae 0/30              00:00, ? left, ? steps/s', 'vae', 0.0, None),
    ],
)
def test_progress_is_read_from_the_bars(tmp_path, log, what, share, left):
    (tmp_path / 'log').write_text(log)
    told = progress_of(tmp_path, {'started': time.time(), 'commands': [1]})
    assert (told['what'], told['share'], told['left']) == (what, share, left)


def test_a_job_of_so_many_minutes_has_what_is_left_of_them(tmp_path):
    (tmp_path / 'log').write_text('faceswap:   3%|3         | 300/10000 [00:03<10:20:30]')
    told = progress_of(tmp_path, {'started': time.time() - 60, 'commands': [1], 'budget': 10})
    assert told['left'] == pytest.approx(540, abs=3)

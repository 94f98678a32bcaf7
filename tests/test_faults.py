"""What is being written when a process is killed, the disk fills up or a signal comes: whole or absent, and resumed.

Faults are put at random changes of the disk, not at random times; see `faulty.py`.
"""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import faulty
import numpy as np
import pytest
import whole_jobs
from videos import chirp, make_with_sound, scene

from dfjax.data.media.image import write_image
from dfjax.systems import SYSTEMS

pytestmark = pytest.mark.whole
STATUS = {'kill': {0, faulty.KILLED, 2}, 'full': {0, 2}, 'term': {0, 130, 143}}


def run(job: str, folder: Path, at: int = 0, how: str = 'none') -> tuple[int, str, int]:
    """Exit status, what was said, and how many changes there were."""
    words = [sys.executable, faulty.__file__, job, folder, at, how]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300)
    count = done.stdout.split()[-1:] or [0]
    return done.returncode, done.stderr, int(count[0])


def try_faults(job: str, how: str, count: int, tmp_path: Path, seed: int) -> None:
    """Runs a job as often with a fault, and to its end; checks what must hold after each."""
    chance, work = random.Random(seed), tmp_path / 'work'
    make_with_sound(tmp_path / 'in.mkv', 'aac', chirp(48000, 0.4), 48000)
    for name in 'ab':
        (tmp_path / 'in').mkdir(exist_ok=True)
        write_image(tmp_path / 'in' / f'{name}.png', scene(1)[0])
    work.mkdir()
    status, said, changes = run(job, work)
    assert status == 0 and changes > 3, said
    whole = tmp_path / 'work.npz'
    if whole.exists():
        whole.rename(tmp_path / 'whole.npz')
    shutil.rmtree(work)
    work.mkdir()
    met = 0
    for _ in range(count):
        at = chance.randint(1, changes)
        status, said, _ = run(job, work, at, how)
        where = f'seed {seed}: {how} at change {at} of {changes}: {said[-1500:]}'
        assert status in STATUS[how] and 'Traceback' not in said, where
        assert status != 2 or how == 'kill' or 'disk is full' in said, where
        faulty.job_of(job)[1](work)
        if how != 'kill' and not job.startswith('train'):
            assert not [path for path in work.iterdir() if path.name[0] == '.'], where
        met += status != 0
    status, said, _ = run(job, work)
    assert status == 0, said
    faulty.job_of(job)[1](work)
    if whole.exists():
        with np.load(whole) as one, np.load(tmp_path / 'whole.npz') as other:
            assert set(one.files) == set(other.files), f'seed {seed}'
            assert all(np.array_equal(one[name], other[name]) for name in other.files), f'seed {seed}'
    assert met
    print(f'{job}: {how} {met} of {count} times, seed {seed}')


@pytest.mark.parametrize('how', STATUS)
@pytest.mark.parametrize('job', ['convert', 'pictures', 'faces'])
def test_outputs_are_whole_or_absent(tmp_path, job, how):
    try_faults(job, how, 3, tmp_path, seed=1)


@pytest.mark.parametrize('how', STATUS)
def test_a_run_goes_on_with_the_same_bits(tmp_path, how):
    try_faults('train', how, 2, tmp_path, seed=402997)  # the disk is full before the run's folder has its config


@pytest.mark.slow
@pytest.mark.parametrize('how', STATUS)
@pytest.mark.parametrize('job', faulty.JOBS)
def test_very_many_faults(tmp_path, job, how):
    try_faults(job, how, 40, tmp_path, random.randrange(10**6))


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    if not whole_jobs.SHARED.exists():
        pytest.skip('the shared data are not here')
    return whole_jobs.prepared(tmp_path_factory.mktemp('prepared') / 'inputs')


@pytest.mark.slow
@pytest.mark.parametrize('verb', whole_jobs.VERBS)
def test_verbs_that_are_killed_leave_nothing_half_done_and_end_the_same(tmp_path, inputs, verb):
    (tmp_path / 'inputs').symlink_to(inputs)
    try_faults(f'verb:{verb}', 'kill', 6, tmp_path, random.randrange(10**6))


@pytest.mark.slow
@pytest.mark.parametrize('system', SYSTEMS)
def test_systems_that_are_killed_end_with_the_same_bits(tmp_path, system):
    try_faults(f'train:{system}', 'kill', 4, tmp_path, random.randrange(10**6))

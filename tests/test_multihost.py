"""Several devices and several processes give the numbers of one."""

import json
import signal
import socket
import time

import numpy as np
import pytest
import toy_run
import toy_system as toy

from dfjax.config import build
from dfjax.errors import InputError
from dfjax.training import loop
from train import multihost

pytestmark = pytest.mark.whole

WAYS = ('jit', 'pmap', 'jit-streamed', 'pmap-streamed')


@pytest.fixture(scope='module')
def one(tmp_path_factory):
    """The end of a run of 40 steps on one device."""
    cfg = build(toy.default_config(), {'steps': 40})
    with toy.installed():
        return toy_run.leaves(loop.train(cfg, tmp_path_factory.mktemp('one'), data=toy.resident(cfg), progress=False))


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)


def end(process, seconds=300):
    said = process.communicate(timeout=seconds)[1]
    return process.returncode, said


def test_eight_devices_give_the_numbers_of_one(one, tmp_path):
    code, said = end(toy_run.start(*(f'{tmp_path / way}={way}' for way in WAYS), '--steps', 40, devices=8))
    assert code == 0, said
    for way in WAYS:
        close(toy_run.ended(tmp_path / way), one)


def start_two(folder, way, *words, of_second=(), devices=1):
    """Two processes that train in one folder."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{free.getsockname()[1]}'
    words = (f'{folder}={way}', '--steps', 40, *words, '--join', address, 2)
    return [toy_run.start(*(of_second if i else ()), *words, i, devices=devices) for i in (0, 1)]


def wait_for_rows(folder, count, processes):
    metrics = folder / 'metrics.jsonl'
    while all(p.poll() is None for p in processes):
        if metrics.exists() and len(metrics.read_text().splitlines()) >= count:
            return
        time.sleep(0.02)


def test_two_processes_with_streamed_data_are_stopped_killed_and_resumed_as_one(one, tmp_path):
    """Terminated by a signal to the second, then killed, then to the end with two devices each, the other way."""
    folder = tmp_path / 'w'
    processes = start_two(folder, 'jit-streamed', '--pace', 0.1)
    try:
        wait_for_rows(folder, 1, processes)
        processes[1].send_signal(signal.SIGTERM)
        ends = [end(process) for process in processes]
        assert [code for code, _ in ends] == [143, 143], ends
        assert 'stopped at step' in ends[0][1]
        processes = start_two(folder, 'jit-streamed', '--pace', 0.1)
        wait_for_rows(folder, 2, processes)
        for process in processes:
            process.kill()
        assert [end(process)[0] for process in processes] == [-9, -9]
        processes = start_two(folder, 'pmap-streamed', devices=2)
        ends = [end(process) for process in processes]
        assert [code for code, _ in ends] == [0, 0], ends
    finally:
        for process in processes:
            process.kill()
    assert 'going on from step' in ends[0][1]
    close(toy_run.ended(folder), one)
    steps = [json.loads(line)['step'] for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize(
    ('fault', 'line', 'kept'),
    [('--full', 'a checkpoint cannot be written: the disk is full', 10), ('--unreadable', 'picture.png: cannot', 10)],
)
def test_what_fails_in_one_process_ends_all_with_one_line(fault, line, kept, tmp_path):
    processes = start_two(tmp_path / 'w', 'jit-streamed', of_second=[fault])
    try:
        ends = [end(process, 100) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [code for code, _ in ends] == [2, 2], ends
    assert all(line in said and 'Traceback' not in said for _, said in ends), ends
    assert {p.name for p in (tmp_path / 'w' / 'checkpoints').iterdir()} == {str(kept)}


def test_a_folder_that_the_first_cannot_make_is_one_line_in_all(tmp_path):
    (tmp_path / 'file').write_text('')
    processes = start_two(tmp_path / 'file' / 'w', 'jit-streamed')
    ends = [end(process, 100) for process in processes]
    assert [code for code, _ in ends] == [2, 2], ends
    assert all('file/w: cannot be written' in said for _, said in ends), ends


def test_a_batch_that_does_not_split_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr('jax.device_count', lambda: 5)
    cfg = build(toy.default_config(), {})
    with toy.installed(), pytest.raises(InputError, match=r'batch_size 16 does not split over 5 devices; .*=15$'):
        loop.train(cfg, tmp_path, data=toy.resident(cfg), progress=False)


@pytest.mark.parametrize(
    ('environment', 'several'),
    [
        ({}, False),
        ({'SLURM_PROCID': '0', 'SLURM_NTASKS': '1'}, False),
        ({'SLURM_PROCID': '0', 'SLURM_NTASKS': '4'}, True),
        ({'SLURM_NTASKS': '4'}, False),  # sbatch's own shell, outside srun
        ({'OMPI_COMM_WORLD_SIZE': '2'}, True),
        ({'TPU_WORKER_HOSTNAMES': 'localhost'}, False),
        ({'TPU_WORKER_HOSTNAMES': 't0,t1'}, True),
    ],
)
def test_launchers_are_noticed(environment, several, monkeypatch):
    joined = []
    monkeypatch.setattr(multihost.os, 'environ', environment)
    monkeypatch.setattr(multihost.jax.distributed, 'initialize', lambda *args: joined.append(args))
    multihost.initialize()
    assert joined == [(None, None, None)] * several


def test_the_environment_joins_by_hand(monkeypatch):
    joined = []
    where = {'DFJAX_COORDINATOR': 'h:1', 'DFJAX_PROCESSES': '3', 'DFJAX_PROCESS': '2'}
    monkeypatch.setattr(multihost.os, 'environ', where)
    monkeypatch.setattr(multihost.jax.distributed, 'initialize', lambda *args: joined.append(args))
    multihost.initialize()
    assert joined == [('h:1', 3, 2)]
    where['DFJAX_PROCESS'] = 'two'
    with pytest.raises(InputError, match="DFJAX_PROCESS is 'two'"):
        multihost.initialize()

"""Several devices and several processes give the numbers of one."""

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


def test_two_processes_give_the_numbers_of_one_also_when_one_is_told_to_stop(one, tmp_path):
    """First each with one device, until the second is terminated; then each with two, the other way, to the end."""

    def start(way, devices, *words):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            address = f'127.0.0.1:{free.getsockname()[1]}'
        words = (f'{tmp_path / "w"}={way}', '--steps', 40, *words, '--join', address, 2)
        return [toy_run.start(*words, process, devices=devices) for process in (0, 1)]

    processes = start('jit-streamed', 1, '--pace', 0.3)
    metrics = tmp_path / 'w' / 'metrics.jsonl'
    try:
        while not (metrics.exists() and metrics.read_text()) and all(p.poll() is None for p in processes):
            time.sleep(0.05)
        processes[1].send_signal(signal.SIGTERM)
        ends = [end(process) for process in processes]
        assert [code for code, _ in ends] == [0, 143], ends
        assert 'stopped at step' in ends[0][1]
        processes = start('pmap-streamed', 2)
        ends = [end(process) for process in processes]
        assert [code for code, _ in ends] == [0, 0], ends
    finally:
        for process in processes:
            process.kill()
    assert 'going on from step' in ends[0][1]
    close(toy_run.ended(tmp_path / 'w'), one)


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

"""Joins the processes of a run on several machines, before JAX is first used.

    initialize()                              from Slurm, Open MPI or a TPU pod, or nothing if this is a single process
    initialize('host:12355', 4, 2)            by hand: where process 0 listens, how many there are, which one this is

By hand also from the environment: DFJAX_COORDINATOR, DFJAX_PROCESSES, DFJAX_PROCESS.
"""

import os

import jax

from dfjax.errors import InputError


def initialize(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Joins the other processes, if there are any.

    Raises:
        InputError: if only some of the three are given, or the others cannot be reached.
    """
    coordinator = coordinator or os.environ.get('DFJAX_COORDINATOR')
    processes = processes if processes is not None else _number('DFJAX_PROCESSES')
    process = process if process is not None else _number('DFJAX_PROCESS')
    given = [coordinator is not None, processes is not None, process is not None]
    if any(given) and not all(given):
        raise InputError('give all of --coordinator host:port, --processes N and --process I, or none of them')
    if all(given) and not 0 <= process < processes:
        raise InputError(f'--process {process} is not one of 0 to {processes - 1}')
    if not all(given) and not _launched_together():
        return
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except (RuntimeError, ValueError) as error:
        where = coordinator or 'the coordinator'
        raise InputError(f'{where}: the processes cannot join: {str(error).splitlines()[0]}') from None


def _number(name: str) -> int | None:
    text = os.environ.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise InputError(f'{name} is {text!r}, and has to be a whole number')
    return int(text)


def _launched_together() -> bool:
    """Whether a launcher that JAX knows started several processes."""
    env = os.environ
    hosts = env.get('TPU_WORKER_HOSTNAMES', '').split(',')
    counts = (env.get('SLURM_NTASKS') if 'SLURM_PROCID' in env else None, env.get('OMPI_COMM_WORLD_SIZE'))
    return len(hosts) > 1 or any(count and int(count) > 1 for count in counts)

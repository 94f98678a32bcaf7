"""Runs of the toy system in a process of its own, for tests that kill it or start several. It is not a test.

Each word FOLDER=WAY is a run, WAY being jit, pmap, jit-streamed or pmap-streamed; its end is FOLDER/end.npz.
"""

import argparse
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np

HERE = Path(__file__).parent


def start(*words: str, devices: int = 1) -> subprocess.Popen:
    """This file in a process with so many simulated devices."""
    env = os.environ | {'PYTHONPATH': f'{HERE}:{HERE.parent}'}
    env['XLA_FLAGS'] = f'{env.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={devices}'
    command = [sys.executable, __file__, *map(str, words)]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def leaves(state: object) -> list[np.ndarray]:
    """What is compared of a state."""
    import jax

    return [np.asarray(leaf.addressable_data(0)) for leaf in jax.tree.leaves((state.params, state.opt, state.ema))]


def ended(folder: Path) -> list[np.ndarray]:
    """The leaves of a run's end."""
    with np.load(folder / 'end.npz') as file:
        return [file[f'arr_{i}'] for i in range(len(file.files))]


def fills_up(data: object, path: object) -> SimpleNamespace:
    """In place of `shutil.disk_usage`: nothing is free once ten batches are read."""
    return SimpleNamespace(free=10**9 if data.position <= 10 else 0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('runs', nargs='+')
    parser.add_argument('--steps', type=int)
    parser.add_argument('--pace', type=float, default=0, help='seconds to wait before each dispatch')
    parser.add_argument('--full', action='store_true', help='this process finds the disk full after step 10')
    parser.add_argument('--unreadable', action='store_true', help='this process cannot read its data after step 10')
    parser.add_argument('--join', nargs=3, help='coordinator, processes, process')
    args = parser.parse_args()
    if args.join:
        from train.multihost import initialize

        initialize(args.join[0], int(args.join[1]), int(args.join[2]))
    import jax
    import toy_system as toy

    from dfjax.config import build
    from dfjax.errors import InputError
    from dfjax.training import checkpoint, loop, parallel

    advance = parallel.Devices.advance
    parallel.Devices.advance = lambda self, *words: time.sleep(args.pace) or advance(self, *words)
    for word in args.runs:
        folder, way = word.rsplit('=', 1)
        cfg = build(toy.default_config(), {'steps': args.steps, 'parallel': way.split('-')[0]})
        streamed = toy.Stream(cfg, jax.process_index(), jax.process_count())
        data = streamed if 'streamed' in way else toy.resident(cfg)
        if args.full:
            checkpoint.shutil.disk_usage = partial(fills_up, streamed)
        if args.unreadable:
            streamed.last = 10
        try:
            with toy.installed():
                state = loop.train(cfg, folder, data=data, progress=False)
        except InputError as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(2)  # as `train.main`: the way out in order waits for the others
        if jax.process_index() == 0 and int(state.step.addressable_data(0)) == args.steps:
            np.savez(Path(folder) / 'end.npz', *leaves(state))


if __name__ == '__main__':
    main()

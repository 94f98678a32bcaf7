"""What every bench beside PyTorch does alike: both sides on one device, dfjax's loop, and taking turns.

They take turns, A B A B, so that whatever else the machine does falls on both; each turn is timed over several steps,
and medians are reported, that of the ratio over pairs of turns that follow each other.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from dfjax.errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

    from ml_collections import ConfigDict

ROUNDS = 7
FEWEST = 3  # rounds, where they take long
SECONDS_A_TURN = 4.0  # many times what the workers of a DataLoader hold ready
SECONDS = 120.0  # for the turns of both sides, about


class Turns(NamedTuple):
    """Median seconds a step of either side, and the median of their ratio."""

    first: float
    second: float
    ratio: float


def prepare() -> tuple[str, int, str]:
    """Sets both frameworks up for the same device.

    Returns:
        'cpu' or 'cuda', the number of CPU cores, and the device in words.

    Raises:
        InputError: if PyTorch is not installed, or sees no GPU where JAX does.
    """
    os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')  # leave PyTorch room on a GPU
    os.environ.setdefault('CUDA_VISIBLE_DEVICES', '0')  # PyTorch's side uses one
    try:
        import torch
    except ImportError:
        raise InputError("the PyTorch side is missing; pip install 'dfjax[bench]'") from None
    import jax

    from dfjax.ops.backend import accelerated

    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    device = 'cuda' if accelerated() else 'cpu'
    if device == 'cuda' and not torch.cuda.is_available():
        raise InputError('this PyTorch sees no GPU, and JAX does; install its CUDA build, or set JAX_PLATFORMS=cpu')
    torch.set_num_threads(cores)
    return device, cores, f'{cores} CPU cores' if device == 'cpu' else jax.devices()[0].device_kind


def jax_loop(cfg: 'ConfigDict', system: 'ModuleType', arrays: dict) -> Callable:
    """A function that does n steps as `dfjax.training.loop` does them, data and augmentation included."""
    import jax

    from dfjax.data.batches import Resident
    from dfjax.training.parallel import Devices

    devices = Devices(cfg, system, Resident(arrays, cfg.seed, cfg.batch_size))
    state = devices.init()
    carry = [state, devices.zeros()]

    def steps(n: int) -> None:
        carry[:] = devices.advance(*carry, devices.feed(n), n)
        jax.block_until_ready(carry)

    return steps


def take_turns(first: Callable, second: Callable, rounds: int = ROUNDS) -> Turns:
    """Times two functions of a number of steps. Where a step takes long, there are fewer than `rounds` turns."""
    counts, expected = [], 0.0
    for side in (first, second):
        side(2)  # compiles
        began = time.monotonic()
        side(1)
        seconds = time.monotonic() - began
        counts.append(max(1, round(SECONDS_A_TURN / seconds)))
        expected += counts[-1] * seconds
    rounds = min(rounds, max(FEWEST, round(SECONDS / expected)))
    times = ([], [])
    for turn in range(2 * rounds):
        side, count = (first, second)[turn % 2], counts[turn % 2]
        time.sleep(0.3)  # idle threads of the other side spin for a while
        began = time.monotonic()
        side(count)
        times[turn % 2].append((time.monotonic() - began) / count)
    return Turns(*map(statistics.median, times), statistics.median(a / b for a, b in zip(*times)))

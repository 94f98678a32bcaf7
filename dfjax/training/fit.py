"""A run that fits into memory: the batch and whether blocks are computed again, chosen before training starts.

The compiled step says itself what it takes; nothing is run to find out. See `models.recompute`.
"""

import re
from collections.abc import Iterator
from typing import Any

import jax
from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.data.processes import free_memory
from dfjax.errors import InputError
from dfjax.ops import backend
from dfjax.training.parallel import Devices, out_of_memory, smaller_batch
from dfjax.training.timed import devices_of
from dfjax.training.workdir import say

# Shares of the memory at hand: an accelerator's is cut into pieces, a CPU's convolutions and compiler take some too.
DEVICE_SHARE, CPU_SHARE = 0.92, 0.75
OWN = 3 * 2**28  # bytes that JAX, its compiler and what reads pictures take of a CPU's besides; measured
UNITS = {'MB': 2**20, 'GB': 2**30}


def kept(cfg: ConfigDict) -> dict:
    """What was chosen for a run, as changes to another config."""
    return {'batch_size': cfg.batch_size, 'remat': cfg.remat}


def fitted(cfg: ConfigDict, data: Any, size: float | None = None) -> tuple[ConfigDict, Any]:
    """The first of `candidates` whose step fits, and the data in batches of its size.

    The programs compiled are kept for the training that follows.

    Args:
        cfg: what is wanted.
        data: of `make_data` for it, of a single process.
        size: bytes of a device, on a CPU of all together; None for what is at hand.

    Raises:
        InputError: if not even the smallest batch fits.
    """
    limit, takes = size or at_hand(), 0.0
    for one in candidates(cfg):
        own = data if one.batch_size == data.batch_size else data.resized(one.batch_size)
        devices = devices_of(one, own)
        takes = state_bytes(devices)
        if takes > limit:  # whatever the batch
            break
        try:
            takes = needed(devices)
        except jax.errors.JaxRuntimeError as error:
            if not out_of_memory(error):
                raise
            continue  # an accelerator's compiler says so too
        if takes <= limit:
            batch = f'{cfg.batch_size} -> {one.batch_size}' if one.batch_size != cfg.batch_size else cfg.batch_size
            say(f'batch {batch}{", blocks recomputed" if one.remat else ""}: {_gb(takes)} of {_gb(limit)} GB')
            return one, own
    raise InputError(
        f'even a batch of {one.batch_size} with blocks recomputed takes {_gb(takes)} GB, and {_gb(limit)} are there; '
        'give a smaller model or picture size'
    )


def candidates(cfg: ConfigDict) -> Iterator[ConfigDict]:
    """The config as it is, with blocks recomputed, and so on with half the batch, which all devices share evenly."""
    size = cfg.batch_size
    while size:
        cfg = build(cfg, {'batch_size': size})
        yield cfg
        if not cfg.remat:
            yield build(cfg, {'remat': True})
        size = smaller_batch(cfg)


def needed(devices: Devices) -> int:
    """Bytes that training takes of a device, as its compiled step says.

    On a CPU of all devices together, with the copy of the state that a checkpoint is written from.
    """
    devices.prepare().result()
    of = devices.memory
    step = of.argument_size_in_bytes + of.output_size_in_bytes - of.alias_size_in_bytes + of.temp_size_in_bytes
    if backend.accelerated():
        return step + of.generated_code_size_in_bytes
    return step * devices.mesh.size + state_bytes(devices)


def state_bytes(devices: Devices) -> int:
    """Bytes of the state: parameters, their moments and averages."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(devices.abstract.replace(frozen={})))


def at_hand() -> float:
    """Bytes that a device has for training, the one with the least; on a CPU those of the machine and its limits."""
    if not backend.accelerated():
        return max(CPU_SHARE * (free_memory() - OWN), 1)
    return DEVICE_SHARE * min((x.memory_stats() or {}).get('bytes_limit', 2**33) for x in jax.local_devices())


def read_size(text: str) -> float:
    """Bytes of '2GB', '1.5 GB' or '500MB'; InputError for anything else."""
    found = re.fullmatch(r'([0-9]+(?:\.[0-9]+)?) ?(MB|GB)', text.strip(), re.IGNORECASE)
    if not found or not float(found[1]):
        raise InputError(f'--fit {text}: give a size as 2GB or 500MB, or none for what is at hand')
    return float(found[1]) * UNITS[found[2].upper()]


def _gb(size: float) -> str:
    return f'{size / 2**30:.2f}' if size < 2**30 else f'{size / 2**30:.1f}'

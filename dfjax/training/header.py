"""What is said when a training begins: what runs where, where to look, how to stop."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
from ml_collections import ConfigDict

from dfjax.config import config_file, flatten, load_module
from dfjax.errors import InputError
from dfjax.training.workdir import FREE_KEYS

CHANGES = 2  # that are named
ACCELERATORS = {'/dev/nvidia0': 'GPU', '/dev/accel0': 'TPU'}


def header(cfg: ConfigDict, workdir: Path | str) -> str:
    """Three lines: device, run, pictures and steps; where to look; how to stop and go on."""
    size = f'{cfg.data.size} px · ' if 'size' in cfg.get('data', {}) else ''
    steps = f'{cfg.steps} steps of {cfg.batch_size}'
    look = f'previews: {workdir}/preview.jpg   a page with curves: dfjax watch {workdir}'
    return f'{device()} · {named(cfg)} · {size}{steps}\n{look}\nCtrl-C saves and stops; the same command goes on'


def device() -> str:
    """What JAX computes on; and, where that is the CPU beside a GPU or a TPU, that it is so."""
    there = jax.devices()
    if there[0].platform != 'cpu':
        return f'{len(there)} x {there[0].device_kind}'
    unused = [kind for path, kind in ACCELERATORS.items() if Path(path).exists()]
    count = f'{len(there)} simulated devices' if len(there) > 1 else f'{os.cpu_count()} cores'
    return f'CPU, {count}' + (f' (the {unused[0]} is not used: see dfjax doctor)' if unused else '')


def named(cfg: ConfigDict) -> str:
    """The named run that a config is of, and what it changes of it."""
    try:
        module = load_module(str(config_file(cfg.system)))
    except InputError:  # a system of the user's own
        return cfg.system
    own = dict(flatten(cfg))
    differing = {
        variant: [key for key, value in _fixed(module.get_config(variant)) if own[key] != value]
        for variant in module.VARIANTS
    }
    variant = min(differing, key=lambda name: len(differing[name]))
    changes = [f'{key} {own[key]}' for key in differing[variant]]
    more = f' and {len(changes) - CHANGES} more' if len(changes) > CHANGES else ''
    return f'{cfg.system}:{variant}' + (f' with {", ".join(changes[:CHANGES])}{more}' if changes else '')


def _fixed(cfg: ConfigDict) -> Iterator[tuple]:
    """What makes a named run what it is: neither its data nor its length."""
    for key, value in flatten(cfg):
        data = key.startswith('data.') and isinstance(value, str | list)
        if not data and key not in FREE_KEYS and key != 'references.size':
            yield key, value

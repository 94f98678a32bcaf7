"""Runs of the net that hears lips.

    python -m train.main --config configs/lips.py:laptop --workdir runs/lips
    python -m dfjax.inference.lips runs/lips

The second makes `dfjax/inference/lips.npz` of a run: the net that comes with the package is `laptop`.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import lips

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 40,
        'batch_size': 8,
        'checkpoint_every': 8,
        'preview_every': 8,
        'log_every': 4,
        'data': {'source': 'render:voices:1:8:50', 'seconds': 1.0},
        'model': {'width': 16, 'kernels': [3], 'dilations': [1]},
        'spoil': False,
        'optimizer': {'lr': 5e-3, 'warmup': 0},
        'ema': 0.9,
    },
    # A quarter of an hour on two CPU cores, by the time of a step: forty minutes of speech in 120 voices.
    'laptop': {},
    # Two hours of speech and a wider net.
    'gpu': {'steps': 20_000, 'batch_size': 128, 'data.source': 'render:voices:1:360:500', 'model.width': 192},
    # A length and a batch as small as they were first tried with.
    'paper': {
        'steps': 4000,
        'batch_size': 32,
        'data': {'source': 'render:voices:1:90:500', 'seconds': 2.0},
        'ema': 0.0,
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(lips.default_config(), VARIANTS[variant])

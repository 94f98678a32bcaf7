"""Runs of a mask net.

    python -m train.main --config configs/segment.py:laptop --workdir runs/mask

learns on rendered people; a face set whose outlines were corrected is joined by
`--config.data.source=render:people:1:1500+faces/anna`, or begun from: `--start-from runs/mask`.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import segment

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 30,
        'batch_size': 8,
        'checkpoint_every': 10,
        'preview_every': 10,
        'log_every': 5,
        'data': {'source': 'render:1:16', 'things': 'render:things:1:12', 'size': 32},
        'model': {'width': 8, 'depth': 2},
        'optimizer': {'lr': 5e-3, 'warmup': 0},
        'ema': 0.9,
    },
    # Half an hour on two CPU cores.
    'laptop': {},
    # 256 px.
    'gpu': {
        'steps': 20_000,
        'batch_size': 64,
        'data': {
            'source': 'render:people:1:8000',
            'things': 'render:things:1:6000',
            'size': 256,
            'resident_bytes': 2**33,
        },
        'model': {'width': 32, 'depth': 5},
    },
    # XSeg's size, batch and kind of optimiser: 256 px, 32 channels that double five times, RMSprop-like steps.
    'paper': {
        'steps': 100_000,
        'batch_size': 4,
        'data.size': 256,
        'model': {'width': 32, 'depth': 5},
        'optimizer': {'kind': 'adam', 'lr': 1e-4, 'schedule': 'constant', 'warmup': 0},
        'ema': 0.0,
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(segment.default_config(), VARIANTS[variant])

"""CycleGAN runs.

    python -m train.main --config configs/cyclegan.py:laptop --workdir runs/cyclegan \
        --config.data.a=pictures/horses --config.data.b=pictures/zebras

`data.a` and `data.b` are folders of pictures and videos, videos (up to 4096 frames, evenly spread), face sets (`dfjax
extract`), or a dataset of tfds, as horse2zebra:trainA and horse2zebra:trainB.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import cyclegan

VARIANTS = {
    # Seconds: for tests. Without normalisation, for gradients of the first, flat pictures through it are noise.
    'smoke': {
        'steps': 30,
        'batch_size': 8,
        'checkpoint_every': 10,
        'preview_every': 10,
        'log_every': 5,
        'data.a': 'render:people:1:16',
        'data.b': 'render:people:2:16:cartoon',
        'data.size': 32,
        'model.g': {'kind': 'light', 'width': 8, 'blocks': 1, 'norm': 'none'},
        'model.d': {'width': 8, 'layers': 2, 'norm': 'none'},
        'jitter': 1.0,
        'replay': 12,
        'optimizer.lr': 5e-4,
        'ema': 0.9,
    },
    # Half an hour on two CPU cores: photographs by day and cartoons by night, of different people.
    'laptop': {
        'steps': 3000,
        'batch_size': 8,
        'data.a': 'render:people:1:2000',
        'data.b': 'render:people:2:2000:cartoon',
        'data.size': 64,
        'model.g': {'kind': 'light', 'width': 96, 'blocks': 3, 'norm': 'none'},
        'model.d': {'width': 32, 'layers': 2},
        'jitter': 1.0,
        'optimizer.lr': 5e-4,
        'ema': 0.998,
    },
    # 128 px on one GPU.
    'gpu': {
        'steps': 60_000,
        'batch_size': 8,
        'data.a': 'render:people:1:8000',
        'data.b': 'render:people:2:8000:cartoon',
        'data.size': 128,
        'data.resident_bytes': 2**32,
        'ema': 0.999,
    },
    # The original's: horses and zebras, 200 epochs of 1334 pictures one by one.
    'paper': {'data.a': 'horse2zebra:trainA', 'data.b': 'horse2zebra:trainB'},
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(cyclegan.default_config(), VARIANTS[variant])

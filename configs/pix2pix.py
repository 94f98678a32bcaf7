"""pix2pix runs.

    python -m train.main --config configs/pix2pix.py:laptop --workdir runs/pix2pix --config.data.source=pictures/facades

`data.source` is a folder of pictures side by side, or pair:CONDITION:NAME, which makes `a` of the pictures of NAME as
they come: edges, grey, mask, landmarks (`dfjax/data/sets/conditions.py`). Two folders with equal names are `data.a` and
`data.b` instead, with `--config.data.source=`.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import pix2pix

# For two CPU cores: see models/light.py.
LIGHT = {'kind': 'light', 'width': 128, 'blocks': 4, 'norm': 'none', 'dropout': 0.0}

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 30,
        'batch_size': 8,
        'checkpoint_every': 10,
        'preview_every': 10,
        'log_every': 5,
        'data.source': 'pair:mask+landmarks:render:person:1:0:16',
        'data.size': 32,
        'model.g': {'kind': 'resnet', 'width': 8, 'blocks': 1, 'dropout': 0.3},
        'model.d': {'width': 8, 'layers': 2},
        'jitter': 1.1,
        'optimizer.lr': 3e-4,
        'ema': 0.9,
    },
    # 20 minutes on two CPU cores: the masks and landmarks of a rendered person become the person.
    'laptop': {
        'steps': 4000,
        'batch_size': 16,
        'data.source': 'pair:mask+landmarks:render:person:1:0:1024',
        'data.size': 64,
        'model.g': LIGHT,
        'model.d': {'width': 32, 'layers': 2, 'norm': 'instance'},
        'jitter': 1.0,
        'flip': 0.0,
        'loss.kind': 'lsgan',
        'optimizer.lr': 5e-4,
        'ema': 0.998,
    },
    # 256 px on one GPU, several pictures at a time.
    'gpu': {
        'steps': 40_000,
        'batch_size': 16,
        'data.source': 'pair:mask+landmarks:render:people:1:8000',
        'data.resident_bytes': 2**33,
        'model.g.norm': 'instance',
        'model.d.norm': 'instance',
        'loss.kind': 'lsgan',
        'ema': 0.999,
    },
    # The original's: facades, 200 epochs of 400 pairs one by one.
    'paper': {'data.source': 'facades/train'},
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(pix2pix.default_config(), VARIANTS[variant])

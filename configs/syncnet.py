"""SyncNet's runs.

    python -m train.main --config configs/syncnet.py:laptop --workdir runs/sync
    python -m train.main --config configs/syncnet.py:gpu --workdir runs/sync --config.data.source=clips

`data.source` is a folder of clips with sound, in sync, one face in each, or rendered people who talk.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import syncnet

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 40,
        'batch_size': 8,
        'checkpoint_every': 8,
        'preview_every': 8,
        'log_every': 4,
        'data': {'source': 'render:talk:1:4:24', 'size': 32, 'frames': 5, 'windows': 2},
        'model': {'frames': 5, 'code': 16},
        'model.face': {'widths': [8, 16], 'blocks': [0, 0]},
        'model.audio': {'widths': [4, 4, 4, 8, 8], 'blocks': [0, 0, 0, 0]},
        'optimizer.lr': 2e-3,
        'hiss': 0.02,
        'loss.temperature': 0.5,
        'optimizer.warmup': 0,
        'ema': 0.9,
    },
    # Rendered talkers at 64 px: 12 minutes of one CPU core, and some six before to draw them.
    'laptop': {
        'steps': 600,
        'data': {'source': 'render:talk:1:128:100', 'size': 64},
        'model.code': 128,
        'model.face': {'widths': [16, 32, 64, 128], 'blocks': [0, 0, 1, 1]},
        'model.audio': {'widths': [16, 32, 64, 128, 128], 'blocks': [0, 1, 1, 1]},
        'optimizer.warmup': 20,
        'ema': 0.99,
    },
    # 96 px on one GPU.
    'gpu': {'batch_size': 64, 'data.source': 'render:talk:1:512:100', 'data.resident_bytes': 2**33},
    # The original's net, loss and schedule: five frames, blue first.
    'paper': {
        'steps': 200_000,
        'batch_size': 64,
        'data': {'source': 'clips', 'frames': 5, 'windows': 1},
        'model': {'frames': 5, 'relu': True, 'aligned': False, 'bgr': True, 'bias': True},
        'loss.kind': 'bce',
        'flip': 0.0,
        'hiss': 0.0,
        'optimizer': {'lr': 1e-4, 'schedule': 'constant', 'warmup': 0},
        'ema': 0.0,
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(syncnet.default_config(), VARIANTS[variant])

"""Diffusion runs.

    python -m train.main --config configs/diffusion.py:laptop --workdir runs/diffusion \
        --config.data.source=pictures/faces --config.data.labels='["smile", "glasses"]'

`data.source` is as in `configs/vae.py`; `data.labels` are what `dfjax sample --label smile=1` can ask for.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import diffusion

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 30,
        'batch_size': 8,
        'checkpoint_every': 10,
        'preview_every': 10,
        'log_every': 5,
        'data.source': 'render:people:1:16',
        'data.labels': ['smile', 'glasses'],
        'data.size': 32,
        'model': {'patch': 4, 'widths': [16], 'blocks': 1, 'attention': [8], 'embedding': 32},
        'optimizer.lr': 2e-3,
        'optimizer.warmup': 5,
    },
    # An hour on one CPU core: the default.
    'laptop': {},
    # 64 px from pixels to pixels, with labels, on one GPU.
    'gpu': {
        'steps': 100_000,
        'batch_size': 128,
        'data.source': 'render:people:1:20000',
        'data.resident_bytes': 2**32,
        'data.labels': ['male', 'young', 'glasses', 'beard', 'smile', 'mouth_open'],
        'model': {'patch': 2, 'widths': [192, 384, 384], 'blocks': 3, 'attention': [16, 8], 'embedding': 768},
        'prediction': 'v',
        'optimizer.lr': 2e-4,
        'optimizer.warmup': 2000,
        'ema': 0.9998,
    },
    # Ho et al. 2020 on CelebA, cut as Song et al. 2021: linear schedule, noise predicted, no weights.
    'paper': {
        'steps': 500_000,
        'batch_size': 64,
        'data.source': 'celeb_a',
        'data.crop': 140,
        'model': {'patch': 1, 'widths': [128, 256, 256, 256], 'blocks': 2, 'attention': [16], 'embedding': 512},
        'schedule': 'linear',
        'prediction': 'epsilon',
        'snr': 0.0,
        'optimizer.lr': 2e-4,
        'optimizer.schedule': 'constant',
        'optimizer.warmup': 5000,
        'optimizer.b2': 0.999,
        'ema': 0.9999,
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(diffusion.default_config(), VARIANTS[variant])

"""GAN runs.

    python -m train.main --config configs/gan.py:laptop --workdir runs/gan --config.data.source=pictures/faces

`data.source` is as in `configs/vae.py`. For sets of more than some ten thousand pictures turn the discriminator's
augmentation off: `--config.augment.translate=0 --config.augment.cutout=0`.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import gan

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 30,
        'batch_size': 8,
        'checkpoint_every': 10,
        'preview_every': 10,
        'log_every': 5,
        'data.source': 'render:people:1:16',
        'data.size': 32,
        'model': {'latent': 16, 'patch': 4, 'width': 16, 'max_width': 16},
        'discriminator': {'width': 16, 'max_width': 16},
        'loss.sigma': 0.0,
        'optimizer.warmup': 5,
    },
    # The default. A second a step on one CPU core, 0.6 on two.
    'laptop': {},
    # 128 px on one GPU.
    'gpu': {
        'steps': 100_000,
        'batch_size': 64,
        'data.source': 'render:people:1:20000',
        'data.size': 128,
        'data.resident_bytes': 2**32,
        'model': {'latent': 256, 'patch': 2, 'width': 96, 'max_width': 512},
        'discriminator': {'width': 96, 'max_width': 512},
        'loss': {'r1': 5.0, 'r2': 5.0, 'sigma': 0.0},
        'optimizer.lr': 2e-4,
        'ema': 0.9995,
    },
    # DCGAN: transposed convolutions, batch norm, no penalty, no augmentation, Adam 2e-4 with b1 0.5.
    'paper': {
        'steps': 100_000,
        'batch_size': 128,
        'data.source': 'celeb_a',
        'data.crop': 178,
        'model': {'kind': 'classic', 'latent': 100, 'width': 64},
        'augment': {'colour': 0.0, 'translate': 0.0, 'cutout': 0.0},
        'flip': 0.0,
        'loss': {'kind': 'vanilla', 'r1': 0.0, 'r2': 0.0},
        'optimizer': {'lr': 2e-4, 'warmup': 0, 'b1': 0.5, 'b2': 0.999, 'clip': 0.0},
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(gan.default_config(), VARIANTS[variant])

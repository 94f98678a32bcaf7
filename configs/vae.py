"""Variational autoencoder runs.

    python -m train.main --config configs/vae.py:laptop --workdir runs/vae --config.data.source=pictures/faces

`data.source` is a folder of pictures, with a CSV of labels or without, a face set, a dataset of tfds (`celeb_a`) or
rendered people. The twin without the loss on edges, for `dfjax evaluate --run runs/vae --against runs/plain`:

    python -m train.main --config configs/vae.py:plain --workdir runs/plain
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import vae

LAPTOP = {
    'steps': 2400,
    'model': {'latent': 768, 'width': 128, 'skip_size': 0, 'grid': 8},
    'loss.beta': 0.02,
    'loss.gamma': 0.35,
}

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
        'model': {'latent': 8, 'patch': 4, 'width': 16, 'max_width': 16, 'residuals': 0, 'skip_size': 8},
        'flip': 0.0,
        'optimizer.warmup': 5,
    },
    # 16 minutes on one CPU core. Few steps keep more of a picture in a wide code, spread over a grid; beta makes it
    # scarce enough that it matters what the loss asks for.
    'laptop': LAPTOP,
    # The same without the loss on edges.
    'plain': LAPTOP | {'loss.gamma': 0.0},
    # 128 px, sharpened by a discriminator, on one GPU.
    'gpu': {
        'steps': 60_000,
        'batch_size': 64,
        'data.size': 128,
        'data.source': 'render:people:1:20000',
        'data.resident_bytes': 2**32,
        'model': {'latent': 64, 'patch': 2, 'width': 96, 'max_width': 512, 'residuals': 2, 'skip_size': 16},
        'discriminator.width': 64,
        'loss.texture': 0.02,
        'loss.gan': 0.005,
        'optimizer.lr': 5e-4,
    },
    # DeepFakeLab's notebook: 128 px, and its weights of the loss. There beta is 1 and gamma 512, over 128 * 128 pixels,
    # and the edges of the three channels are added up, where `losses.latent` takes their mean.
    'paper': {
        'steps': 100_000,
        'batch_size': 32,
        'data.size': 128,
        'data.source': 'celeb_a',
        'model': {'latent': 100, 'patch': 1, 'width': 32, 'max_width': 256, 'residuals': 0, 'skip_size': 0},
        'loss.beta': 1.0,
        'loss.gamma': 3 * 512 / 128**2,
        'loss.sobel': 'axis',
        'optimizer.schedule': 'constant',
        'optimizer.b2': 0.999,
        'optimizer.warmup': 0,
        'optimizer.clip': 0.0,
        'flip': 0.0,
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(vae.default_config(), VARIANTS[variant])

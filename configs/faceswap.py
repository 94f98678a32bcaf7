"""Face swap runs.

    python -m train.main --config configs/faceswap.py:laptop --workdir runs/swap \
        --config.data.a=faces/anna --config.data.b=faces/bert

`a` is the person in the video, `b` the person put in; each is a face set (`dfjax extract`), a packed one (`dfjax pack`)
or `render:SEED:COUNT`. `dfjax swap` does the extraction, this run and the conversion in one command.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.models.autoencoder import ORIGINAL
from dfjax.systems import faceswap

GPU = {
    'steps': 40_000,
    'batch_size': 32,
    'data.size': 256,
    'input_size': 128,
    'model.encoder': {'patch': 2, 'widths': [64, 128, 256, 512], 'latent': 512, 'bottleneck_grid': [16, 256]},
    'model.decoder': {'widths': [256, 128], 'residuals': 1, 'shuffle': 4},
    'references.size': 512,
    'loss.gan': 0.05,
    'loss.window': 11,
}

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 20,
        'batch_size': 8,
        'checkpoint_every': 10,
        'preview_every': 10,
        'log_every': 5,
        'data.a': 'render:1:16',
        'data.b': 'render:2:16',
        'data.size': 32,
        'input_size': 32,
        'model.encoder': {'patch': 4, 'widths': [8, 12], 'latent': 16, 'bottleneck_grid': [4, 8]},
        'model.decoder': {'widths': [8], 'shuffle': 4},
        'references': {'count': 4, 'size': 64},
        'loss.window': 5,
    },
    # Ten minutes and more on two CPU cores: the default.
    'laptop': {},
    # Two or three minutes: many small steps.
    'quick': {'batch_size': 8},
    # 256 px with a patch discriminator, on one GPU.
    'gpu': GPU,
    # The same on a slice of eight TPU chips, 32 faces of each side a chip. Not yet run on one.
    'tpu': GPU | {'batch_size': 256},
    # The first face swapper: 64 px, 82,062,470 parameters, L1 alone.
    'paper': {
        'steps': 100_000,
        'batch_size': 64,
        'data.size': 64,
        'input_size': 64,
        'model.encoder': ORIGINAL['encoder'],
        'model.decoder': ORIGINAL['decoder'],
        'references.count': 0,
        'augment.warp': 5 / 256,
        'augment.flip': 0.5,
        'loss.dssim': 0.0,
        'loss.mask': 0.0,
        'data.canonical': False,
        'loss.features': 0.0,
        'loss.outside': 1.0,
        'optimizer.lr': 5e-5,
        'optimizer.schedule': 'constant',
        'optimizer.b1': 0.5,
        'optimizer.b2': 0.999,
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(faceswap.default_config(), VARIANTS[variant])

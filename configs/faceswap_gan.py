"""faceswap-GAN runs.

    python -m train.main --config configs/faceswap_gan.py:laptop --workdir runs/gan \
        --config.data.a=faces/anna --config.data.b=faces/bert

`a` is the person in the video, `b` the person put in, as of `faceswap`. `--config.features=vgg19.pth` compares what is
shown by VGG-19 instead of the filter bank that is there.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import faceswap_gan

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 20,
        'checkpoint_every': 10,
        'preview_every': 10,
        'log_every': 5,
        'data.a': 'render:1:16',
        'data.b': 'render:2:16',
        'data.size': 16,
        'model.norm': 'instance',
        'model.encoder': {'widths': [4, 6, 8], 'code': 8, 'up': 8, 'attend': [8]},
        'model.decoder': {'widths': [8], 'attend': [16]},
        'model.discriminator': {'widths': [4, 8], 'attend': [8]},
        'loss.perceptual': [0.3, 0.1],
        'optimizer.g.lr': 4e-3,
    },
    # Sized for half an hour on two CPU cores, by the time of a step; not run to its end yet.
    'laptop': {
        'steps': 2000,
        'data.size': 96,
        'model.encoder': {'widths': [24, 48, 96, 192, 192], 'code': 256, 'up': 128, 'attend': [12, 6]},
        'model.decoder': {'widths': [96, 48, 24], 'attend': [24]},
        'model.discriminator': {'widths': [32, 64, 128], 'attend': [12]},
        # masks are not drawn up in so few steps by what judges them
        'schedule': {'perceptual': [1.0] * 8, 'margin': [0.5] * 8, 'exchange': 1.0},
        'optimizer.g.lr': 5e-4,
    },
    # v2.2 at 128 px, on one GPU; not run yet.
    'gpu': {
        'batch_size': 16,
        'data.size': 128,
        'model.encoder': {'widths': [64, 128, 256, 512, 1024, 1024], 'attend': [32, 16]},
        'model.decoder': {'widths': [256, 128, 64, 64], 'attend': [32, 64]},
        'model.discriminator': {'widths': [64, 128, 256, 256], 'attend': [16, 8]},
    },
    # v2.2: 64 px, 40,000 steps of 8 faces each.
    'paper': {},
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(faceswap_gan.default_config(), VARIANTS[variant])

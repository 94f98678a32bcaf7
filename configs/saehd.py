"""SAEHD runs.

    python -m train.main --config configs/saehd.py:laptop --workdir runs/saehd \
        --config.data.a=faces/anna --config.data.b=faces/bert

`a` is the person in the video, `b` the person put in, as of `faceswap`. Another run is gone on from with
`--start-from`, as DeepFaceLab's pretraining is: train `pretrain` on many people's faces on both sides, then any of the
others with the same `model` on two people's.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import saehd

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 20,
        'checkpoint_every': 10,
        'preview_every': 10,
        'log_every': 5,
        'data.a': 'render:1:16',
        'data.b': 'render:2:16',
        'data.size': 64,
        'model': {'code': 8, 'width': 2, 'decoder_width': 2, 'mask_width': 2},
        'optimizer.lr': 2e-3,
    },
    # Sized for half an hour on two CPU cores, by the time of a step; not run to its end yet.
    'laptop': {
        'steps': 4000,
        'data.size': 96,
        'model': {'kind': 'df', 'code': 128, 'width': 16, 'decoder_width': 16, 'mask_width': 6},
        'optimizer.lr': 3e-4,
    },
    # 256 px with a discriminator, on one GPU.
    'gpu': {
        'steps': 200_000,
        'data.size': 256,
        'model': {'options': 'udt', 'decoder_width': 80},
        'loss.features': 300.0,
        'loss.gan': 0.1,
        'discriminator.patch': 32,
    },
    # DeepFaceLab's defaults: liae-ud at 128 px, 82,376,555 parameters.
    'paper': {'steps': 200_000, 'augment.flip': 0.4},
    # Its Quick96: df-ud at 96 px, 38,294,330 parameters.
    'quick96': {
        'steps': 20_000,
        'batch_size': 4,
        'data.size': 96,
        'model': {'kind': 'df', 'code': 128, 'mask_width': 16},
        'optimizer': {'kind': 'rmsprop', 'lr': 2e-4, 'b1': 0.0, 'b2': 0.9},
        'dropout': 0.7,
    },
    # What other runs begin with: no warp, mirrored faces, all yaws.
    'pretrain': {
        'steps': 200_000,
        'data.a': 'render:people:1:4096',
        'data.b': 'render:people:2:4096',
        'data.uniform_yaw': True,
        'pretrain': True,
        'augment.warp': 0.0,
        'augment.flip': 0.5,
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(saehd.default_config(), VARIANTS[variant])

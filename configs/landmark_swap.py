"""Runs of the face swap that is told landmarks.

    python -m train.main --config configs/landmark_swap.py:laptop --workdir runs/landmarks \
        --config.data.a=faces/anna --config.data.b=faces/bert

`a` is the person in the video, `b` the person put in, as of `faceswap`; face sets are of type whole_face
(`dfjax extract --face-type whole_face`), which leaves room for hair and chin.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.models.landmark_swap import ORIGINAL
from dfjax.systems import landmark_swap

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
        'model.encoder': {'patch': 4, 'widths': [8, 12], 'latent': 16, 'grid': [4, 16]},
        'model.decoder': {'widths': [8], 'shuffle': 4},
        'loss.window': 5,
        'optimizer.lr': 4e-3,
    },
    # Sized for half an hour on two CPU cores, by the time of a step; not run to its end yet.
    'laptop': {'steps': 4000},
    # 256 px, on one GPU; not run yet.
    'gpu': {
        'steps': 40_000,
        'batch_size': 32,
        'data.size': 256,
        'model.encoder': {'patch': 2, 'widths': [64, 128, 256, 512, 512], 'latent': 512, 'grid': [16, 256]},
        'model.decoder': {'widths': [256, 128]},
        'loss.window': 11,
    },
    # The original's net and loss: 64 px, coordinates in the code, L1.
    'paper': {
        'steps': 2000,
        'batch_size': 3,
        'data.size': 64,
        'model': ORIGINAL,
        'augment.warp': 5 / 256,
        'augment.flip': 0.5,
        'loss': {'dssim': 0.0, 'mask': 0.0, 'features': 0.0, 'outside': 1.0},
        'optimizer': {'lr': 1e-5, 'schedule': 'constant', 'warmup': 0, 'b1': 0.5, 'b2': 0.999, 'clip': 0.0},
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(landmark_swap.default_config(), VARIANTS[variant])

"""AMP runs.

    python -m train.main --config configs/amp.py:laptop --workdir runs/amp \
        --config.data.a=faces/anna --config.data.b=faces/bert

`a` is the person in the video, `b` the person put in, as of `faceswap`; face sets are of type whole_face
(`dfjax extract --face-type whole_face`). How far a swap goes from a to b is said when it is made:

    dfjax convert --run runs/amp --into anna.mp4 -o out.mp4 --morph 0.75
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import amp

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
        'model': {'code': 8, 'inter': 8, 'width': 2, 'decoder_width': 2, 'mask_width': 2},
        'optimizer.lr': 2e-3,
    },
    # Sized for half an hour on two CPU cores, by the time of a step; not run to its end yet.
    'laptop': {
        'steps': 5000,
        'data.size': 96,
        'model': {'code': 128, 'inter': 256, 'width': 16, 'decoder_width': 16, 'mask_width': 6},
        'optimizer.lr': 3e-4,
    },
    # 256 px with a discriminator, on one GPU; not run yet.
    'gpu': {'steps': 200_000, 'data.size': 256, 'discriminator.patch': 32, 'loss.gan': 0.1},
    # DeepFaceLab's defaults: 224 px.
    'paper': {'steps': 200_000},
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(amp.default_config(), VARIANTS[variant])

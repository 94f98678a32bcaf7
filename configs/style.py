"""Runs that learn one style, for pictures and videos.

    python -m train.main --config configs/style.py:laptop --workdir runs/night --config.style=pattern:strokes

`style` is a picture or one of `dfjax/data/render/patterns.py`; `data.source`, the pictures to be repainted, is as in
`configs/vae.py`. Then:

    dfjax stylize --run runs/night anna.mp4 -o out.mp4

Features of VGG-19 are read from torchvision's file or Keras's: `--config.features=vgg19-dcbb9e9d.pth`.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import style

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 30,
        'batch_size': 8,
        'checkpoint_every': 10,
        'preview_every': 10,
        'log_every': 5,
        'style_size': 32,
        'data.source': 'render:people:1:16',
        'data.size': 32,
        'model': {'width': 16, 'blocks': 1},
        'optimizer.warmup': 5,
    },
    # Half an hour on one CPU core: the default.
    'laptop': {},
    # 256 px on one GPU.
    'gpu': {
        'steps': 10_000,
        'batch_size': 16,
        'data.size': 256,
        'data.source': 'render:people:1:8192',
        'data.resident_bytes': 2**32,
        'model': {'width': 128, 'blocks': 5},
    },
    # Johnson's net at 256 px, two passes over 80,000 pictures in batches of four; needs VGG-19.
    'paper': {
        'steps': 40_000,
        'features': 'vgg19.npz',
        'data.size': 256,
        'data.source': 'photos',
        'model': {'kind': 'resnet', 'width': 32, 'blocks': 5, 'norm': 'affine'},
        'flip': 0.0,
        'loss.stable': 0.0,
        'optimizer': {'lr': 1e-3, 'schedule': 'constant', 'warmup': 0, 'b2': 0.999},
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(style.default_config(), VARIANTS[variant])

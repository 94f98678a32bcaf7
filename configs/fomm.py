"""First Order Motion Model's runs.

    python -m train.main --config configs/fomm.py:laptop --workdir runs/heads
    python -m train.main --config configs/fomm.py:vox --workdir runs/vox --config.data.source=vox/train

`data.source` is a folder of videos or of folders of pictures, one a clip, or rendered people who talk. The perceptual
loss takes VGG-19 where `features` names a file of it, and else a fixed filter bank.

The eight runs of the original are at 256 px; the steps are its epochs and repeats of its training sets in its batches.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import fomm

# What the original's runs share: Adam, the rate falling by ten twice, VGG-19.
ORIGINAL = {'features': 'vgg19.pth', 'optimizer.schedule': 'milestones', 'data.resident_bytes': 0}
SPECTRAL = {'model.d': {'spectral': True, 'points': False}}
STILL = {'augment': {'brightness': 0.0, 'contrast': 0.0, 'saturation': 0.0, 'hue': 0.0}}

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 24,
        'batch_size': 8,
        'checkpoint_every': 8,
        'preview_every': 8,
        'log_every': 4,
        'data.source': 'render:talk:1:4:12',
        'data.size': 32,
        'model': {'keypoints': 3, 'bias': False},
        'model.kp': {'width': 4, 'max_width': 8, 'blocks': 2, 'scale': 0.5},
        'model.g': {'width': 4, 'max_width': 8, 'downs': 1, 'blocks': 1},
        'model.g.motion': {'width': 4, 'max_width': 8, 'blocks': 2, 'scale': 0.5},
        'model.d': {'width': 4, 'max_width': 8, 'blocks': 2},
        'loss.matching': [10.0, 10.0],
        'optimizer.lr': 2e-3,
        'ema': 0.9,
    },
    # Rendered heads at 64 px: an hour of one CPU core.
    'laptop': {
        'steps': 1700,
        'batch_size': 16,
        'data.source': 'render:talk:1:64:50',
        'data.size': 64,
        'model.bias': False,
        'model.kp': {'width': 16, 'max_width': 128, 'blocks': 3, 'scale': 0.5},
        'model.g': {'width': 32, 'max_width': 128, 'downs': 2, 'blocks': 2},
        'model.g.motion': {'width': 16, 'max_width': 128, 'blocks': 3, 'scale': 0.5},
        'loss.gan': 0.0,
        'optimizer': {'kind': 'adamw', 'lr': 5e-4, 'schedule': 'cosine', 'warmup': 100}
        | {'b1': 0.9, 'clip': 10.0, 'weight_decay': 1e-4},
        'ema': 0.999,
    },
    # 256 px on one GPU, past the original.
    'gpu': {
        'steps': 60_000,
        'batch_size': 32,
        'data.source': 'render:talk:1:512:50',
        'data.resident_bytes': 2**33,
        'model': {'keypoints': 50, 'kp.jacobian': False, 'background': True},
        'model.g': {'skips': True, 'motion.points': 5},
        'drop.motions': 0.3,
        'optimizer': {'kind': 'adamw', 'schedule': 'cosine', 'warmup': 500, 'clip': 10.0, 'weight_decay': 1e-4},
        'ema': 0.999,
    },
    'vox': ORIGINAL | SPECTRAL | {'steps': 79_000, 'batch_size': 40, 'loss.gan': 0.0},
    'vox_adv': ORIGINAL | {'steps': 118_000, 'batch_size': 36, 'optimizer.schedule': 'constant'},
    'taichi': ORIGINAL | {'steps': 126_000, 'batch_size': 30, 'loss.gan': 0.0, 'model.d.points': False},
    'taichi_adv': ORIGINAL | {'steps': 210_000, 'batch_size': 27, 'optimizer.schedule': 'constant', 'rate_kp': 0.0},
    'mgif': ORIGINAL
    | SPECTRAL
    | {'steps': 62_500, 'model.kp.single_jacobian_map': True}
    | {'augment': {'brightness': 0.0, 'contrast': 0.0, 'saturation': 0.0, 'hue': 0.5, 'enlarge': 1.1}},
    'fashion': ORIGINAL
    | {'steps': 92_600, 'batch_size': 27, 'model.d.points': False}
    | {'augment': {'brightness': 0.0, 'contrast': 0.0, 'saturation': 0.0, 'hue': 0.1}},
    'nemo': ORIGINAL | SPECTRAL | STILL | {'steps': 20_000},
    'bair': ORIGINAL | SPECTRAL | {'steps': 23_800},
}
VARIANTS['paper'] = VARIANTS['vox']  # what the paper's figures of faces are from


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(fomm.default_config(), VARIANTS[variant])

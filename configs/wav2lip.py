"""Wav2Lip's runs.

    python -m train.main --config configs/wav2lip.py:laptop --workdir runs/lips
    python -m train.main --config configs/wav2lip.py:gpu --workdir runs/lips --config.data.source=clips

`data.source` is a folder of clips with sound, in sync, one face in each, or rendered people who talk. SyncNet is
trained along with the rest, on real windows; `--start-from RUN` begins with one that a run of `configs/syncnet.py` has
trained, if its faces, windows and widths are the same.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import wav2lip

# One halving more of the faces.
LARGE = {
    'model.g': {
        'encoder': [16, 32, 64, 128, 256, 512, 512, 512],
        'encoder_blocks': [0, 2, 3, 2, 2, 1, 1],
        'decoder': [512, 512, 512, 512, 384, 256, 128, 64],
        'decoder_blocks': [1, 2, 2, 2, 2, 2, 2],
    },
    'model.sync.face': {'widths': [32, 64, 128, 256, 512, 512], 'blocks': [0, 2, 3, 2, 2, 2]},
}
GPU = {'data.source': 'render:talk:1:512:100', 'data.resident_bytes': 2**33}

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 24,
        'batch_size': 8,
        'checkpoint_every': 8,
        'preview_every': 8,
        'log_every': 4,
        'data': {'source': 'render:talk:1:4:24', 'size': 32, 'windows': 2},
        'model.g': {
            'encoder': [8, 8, 16, 16, 16],
            'encoder_blocks': [0, 0, 0, 0],
            'decoder': [16, 16, 16, 8, 8],
            'decoder_blocks': [0, 0, 0, 0],
            'last': 8,
        },
        'model.g.audio': {'widths': [4, 4, 8, 8, 16], 'blocks': [0, 0, 0, 0], 'code': 16},
        'model.sync.code': 16,
        'model.sync.face': {'widths': [8, 16], 'blocks': [0, 0]},
        'model.sync.audio': {'widths': [4, 4, 4, 8, 8], 'blocks': [0, 0, 0, 0]},
        'model.d.widths': [8, 8, 16],
        'hiss': 0.02,
        'loss': {'temperature': 0.5, 'gan_from': 0.0},
        'optimizer.g': {'lr': 4e-3, 'warmup': 0},
        'optimizer.d': {'lr': 1e-3, 'warmup': 0},
        'optimizer.sync': {'lr': 2e-3, 'warmup': 0},
        'ema': 0.9,
    },
    # Rendered talkers at 64 px: half a step a second on one CPU core, 80 minutes; not run to its end yet.
    'laptop': {
        'steps': 2500,
        'batch_size': 8,
        'data': {'source': 'render:talk:1:64:100', 'size': 64},
        'model.g': {
            'encoder': [8, 24, 48, 96, 96],
            'encoder_blocks': [0, 0, 1, 1],
            'decoder': [96, 96, 64, 48, 16],
            'decoder_blocks': [1, 1, 0, 0],
            'last': 12,
        },
        'model.g.audio': {'widths': [16, 32, 48, 96, 96], 'blocks': [0, 0, 1, 1], 'code': 96},
        'model.sync.code': 128,
        'model.sync.face': {'widths': [16, 32, 64, 128], 'blocks': [0, 0, 1, 1]},
        'model.sync.audio': {'widths': [16, 32, 64, 128, 128], 'blocks': [0, 1, 1, 1]},
        'model.d.widths': [16, 32, 64],
        'optimizer.g': {'lr': 1e-3, 'warmup': 50},
        'ema': 0.99,
    },
    # 96, 192 and 256 px on one GPU.
    'gpu': GPU,
    'gpu_192': GPU | LARGE | {'data.size': 192},
    'gpu_256': GPU | LARGE | {'data.size': 256, 'batch_size': 8},
    # The original's nets, losses and schedule, with a discriminator. Its SyncNet was trained before: --start-from.
    'paper': {
        'steps': 300_000,
        'data': {'source': 'clips', 'windows': 1},
        'model': {'early': 1, 'bgr': True, 'bias': True},
        'model.sync': {'relu': True, 'aligned': False},
        'model.d.widths': [32, 64, 128, 256, 512, 512, 512],
        'flip': 0.0,
        'hiss': 0.0,
        'silence': 0.0,
        'choose': False,
        'loss': {'kind': 'bce', 'sync': 0.03, 'trusted': 0.75, 'mouth': 1.0}
        | {'adversarial': 'vanilla', 'gan_from': 0.0},
        'optimizer.g': {'lr': 1e-4, 'schedule': 'constant', 'warmup': 0},
        'optimizer.d': {'lr': 1e-4, 'schedule': 'constant', 'warmup': 0},
        'optimizer.sync.lr': 0.0,
        'ema': 0.0,
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(wav2lip.default_config(), VARIANTS[variant])

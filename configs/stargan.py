"""StarGAN runs.

    python -m train.main --config configs/stargan.py:laptop --workdir runs/stargan \
        --config.data.source=pictures/faces --config.data.labels='["smile", "glasses", "beard", "dark_hair"]'

`data.source` is a folder of pictures with a CSV of labels, a folder of folders, a dataset of tfds (`celeb_a`) or
rendered people; several, joined by +, have their labels in `groups`. Another number of labels is
`--config.model.g.labels` (and one more a group) and `--config.model.d.labels`. Labels that exclude each other, as the
names of folders do, are `--config.loss.exclusive=true`, or the groups in which they do so, as `[1]`.
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import stargan

CELEBA = ['Black_Hair', 'Blond_Hair', 'Brown_Hair', 'Male', 'Young']
RENDERED = ['smile', 'glasses', 'beard', 'dark_hair']

VARIANTS = {
    # Seconds: for tests.
    'smoke': {
        'steps': 20,
        'batch_size': 16,
        'n_critic': 2,
        'checkpoint_every': 10,
        'preview_every': 10,
        'log_every': 5,
        'data.source': 'render:people:1:16',
        'data.labels': ['smile', 'glasses'],
        'data.size': 32,
        'model.size': 32,
        'model.g': {'kind': 'light', 'labels': 2, 'width': 8, 'blocks': 1},
        'model.d': {'labels': 2, 'width': 8, 'layers': 3},
        'optimizer': {'g.lr': 5e-4, 'd.lr': 5e-4},
        'ema': 0.9,
    },
    # 34 minutes on two CPU cores. The penalty is on the gradient of the sum over the patches, of which the adversarial
    # term is the mean: one patch makes the critic strong beside the labels, which a generator else meets by stripes.
    'laptop': {
        'steps': 2400,
        'batch_size': 32,
        'n_critic': 4,
        'data.source': 'render:people:1:2000',
        'data.labels': RENDERED,
        'data.size': 64,
        'model.size': 64,
        'model.g': {'kind': 'light', 'labels': 4, 'width': 96, 'blocks': 3},
        'model.d': {'labels': 4, 'width': 32, 'layers': 6},
        'targets': 'random',
        'optimizer': {'g.lr': 3e-4, 'd.lr': 5e-4},
        'ema': 0.998,
    },
    # 128 px on one GPU.
    'gpu': {
        'data.source': 'render:people:1:20000',
        'data.labels': RENDERED,
        'data.resident_bytes': 2**32,
        'model.g.labels': 4,
        'model.d.labels': 4,
        'ema': 0.999,
    },
    # The original's: CelebA, 200,000 updates of the discriminator with 16 pictures each.
    'paper': {'data.source': 'celeb_a', 'data.labels': CELEBA, 'data.crop': 178},
    # Another well-known one's: 2e-4, random labels, pictures enlarged by 1.12 and cut.
    'random': {
        'data.source': 'celeb_a',
        'data.labels': CELEBA,
        'data.crop': 178,
        'targets': 'random',
        'jitter': 1.12,
        'optimizer': {'g.lr': 2e-4, 'd.lr': 2e-4},
    },
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(stargan.default_config(), VARIANTS[variant])

"""Tint runs.

python -m train.main --config configs/tint.py:laptop --workdir runs/tint
"""

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import tint

VARIANTS = {
    'smoke': {'steps': 60, 'batch_size': 8, 'log_every': 20, 'preview_every': 60, 'checkpoint_every': 60},
    'laptop': {},
}


def get_config(variant: str = 'laptop') -> ConfigDict:
    """The config of a named run; see `VARIANTS`."""
    return build(tint.default_config(), VARIANTS[variant])

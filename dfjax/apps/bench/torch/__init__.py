"""The PyTorch sides of `dfjax bench`: of each system here, where its trainer is, and the named run that is measured."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Side:
    """A system's PyTorch side.

    Attributes:
        module: its module here.
        trainer: the class in it.
        variant: of `configs/<system>.py`.
        changes: of its keys.
        most: examples a step on a CPU, where nothing else is asked for; 0: as many as the variant has.
    """

    module: str
    trainer: str
    variant: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    most: int = 0

    def load(self) -> type:
        """The trainer; imports PyTorch."""
        return getattr(importlib.import_module(f'dfjax.apps.bench.torch.{self.module}'), self.trainer)


SIDES = {
    'vae': Side('latent', 'Vae', 'laptop'),
    'diffusion': Side('latent', 'Diffusion', 'laptop'),
    'pix2pix': Side('systems', 'Pix2Pix', 'paper'),
    'cyclegan': Side('systems', 'CycleGan', 'paper'),
    'stargan': Side('systems', 'StarGan', 'paper'),
    'fomm': Side('fomm', 'Fomm', 'vox_adv', {'features': ''}, most=2),
    'wav2lip': Side('wav2lip', 'Wav2Lip', 'paper', most=2),
    'syncnet': Side('wav2lip', 'SyncNet', 'paper', most=16),
    'saehd': Side('saehd', 'Saehd', 'paper'),
}

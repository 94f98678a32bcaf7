"""The PyTorch sides of `dfjax bench`: of each system here, where its trainer is, and the named run that is measured."""

import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Side:
    """A system's PyTorch side: its module here, the class in it, and the variant of `configs/<system>.py`."""

    module: str
    trainer: str
    variant: str

    def load(self) -> type:
        """The trainer; imports PyTorch."""
        return getattr(importlib.import_module(f'dfjax.apps.bench.torch.{self.module}'), self.trainer)


SIDES = {
    'vae': Side('latent', 'Vae', 'laptop'),
    'diffusion': Side('latent', 'Diffusion', 'laptop'),
    'pix2pix': Side('systems', 'Pix2Pix', 'paper'),
    'cyclegan': Side('systems', 'CycleGan', 'paper'),
    'stargan': Side('systems', 'StarGan', 'paper'),
}

"""Figures of a GAN: the Frechet distance of its samples, its floor, and how well it remakes given pictures."""

import numpy as np

from dfjax.evaluation.held_out import frechet_figures, held_out_name, load_pictures
from dfjax.inference.invert import invert
from dfjax.inference.run import Run
from dfjax.inference.sample import draw_noise, make

INVERTED = 16  # held-out pictures


def figures(run: Run, *, data: str | None = None, samples: int = 500) -> dict:
    """'frechet' and 'frechet_floor' (see `inference.heldout`) and 'inversion_psnr'.

    Args:
        run: of system gan.
        data: real pictures that the run has not learnt from; by default rendered people of other seeds.
        samples: for 'frechet'; 0 leaves it out.

    Raises:
        InputError: as `held_out_name`.
    """
    pictures = load_pictures(run.cfg, data or held_out_name(run.cfg, INVERTED))['image'][:INVERTED]
    error = ((invert(run, pictures)[1].astype(np.float64) - pictures) ** 2).mean()
    report = {'inversion_psnr': round(float(10 * np.log10(255**2 / max(error, 1e-10))), 3)}
    if samples:
        report |= frechet_figures(run, make(run, draw_noise(run, samples, seed=0)), data)
    return report

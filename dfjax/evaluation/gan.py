"""Figures of a GAN: the Frechet distance of its samples, its floor, and how well it remakes given pictures."""

from dfjax.evaluation.held_out import frechet_figures, held_out_name, load_pictures
from dfjax.evaluation.metrics import decibels, squared_errors
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
    error = squared_errors(invert(run, pictures)[1], pictures).mean()
    report = {'inversion_psnr': round(float(decibels(error)), 3)}
    if samples:
        report |= frechet_figures(run, make(run, draw_noise(run, samples, seed=0)), data)
    return report

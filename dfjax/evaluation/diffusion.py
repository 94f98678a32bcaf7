"""Figures of a diffusion model: its likelihood bound, and the Frechet distance of its samples with its floor."""

import jax
import numpy as np

from dfjax.evaluation.held_out import frechet_figures, held_out_name, load_pictures
from dfjax.inference.run import Run
from dfjax.inference.sample import diffuse, draw_noise
from dfjax.ops.image import to_float

PICTURES = 256  # held out
AT_ONCE = 32  # pictures a program sees, at most


def figures(
    run: Run, *, data: str | None = None, samples: int = 500, steps: int = 20, solver: str = 'dpm++', progress=None
) -> dict:
    """'bits' a value of held-out pictures and 'bits_error', its standard error; 'frechet' and 'frechet_floor'.

    Args:
        run: of system diffusion.
        data: pictures that the run has not learnt from; by default rendered people of other seeds.
        samples: for 'frechet'; 0 leaves it out.
        steps, solver: of the samples.
        progress: called with the steps of sampling done and their number.

    Raises:
        InputError: as `held_out_name` and `diffuse`.
    """
    pictures = load_pictures(run.cfg, data or held_out_name(run.cfg, PICTURES))['image'][:PICTURES]
    params, bits = jax.device_put(run.params), []
    bound = jax.jit(lambda params, x, key: run.system.bound(run.cfg, params, x, key))
    for n, part in enumerate(np.array_split(pictures, -(-len(pictures) // AT_ONCE))):  # parts of one size or two
        key = jax.random.fold_in(jax.random.key(0), n * AT_ONCE)
        bits.append(np.asarray(bound(params, to_float(part), key)))
    bits = np.concatenate(bits)
    report = {'bits': round(float(bits.mean()), 4), 'bits_error': round(float(bits.std() / len(bits) ** 0.5), 4)}
    if samples:
        noise = draw_noise(run, samples, seed=0)
        made = diffuse(run, noise, steps=steps, solver=solver, progress=progress)
        report |= {'steps': steps, 'solver': solver} | frechet_figures(run, made, data)
    return report

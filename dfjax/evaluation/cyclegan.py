"""Figures of CycleGAN, on pairs that are known and that it has never seen."""

from dataclasses import replace

import numpy as np

from dfjax.data.names import parse
from dfjax.errors import InputError
from dfjax.evaluation.metrics import psnr
from dfjax.evaluation.pix2pix import held_out_of, pairs
from dfjax.inference.run import Run
from dfjax.inference.translate import Translator


def figures(run: Run, *, data: str | None = None) -> dict:
    """'psnr_ab' and 'psnr_ba' to the true partner, 'psnr' their mean, 'psnr_input' of the untranslated pictures (dB),
    and 'recon_l1', the mean distance of pictures in [-1, 1] that went there and back.

    Args:
        run: of system cyclegan.
        data: held-out pairs as pix2pix takes them; by default pictures a of another seed, and the same as pictures b,
            where the run has learnt from two domains of rendered people.

    Raises:
        InputError: if true pairs are not known; as `heldout.held_out_name` and `open_streams`.
    """
    a, b = pairs(run, source=data) if data else pairs(run, **held_out_domains(run))
    there, back = (Translator(run, side, batch_size=32) for side in ('ab', 'ba'))
    made_b, made_a = np.stack(there(a)), np.stack(back(b))
    to = {'psnr_ab': psnr(made_b, b), 'psnr_ba': psnr(made_a, a)}
    cycles = [np.abs(np.stack(way(made)).astype(float) - x) for way, made, x in ((back, made_b, a), (there, made_a, b))]
    report = {'psnr': round(sum(to.values()) / 2, 3), **to, 'psnr_input': psnr(a, b)}
    return report | {'recon_l1': round(float(np.mean(cycles)) / 127.5, 4), 'pairs': len(a)}


def held_out_domains(run: Run) -> dict[str, str]:
    """Names of the same unseen scenes as pictures a and as pictures b."""
    a, b = (parse(held_out_of(run.cfg.data[side])) for side in 'ab')
    if not a.form == b.form:
        raise InputError(f'{run.path}: pictures a and b are of different scenes; give --data NAME of pairs')
    return {'a': str(a), 'b': str(replace(a, condition=b.condition))}

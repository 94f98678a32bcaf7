"""Figures of tint on pairs that it has not learnt from."""

from dfjax.evaluation.metrics import psnr
from dfjax.evaluation.pix2pix import held_out_of, pairs
from dfjax.inference.run import Run
from dfjax.inference.translate import Translator


def figures(run: Run, *, data: str | None = None) -> dict:
    """'psnr' of the pictures made and 'psnr_input' of the inputs taken for them, means over pictures in dB.

    Args:
        data: held-out pairs; by default rendered ones of another seed.
    """
    a, b = pairs(run, source=data or held_out_of(run.cfg.data.source))
    return {'psnr': psnr(Translator(run, batch_size=32)(a), b), 'psnr_input': psnr(a, b)}

"""Figures of pix2pix: how near the pictures it makes are to the true ones, on pairs that it has not learnt from."""

import numpy as np
from ml_collections import ConfigDict

from dfjax.data.kinds import WHOLE, open_streams
from dfjax.evaluation.held_out import held_out_name
from dfjax.evaluation.metrics import psnr
from dfjax.inference.run import Run
from dfjax.inference.translate import Translator

PAIRS = 256


def figures(run: Run, *, data: str | None = None) -> dict:
    """'psnr' of the pictures made, and 'psnr_input' of the inputs taken for them; means over pictures, in dB.

    Args:
        run: of system pix2pix.
        data: held-out pairs, as `config.data.source` names them; by default rendered ones of another seed.

    Raises:
        InputError: as `heldout.held_out_name` and `open_streams`.
    """
    if not data:
        data = held_out_of(run.cfg.data.source)
    a, b = pairs(run, source=data)
    return {'psnr': psnr(Translator(run, batch_size=32)(a), b), 'psnr_input': psnr(a, b), 'pairs': len(a)}


def held_out_of(name: str) -> str:
    """As many as `PAIRS` rendered pictures, or pairs, like those of a name, of another seed."""
    return held_out_name(ConfigDict({'data': {'source': name}}), PAIRS)


def pairs(run: Run, **names: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures a and b, uint8 [N, S, S, 3] each, of 'aligned' data."""
    data = ConfigDict({'source': '', 'size': run.cfg.data.size, **names})
    rows = open_streams('aligned', data)[WHOLE].arrays()
    return rows['a']['image'][:PAIRS], rows['b']['image'][:PAIRS]

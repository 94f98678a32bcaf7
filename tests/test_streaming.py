"""A packed set that does not fit on the device, through the loop: Grain's position is part of the checkpoint."""

import jax
import numpy as np
import pytest

from configs import vae
from dfjax.config import build
from dfjax.data.batches import Streamed, make_data
from dfjax.data.sets.open import open_dataset
from dfjax.data.sets.pack import pack_pictures
from dfjax.training import loop

pytestmark = pytest.mark.whole


def test_a_streamed_run_that_is_stopped_goes_on_bit_for_bit(tmp_path):
    pack_pictures(open_dataset('render:people:1:16', 32), tmp_path / 'set')
    changes = {'data.source': str(tmp_path / 'set'), 'data.resident_bytes': 0, 'batch_size': 6, 'checkpoint_every': 2}
    changes |= {'optimizer.schedule': 'constant', 'optimizer.warmup': 0, 'preview_every': 0}

    def train(folder, steps):
        cfg = build(vae.get_config('smoke'), changes | {'steps': steps})
        return loop.train(cfg, tmp_path / folder, progress=False)

    data = make_data(build(vae.get_config('smoke'), changes), 'labelled')
    assert isinstance(data, Streamed)
    data.close()
    whole = train('whole', 9)
    for steps in (2, 5, 9):  # within an epoch of 16 pictures, and after one
        parts = train('parts', steps)
    assert int(parts.step) == 9
    for one, two in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_array_equal(one, two)

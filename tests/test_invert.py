"""Inversion of a generator that is known: one whose pictures are two colours, side by side."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.inference.invert import invert


def decode(cfg, params, w):
    """Pictures [B, 16, 16, 3]: tanh of three numbers on the left, of three others on the right."""
    left, right = (jnp.broadcast_to(x[:, None, None], (len(w), 16, 8, 3)) for x in jnp.split(jnp.tanh(w), 2, 1))
    return params['gain'] * jnp.concatenate([left, right], 2)


SYSTEM = SimpleNamespace(decode=decode, styles=lambda cfg, params, noise: noise, noise_shape=lambda cfg: (6,))
RUN = SimpleNamespace(system=SYSTEM, cfg=None, params={'gain': np.float32(1)})


@pytest.mark.parametrize('accelerated', [False, True])
def test_the_style_of_a_picture_is_found_step_by_step_and_in_one_program(accelerated, monkeypatch):
    monkeypatch.setattr('dfjax.ops.backend.loops_are_fast', lambda: accelerated)
    truth = np.random.default_rng(0).uniform(-1, 1, (3, 6)).astype(np.float32)
    pictures = np.asarray(jnp.round((decode(None, RUN.params, truth) + 1) * 127.5)).astype(np.uint8)
    styles, made = invert(RUN, pictures, steps=150)
    np.testing.assert_allclose(styles, truth, atol=0.05)
    assert np.abs(made.astype(int) - pictures).max() <= 3

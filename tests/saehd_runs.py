"""Runs of SAEHD as shapes, and pictures for them. It is not a test."""

import jax
import jax.extend.core
import numpy as np
from scipy.ndimage import gaussian_filter

from configs.saehd import get_config
from dfjax.config import build
from dfjax.systems import saehd


def shapes(variant, **changes):
    """The state of a run, as shapes."""
    cfg = build(get_config(variant), changes)
    return jax.eval_shape(lambda key: saehd.init(cfg, key), jax.random.key(0))


def pictures(seed, size=64):
    """Two smooth pictures in [0, 1], float64."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(2, size, size, 3)), (0, 3, 3, 0))
    return np.clip(0.5 + noise, 0, 1)

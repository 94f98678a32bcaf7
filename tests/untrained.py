"""Runs that have not been trained, and pictures to try them on. It is not a test."""

import importlib

import cv2
import jax
import numpy as np

from dfjax.config import build
from dfjax.systems import load_system
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.workdir import claim


def untrained(folder, name, **changes):
    """A run of system `name` at its start, or near it: fresh parameters, moved a little so that nothing is zero."""
    cfg = build(importlib.import_module(f'configs.{name}').get_config('smoke'), changes)
    claim(folder, cfg)
    init = jax.jit(lambda key: load_system(name).init(cfg, key), compiler_options={'xla_backend_optimization_level': 0})
    state = init(jax.random.key(0))
    rng = np.random.default_rng(0)
    moved = jax.tree.map(lambda x: x + np.float32(0.03) * rng.normal(size=x.shape).astype(np.float32), state.ema)
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(1, state.replace(step=state.step + 1, ema=moved), 0.0, {})
        checkpoints.finish()
    return folder


def latent_run(folder, name):
    """A run of a latent system. Through little noise the diffusion model guesses what it sees."""
    own = {'diffusion': {'prediction': 'v'}}.get(name, {})
    return untrained(folder, name, **{'data.source': 'render:people:1:24'}, **own)


def smooth_picture(h, w, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return cv2.resize(noise, (w, h), interpolation=cv2.INTER_CUBIC)

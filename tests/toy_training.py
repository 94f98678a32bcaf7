"""Runs of the toy system in this process, and what their folders hold. It is not a test."""

import json

import jax
import numpy as np
import toy_system as toy
from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems.state import State
from dfjax.training import loop


def config(**changes) -> ConfigDict:
    return build(toy.default_config(), changes)


def train(workdir, data=None, **changes) -> State:
    cfg = config(**changes)
    return loop.train(cfg, workdir, data=data or toy.resident(cfg), progress=False)


def same(one: State, other: State) -> bool:
    """Whether two states are equal bit for bit."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    raw = lambda x: np.asarray(jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x)
    return all(np.array_equal(raw(a), raw(b)) for a, b in pairs)


def rows(workdir) -> list[dict]:
    return [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]


def steps_kept(workdir) -> set[int]:
    return {int(p.name) for p in (workdir / 'checkpoints').iterdir()}

"""Optimisers and learning rates, against their formulas written out in NumPy and Python."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dfjax.errors import InputError
from dfjax.ops.optimize import KINDS, SCHEDULES, apply_grads, ema_update, learning_rate, optimizer
from dfjax.systems.state import optimizer_config

STEPS = 200
# Gradients of four steps, of a vector
GRADS = np.random.default_rng(0).normal(size=(4, 3)) * [1e-3, 1.0, 30.0]


def moved(steps: int = 4, rate: float = 0.1, **changes) -> np.ndarray:
    """Where [1, 2, 3] is after some of GRADS."""
    o, params = optimizer_config(**changes), jnp.array([1.0, 2.0, 3.0])
    moments = optimizer(o).init(params)
    for g in GRADS[:steps]:
        params, moments = apply_grads(o, jnp.float32(rate), params, jnp.float32(g), moments)
    return np.asarray(params)


def expected(kind: str, b1: float, b2: float, eps: float, decay: float = 0.0, rate: float = 0.1) -> np.ndarray:
    x, m, v = np.array([1.0, 2.0, 3.0]), np.zeros(3), np.zeros(3)
    for t, g in enumerate(GRADS, 1):
        if kind == 'rmsprop':
            v = b2 * v + (1 - b2) * g**2
            m = b1 * m + g / (np.sqrt(v) + eps)
            x = x - rate * m
            continue
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * ((g - m) ** 2 if kind.startswith('adabelief') else g**2)
        if kind == 'adabelief_uncorrected':
            x = x - rate * m / (np.sqrt(v) + eps)
            continue
        x = x - rate * (m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps) + decay * x)
    return x


@pytest.mark.parametrize('kind', KINDS)
def test_updates_are_the_papers(kind):
    decay = 0.1 if kind == 'adamw' else 0.0
    found = moved(kind=kind, b1=0.8, b2=0.99, eps=1e-4, weight_decay=decay)
    np.testing.assert_allclose(found, expected(kind, 0.8, 0.99, 1e-4, decay), rtol=1e-5)


def test_long_gradients_are_shortened_by_their_norm():
    near = moved(1, kind='rmsprop', b1=0.0, b2=0.0, eps=1e3, clip=1.0)  # so large an eps makes it plain descent
    g = GRADS[0] / np.linalg.norm(GRADS[0])
    np.testing.assert_allclose((np.array([1.0, 2.0, 3.0]) - near) * 1e4, g, atol=2e-3)


def test_what_does_not_exist_is_one_line():
    with pytest.raises(
        InputError, match="'sgd' does not exist; there are: adam, adamw, adabelief, adabelief_uncorrected"
    ):
        optimizer(optimizer_config(kind='sgd'))
    with pytest.raises(InputError, match="weight_decay' is for kind 'adamw', not 'adam'"):
        optimizer(optimizer_config(weight_decay=0.1))
    with pytest.raises(InputError, match="'step' does not exist; there are: constant, cosine, linear, milestones"):
        learning_rate(optimizer_config(schedule='step'), jnp.int32(0), jnp.int32(1))


def rates(steps: int = STEPS, **changes) -> np.ndarray:
    o = optimizer_config(**changes)
    rate = jax.vmap(lambda step, horizon: learning_rate(o, step, horizon), (0, None))
    return np.asarray(jax.jit(rate)(jnp.arange(steps), steps))


@pytest.mark.parametrize('warmup, length', [(0, 0), (30, 30), (500, STEPS // 2)])
@pytest.mark.parametrize('schedule', SCHEDULES)
def test_rates_rise_and_fall_as_they_should(schedule, warmup, length):
    found = rates(lr=2e-3, schedule=schedule, warmup=warmup, constant=0.5, milestones=[0.6, 0.9], gamma=0.1)
    left = STEPS - length
    begin = round(0.5 * left)
    for step, rate in enumerate(found):
        after = step - length
        truth = {
            'constant': 1.0,
            'cosine': 0.5 * (1 + math.cos(math.pi * after / left)),
            'linear': 1 - max(after + 1 - begin, 0) / (left - begin + 1),
            'milestones': 0.1 ** ((step >= 120) + (step >= 180)),
        }[schedule]
        truth = step / length if step < length else truth
        assert rate == pytest.approx(2e-3 * truth, rel=1e-5, abs=1e-9), step


def test_the_cosine_is_optaxs():
    truth = optax.warmup_cosine_decay_schedule(0.0, 2e-3, 30, STEPS)
    found = rates(lr=2e-3, schedule='cosine', warmup=30)
    np.testing.assert_allclose(found, [float(truth(step)) for step in range(STEPS)], rtol=1e-5, atol=1e-9)


def test_an_average_begins_with_what_it_sees_first():
    average = {'w': jnp.zeros(())}
    for step in range(3):
        average = ema_update(average, {'w': jnp.float32(1)}, 0.99, jnp.int32(step))
    left = math.prod((1 + step) / (10 + step) for step in range(3))  # of the zero that it was
    assert float(average['w']) == pytest.approx(1 - left)
    assert float(ema_update({'w': 0.0}, {'w': 1.0}, 0.99, jnp.int32(10**6))['w']) == pytest.approx(0.01, rel=1e-4)

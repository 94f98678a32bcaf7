"""Optimisers, learning rates and averages of parameters, as a section of a config says them.

    rate = learning_rate(o, state.step, state.horizon)
    params, moments = apply_grads(o, rate, params, grads, moments)      moments: optimizer(o).init(params) at first
    average = ema_update(average, params, 0.999, state.step)

`o` has the keys of `systems.state.optimizer_config`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dfjax.errors import InputError
from dfjax.ops.devices import mean_over_devices

KINDS = ('adam', 'adamw', 'adabelief', 'adabelief_uncorrected', 'rmsprop')
SCHEDULES = ('constant', 'cosine', 'linear', 'milestones')


def optimizer(o: Mapping) -> optax.GradientTransformation:
    """The updates that a rate of 1 makes, in the direction of descent.

    Gradients whose norm over all parameters is above `clip` are shortened to it first; 0 leaves them as they are.

    Kinds are 'adam' (Kingma & Ba 2015); 'adamw', with decoupled `weight_decay` (Loshchilov & Hutter 2019); 'adabelief'
    (Zhuang et al. 2020); 'adabelief_uncorrected', without the correction of moments that begin at 0, so that the first
    steps are long, as DeepFaceLab has it; and 'rmsprop' (Hinton 2012), for which `b2` is the decay of the squares and
    `b1` a momentum, 0 for none.

    Raises:
        InputError: if there is no such kind, or one without decay has a `weight_decay`.
    """
    if o['kind'] not in KINDS:
        raise InputError(f'optimizer {o["kind"]!r} does not exist; there are: {", ".join(KINDS)}')
    if o['weight_decay'] and o['kind'] != 'adamw':
        raise InputError(f"config key 'optimizer.weight_decay' is for kind 'adamw', not {o['kind']!r}")
    parts = [optax.clip_by_global_norm(o['clip'])] if o['clip'] else []
    if o['kind'] in ('adam', 'adamw'):
        parts.append(optax.scale_by_adam(o['b1'], o['b2'], o['eps']))
    elif o['kind'] == 'adabelief':
        parts.append(optax.scale_by_belief(o['b1'], o['b2'], o['eps']))
    elif o['kind'] == 'adabelief_uncorrected':
        parts.append(_uncorrected_belief(o['b1'], o['b2'], o['eps']))
    else:
        parts.append(optax.scale_by_rms(o['b2'], o['eps'], eps_in_sqrt=False))
        if o['b1']:
            parts.append(optax.trace(o['b1']))
    if o['weight_decay']:
        parts.append(optax.add_decayed_weights(o['weight_decay']))
    return optax.chain(*parts, optax.scale(-1.0))


class Belief(NamedTuple):
    """Running means of gradients and of the squares by which they differed from it."""

    mu: Any
    nu: Any


def _uncorrected_belief(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    def init(params: Any) -> Belief:
        return Belief(*(jax.tree.map(jnp.zeros_like, params) for _ in range(2)))

    def update(grads: Any, state: Belief, params: Any = None) -> tuple[Any, Belief]:
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, grads)
        nu = jax.tree.map(lambda v, m, g: b2 * v + (1 - b2) * jnp.square(g - m), state.nu, mu, grads)
        return jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu, nu), Belief(mu, nu)

    return optax.GradientTransformation(init, update)


def learning_rate(o: Mapping, step: jax.Array, horizon: jax.Array) -> jax.Array:
    """The rate of a step, a float32 scalar: `lr` at most.

    It rises in a straight line over the first `warmup` steps, or the first half of the run if that is shorter. Then, by
    `schedule`:

        'constant'      it stays
        'cosine'        it falls to 0 over the rest of the run (Loshchilov & Hutter 2017)
        'linear'        it stays for the share `constant` of the rest, then falls in a straight line to 0, which is a
                        step after the last: lr * (1 - i / (n + 1)) for the i-th of n steps, CycleGAN's rule
        'milestones'    it is multiplied by `gamma` at each of `milestones`, shares of the run

    Args:
        step: int32 scalar, updates done before.
        horizon: int32 scalar, the steps of the run: traced, so that no program depends on it.

    Raises:
        InputError: if there is no such schedule.
    """
    warmup = jnp.minimum(o['warmup'], horizon // 2)
    after, left = step - warmup, jnp.maximum(horizon - warmup, 1)
    if o['schedule'] == 'constant':
        share = 1.0
    elif o['schedule'] == 'cosine':
        share = 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(after, left) / left))
    elif o['schedule'] == 'linear':
        begin = jnp.round(o['constant'] * left).astype(jnp.int32)
        share = 1 - jnp.clip(after + 1 - begin, 0, None) / (left - begin + 1)
    elif o['schedule'] == 'milestones':
        at = jnp.round(jnp.asarray(o['milestones'], jnp.float32) * horizon)
        share = jnp.float32(o['gamma']) ** (step >= at).sum()
    else:
        raise InputError(f'schedule {o["schedule"]!r} does not exist; there are: {", ".join(SCHEDULES)}')
    rising = o['lr'] - o['lr'] * (1 - step / jnp.maximum(warmup, 1))
    return jnp.where(step < warmup, rising, o['lr'] * share).astype(jnp.float32)


def apply_grads(o: Mapping, rate: jax.Array, params: Any, grads: Any, moments: Any) -> tuple[Any, Any]:
    """Parameters after an update, and the optimiser's state after it; gradients are averaged over devices here."""
    updates, moments = optimizer(o).update(mean_over_devices(grads), moments, params)
    return optax.apply_updates(params, jax.tree.map(lambda u: rate * u, updates)), moments


def dropped(key: jax.Array, share: float, before: Any, after: Any) -> Any:
    """Parameters `after` an update, with a random `share` of their numbers as they were `before`."""
    leaves, tree = jax.tree.flatten(before)
    keys = jax.tree.unflatten(tree, list(jax.random.split(key, len(leaves))))
    still = lambda key, old, new: jnp.where(jax.random.bernoulli(key, share, old.shape), old, new)
    return jax.tree.map(still, keys, before, after)


def ema_update(average: Any, params: Any, decay: float, step: jax.Array) -> Any:
    """The running average with new parameters in it; its decay is (1 + step) / (10 + step) until that is `decay`."""
    return optax.incremental_update(params, average, 1 - jnp.minimum(decay, (1.0 + step) / (10.0 + step)))

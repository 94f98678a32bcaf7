"""Pictures out of noise, by a trained VAE, GAN or diffusion model; and what a diffusion model makes of given ones.

noise = draw_noise(run, 16, seed=0)
pictures = make(run, noise, truncation=0.8)                          a VAE or a GAN
pictures = diffuse(run, noise, steps=20, labels={'smile': 1})        a diffusion model
"""

import functools
from collections.abc import Callable, Mapping
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.errors import InputError
from dfjax.inference import solvers
from dfjax.inference.latents import in_groups, slerp
from dfjax.inference.run import Run
from dfjax.ops import backend
from dfjax.ops.image import to_float, to_uint8


def draw_noise(run: Run, count: int, seed: int) -> np.ndarray:
    """Standard gaussian noise for `count` pictures, the n-th of them a function of (seed, n): [count, ...].

    Args:
        run: of a system that makes pictures out of noise: it says of what shape, `noise_shape`.
    """
    shape = run.system.noise_shape(run.cfg)
    keys = jax.vmap(lambda n: jax.random.fold_in(jax.random.key(seed), n))(jnp.arange(count))
    return np.asarray(jax.vmap(lambda key: jax.random.normal(key, shape))(keys))


def _solver_keys(seed: int, rows: np.ndarray) -> jax.Array:
    """A key for each row [B] of `draw_noise`'s pictures, and none of those that their noise was drawn with."""
    root = jax.random.fold_in(jax.random.key(seed), 2**32 - 1)
    return jax.vmap(lambda n: jax.random.fold_in(root, n))(rows)


def interpolated(noise: np.ndarray, between: int) -> np.ndarray:
    """Noise [N, ...] and so many steps of a spherical path after each but the last: [(N - 1)(between + 1) + 1, ...]."""
    steps = between + 1
    walk = [slerp(a, b, k / steps) for a, b in pairwise(noise) for k in range(steps)]
    return np.stack([*walk, noise[-1]])


def make(run: Run, noise: np.ndarray, truncation: float = 1.0) -> np.ndarray:
    """uint8 pictures [N, S, S, 3] of a VAE or GAN from noise [N, latent]."""
    apply = jax.jit(functools.partial(run.system.from_noise, run.cfg, truncation=truncation))
    params = jax.device_put(run.params)
    return to_uint8(in_groups(lambda z: apply(params, z), noise, run.cfg.data.size))


def diffuse(
    run: Run,
    noise: np.ndarray,
    *,
    steps: int = 20,
    solver: str = 'dpm++',
    labels: Mapping[str, float] | None = None,
    guidance: float = 1.0,
    init: np.ndarray | None = None,
    strength: float = 1.0,
    mask: np.ndarray | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """uint8 pictures [N, S, S, 3] of a diffusion model from noise [N, S, S, 3].

    Args:
        steps: of the solver.
        solver: one of solvers.SOLVERS.
        labels: 1 (with) or 0 (without) by name, of the run's labels; the others are left open.
        guidance: see `systems.diffusion.denoiser`.
        init: uint8 [S, S, 3], a picture to begin from instead (SDEdit): noise is put over it up to `strength`.
        strength: how much of the noise; 1 forgets the picture.
        mask: bool [S, S], where `init` is to be made anew; it is kept elsewhere.
        seed: of the noise that the solver 'ddpm' adds.
        progress: called with the steps done and their number.

    Raises:
        InputError: unknown label or solver, numbers out of range, a mask without a picture.
    """
    cfg, system = run.cfg, run.system
    if mask is not None and init is None:
        raise InputError('a mask says which part of a picture to make anew: give --init IN')
    table = system.table(cfg)
    schedule = solvers.times(cfg.times, steps, strength)
    wanted = label_row(cfg.data.labels, labels or {})
    group = backend.group_size(cfg.data.size**2)
    row = jnp.tile(jnp.asarray(wanted, jnp.float32), (group, 1))
    denoise = system.denoiser(cfg, jax.device_put(run.params), row, guidance)
    if init is not None:
        known = to_float(jnp.asarray(init))[None]
        if mask is not None:
            denoise = solvers.inpainting(denoise, known, jnp.asarray(mask, jnp.float32)[None, ..., None])
    made, groups = [], -(-len(noise) // group)
    for n in range(groups):
        part = noise[n * group : (n + 1) * group]
        x = jnp.asarray(np.concatenate([part, np.zeros((group - len(part), *part.shape[1:]), part.dtype)]))
        if init is not None:
            x = solvers.noised(known, x, table, schedule[0])
        keys = _solver_keys(seed, n * group + np.arange(group))
        tick = progress and (lambda done, total, n=n: progress(n * total + done, groups * total))
        made.append(np.asarray(solvers.sample(denoise, x, table, schedule, solver, keys, tick))[: len(part)])
    return to_uint8(np.concatenate(made))


def label_row(names: list[str], labels: Mapping[str, float]) -> list[float]:
    """The condition [K] of -1, 0 and 1: labels not named are left open.

    Raises:
        InputError: a label that the run does not know, or another value than 0 and 1.
    """
    for name, value in labels.items():
        if name not in names:
            raise InputError(f'label {name!r} is unknown to the run; there are: {", ".join(names) or "none"}')
        if value not in (0, 1):
            raise InputError(f'label {name}={value:g}: give 1 (with) or 0 (without)')
    return [2 * labels[name] - 1 if name in labels else 0.0 for name in names]

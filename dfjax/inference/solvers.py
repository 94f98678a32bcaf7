"""From noise to pictures, by any function that guesses the picture: DDPM, DDIM and DPM-Solver++.

    x = sample(denoise, noise, alpha_bar, times(1000, 20), 'dpm++')

`denoise(x, t)` is E[x0 | x at time t]: a trained net (`systems.diffusion.denoiser`), or a closed form; `t` is an
integer time of the table (`losses.diffusion.alpha_bar`). On an accelerator all steps are one program; on a CPU, where
XLA runs convolutions inside a loop many times slower, each is dispatched by itself.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.errors import InputError
from dfjax.inference.choices import SOLVERS
from dfjax.ops import backend


def times(total: int, steps: int, begin: float = 1.0) -> list[int]:
    """At most `steps` integer times from `begin * total` down to 0, evenly spaced, each once.

    Raises:
        InputError: if `steps` is below 1, or `begin` not in (0, 1].
    """
    if steps < 1:
        raise InputError(f'{steps} steps: give 1 or more')
    if not 0 < begin <= 1:
        raise InputError(f'strength {begin:g}: give more than 0, and at most 1')
    first = max(round(begin * total) - 1, 0)
    return sorted({int(t) for t in np.round(np.linspace(first, 0, min(steps, first + 1)))}, reverse=True)


def sample(
    denoise: Callable[[jax.Array, int], jax.Array],
    x: jax.Array,
    alpha_bar: np.ndarray,
    steps: Sequence[int],
    solver: str = 'dpm++',
    keys: jax.Array | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> jax.Array:
    """Follows x from time steps[0] to the picture.

    Args:
        denoise: (x, t) -> the guess of x0, of x's shape.
        x: at time steps[0]: standard gaussian noise if that is the last of the table.
        alpha_bar: float64 [T].
        steps: decreasing times; the step after the last is the picture itself.
        solver: 'ddpm' (Ho et al. 2020, ancestral, made for all T steps), 'ddim' (Song et al. 2021, eta 0) or 'dpm++'
            (Lu et al. 2022, algorithm 2: second order, multistep). Its step to the last time is of first order: log SNR
            grows most there, too far for a line.
        keys: [B], of the noise that 'ddpm' adds to each.
        progress: called with the steps done and their number; on an accelerator at the end only.

    Raises:
        InputError: if there is no such solver.
    """
    table = coefficients(solver, alpha_bar, steps)

    def follow(carry: tuple, row: tuple) -> tuple:
        x, before = carry
        n, t, (of_x, of_guess, of_before, of_noise) = row
        guess = denoise(x, t)
        x = of_x * x + of_guess * guess
        if solver == 'dpm++':
            x += of_before * before
        if solver == 'ddpm':
            draw = lambda key: jax.random.normal(jax.random.fold_in(key, n), x.shape[1:], jnp.float32)
            x += of_noise * jax.vmap(draw)(keys)
        return (x, guess), None

    carry, rows = (x, jnp.zeros_like(x)), (np.arange(len(steps)), np.int32(steps), tuple(table.T))
    if backend.loops_are_fast():
        carry, _ = jax.lax.scan(follow, carry, rows)
        if progress:
            progress(len(steps), len(steps))
        return carry[0]
    for n, t in enumerate(steps):
        carry, _ = follow(carry, (n, t, tuple(map(float, table[n]))))
        if progress:
            progress(n + 1, len(steps))
    return carry[0]


def coefficients(solver: str, alpha_bar: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """Every step of a solver as a sum: of x, of the guess, of the guess of the step before, and of noise.

    Returns:
        float32 [len(steps), 4], the factors of these four; the last step is the guess itself.

    Raises:
        InputError: if there is no such solver.
    """
    if solver not in SOLVERS:
        raise InputError(f'solver {solver!r}: choose one of {", ".join(SOLVERS)}')
    a, s = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
    rate = np.log(a) - np.log(s)  # half the log of the signal-to-noise ratio
    rows = []
    for n, (t, to) in enumerate(pairwise(steps)):
        if solver == 'ddpm':  # a draw of q(x at `to` | x at t, x0 = guess)
            alpha = alpha_bar[t] / alpha_bar[to]
            of_x = np.sqrt(alpha) * (1 - alpha_bar[to]) / (1 - alpha_bar[t])
            of_guess = np.sqrt(alpha_bar[to]) * (1 - alpha) / (1 - alpha_bar[t])
            variance = (1 - alpha) * (1 - alpha_bar[to]) / (1 - alpha_bar[t])
            rows.append((of_x, of_guess, 0, np.sqrt(variance)))
            continue
        # First order takes the guess as constant over the step. Second order takes the guess at the middle of the step,
        # extrapolated on the line through this one and the one before, with `rate` as the abscissa.
        held, ahead = a[to] - a[t] * s[to] / s[t], 0.0
        if solver == 'dpm++' and 0 < n < len(steps) - 2:
            ahead = (rate[to] - rate[t]) / (rate[t] - rate[steps[n - 1]]) / 2
        rows.append((s[to] / s[t], held * (1 + ahead), -held * ahead, 0))
    return np.float32([*rows, (0, 1, 0, 0)])


def noised(pictures: jax.Array, noise: jax.Array, alpha_bar: np.ndarray, t: int) -> jax.Array:
    """Pictures at time t, under standard gaussian noise: where SDEdit begins (Meng et al. 2022)."""
    return float(np.sqrt(alpha_bar[t])) * pictures + float(np.sqrt(1 - alpha_bar[t])) * noise


def inpainting(denoise: Callable, pictures: jax.Array, mask: jax.Array) -> Callable:
    """`denoise` where the picture is known outside the mask: there the guess is the truth, under every solver.

    Args:
        pictures: [B, H, W, 3] in [-1, 1].
        mask: [B, H, W, 1], 1 where a picture is to be made.
    """
    return lambda x, t: mask * denoise(x, t) + (1 - mask) * pictures

"""From noise to pictures, by any function that guesses the picture: DDPM, DDIM and DPM-Solver++.

    x = sample(denoise, noise, alpha_bar, times(1000, 20), 'dpm++')

`denoise(x, t)` is E[x0 | x at time t]: a trained net (`systems.diffusion.denoiser`), or a closed form; `t` is an
integer time of the table (`losses.diffusion.alpha_bar`). Steps are dispatched one by one: on a CPU, XLA runs
convolutions inside a loop of its own many times slower.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.errors import InputError
from dfjax.inference.choices import SOLVERS


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
    key: jax.Array | None = None,
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
        key: of the noise that 'ddpm' adds.
        progress: called with the steps done and their number.

    Raises:
        InputError: if there is no such solver.
    """
    if solver not in SOLVERS:
        raise InputError(f'solver {solver!r}: choose one of {", ".join(SOLVERS)}')
    a, s = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
    before = None  # the guess of the step before, and its time
    for n, t in enumerate(steps):
        guess = denoise(x, t)
        if n + 1 == len(steps):
            x = guess
        elif solver == 'ddpm':
            x = _ancestral(x, guess, alpha_bar, t, steps[n + 1], jax.random.fold_in(key, n))
        else:
            line = solver == 'dpm++' and before is not None and n + 2 < len(steps)
            held = _ahead(guess, t, *before, steps[n + 1], a, s) if line else guess
            x = _first_order(x, held, a, s, t, steps[n + 1])
        before = guess, t
        if progress:
            progress(n + 1, len(steps))
    return x


def _first_order(x: jax.Array, guess: jax.Array, a: np.ndarray, s: np.ndarray, t: int, to: int) -> jax.Array:
    """From t to `to` as if the guess held all the way (DDIM, and DPM-Solver++ of order one)."""
    return float(s[to] / s[t]) * x + float(a[to] - a[t] * s[to] / s[t]) * guess


def _ahead(guess: jax.Array, t: int, old: jax.Array, then: int, to: int, a: np.ndarray, s: np.ndarray) -> jax.Array:
    """The guess for the middle of the step from t to `to`, by the line through the one at `then`, in log SNR."""
    rate = np.log(a) - np.log(s)
    half = float((rate[to] - rate[t]) / (rate[t] - rate[then]) / 2)
    return (1 + half) * guess - half * old


def _ancestral(x: jax.Array, guess: jax.Array, table: np.ndarray, t: int, to: int, key: jax.Array) -> jax.Array:
    """A draw of q(x at `to` | x at t, x0 = guess)."""
    alpha = table[t] / table[to]
    mean = float(np.sqrt(table[to]) * (1 - alpha) / (1 - table[t])) * guess
    mean += float(np.sqrt(alpha) * (1 - table[to]) / (1 - table[t])) * x
    variance = (1 - alpha) * (1 - table[to]) / (1 - table[t])
    return mean + float(np.sqrt(variance)) * jax.random.normal(key, x.shape, jnp.float32)


def noised(pictures: jax.Array, alpha_bar: np.ndarray, t: int, key: jax.Array) -> jax.Array:
    """Pictures at time t: where SDEdit begins (Meng et al. 2022)."""
    noise = jax.random.normal(key, pictures.shape, jnp.float32)
    return float(np.sqrt(alpha_bar[t])) * pictures + float(np.sqrt(1 - alpha_bar[t])) * noise


def inpainting(denoise: Callable, pictures: jax.Array, mask: jax.Array) -> Callable:
    """`denoise` where the picture is known outside the mask: there the guess is the truth, under every solver.

    Args:
        pictures: [B, H, W, 3] in [-1, 1].
        mask: [B, H, W, 1], 1 where a picture is to be made.
    """
    return lambda x, t: mask * denoise(x, t) + (1 - mask) * pictures

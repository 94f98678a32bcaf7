"""Diffusion in discrete time (Ho et al. 2020): schedules, what a net predicts, the weights of its loss, the bound.

A picture x0 at time t = 0 .. T-1 is x = a x0 + s noise with a^2 + s^2 = 1; `alpha_bar[t]` is a^2, falling from almost 1
to almost 0. Everything here follows from that one table.
"""

import jax
import jax.numpy as jnp
import numpy as np

SCHEDULES = ('cosine', 'linear')
PREDICTIONS = ('x', 'v', 'epsilon')
BLUR = 0.04  # about how much a net that predicts pictures errs, however little noise there is
WIDE = 0.2  # about how much guesses err through much noise


def alpha_bar(schedule: str, steps: int) -> np.ndarray:
    """The share of the picture in the variance at each time: float64 [steps], decreasing, in (0, 1).

    Args:
        schedule: 'cosine' (Nichol & Dhariwal 2021, eq. 17, beta clipped at 0.999), or 'linear' (Ho et al. 2020, beta
            from 1e-4 to 0.02 over 1000 steps, and as much noise over another number).

    Raises:
        ValueError: if there is no such schedule.
    """
    if schedule == 'cosine':
        f = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
        beta = np.minimum(1 - f[1:] / f[:-1], 0.999)
    elif schedule == 'linear':
        beta = np.linspace(1e-4, 0.02, steps) * min(1000 / steps, 49)
    else:
        raise ValueError(f'schedule {schedule!r}: choose one of {", ".join(SCHEDULES)}')
    return np.cumprod(1 - beta)


def amplitudes(table: np.ndarray, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(a, s) at integer times t [B], each [B, 1, 1, 1]: how much picture and how much noise."""
    a, s = (jnp.asarray(np.sqrt(v), jnp.float32) for v in (table, 1 - table))
    return a[t][:, None, None, None], s[t][:, None, None, None]


def target(prediction: str, x0: jax.Array, noise: jax.Array, a: jax.Array, s: jax.Array) -> jax.Array:
    """What the net is to predict.

    Args:
        prediction: the picture ('x'), the noise ('epsilon'), or 'v' = a noise - s x0 (Salimans & Ho 2022). Noise has
            to pass through the net for the latter two, which takes as many channels as a square of the stem has
            values, and more; a picture is simpler (Li & He 2025).
    """
    return {'x': x0, 'v': a * noise - s * x0, 'epsilon': noise}[prediction]


def clean(prediction: str, out: jax.Array, x: jax.Array, a: jax.Array, s: jax.Array) -> jax.Array:
    """The picture x0 that a prediction stands for."""
    return {'x': out, 'v': a * x - s * out, 'epsilon': (x - s * out) / a}[prediction]


def weight(prediction: str, table: np.ndarray, most: float) -> np.ndarray:
    """The weight of the prediction's squared error at each time: float64 [T].

    Min-SNR (Hang et al. 2023, sections 3.4 and A.1): the error of x0 counts min(SNR, most); `most` 0 counts the
    prediction's own error as it is.
    """
    if not most:
        return np.ones_like(table)
    snr = table / (1 - table)
    return np.minimum(snr, most) / {'x': 1, 'v': snr + 1, 'epsilon': snr}[prediction]


def refined(guess: jax.Array, x: jax.Array, a: jax.Array, s: jax.Array) -> jax.Array:
    """The mean of a guess of x0 that errs by BLUR and of x / a, which errs by s / a, each by its precision.

    A net that predicts pictures blurs what is there to be seen where there is hardly any noise, and the bound counts
    that most. Not for samplers: what they have made so far is no such x, and its faults would stay (Frechet distance
    0.037 instead of 0.030).
    """
    return (BLUR**2 * a * x + s**2 * guess) / (BLUR**2 * a**2 + s**2)


def bound_times(table: np.ndarray) -> np.ndarray:
    """With what chance each time is drawn for the bound: float64 [T], 0 at time 0.

    In proportion to what it adds, if a guess errs by as much as there is noise, and by WIDE at most: every draw says
    about as much then, where few of uniform ones say almost all.
    """
    snr = table / (1 - table)
    share = np.concatenate([[0.0], (snr[:-1] - snr[1:]) / (snr[1:] + 1 / WIDE**2)])
    return share / share.sum()


def bits_at(table: np.ndarray, t: jax.Array, x0: jax.Array, guess: jax.Array) -> jax.Array:
    """The bound's part at times t >= 1, over their chance: its mean over `bound_times` is an unbiased estimate.

    KL(q(x_{t-1} | x_t, x0) || p(x_{t-1} | x_t)) with the variance of q is half the gain in SNR from t to t - 1, times
    the squared error of the guess (Kingma et al. 2021, eq. 14).

    Args:
        t: int [B] in 1 .. T - 1.
        x0, guess: [B, H, W, 3], the picture and the net's guess from x_t.

    Returns:
        [B], bits a value of the picture.
    """
    snr = table / (1 - table)
    gain = np.concatenate([[0.0], (snr[:-1] - snr[1:]) / bound_times(table)[1:]])
    nats = 0.5 * jnp.asarray(gain, jnp.float32)[t] * ((x0 - guess) ** 2).mean((1, 2, 3))
    return nats / np.log(2)


def bits_of_ends(table: np.ndarray, x0: jax.Array, noise: jax.Array) -> jax.Array:
    """The rest of the bound: the prior's KL at T - 1, and the 8-bit values given x at time 0. [B], bits a value.

    p(value | x at time 0) is the gaussian of that time's noise about x / a, normalised over the 256 values (Kingma et
    al. 2021, section 3.3).

    Args:
        x0: [B, H, W, 3] in [-1, 1], 8-bit values.
        noise: likewise, standard gaussian.
    """
    last, first = table[-1], table[0]
    prior = 0.5 * (last * x0**2 + (1 - last) - 1 - np.log(1 - last)).mean((1, 2, 3))
    spread = np.sqrt((1 - first) / first)
    seen = x0 + spread * noise
    energy = lambda level: 0.5 * ((seen - (level / 127.5 - 1)) / spread) ** 2  # [B, H, W, 3]
    # One value after another: 256 at once would be as many pictures in memory.
    whole = jax.lax.fori_loop(0, 256, lambda level, total: total + jnp.exp(-energy(level)), jnp.zeros_like(seen))
    told = (energy(jnp.round((x0 + 1) * 127.5)) + jnp.log(whole)).mean((1, 2, 3))
    return (prior + told) / np.log(2)

"""Inversion of a GAN: the style whose picture is nearest to a given one (Abdal et al. 2019)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dfjax.inference.latents import in_groups
from dfjax.inference.run import Run
from dfjax.inference.sample import draw_noise
from dfjax.losses.latent import texture_distance
from dfjax.ops import backend
from dfjax.ops.image import to_float, to_uint8

TRIES = 256  # random styles, of which the best is where the search begins
RATE = 0.05


def invert(run: Run, pictures: np.ndarray, steps: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Styles [N, latent] and their pictures uint8 [N, S, S, 3], nearest to pictures uint8 [N, S, S, 3].

    Args:
        run: of system gan.
        steps: of Adam on squared error and `losses.latent.texture_distance`.
        seed: of the styles that are tried first.
    """
    params, side = jax.device_put(run.params), pictures.shape[1]
    decode = functools.partial(run.system.decode, run.cfg)
    style = jax.jit(functools.partial(run.system.styles, run.cfg))
    tried = np.asarray(style(params, draw_noise(run, TRIES, seed)))
    shown = in_groups(lambda w: jax.jit(decode)(params, w), tried, side)  # [TRIES, S, S, 3]
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, steps))

    def update(params: dict, w: jax.Array, opt: tuple, target: jax.Array) -> tuple:
        def loss(w: jax.Array) -> jax.Array:
            made = decode(params, w)
            # A sum over pictures, not a mean: each one's gradient is the same whatever stands beside it.
            return len(w) * (((made - target) ** 2).mean() + 0.2 * texture_distance(made, target))

        updates, opt = optimizer.update(jax.grad(loss)(w), opt)
        return optax.apply_updates(w, updates), opt

    one = jax.jit(update)
    all_steps = jax.jit(lambda p, w, opt, x: jax.lax.fori_loop(0, steps, lambda _, c: update(p, *c, x), (w, opt))[0])

    def search(w: jax.Array, target: np.ndarray) -> jax.Array:
        opt = optimizer.init(w)
        if backend.loops_are_fast():
            return all_steps(params, w, opt, target)
        for _ in range(steps):
            w, opt = one(params, w, opt, target)
        return w

    found = []
    group = backend.group_size(side**2)
    for start in range(0, len(pictures), group):
        target = to_float(pictures[start : start + group])
        far = ((target[:, None] - shown[None]) ** 2).mean((2, 3, 4))  # [n, TRIES]
        found.append(np.asarray(search(jnp.asarray(tried[far.argmin(1)]), target)))
    styles = np.concatenate(found)
    return styles, to_uint8(in_groups(lambda w: jax.jit(decode)(params, w), styles, side))

"""The random keys of a run: four streams of one seed, of which no two ever hold the same key.

    init_key(seed)                    what a fresh state draws
    data_keys(seed, step, example)    `batch['key']`, a key for each example: augmentation, noise, times
    step_key(seed, step)              `batch['step_key']`, one for the whole step, equal on all devices: dropout, orders
    preview_key(seed)                 the noise of previews

JAX's `split(key, n)[i]` is `fold_in(key, i)`: keys that are split from one root in one place and folded from it in
another are the same keys. So every stream has a root of its own.
"""

import jax

STREAMS = ('init', 'data', 'step', 'preview')


def _root(stream: str, seed: int) -> jax.Array:
    return jax.random.split(jax.random.key(seed), len(STREAMS))[STREAMS.index(stream)]


def init_key(seed: int) -> jax.Array:
    """The key that a run's parameters are drawn from."""
    return _root('init', seed)


def data_keys(seed: int, step: jax.Array, example: jax.Array) -> jax.Array:
    """One key for each of the examples [B], uint32, of a step."""
    key = jax.random.fold_in(_root('data', seed), step)
    return jax.vmap(lambda n: jax.random.fold_in(key, n))(example)


def step_key(seed: int, step: jax.Array) -> jax.Array:
    """The key of a step as a whole."""
    return jax.random.fold_in(_root('step', seed), step)


def batch_keys(seed: int, step: jax.Array, example: jax.Array) -> dict[str, jax.Array]:
    """What a batch holds of them, for the examples [B], uint32, of a step."""
    return {'key': data_keys(seed, step, example), 'step_key': step_key(seed, step)}


def preview_key(seed: int) -> jax.Array:
    """The key that previews draw from: the same at every step."""
    return _root('preview', seed)

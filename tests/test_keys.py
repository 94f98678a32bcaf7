"""The random keys of a run."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import toy_system as toy

from dfjax import systems
from dfjax.config import build
from dfjax.ops import keys
from dfjax.training.parallel import Devices


def test_no_two_streams_hold_the_same_key():
    """Neither do the keys that are split from theirs."""
    drawn = [keys.init_key(7), keys.preview_key(7)]
    drawn += [keys.step_key(7, step) for step in range(6)]
    drawn += [key for step in range(6) for key in keys.data_keys(7, step, jnp.arange(6, dtype=jnp.uint32))]
    drawn += [part for key in list(drawn) for part in jax.random.split(key, 6)]
    numbers = np.stack([jax.random.key_data(key) for key in drawn])
    assert len(np.unique(numbers, axis=0)) == len(numbers) == 44 * 7


def test_a_runs_keys_never_coincide_over_many_steps():
    """As the loop and the data hand them out: to `init`, to every example of every step, and to every step."""
    cfg = build(toy.default_config(), {'seed': 7})
    data = toy.resident(cfg)
    with toy.installed():
        first = Devices(cfg, toy, data).init().aux['key']  # the toy keeps what its `init` was given
    assert (jax.random.key_data(first) == jax.random.key_data(keys.init_key(7))).all()
    batch = jax.jit(jax.vmap(lambda step: data.sample(data.feed(1), step, 0)))(jnp.arange(2000))
    drawn = [batch['key'].ravel(), batch['step_key'], first[None], keys.preview_key(7)[None]]
    drawn += [jax.random.split(one[0], 1000) for one in drawn[2:]]  # `split(key, n)[i]` is `fold_in(key, i)`
    numbers = np.concatenate([jax.random.key_data(one) for one in drawn])
    assert len(np.unique(numbers, axis=0)) == len(numbers) == 2000 * (cfg.batch_size + 1) + 2002


def test_systems_make_no_keys_of_their_own():
    """A step draws from its batch, a preview from the stream of previews: so nothing else needs the seed."""
    for path in Path(systems.__file__).parent.glob('*.py'):
        text = path.read_text()
        assert text.count('cfg.seed') == text.count('preview_key(cfg.seed)'), path


def test_keys_follow_from_seed_step_and_example_alone():
    one = keys.data_keys(7, jnp.int32(3), jnp.array([4, 9], jnp.uint32))
    (other,) = jax.jit(keys.data_keys, static_argnums=0)(7, 3, jnp.array([9], jnp.uint32))
    assert (jax.random.key_data(one[1]) == jax.random.key_data(other)).all()
    different = [keys.init_key(8), keys.step_key(8, 3), keys.step_key(7, 4), keys.preview_key(8)]
    same = [keys.init_key(7), keys.step_key(7, 3), keys.step_key(7, 3), keys.preview_key(7)]
    for a, b in zip(different, same):
        assert (jax.random.key_data(a) != jax.random.key_data(b)).any()

"""What is large is an argument of a program and no constant in it: lowered programs stay small, whatever a config says.

Constants are compiled anew with every program, and kept twice: the face swap's preview had 97 MB of text once.
"""

import functools
import importlib

import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import SYSTEMS, load_system

pytestmark = pytest.mark.whole

LARGEST = 4 * 2**20  # characters of StableHLO
COUNT = 8  # pictures


def config(system: str, variant: str) -> ConfigDict:
    return build(importlib.import_module(f'configs.{system}').get_config(variant), {'batch_size': COUNT})


def state_shapes(module, cfg: ConfigDict):
    """A fresh state with all that is frozen, as shapes."""
    state = jax.eval_shape(lambda: module.init(cfg, jax.random.key(0)))
    frozen = module.frozen(cfg) if hasattr(module, 'frozen') else {}
    return state.replace(frozen=jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), frozen))


def characters(function, *arguments) -> int:
    """How long a program's text is; arguments may be shapes."""
    return len(jax.jit(function).lower(*arguments).as_text())


def pictures(size: int, dtype=jnp.float32, channels: tuple = (3,)) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((COUNT, size, size, *channels), dtype)


@pytest.mark.parametrize('variant, size', [('laptop', 160), ('gpu', 256)])
def test_a_large_face_swap(variant, size):
    module, cfg = load_system('faceswap'), config('faceswap', variant)
    assert cfg.data.size == size
    points = jax.ShapeDtypeStruct((COUNT, 68, 2), jnp.float32)
    faces = {'image': pictures(size, jnp.uint8), 'mask': pictures(size, jnp.uint8, ()), 'landmarks': points}
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), COUNT))
    one = jax.eval_shape(lambda: jax.random.key(0))
    state, batch = state_shapes(module, cfg), {'a': faces, 'b': faces, 'key': keys, 'step_key': one}
    swap = functools.partial(module.swap, cfg, side='b')
    for function, *arguments in (
        (functools.partial(module.step, cfg), state, batch),
        (functools.partial(module.preview, cfg), state, batch),
        (swap, state.aux | state.params | state.ema, state.frozen, pictures(size), points),
    ):
        assert characters(function, *arguments) < LARGEST


@pytest.mark.parametrize('system', SYSTEMS)
def test_what_a_trained_system_can_do(system):
    """At the size of its named run for a laptop."""
    module, cfg = load_system(system), config(system, 'laptop')
    state = state_shapes(module, cfg)
    params = state.params | state.ema
    for name in ('encode', 'paint', 'translate'):
        if hasattr(module, name):
            words, arguments = {}, (pictures(cfg.data.size),)
            if system == 'stargan':
                words['condition'] = jnp.zeros((COUNT, module.nets(cfg)['g'].inputs['c'].shape[-1]))
            function = functools.partial(getattr(module, name), cfg, **words)
            assert characters(function, params, *arguments) < LARGEST, name

"""Blocks that the backward pass computes again: the same numbers, in less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models.fomm import Generator
from dfjax.models.recompute import recomputing
from dfjax.models.resnet import ResNet
from dfjax.models.saehd import Decoder
from dfjax.ops import backend

POINTS = np.random.default_rng(1).uniform(-1, 1, (2, 2, 4, 3, 2)).astype(np.float32)  # of two pictures, here and there
STILL = np.broadcast_to(np.eye(2, dtype=np.float32), (4, 3, 2, 2))
MOTION = {'width': 4, 'max_width': 8, 'blocks': 2, 'scale': 0.5}
NETS = {  # what is given beside the first picture, and its shape
    'saehd': (Decoder(16, 8, 'ud'), (4, 8, 8, 32), ()),
    'cyclegan': (ResNet(16, 6), (4, 32, 32, 3), ()),
    'fomm': (
        Generator(width=16, max_width=32, downs=1, blocks=4, motion=MOTION),
        (4, 32, 32, 3),
        (POINTS[0, 0], STILL, POINTS[0, 1], STILL, None, None, True),
    ),
}


@pytest.mark.parametrize('name', NETS)
def test_the_numbers_are_the_same_in_less_memory(name):
    net, shape, rest = NETS[name]
    x = jnp.asarray(np.random.default_rng(0).uniform(0, 1, shape), jnp.float32)
    variables = jax.jit(lambda key: net.init(key, x, *rest))(jax.random.key(0))

    def cost(params: dict, x: jax.Array) -> tuple[jax.Array, dict]:
        given = variables | {'params': params}
        out, changed = net.apply(given, x, *rest, mutable=['batch_stats'])
        return sum(jnp.square(y).mean() for y in jax.tree.leaves(out)), changed

    def compiled(again: bool):
        def gradient(params: dict, x: jax.Array):
            with recomputing(again):
                return jax.value_and_grad(cost, has_aux=True)(params, x)

        options = backend.recomputing() if again else None
        return jax.jit(gradient).lower(variables['params'], x).compile(compiler_options=options)

    plain, again = compiled(False), compiled(True)
    want, got = (program(variables['params'], x) for program in (plain, again))
    assert jax.tree.structure(want) == jax.tree.structure(got)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), want, got)
    sizes = [program.memory_analysis().temp_size_in_bytes for program in (plain, again)]
    assert sizes[1] < 0.85 * sizes[0], sizes

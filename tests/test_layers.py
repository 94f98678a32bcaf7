"""Layers of others' files: kinds of layer, those that a reader brings itself, and what does not fit."""

import flax.linen as nn
import jax
import numpy as np

from dfjax.weights.layers import Layer, compare, convert, dense

RNG = np.random.default_rng(0)


def shapes_of(module: nn.Module, *shape: int):
    return jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, np.float32))


def test_a_matrix_as_pytorch_has_it():
    weights = {'fc.weight': RNG.normal(size=(5, 3)).astype(np.float32), 'fc.bias': np.arange(5, dtype=np.float32)}
    net, table, x = nn.Sequential([nn.Dense(5)]), {'layers_0': dense('fc')}, RNG.normal(size=(2, 3)).astype(np.float32)
    shapes = shapes_of(net, 1, 3)
    assert compare(weights, table, shapes) == []
    found = net.apply(convert(weights, table, shapes), x)
    np.testing.assert_allclose(found, x @ weights['fc.weight'].T + weights['fc.bias'], rtol=1e-5, atol=1e-6)


def test_a_kind_that_a_reader_brings_itself():
    """Kernels [k, k, I, O] under names of TensorFlow's manner, with a counter beside them that no one needs."""
    leaves = {'kernel': ('/weight:0', (0, 1, 2, 3)), 'bias': ('/bias:0', (0,))}
    weights = {'down/weight:0': RNG.normal(size=(1, 1, 3, 4)), 'down/bias:0': RNG.normal(size=4)}
    weights |= {'down/count:0': np.ones(1)}
    net, table = nn.Sequential([nn.Conv(4, (1, 1))]), {'layers_0': Layer('down', leaves, ('/count:0',))}
    shapes, x = shapes_of(net, 1, 2, 2, 3), RNG.normal(size=(1, 2, 2, 3))
    assert compare(weights, table, shapes) == []
    truth = x @ weights['down/weight:0'][0, 0] + weights['down/bias:0']
    np.testing.assert_allclose(net.apply(convert(weights, table, shapes), x), truth, rtol=1e-4, atol=1e-5)
    lines = compare(weights | {'down/bias:0': np.ones(5)}, table, shapes)
    assert len(lines) == 2 and lines[1].split() == ['down/bias:0', '(5)', '(4)', 'another', 'shape']

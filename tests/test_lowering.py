"""Programs for other platforms than this one: a CPU's way of computing must not reach an accelerator."""

import jax
import jax.export
import jax.numpy as jnp
import pytest
from jax import lax
from programs import exported, named, operations

from dfjax.models.conv import Conv, conv
from dfjax.models.upconv import upconv

ACCELERATORS = ('cuda', 'tpu')
LAYOUT = ('NHWC', 'HWIO', 'NHWC')
CASES = {  # side, kernel, stride, pad, whether it is differentiated twice
    'output smaller than the kernel': (4, 5, 2, 2, False),
    'strided, twice': (16, 4, 2, 1, True),
    'without padding': (16, 3, 1, 0, False),
    'as everywhere': (16, 3, 1, 1, False),
}


def plain(x, kernel, stride, pad):
    """XLA's own convolution."""
    return lax.conv_general_dilated(x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=LAYOUT)


def value(op):
    return op


def slope(op):
    """The gradient by both arguments."""
    return jax.grad(lambda *x: (op(*x) ** 2).sum(), (0, 1))


def penalty(op):
    """The gradient by the kernel of the squared gradient by the picture, as in WGAN-GP."""

    def norm(x, kernel):
        return (jax.grad(lambda x: jnp.tanh(op(x, kernel)).sum())(x) ** 2).sum()

    return jax.grad(norm, 1)


def counts(function, platform, *arguments) -> dict[str, int]:
    """How many of each operation that tells a convolution from its replacement."""
    lines = operations(exported(function, *arguments), platform)
    return {name: len(named(lines, name)) for name in ('convolution', 'dot_general', 'concatenate', 'pad')}


@pytest.mark.parametrize('derivative', [value, slope, penalty])
@pytest.mark.parametrize('case', CASES)
def test_accelerators_get_plain_convolutions(case, derivative):
    side, k, stride, pad, twice = CASES[case]
    x, kernel = jnp.ones((2, side, side, 3)), jnp.ones((k, k, 3, 8))
    ours = derivative(lambda x, kernel: conv(x, kernel, stride, pad, twice))
    theirs = derivative(lambda x, kernel: plain(x, kernel, stride, pad))
    for platform in ACCELERATORS:
        assert counts(ours, platform, x, kernel) == counts(theirs, platform, x, kernel)


def test_a_cpu_gets_what_is_fast_there():
    x, kernel = jnp.ones((2, 4, 4, 3)), jnp.ones((5, 5, 3, 8))
    lines = operations(exported(lambda x, kernel: conv(x, kernel, 2, 2), x, kernel), 'cpu')
    assert not named(lines, 'convolution')
    assert len(named(lines, 'dot_general')) == 1


@pytest.mark.parametrize('features', [1, 40])  # fewer than pixels, and more
@pytest.mark.parametrize('derivative', [value, slope])
def test_accelerators_get_one_transposed_convolution(features, derivative):
    x, kernel = jnp.ones((2, 2, 3, 3)), jnp.ones((4, 4, 3, features))
    text = exported(derivative(upconv), x, kernel)
    for platform in ACCELERATORS:
        lines = named(operations(text, platform), 'convolution')
        assert len(lines) == (1 if derivative is value else 3)
        assert 'lhs_dilate = [2, 2]' in lines[0]
    assert not [line for line in operations(text, 'cpu') if 'dilate = [2' in line]


def test_with_the_number_of_pictures_left_open():
    (b,) = jax.export.symbolic_shape('b')
    for features in (1, 40):
        kernel = jnp.ones((4, 4, 3, features))
        pictures = jax.ShapeDtypeStruct((b, 2, 3, 3), jnp.float32)
        lines = operations(exported(lambda x, kernel=kernel: upconv(x, kernel), pictures), 'tpu')
        assert len(named(lines, 'convolution')) == 1


def test_this_platforms_program_holds_its_branch_alone():
    """Nothing is left to choose: what is compiled here is as if there were no other platform."""
    x, kernel = jnp.ones((2, 4, 4, 3)), jnp.ones((5, 5, 3, 8))
    text = jax.jit(slope(lambda x, kernel: conv(x, kernel, 2, 2))).lower(x, kernel).compile().as_text()
    assert 'conditional(' not in text


def test_modules_under_vmap_scan_and_remat():
    """Whatever a system does with a net keeps the choice by platform."""
    net = Conv(8, 5, 2)
    x = jnp.ones((3, 2, 4, 4, 3))
    params = net.init(jax.random.key(0), x[0])

    def run(x):
        many = jax.vmap(jax.checkpoint(lambda x: net.apply(params, x)))(x)
        return lax.scan(lambda carry, x: (carry + net.apply(params, x).sum(), None), 0.0, x)[0] + many.sum()

    lines = operations(exported(jax.grad(run), x), 'cuda')
    assert named(lines, 'convolution')
    assert not named(lines, 'dot_general')

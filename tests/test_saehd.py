"""SAEHD's nets: sizes, parameters, options of the architecture."""

import itertools

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from saehd_runs import pictures, shapes

from configs.saehd import get_config
from dfjax.config import build
from dfjax.errors import InputError
from dfjax.models.saehd import patch_strides
from dfjax.systems import saehd

pytestmark = pytest.mark.whole


OPTIONS = [''.join(chosen) for n in range(5) for chosen in itertools.combinations('udtc', n)]


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ('variant', 'kind', 'parameters'),
    [('paper', 'liae', 82_376_555), ('paper', 'df', 54_470_998), ('quick96', 'df', 38_294_330)],
)
def test_as_many_parameters_as_the_original(variant, kind, parameters):
    params = shapes(variant, **{'model.kind': kind}).params
    assert count(params) == parameters
    if kind == 'liae':
        own = [count(params[name]) for name in ('encoder', 'inter_ab', 'inter_a', 'decoder')]
        assert own == [4_306_560, 19_933_440, 19_933_440, 38_203_115]


@pytest.mark.parametrize('kind', ['df', 'liae'])
@pytest.mark.parametrize('options', OPTIONS)
def test_every_architecture_makes_pictures_of_its_size(kind, options):
    cfg = build(get_config('smoke'), {'model.kind': kind, 'model.options': options, 'data.size': 96})
    picture, landmarks = jax.ShapeDtypeStruct((2, 96, 96, 3), jnp.float32), jnp.zeros((2, 68, 2))

    def swapped(key, picture):
        return saehd.swap(cfg, saehd.init(cfg, key).params, {}, picture, landmarks)

    face, mask = jax.eval_shape(swapped, jax.random.key(0), picture)
    assert face.shape == (2, 96, 96, 3) and mask.shape == (2, 96, 96, 1)


@pytest.mark.parametrize('size', [64, 208, 640])
def test_every_size(size):
    options = 'u' if size % 32 else 'udt'
    params = shapes('smoke', **{'data.size': size, 'model.options': options}).params
    side = size // (32 if 'd' in options else 16)
    assert params['inter_ab']['dense_1']['kernel'].shape == (8, side * side * 16)


def test_options_change_their_own_part():
    """The others' shapes stay: of 'u' and 'c', which have no parameters, all do."""
    plain = shapes('smoke', **{'model.options': ''}).params
    assert jax.tree.map(jnp.shape, shapes('smoke', **{'model.options': 'uc'}).params) == jax.tree.map(jnp.shape, plain)
    half, tall = (shapes('smoke', **{'model.options': option}).params for option in 'dt')
    assert half['encoder'] == plain['encoder'] and set(half['decoder']) - set(plain['decoder']) == {
        'out_1',
        'out_2',
        'out_3',
        'mask_up_3',
    }
    assert set(tall['encoder']) - set(plain['encoder']) == {'down_4', 'res_0', 'res_4'}
    assert set(plain['inter_ab']) - set(tall['inter_ab']) == {'up'}


def test_codes_are_normalised_and_the_cosine_is_an_activation():
    rows = {}
    for options in ('', 'u', 'c'):
        cfg = build(get_config('smoke'), {'model.options': options})
        net = saehd.nets(cfg)['encoder'].module
        picture = 2 * jnp.float32(pictures(0)) - 1
        rows[options] = jax.jit(lambda x, net=net: net.init_with_output(jax.random.key(1), x)[0])(picture)
    np.testing.assert_allclose(jnp.square(rows['u']).mean(-1), 1, rtol=0.01)
    root = jnp.sqrt(jnp.square(rows['']).mean(-1, keepdims=True))
    np.testing.assert_allclose(rows['u'], rows[''] / root, rtol=0.01, atol=1e-3)
    assert float(rows['c'].min()) < 0 and not np.allclose(rows['c'], rows[''])


@pytest.mark.parametrize('patch', [8, 16, 20, 32, 64])
def test_the_discriminator_sees_a_patch(patch):
    """What a number sees, by the gradient of a chain of sums, is as near to `patch` as three halvings allow."""
    strides = patch_strides(patch)

    def chain(x):
        for stride in strides:
            x = jax.lax.conv_general_dilated(
                x, jnp.ones((3, 1, 1)), (stride,), 'VALID', dimension_numbers=('NHC', 'HIO', 'NHC')
            )
        return x[0, 1, 0]

    seen = int((jax.grad(chain)(jnp.zeros((1, 400, 1))) > 0).sum())
    assert abs(seen - patch) <= 2 and strides[0] == 2


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        ({'model.options': 'ux'}, "model.options is letters of udtc, each once, not 'ux'"),
        ({'model.options': 'uu'}, "each once, not 'uu'"),
        ({'data.size': 80}, "a multiple of 32 with options 'ud', not 80"),
        ({'loss.true_face': 0.01}, "loss.true_face is for model.kind 'df', not 'liae'"),
        ({'data.canonical': True}, 'data.canonical is false'),
    ],
)
def test_what_does_not_go_together_is_refused(changes, line):
    with pytest.raises(InputError, match=line):
        shapes('smoke', **changes)

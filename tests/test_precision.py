"""Places and colours are multiplied in full float32 on every backend: seen in the programs, since a CPU has no other.

A TPU multiplies in bfloat16 and a GPU in TF32 unless a product says otherwise.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from dfjax.data import augment
from dfjax.models import features
from dfjax.ops import colour, diffaugment, geometry, image, moments, skin, thinplate

PICTURES = jnp.full((2, 32, 32, 3), 0.5)
MASKS = PICTURES[..., :1]
MAPS = jnp.tile(jnp.eye(2, 3), (2, 1, 1))
POINTS = np.random.default_rng(0).uniform(0.2, 0.8, (9, 2))
GOALS = jnp.tile(jnp.asarray(POINTS, jnp.float32), (2, 1, 1))
KEYS = jax.random.split(jax.random.key(0), 2)
FACES = {
    'image': jnp.zeros((2, 32, 32, 3), jnp.uint8),
    'mask': jnp.zeros((2, 32, 32), jnp.uint8),
    'landmarks': jnp.full((2, 68, 2), 0.5),
}
AUGMENT = ConfigDict(augment.default_config().to_dict() | dict(brightness=0.1, contrast=0.1, saturation=0.1, hue=0.1))
FUNCTIONS = {
    'umeyama': (geometry.umeyama, GOALS, GOALS),
    'invert_affine': (geometry.invert_affine, MAPS),
    'compose_affine': (geometry.compose_affine, MAPS, MAPS),
    'transform_points': (geometry.transform_points, MAPS, GOALS),
    'affine_grid': (lambda m: image.affine_grid(m, 16), MAPS),
    'sobel': (image.sobel, PICTURES),
    'gaussian_blur': (lambda x: image.gaussian_blur(x, 1.5), PICTURES),
    'resize': (lambda x: image.resize(x, 16), PICTURES),
    'rgb_to_lab': (image.rgb_to_lab, PICTURES),
    'lab_to_rgb': (image.lab_to_rgb, PICTURES),
    'diffaugment': (lambda x: diffaugment.diffaugment(x, KEYS, translate=0.1), PICTURES),
    'extended': (skin.extended, PICTURES, MASKS),
    'bend': (lambda *x: thinplate.bend(*x), PICTURES, thinplate.spline_basis(POINTS, PICTURES.shape[1]), GOALS),
    'warped_pair': (lambda faces: augment.warped_pair(AUGMENT, KEYS, faces, 16, 32), FACES),
    'canonical_pair': (lambda faces: augment.canonical_pair(AUGMENT, KEYS, faces, 16), FACES),
    'reinhard': (lambda *x: colour.match_colour('reinhard', *x), PICTURES, PICTURES, MASKS, MASKS),
    'mkl': (lambda *x: colour.match_colour('mkl', *x), PICTURES, PICTURES, MASKS, MASKS),
    'sot': (lambda *x: colour.match_colour('sot', *x), PICTURES, PICTURES, MASKS, MASKS),
    'recoloured': (lambda x: features.recoloured(x, features.colours(x)), PICTURES),
    'halved': (features.halved, PICTURES),
}


def products(function, *arguments) -> list[str]:
    """The matrix products of a program, as StableHLO."""
    text = jax.jit(function).lower(*arguments).as_text()
    return re.findall(r'stablehlo\.dot_general.*', text)


def slope(function):
    """The gradient of a function's sum by those of its arguments that are floats."""

    def total(arguments):
        return sum(x.sum() for x in jax.tree.leaves(function(*arguments)))

    return lambda *arguments: jax.grad(total, allow_int=True)(arguments)


@pytest.mark.parametrize('name', FUNCTIONS)
def test_places_and_colours_are_exact(name):
    function, *arguments = FUNCTIONS[name]
    found = products(function, *arguments)
    assert found
    assert not [line for line in found if 'precision = [HIGHEST, HIGHEST]' not in line]


@pytest.mark.parametrize('name', [name for name in FUNCTIONS if name not in ('mkl', 'warped_pair', 'canonical_pair')])
def test_so_are_their_gradients(name):
    found = products(slope(FUNCTIONS[name][0]), *FUNCTIONS[name][1:])
    assert not [line for line in found if 'precision = [HIGHEST, HIGHEST]' not in line]


def test_a_product_without_is_seen():
    assert 'HIGHEST' not in products(lambda a, b: a @ b, MAPS[0].T, MAPS[0])[0]


def test_the_spread_of_codes_in_bfloat16_is_that_of_their_values():
    """They are far from 0 and close together, where a mean of squares rounded to bfloat16 would say nothing."""
    codes = jnp.asarray(np.random.default_rng(0).normal(10, 0.5, (512, 4)), jnp.bfloat16)
    found = moments.update(moments.init({'code': jnp.zeros(4)}), {'code': codes}, 1.0)
    truth = np.asarray(codes, np.float64).std(0)
    np.testing.assert_allclose(moments.spread(found['code']), truth, rtol=1e-3)

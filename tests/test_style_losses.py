"""Style by optimisation: losses against independent truth, patterns to take a style from, and the search itself."""

import jax.numpy as jnp
import numpy as np
import pytest
from untrained import smooth_picture

from dfjax.data.render.patterns import PATTERNS, pattern
from dfjax.errors import InputError
from dfjax.inference.gatys import minimise, resized, stylise
from dfjax.losses import style as losses
from dfjax.models import features

pytestmark = pytest.mark.whole

RNG = np.random.default_rng(0)


# Losses


def test_gram_matrices_are_those_of_float64():
    x = RNG.normal(size=(2, 5, 7, 4)).astype(np.float32) + 3
    truth = np.zeros((2, 4, 4))
    for b in range(2):
        for i in range(5):
            for j in range(7):
                truth[b] += np.outer(x[b, i, j].astype(np.float64), x[b, i, j]) / 35
    np.testing.assert_allclose(losses.gram(jnp.asarray(x)), truth, rtol=1e-6)


def test_style_distance_does_not_see_where_and_content_distance_does():
    x = jnp.asarray(RNG.normal(size=(1, 4, 6, 3)), jnp.float32)
    turned = x[:, ::-1, ::-1]
    assert float(losses.style_distance([losses.gram(turned)], [losses.gram(x)])[0]) < 1e-10
    assert float(losses.content_distance([turned], [x])[0]) > 0.5
    np.testing.assert_allclose(losses.style_distance([losses.gram(2 * x)], [losses.gram(x)]), 9, rtol=1e-5)  # (4 - 1)^2
    np.testing.assert_allclose(losses.content_distance([3 * x, x], [x, x]), 2, rtol=1e-5)  # (4 + 0) / 2


def test_style_loss_measures_every_feature_by_its_strength():
    style = jnp.asarray([[[4.0, 2.0], [2.0, 9.0]]])
    made = jnp.asarray([[[8.0, 2.0], [2.0, 0.0]]])
    # In units of the strengths 2 and 3: [[1, 1/3], [1/3, 1]], missed by [[1, 0], [0, -1]].
    np.testing.assert_allclose(losses.style_loss([made], [style]), 2 / (2 + 2 / 9), rtol=1e-6)
    both = losses.style_loss([made, style], [style, style])
    np.testing.assert_allclose(both, 1 / (2 + 2 / 9), rtol=1e-6)
    faint = jnp.asarray([[[1.0, 0.0], [0.0, 0.0]]])  # the second counts as 0.01 * mean(1, 0), not as 0
    np.testing.assert_allclose(losses.style_loss([faint.at[0, 1, 1].set(0.005)], [faint]), 1, rtol=1e-5)


def test_recoloured_pictures_have_the_colours_asked_for():
    x = jnp.asarray(RNG.uniform(-0.3, 0.3, (2, 20, 20, 3)), jnp.float32)
    wanted = jnp.asarray([[[0.1, -0.05, 0.02], [0.2, 0.1, 0.05]]])
    out = np.asarray(features.recoloured(x, wanted), np.float64)
    opponent = out @ features.COLOURS.T
    np.testing.assert_allclose(opponent.mean((1, 2)), np.broadcast_to(wanted[:, 0], (2, 3)), atol=1e-5)
    np.testing.assert_allclose(opponent.std((1, 2)), np.broadcast_to(wanted[:, 1], (2, 3)), atol=1e-5)
    assert float(jnp.abs(features.recoloured(0.001 * x, wanted)).max()) < 0.3  # noise stays small


def test_total_variation_of_a_ramp_and_a_chessboard():
    y, x = np.mgrid[:6, :8].astype(np.float32)
    ramp = np.broadcast_to((0.1 * x + 0.2 * y)[None, ..., None], (1, 6, 8, 3))
    board = np.where((x + y) % 2, 1.0, -1.0)[None, ..., None].astype(np.float32)
    np.testing.assert_allclose(losses.total_variation(jnp.asarray(ramp)), 0.01 + 0.04, rtol=1e-4)
    np.testing.assert_allclose(losses.total_variation(jnp.asarray(board)), 8, rtol=1e-6)


def test_out_of_range():
    x = jnp.asarray([[[[1.0, -1.0, 0.3]], [[3.0, -2.0, 1.0]]]])
    np.testing.assert_allclose(losses.out_of_range(x), (4 + 1) / 6, rtol=1e-6)


# Patterns


@pytest.mark.parametrize('kind', PATTERNS)
def test_a_pattern_is_the_same_every_time_and_another_by_its_number(kind):
    one, same, other = (pattern(f'pattern:{name}', 64) for name in (kind, f'{kind}:0', f'{kind}:1'))
    assert one.shape == (64, 64, 3) and one.dtype == np.uint8 and one.std() > 20
    np.testing.assert_array_equal(one, same)
    assert np.abs(one.astype(int) - other).mean() > 10


@pytest.mark.parametrize('name', ['pattern:stripes', 'pattern:mosaic:x', 'pattern:'])
def test_a_pattern_that_there_is_not(name):
    with pytest.raises(InputError, match='no such pattern; there are: pattern:strokes'):
        pattern(name, 64)


# Optimisation


def test_l_bfgs_finds_the_least_of_a_narrow_valley():
    def rosenbrock(x):
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    done = []
    x = minimise(rosenbrock, jnp.full(8, -1.2), 150, done.append)
    np.testing.assert_allclose(x, 1, atol=0.01)
    assert done == sorted(done) and len(done) <= 150


def test_a_picture_takes_the_style_and_keeps_its_content():
    picture, style = smooth_picture(64, 48, 3), pattern('pattern:mosaic', 96)
    made, report = stylise(picture, style, size=64, steps=25)
    assert made.shape == (64, 48, 3) and made.dtype == np.uint8
    assert report['gram_ratio'] == pytest.approx(report['gram_before'] / report['gram_after'], abs=0.01)
    assert report['gram_ratio'] > 10
    _, other = stylise(picture, style, size=64, steps=25, strength=0.1)
    assert other['content_distance'] < report['content_distance'] < 1.5
    assert other['gram_ratio'] < report['gram_ratio']


def test_resized_keeps_the_shape():
    assert resized(np.zeros((40, 100, 3), np.uint8), 50).shape == (20, 50, 3)

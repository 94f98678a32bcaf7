"""Losses against scikit-image and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from dfjax.errors import InputError
from dfjax.losses import adversarial, image


@pytest.fixture
def pictures():
    """Two pairs in [-1, 1]: one with little noise added, one with much."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.7, 0.7, size=(2, 32, 28, 3))
    y = np.clip(x + rng.normal(size=x.shape) * np.array([0.05, 0.5]).reshape(2, 1, 1, 1), -1, 1)
    return x, y


def test_ssim_equals_scikit_image(pictures):
    x, y = pictures
    ours = image.ssim_map(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    how = {
        'gaussian_weights': True,
        'sigma': 1.5,
        'use_sample_covariance': False,
        'data_range': 2.0,
        'channel_axis': -1,
    }
    truth = [structural_similarity(a, b, full=True, **how)[1][5:-5, 5:-5] for a, b in zip(x, y)]
    assert ours.shape == (2, 22, 18, 3)
    np.testing.assert_allclose(ours, np.stack(truth), atol=2e-4)
    np.testing.assert_allclose(image.dssim(x, y), (1 - np.mean(truth, (1, 2, 3))) / 2, atol=1e-4)


def test_dssim_of_equal_pictures_is_nothing_and_of_opposite_ones_is_large(pictures):
    x, _ = pictures
    np.testing.assert_allclose(image.dssim(x, x), 0, atol=1e-6)
    assert (image.dssim(0.5 + 0.5 * x, 0.5 - 0.5 * x) > 0.7).all()  # same mean, opposite detail


def test_dssim_of_flat_pictures_has_a_closed_form():
    a, b = 0.2, 0.6
    flat = lambda value: jnp.full((1, 16, 16, 3), value)
    c1 = 0.02**2
    truth = (1 - (2 * a * b + c1) / (a * a + b * b + c1)) / 2
    np.testing.assert_allclose(image.dssim(flat(a), flat(b)), truth, atol=1e-4)


def test_dssim_falls_when_followed_downhill(pictures):
    x, y = (jnp.asarray(p, jnp.float32) for p in pictures)
    loss = jax.jit(jax.value_and_grad(lambda y: image.dssim(x, y).mean()))
    first, slope = loss(y)
    assert np.isfinite(slope).all()
    assert loss(y - 10 * slope)[0] < first


def test_weighted_mean_counts_pixels_by_their_weight():
    x = jnp.arange(2 * 2 * 2 * 3.0).reshape(2, 2, 2, 3)
    weight = jnp.zeros((2, 2, 2, 1)).at[0, 0, 0].set(1.0).at[1, 0, 0].set(1.0).at[1, 1, 1].set(3.0)
    first = np.mean([0, 1, 2])
    second = (np.mean([12, 13, 14]) + 3 * np.mean([21, 22, 23])) / 4
    np.testing.assert_allclose(image.weighted_mean(x, weight), [first, second], rtol=1e-5)
    np.testing.assert_allclose(image.weighted_mean(x, jnp.ones_like(weight)), x.mean((1, 2, 3)), rtol=1e-5)
    assert np.isfinite(image.weighted_mean(x, 0 * weight)).all()


@pytest.mark.parametrize('kind', adversarial.KINDS)
def test_adversarial_losses_have_their_closed_forms(kind):
    real, fake = np.array([2.0, 0.5, -1.0]), np.array([-2.0, 0.0, 1.0])
    log_sigmoid = lambda x: -np.log1p(np.exp(-x))
    d_real, d_fake, g = {
        'vanilla': (-log_sigmoid(real), -log_sigmoid(-fake), -log_sigmoid(fake)),
        'lsgan': ((real - 1) ** 2, fake**2, (fake - 1) ** 2),
        'hinge': (np.array([0, 0.5, 2]), np.array([0, 1, 2]), -fake),
        'wgangp': (-real, fake, -fake),
        'relativistic': (-log_sigmoid(real - fake), 0 * fake, -log_sigmoid(fake - real)),
    }[kind]
    logits = jnp.float32(real), jnp.float32(fake)
    np.testing.assert_allclose(adversarial.d_loss(kind, *logits), d_real.mean() + d_fake.mean(), rtol=1e-6)
    np.testing.assert_allclose(adversarial.g_loss(kind, logits[1], logits[0]), g.mean(), rtol=1e-6)
    if kind != 'relativistic':
        np.testing.assert_allclose(adversarial.d_real(kind, logits[0]), d_real.mean(), rtol=1e-6)
        np.testing.assert_allclose(adversarial.d_fake(kind, logits[1]), d_fake.mean(), rtol=1e-6)


def test_an_adversarial_loss_that_does_not_exist_is_one_line():
    with pytest.raises(
        InputError, match="adversarial loss 'gan' does not exist; there are: vanilla, lsgan, hinge, wgangp"
    ):
        adversarial.d_loss('gan', jnp.zeros(1), jnp.zeros(1))

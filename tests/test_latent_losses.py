"""Losses of latent models against SciPy, OpenCV, Monte Carlo and finite differences."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from dfjax.losses import adversarial, latent
from dfjax.ops.diffaugment import diffaugment


@pytest.fixture(scope='module')
def pictures():
    """Two batches [2, 32, 32, 3] in [-1, 1], float64."""
    rng = np.random.default_rng(0)
    x = cv2.GaussianBlur(rng.uniform(-1, 1, (32, 32, 12)), (5, 5), 1.0).reshape(32, 32, 2, 6).transpose(2, 0, 1, 3)
    return x[..., :3], x[..., 3:]


@pytest.mark.parametrize(('mean', 'variance'), [(0.0, 1.0), (1.5, 0.2), (-0.7, 3.0)])
def test_kl_is_the_integral_of_its_definition(mean, variance):
    q, p = stats.norm(mean, variance**0.5), stats.norm()
    expected, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), mean - 12, mean + 12)
    got = latent.gaussian_kl(jnp.float32(mean), jnp.log(jnp.float32(variance)))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def opencv_sobel(x):
    """(Gx, Gy) of [B, H, W, C], float64, edges replicated."""
    return [
        np.stack([cv2.Sobel(p, cv2.CV_64F, *order, ksize=3, borderType=cv2.BORDER_REPLICATE) for p in x])
        for order in ((1, 0), (0, 1))
    ]


@pytest.mark.parametrize('form', latent.SOBEL_FORMS)
def test_sobel_forms_are_those_of_opencvs_derivatives(pictures, form):
    (ax, ay), (bx, by) = (opencv_sobel(x) for x in pictures)
    expected = {
        'magnitude': np.abs(np.hypot(ax, ay) - np.hypot(bx, by)).mean(),
        'axis': (np.abs(ax - bx) + np.abs(ay - by)).mean(),
        'squared': ((ax - bx) ** 2 + (ay - by) ** 2).mean(),
        'complete': np.abs(ax**2 + ay**2 - bx**2 - by**2).mean(),
    }[form]
    got = latent.sobel_distance(*(jnp.asarray(x, jnp.float32) for x in pictures), form)
    np.testing.assert_allclose(got, expected, rtol=1e-3 if form == 'magnitude' else 1e-5)  # epsilon under the root


def test_the_magnitude_of_flat_pictures_has_a_gradient():
    flat = jnp.zeros((1, 8, 8, 3))
    edge = flat.at[:, :, 4:].set(1.0)
    gradient = jax.grad(latent.sobel_distance)(flat, edge)
    assert bool(jnp.isfinite(gradient).all())


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match='magnitude, axis, squared, complete'):
        latent.sobel_distance(jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 8, 8, 3)), 'cubic')


def test_texture_sees_blur_but_hardly_a_shift_of_the_phase():
    """A grating moved by a quarter period: as far from itself as it can be in pixels, at no distance in texture."""
    at = np.arange(64)
    grating = np.broadcast_to(np.sin(2 * np.pi * at / 4)[None, None, :, None], (1, 64, 64, 3)).astype(np.float32)
    moved, blurred = np.roll(grating, 1, 2), 0.5 * grating
    # Away from the ends the energy of a grating is constant.
    still, fades = (np.asarray(latent.texture(jnp.asarray(x))[0]) for x in (moved, blurred))
    own = np.asarray(latent.texture(jnp.asarray(grating))[0])
    assert np.abs(own - still).max() < 0.02 * own.max()
    np.testing.assert_allclose(fades[..., 0], 0.5 * own[..., 0], rtol=0.01)
    assert own[..., 0].min() > 5 * own[..., 2].max()  # it has one direction


def test_gabor_filters_ignore_brightness():
    filters = latent.gabor_filters()
    np.testing.assert_allclose(filters.sum((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose((filters**2).sum((0, 1)), 1, rtol=1e-5)


def quadratic(x):
    """A discriminator [B, H, W, C] -> [B] that is not linear."""
    return jnp.sin(x.sum((1, 2, 3))) + (x**3).sum((1, 2, 3))


def test_the_gradient_penalty_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 3, 1))
    slopes, step = np.zeros_like(x), 1e-5

    def value(x):
        return np.sin(x.sum((1, 2, 3))) + (x**3).sum((1, 2, 3))

    for place in np.ndindex(3, 3):
        ahead, behind = x.copy(), x.copy()
        ahead[:, *place], behind[:, *place] = x[:, *place] + step, x[:, *place] - step
        slopes[:, *place] = ((value(ahead) - value(behind)) / (2 * step))[:, None]
    expected = (slopes**2).sum((1, 2, 3)).mean()
    got = adversarial.r1_penalty(quadratic, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_the_penalty_along_noise_is_the_exact_one_on_average():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 3, 1)), jnp.float32)
    exact = adversarial.r1_penalty(quadratic, x)
    many = jnp.tile(x, (4000, 1, 1, 1))
    noise = jax.random.normal(jax.random.key(0), many.shape)
    got = adversarial.r1_estimate(quadratic, many, noise, 0.01)
    np.testing.assert_allclose(got, exact, rtol=5 * 2**0.5 / 8000**0.5)  # the square of a gaussian spreads by sqrt 2


def test_diffaugment_moves_and_cuts_what_it_says():
    x = jnp.ones((64, 16, 16, 1))
    keys = jax.random.split(jax.random.key(0), 64)
    moved = np.asarray(diffaugment(x, keys, translate=0.25))
    lost = 1 - moved.mean((1, 2, 3))
    assert set(np.unique(moved)) == {0.0, 1.0}
    assert lost.mean() > 0 and lost.max() <= 1 - 0.75**2
    cut = np.asarray(diffaugment(x, keys, cutout=0.5))
    holes = 1 - cut.mean((1, 2, 3))
    assert holes.max() == pytest.approx(0.25) and holes.min() > 0.05
    same = diffaugment(x, keys)
    np.testing.assert_array_equal(same, x)


def test_diffaugment_shifts_a_picture_as_a_whole_and_passes_its_gradient_on():
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)), jnp.float32)
    keys = jax.random.split(jax.random.key(1), 8)
    moved = np.asarray(diffaugment(x, keys, translate=0.125))
    for one, other in zip(np.asarray(x), moved):
        shifts = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
        padded = np.pad(one, ((2, 2), (2, 2), (0, 0)))
        assert any(np.array_equal(padded[2 - dy : 18 - dy, 2 - dx : 18 - dx], other) for dy, dx in shifts)
    gradient = jax.grad(lambda x: diffaugment(x, keys, translate=0.125).sum())(x)
    assert set(np.unique(gradient)) == {0.0, 1.0}

"""Bending faces to a mean shape and back: splines against SciPy's, pictures against the way there and back."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator

from dfjax.data.faces.canonical import mean_features, mean_shape, to_canonical
from dfjax.ops import thinplate
from dfjax.ops.image import gaussian_blur, grid_sample

SIZE = 64


@pytest.fixture(scope='module')
def shape():
    return mean_shape('full')


@pytest.fixture(scope='module')
def goals(shape):
    """Landmarks of three faces: turned, stretched, and with some noise of their own."""
    noise = np.random.default_rng(0).normal(0, 0.006, (3, 68, 2))
    turn = np.array([[[0.98, 0.1], [-0.1, 0.98]], [[1.1, 0], [0, 0.9]], [[1, 0.1], [0, 1]]])
    return ((shape - 0.5) @ turn + 0.5 + noise).astype(np.float32)


def test_the_basis_is_the_spline_of_scipy(shape, goals):
    basis = thinplate.spline_basis(shape, 24)
    spline = RBFInterpolator(shape, goals[0], kernel='thin_plate_spline', smoothing=thinplate.STIFFNESS)
    truth = spline(thinplate.pixel_centres(24).reshape(-1, 2)).reshape(24, 24, 2)
    np.testing.assert_allclose(basis @ goals[0], truth, atol=1e-4)


def test_an_affine_map_is_followed_exactly(shape):
    linear, shift = np.array([[0.9, 0.2], [-0.1, 1.1]]), np.array([0.05, -0.1])
    there = thinplate.spline_basis(shape, 16) @ (shape @ linear + shift)
    np.testing.assert_allclose(there, thinplate.pixel_centres(16) @ linear + shift, atol=1e-5)


def test_bend_undoes_to_canonical(shape, goals):
    noise = jax.random.uniform(jax.random.key(0), (3, SIZE, SIZE, 2))
    faces = gaussian_blur(noise, 3.0)
    faces = (faces - faces.min()) / (faces.max() - faces.min())
    there = jnp.einsum('hwk,bkd->bhwd', thinplate.spline_basis(shape, SIZE), goals)
    canonical = grid_sample(faces, there * SIZE - 0.5)
    back = jax.jit(thinplate.bend)(canonical, thinplate.spline_basis(shape, SIZE), goals)
    middle = slice(SIZE // 5, -SIZE // 5)
    error = jnp.abs(back - faces)[:, middle, middle]
    assert float(error.max()) < 0.04 and float(error.mean()) < 0.006
    assert float(jnp.abs(canonical - faces)[:, middle, middle].mean()) > 5 * float(error.mean())  # it was bent


def test_a_larger_picture_is_bent_by_the_same_map(shape, goals):
    noise = gaussian_blur(jax.random.uniform(jax.random.key(0), (1, 3 * SIZE, 3 * SIZE, 2)), 12.0)
    picture = (noise - noise.min()) / (noise.max() - noise.min())
    bases = [thinplate.spline_basis(shape, side) for side in (SIZE, 3 * SIZE)]
    one, other = (jax.jit(thinplate.bend)(picture, basis, goals[:1]) for basis in bases)
    middle = slice(SIZE // 2, -SIZE // 2)
    assert float(jnp.abs(one - other)[:, middle, middle].max()) < 0.02
    assert float(jnp.abs(one - picture)[:, middle, middle].max()) > 0.1


def test_bend_solves_no_linear_system(shape, goals):
    """Two of jaxlib's batched decompositions at once block a CPU of two cores for ever."""
    arguments = jnp.zeros((3, SIZE, SIZE, 2)), thinplate.spline_basis(shape, SIZE), goals
    jaxpr = str(jax.make_jaxpr(thinplate.bend)(*arguments))
    assert 'gather' in jaxpr
    assert not any(name in jaxpr for name in ('lu[', 'triangular_solve', 'eigh', 'qr[', 'svd', 'cholesky'))


def test_a_canonical_face_has_its_landmarks_where_the_mean_face_has_them(shape, goals):
    """A dot drawn at a landmark is found at that landmark of the mean face."""
    stored = 2 * SIZE
    points = goals[0] * stored - 0.5
    for n in (30, 36, 45, 57):
        image = np.zeros((stored, stored, 3), np.uint8)
        cv2.circle(image, points[n].round().astype(int).tolist(), 3, (255, 255, 255), -1, cv2.LINE_AA)
        face = {'image': image, 'mask': image[..., 0], 'landmarks': goals[0]}
        canonical = to_canonical(face, 'full', SIZE)
        assert canonical['image'].shape == (SIZE, SIZE, 3) and canonical['mask'].shape == (SIZE, SIZE)
        weight = canonical['image'][..., 0] / canonical['image'][..., 0].sum(dtype=float)
        middle = (thinplate.pixel_centres(SIZE) * weight[..., None]).sum((0, 1))
        np.testing.assert_allclose(middle, shape[n], atol=0.02)
        np.testing.assert_array_equal(canonical['landmarks'], goals[0])


@pytest.mark.parametrize('face_type', ['mid', 'full', 'head'])
def test_features_of_the_mean_face_hold_its_inner_landmarks_and_no_jaw(face_type):
    where = mean_features(face_type, 160)
    x, y = np.round(mean_shape(face_type) * 160 - 0.5).astype(int).T
    inside = where[np.clip(y, 0, 159), np.clip(x, 0, 159)]
    assert (inside[17:] == 1).all() and not inside[4:13].any()
    assert where.min() == 0 and where.dtype == np.float32

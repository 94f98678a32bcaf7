"""The Frechet distance against its closed form, and descriptors of pictures without detection."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from dfjax.data.faces.align import ALIGNED, template
from dfjax.data.faces.identity import load_descriptor
from dfjax.data.sets.open import open_dataset
from dfjax.evaluation.frechet import descriptors, frechet, gaussian_distance, standard_landmarks


def gaussian(seed: int, size: int, rank: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(size, rank or 2 * size))
    return rng.normal(size=size), a @ a.T / size


@pytest.mark.parametrize('size', [1, 3, 40])
def test_distance_of_gaussians_is_that_of_the_closed_form(size):
    (m, a), (n, b) = gaussian(0, size), gaussian(1, size)
    expected = np.sum((m - n) ** 2) + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert gaussian_distance(m, a, n, b) == pytest.approx(expected, rel=1e-9)
    assert gaussian_distance(n, b, m, a) == pytest.approx(expected, rel=1e-9)
    assert gaussian_distance(m, a, m, a) == pytest.approx(0, abs=1e-9)


def test_covariances_may_be_singular():
    m, a = gaussian(0, 20, rank=5)
    assert gaussian_distance(m, a, m, a) == pytest.approx(0, abs=1e-6)
    assert gaussian_distance(m, a, m, 4 * a) == pytest.approx(np.trace(a), rel=1e-6)  # tr(A + 4A - 2 * 2A)


def test_sets_of_samples_come_near_their_gaussians_and_the_floor_falls():
    (m, a), (n, b) = gaussian(2, 6), gaussian(3, 6)
    rng = np.random.default_rng(0)
    x, y = rng.multivariate_normal(m, a, 20_000), rng.multivariate_normal(n, b, 20_000)
    assert frechet(x, y) == pytest.approx(gaussian_distance(m, a, n, b), rel=0.03)
    floors = [frechet(x[:k], x[k : 2 * k]) for k in (50, 500, 5000)]
    assert floors[0] > 3 * floors[1] > 9 * floors[2] > 0
    assert frechet(x.astype(np.float32), x.astype(np.float32)) == pytest.approx(0, abs=1e-9)


def test_a_set_of_one_is_refused():
    with pytest.raises(ValueError, match='two or more, not 1 and 5'):
        frechet(np.zeros((1, 4)), np.zeros((5, 4)))


def test_standard_landmarks_lie_where_faces_have_theirs():
    points = standard_landmarks('whole_face', 64)
    assert points.shape == (68, 2) and (points[list(ALIGNED)] == template('whole_face', 64)).all()
    faces = open_dataset('render:people:1:6', 64)
    used = [*range(27, 55), *range(60, 65)]  # by dlib
    mean = np.mean([faces[n]['landmarks'] for n in range(6)], 0)
    assert np.abs(points - (mean * 64 - 0.5))[used].max() < 4


def test_descriptors_tell_people_apart_and_are_always_there():
    one, other = (open_dataset(f'render:person:{who}:1:3', 64) for who in (4, 2))
    pictures = [s[n]['image'] for s in (one, other) for n in range(3)]
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    found = descriptors([*pictures, noise])
    assert found.shape == (7, 128) and found.dtype == np.float32 and np.isfinite(found).all()
    want = load_descriptor()(pictures[1], standard_landmarks('whole_face', 64))  # dlib's own
    np.testing.assert_allclose(found[1], want, atol=1e-5)
    apart = np.linalg.norm(found[:, None] - found, axis=-1)
    same = [apart[i, j] for k in (0, 3) for i in range(k, k + 3) for j in range(i) if j >= k]
    assert max(same) < apart[:3, 3:6].min()

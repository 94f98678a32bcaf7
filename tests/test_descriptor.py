"""dlib's face descriptor in JAX, against dlib itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from dfjax.data.faces.dlib_models import DESCRIPTOR, dlib_model
from dfjax.data.faces.identity import face_chip
from dfjax.errors import InputError
from dfjax.models.descriptor import SIDE, Descriptor
from dfjax.weights.dlib import read_descriptor


@pytest.fixture(scope='module')
def params():
    return read_descriptor(dlib_model(DESCRIPTOR))


@pytest.fixture(scope='module')
def chips():
    """Three pictures with structure at several scales, uint8."""
    noise = np.random.default_rng(0).normal(size=(3, SIDE, SIDE, 3))
    rough = sum(s * gaussian_filter(noise, (0, s, s, 0)) for s in (1, 4, 16))
    return np.uint8(np.clip(127 + 60 * rough, 0, 255))


WEIGHT = np.random.default_rng(2).normal(size=128).astype(np.float32)


@pytest.fixture(scope='module')
def describe(params):
    """Chips to their descriptors, and the gradient of these times WEIGHT; one program for all tests."""

    def cost(chips: jax.Array) -> tuple[jax.Array, jax.Array]:
        codes = Descriptor().apply({'params': params}, chips / 127.5 - 1)
        return (codes * WEIGHT).sum(), codes

    def both(chips: jax.Array) -> tuple[jax.Array, jax.Array]:
        slope, codes = jax.grad(cost, has_aux=True)(chips)
        return codes, slope

    return jax.jit(both)


def test_equal_to_dlibs_own(describe, chips):
    import dlib

    net = dlib.face_recognition_model_v1(dlib_model(DESCRIPTOR))
    want = np.array([net.compute_face_descriptor(chip) for chip in chips])
    assert np.abs(np.diff(want, axis=0)).max() > 0.01
    got, _ = describe(np.float32(chips))
    assert got.shape == (3, 128) and got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_chips_are_what_dlib_describes():
    import dlib

    rng = np.random.default_rng(1)
    picture = np.uint8(np.clip(127 + 400 * gaussian_filter(rng.normal(size=(300, 260, 3)), (4, 4, 0)), 0, 255))
    turned = np.array([[0.95, 0.2], [-0.2, 0.95]]) * 110
    landmarks = rng.uniform(-0.5, 0.5, (68, 2)) @ turned + (120, 150)
    landmarks[17:] = np.mean(landmarks, 0) + (landmarks[17:] - np.mean(landmarks, 0)) * 0.8
    points = [dlib.point(x, y) for x, y in np.round(landmarks).astype(int).tolist()]
    net = dlib.face_recognition_model_v1(dlib_model(DESCRIPTOR))
    want = net.compute_face_descriptor(picture, dlib.full_object_detection(dlib.rectangle(0, 0, 9, 9), points))
    got = net.compute_face_descriptor(face_chip(picture, landmarks))
    np.testing.assert_array_equal(np.array(got), np.array(want))


def test_differentiable(describe, chips):
    """Along its own gradient each descriptor changes by as much as the gradient says."""
    x = np.float32(chips)
    slope = np.array(describe(x)[1])
    length = np.linalg.norm(slope.reshape(3, -1), axis=1)
    way = slope / length[:, None, None, None]
    higher, lower = (describe(x + h * way)[0] @ WEIGHT for h in (8, -8))  # 8 grey levels over 67500 numbers
    np.testing.assert_allclose((higher - lower) / 16, length, rtol=0.05)


@pytest.mark.parametrize(
    ('spoil', 'reason'),
    [
        (lambda data: data[: len(data) // 2], 'cut short|there is no'),
        (lambda data: b'', 'begins otherwise'),
        (lambda data: data[:19_800] + data[400_000:], 'not 9248|not 36928'),
        (lambda data: data.replace(b'\x01\x05con_4\x01\x02', b'\x01\x05con_4\x01\x03', 1), 'version 3'),
        (lambda data: data.replace(b'\x01\x05con_4\x01\x02\x02\x80', b'\x01\x05con_4\x01\x02\x02\x81', 1), 'not 4736'),
        (lambda data: data.replace(b'\x01\x05con_4\x01\x02\x02', b'\x01\x05con_4\x01\x02\xff', 1), 'whole number'),
    ],
)
def test_a_spoilt_file_is_refused_in_one_line(tmp_path, spoil, reason):
    path = tmp_path / 'net.dat'
    with open(dlib_model(DESCRIPTOR), 'rb') as file:
        path.write_bytes(spoil(file.read()))
    with pytest.raises(InputError, match=reason) as refused:
        read_descriptor(path)
    assert str(path) in str(refused.value) and '\n' not in str(refused.value)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match='no such file'):
        read_descriptor(tmp_path / 'none.dat')

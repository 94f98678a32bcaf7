"""Expression from one face to another, as landmarks."""

import jax
import numpy as np
import pytest

from dfjax.data.faces.canonical import mean_shape
from dfjax.ops import expression as ops


@pytest.fixture(scope='module')
def shape():
    return mean_shape('full').astype(np.float32)


def opening(points, pairs):
    return points[:, pairs[:, 1], 1] - points[:, pairs[:, 0], 1]


def test_a_face_gets_itself_back(shape):
    """The same person: nothing changes, whatever the expression, while nothing is closed."""
    moved = shape + np.random.default_rng(0).normal(0, 0.003, (4, 68, 2)).astype(np.float32)
    np.testing.assert_allclose(jax.jit(ops.transfer_expression)(moved, shape, shape), moved, atol=1e-6)


def test_offsets_go_over_and_no_face_turns_inside_out(shape):
    """A mouth that is open on average, closed: the other's, hardly open on average, closes and no more."""
    mean = shape.copy()
    mean[[65, 66, 67], 1] += 0.1
    mean[56:59, 1] += 0.1
    closed = mean[None].copy()
    closed[:, [65, 66, 67], 1] = closed[:, [63, 62, 61], 1]
    closed[:, [40, 41], 1] = closed[:, [38, 37], 1] - 0.01  # lids as landmarks see a blink
    closed[:, 17:27, 1] -= 0.05
    got = np.asarray(jax.jit(ops.transfer_expression)(closed, mean, shape))
    np.testing.assert_allclose(opening(got, ops.LIPS), ops.CLOSED, atol=1e-6)
    np.testing.assert_allclose(opening(got, ops.LIDS)[:, :2], ops.CLOSED, atol=1e-6)
    np.testing.assert_allclose(opening(got, ops.LIDS)[:, 2:], opening(shape[None], ops.LIDS)[:, 2:], atol=1e-6)
    np.testing.assert_allclose(got[:, 17:27] - shape[17:27], closed[:, 17:27] - mean[17:27], atol=1e-6)
    upper = lambda points: points[:, ops.LIPS[:, 0], 1] - points[:, ops.BEYOND_LIPS[:, 0], 1]
    np.testing.assert_allclose(upper(got), upper(shape[None]), atol=1e-6)  # the lip's thickness


def test_lips_open_as_wide_as_they_are(shape):
    wide = shape[None].copy()
    wide[:, [65, 66, 67], 1] += 0.12
    other = shape.copy()
    other[[65, 66, 67], 1] += 0.03  # whose mouth is open at rest
    got = np.asarray(jax.jit(ops.transfer_expression)(wide, shape, other))
    np.testing.assert_allclose(opening(got, ops.LIPS), opening(wide, ops.LIPS), atol=1e-6)


def test_lids_close_by_the_share_by_which_they_do(shape):
    """Half closed is half closed, however wide the eyes of either; wide open goes over as it is."""
    other = shape.copy()
    other[ops.LIDS[:, 0], 1] -= 0.02
    half, wide = shape[None].copy(), shape[None].copy()
    half[:, ops.LIDS[:, 0], 1] += opening(shape[None], ops.LIDS) / 2
    wide[:, ops.LIDS[:, 0], 1] -= 0.01
    transfer = jax.jit(ops.transfer_expression)
    usual = opening(other[None], ops.LIDS)
    np.testing.assert_allclose(opening(np.asarray(transfer(half, shape, other)), ops.LIDS), usual / 2, atol=1e-6)
    np.testing.assert_allclose(opening(np.asarray(transfer(wide, shape, other)), ops.LIDS), usual + 0.01, atol=1e-6)


def test_eyes_that_are_often_shut_are_open_all_the_same(shape):
    """Whose mean is half shut, by looking down: what counts is how far the eyes open."""
    mean = shape.copy()
    mean[ops.LIDS[:, 0], 1] += opening(shape[None], ops.LIDS)[0] / 2
    usual = opening(shape[None], ops.LIDS)[0]
    seen = np.stack([shape, mean])  # open, and half open
    got = np.asarray(jax.jit(ops.transfer_expression)(seen, mean, shape, 1e3, (usual, usual)))
    np.testing.assert_allclose(opening(got, ops.LIDS)[1], usual / 2, atol=1e-6)
    assert (opening(got, ops.LIDS)[0] >= usual - 1e-6).all()


def test_points_stay_within_reach_but_lips_open(shape):
    moved = shape[None].copy()
    moved[:, 17:27, 1] -= 0.2  # brows far up
    moved[:, 8, 1] += 0.002  # the chin hardly
    moved[:, [65, 66, 67], 1] += 0.12
    got = np.asarray(jax.jit(ops.transfer_expression)(moved, shape, shape, 0.01 * np.ones((68, 2), np.float32)))
    away = got - shape
    np.testing.assert_allclose(away[:, 17:27, 1], -0.01, atol=1e-4)
    np.testing.assert_allclose(away[:, 8, 1], 0.002, atol=1e-6)
    np.testing.assert_allclose(opening(got, ops.LIPS), opening(moved, ops.LIPS), atol=1e-6)


def test_limited_grows_and_ends():
    x = np.linspace(-50, 50, 1001, dtype=np.float32)
    got = np.asarray(ops.limited(x, 2.0))
    assert (np.diff(got) > -1e-6).all() and np.abs(got).max() <= 2
    np.testing.assert_allclose(got[np.abs(x) <= 1], x[np.abs(x) <= 1], rtol=0.02)

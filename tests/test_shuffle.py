"""The order in which items are drawn: even, independent, the same everywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.data.shuffle import Draw, below, element_seeds, shuffled


def weights_of(count: int) -> np.ndarray:
    return np.random.default_rng(0).gamma(0.5, size=count)


@pytest.mark.parametrize('count', [1, 2, 7, 100, 1023])
def test_every_epoch_is_a_permutation(count):
    order = shuffled(np.arange(4 * count, dtype=np.uint32), count, seed=5).reshape(4, count)
    assert (np.sort(order, 1) == np.arange(count)).all()
    if count >= 100:
        same = [(order[0] == order[k]).mean() for k in (1, 2, 3)]
        assert max(same) < 0.05  # 1 / count is what chance gives


def test_orders_are_even_and_independent():
    """Each item is as often at each place, and each pair as often side by side, within five standard deviations."""
    n, epochs = 6, 6000
    order = shuffled(np.arange(n * epochs, dtype=np.uint32), n, seed=0).reshape(epochs, n)
    at = (order[:, :, None] == np.arange(n)).mean(0)
    assert np.abs(at - 1 / n).max() < 5 * np.sqrt(1 / n / epochs)
    for first, second in ((0, 1), (2, 5)):
        pairs = np.bincount(order[:, first] * n + order[:, second], minlength=n * n).reshape(n, n) / epochs
        expected = (1 - np.eye(n)) / (n * (n - 1))
        assert np.abs(pairs - expected).max() < 5 * np.sqrt(1 / n / (n - 1) / epochs)
    assert (order[1:] == order[:-1]).mean() == pytest.approx(1 / n, abs=0.01)


def test_order_depends_on_seed_and_salt_and_not_on_numpy_or_jax():
    position = np.arange(300, dtype=np.uint32)
    order = shuffled(position, 100, seed=1)
    assert (order == np.asarray(jax.jit(lambda p: shuffled(p, 100, seed=1))(position))).all()
    for other in (shuffled(position, 100, seed=2), shuffled(position, 100, seed=1, salt=1)):
        assert (order == other).mean() < 0.05


@pytest.mark.parametrize('count', [2, 7, 300])
def test_weighted_items_come_as_often_as_they_should_in_every_epoch(count):
    """Rounded down or up in one epoch; over many their share is the weight's, within five standard deviations."""
    weights, epochs = weights_of(count), 400
    draw = Draw(count, seed=3, weights=weights)
    order = draw.index(np.arange(count * epochs, dtype=np.uint32)).reshape(epochs, count)
    found = np.stack([np.bincount(epoch, minlength=count) for epoch in order])
    expected = weights / weights.sum() * count
    assert (found >= np.floor(expected - 1e-6)).all() and (found <= np.ceil(expected + 1e-6)).all()
    part = expected % 1
    assert (np.abs(found.mean(0) - expected) <= 5 * np.sqrt(part * (1 - part) / epochs) + 1e-6).all()
    if count == 300:
        assert (order[0] != order[1]).any() and (np.diff(order[0]) < 0).any()  # epochs differ, and none is sorted


def test_weighted_draws_do_not_depend_on_numpy_or_jax():
    draw, position = Draw(300, seed=3, salt=1, weights=weights_of(300)), np.arange(900, dtype=np.uint32)
    order = draw.index(position)
    assert (order == np.asarray(jax.jit(draw.index)(position, jnp.asarray(draw.ends)))).all()
    assert (order == draw.index(position)).all()
    assert (order != Draw(300, seed=3, salt=2, weights=weights_of(300)).index(position)).mean() > 0.5


def test_items_without_weight_never_come():
    draw = Draw(5, seed=0, weights=np.array([0.0, 1, 0, 3, 0]))
    found = np.bincount(draw.index(np.arange(4000, dtype=np.uint32)), minlength=5)
    assert found[[0, 2, 4]].sum() == 0 and found[3] / found[1] == pytest.approx(3, rel=0.1)
    for weights in ([0.0, 0], [-1.0, 2], [np.nan, 1]):
        with pytest.raises(ValueError, match='weights are finite'):
            Draw(2, seed=0, weights=np.array(weights))


def test_what_items_are_drawn_by_differs_everywhere_and_not_by_numpy_or_jax():
    example = np.arange(64, dtype=np.uint32)
    steps = [np.full(64, step, np.uint32) for step in range(50)]
    seeds = np.stack([element_seeds(5, step, example, salt) for salt in (0, 1) for step in steps])
    assert len(np.unique(seeds)) == seeds.size
    alike = jax.jit(lambda step: element_seeds(5, step, jnp.asarray(example), 1))(jnp.uint32(7))
    assert (seeds[57] == np.asarray(alike)).all()
    drawn = below(seeds.ravel(), np.int32(10), 3)
    assert np.abs(np.bincount(drawn, minlength=10) / len(drawn) - 0.1).max() < 5 * np.sqrt(0.09 / len(drawn))
    assert (np.asarray(below(jnp.asarray(seeds.ravel()), jnp.int32(10), 3)) == drawn).all()

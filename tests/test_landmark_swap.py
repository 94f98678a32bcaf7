"""The swap that is told landmarks: its size, how they are drawn and moved, and the figure of what is found again."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.landmark_swap import get_config
from dfjax.config import build
from dfjax.data.faces.canonical import mean_shape
from dfjax.errors import InputError
from dfjax.evaluation.landmark_swap import distance, figures
from dfjax.models.landmark_swap import COLOURS, PEN, draw
from dfjax.systems import landmark_swap

pytestmark = pytest.mark.whole


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_paper_is_the_first_swappers_net_with_136_numbers_for_landmarks():
    cfg = get_config('paper')
    params = jax.eval_shape(lambda key: landmark_swap.init(cfg, key), jax.random.key(0)).params
    layer = lambda k, inputs, outputs: k * k * inputs * outputs + outputs
    convs = layer(5, 3, 128) + layer(5, 128, 256) + layer(5, 256, 512) + layer(5, 512, 1024)
    code = layer(1, 4 * 4 * 1024, 1024) + layer(1, 1024, 4 * 4 * 1024 - 136)
    assert count(params['encoder']) == convs + code
    ups = sum(layer(3, x, 4 * y) for x, y in ((1024, 512), (512, 256), (256, 128), (128, 64)))
    assert count(params['decoder_a']) == ups + layer(5, 64, 3) == count(params['decoder_b'])


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        ({'data.size': 34}, 'multiple of model.encoder.patch, 4'),
        ({'data.size': 64}, 'data.size is 32 with this'),
        ({'model.encoder.grid': [4, 8]}, 'more than 136 numbers'),
        ({'loss.window': 4}, 'loss.window is odd'),
        ({'data.canonical': True}, 'data.canonical is false'),
    ],
)
def test_what_does_not_go_together_is_refused(changes, line):
    with pytest.raises(InputError, match=line):
        jax.eval_shape(lambda key: landmark_swap.init(build(get_config('smoke'), changes), key), jax.random.key(0))


def test_lines_are_drawn_by_the_distance_to_them():
    """A jaw along a height of 0.5 from the left to the right, and all other points in a corner."""
    points = np.full((1, 68, 2), 0.9)
    points[0, :17, 0], points[0, :17, 1] = np.linspace(0.25, 0.75, 17), 0.5
    size = 40
    jaw = np.asarray(draw(jnp.float32(points), size))[0, :, :, COLOURS.index((255, 255, 255))]
    at = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(at, at)
    away = np.hypot(x - np.clip(x, 0.25, 0.75), y - 0.5)
    np.testing.assert_allclose(jaw, np.exp(-0.5 * (away / PEN) ** 2), atol=1e-5)


def test_lips_are_closed_lines():
    """Between the last point of the inner lips and the first there is a line too."""
    points = np.full((1, 68, 2), 0.1)
    points[0, 60:68] = [(0.3, 0.5), (0.4, 0.4), (0.5, 0.4), (0.6, 0.4), (0.7, 0.5), (0.6, 0.7), (0.5, 0.7), (0.3, 0.7)]
    drawn = np.asarray(draw(jnp.float32(points), 100))[0, :, :, COLOURS.index((255, 0, 255))]
    assert drawn[60, 29] > 0.8 and drawn[60, 49] < 0.01


@pytest.fixture(scope='module')
def start():
    cfg = get_config('smoke')
    return cfg, jax.jit(lambda key: landmark_swap.init(cfg, key))(jax.random.key(0))


def test_the_code_ends_with_the_landmarks(start):
    cfg, state = start
    landmarks = jnp.float32(np.random.default_rng(0).uniform(0, 1, (2, 68, 2)))
    code = landmark_swap.code_of(cfg, state.params, jnp.zeros((2, 32, 32, 3)), landmarks)
    want = 2 * np.concatenate([landmarks[..., 0], landmarks[..., 1]], -1) - 1
    np.testing.assert_allclose(code.reshape(2, -1)[:, -136:], want, atol=1e-6)


def test_landmarks_are_moved_to_the_other_persons_place():
    """Whose face is the same, but elsewhere."""
    shape = np.float32(mean_shape('whole_face'))
    params = {'shape': {'a': shape, 'b': shape + np.float32([0.05, -0.02])}}
    seen = jnp.asarray(shape + np.float32(0.01))[None]
    for side, shift in (('b', [0.05, -0.02]), ('a', [-0.05, 0.02])):
        moved = landmark_swap.moved(params, seen, side)
        np.testing.assert_allclose(moved, seen + np.float32(shift), atol=1e-4)


def test_means_of_landmarks_are_those_seen(start):
    cfg, state = start
    rng = np.random.default_rng(0)
    side = lambda: {
        'image': jnp.zeros((8, 32, 32, 3), jnp.uint8),
        'mask': jnp.full((8, 32, 32), 255, jnp.uint8),
        'landmarks': jnp.float32(mean_shape('whole_face') + 0.02 * rng.normal(size=(8, 68, 2))),
    }
    batch = {'a': side(), 'b': side(), 'key': jax.random.split(jax.random.key(0), 8), 'step_key': jax.random.key(1)}
    new, _ = jax.jit(lambda state, batch: landmark_swap.step(cfg, state, batch))(
        state.replace(horizon=jnp.int32(20)), batch
    )
    for name in 'ab':
        np.testing.assert_allclose(new.ema['shape'][name], batch[name]['landmarks'].mean(0), atol=1e-6)


# The figure


def run_of(swap):
    """A run whose system paints as `swap` does, on real renderings, large enough for a detector."""
    cfg = build(landmark_swap.default_config(), {'data.a': 'render:1:4', 'data.b': 'render:2:4'})
    moved = lambda params, landmarks, side: landmarks
    system = SimpleNamespace(moved=moved, swap=lambda cfg, params, frozen, pictures, landmarks: (swap(pictures), None))
    return SimpleNamespace(cfg=cfg, system=system, params={}, frozen={})


def test_faces_are_found_where_there_are_some_and_nowhere_else():
    same = figures(run_of(lambda pictures: pictures))
    assert same['found'] == same['found_input'] == 1 and same['faces'] == 4 and same['off'] < 0.15
    grey = figures(run_of(lambda pictures: 0 * pictures))
    assert grey['found'] == 0 and grey['found_input'] == 1 and grey['off'] is None


def test_distances_are_in_distances_between_the_eyes():
    points = np.float64(mean_shape('full')) * 100
    eyes = np.linalg.norm(points[42:48].mean(0) - points[36:42].mean(0))
    assert distance(points + np.array([3, 4]), points) == pytest.approx(5 / eyes)

"""Past First Order Motion Model: splines, a background that moves, several occlusion maps, motions left out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.interpolate import RBFInterpolator
from test_fomm_nets import keypoints
from untrained import untrained

from dfjax.config import build, load_config
from dfjax.data.batches import make_data
from dfjax.errors import InputError
from dfjax.inference.run import load_run
from dfjax.models.fomm import Generator
from dfjax.models.fomm_motion import Background, left_motions, round_trip, sparse_motions
from dfjax.ops.motion import coordinate_grid, sample
from dfjax.ops.splines import solve, spline
from dfjax.systems import fomm

RNG = np.random.default_rng(0)
PAST = {
    'model': {'keypoints': 8, 'kp.jacobian': False, 'background': True},
    'model.bg': {'width': 4, 'max_width': 8, 'blocks': 2, 'scale': 0.5},
    'model.g': {'skips': True, 'motion.points': 4},
    'drop.motions': 0.3,
}


def test_small_systems_are_solved_with_their_derivatives():
    """Symmetric ones with zeros on the diagonal, as splines have, against LAPACK and differences."""
    m, way = RNG.normal(size=(2, 3, 6, 6))
    m, way = (np.float32(x + x.swapaxes(1, 2)) for x in (m, way))
    m[:, 4:, 4:] = 0
    m[:, :4, :4] += 4 * np.eye(4, dtype=np.float32)
    b = np.float32(RNG.normal(size=(3, 6, 2)))
    np.testing.assert_allclose(jax.jit(solve)(m, b), np.linalg.solve(m, b), atol=2e-4)
    cost = lambda m: jnp.sin(solve(m, b)).sum()
    step, double = 1e-6, lambda s: np.linalg.solve(np.float64(m) + s * way, np.float64(b))
    truth = np.sin(double(step)).sum() - np.sin(double(-step)).sum()
    found = float((jax.jit(jax.grad(cost))(m) * way).sum())
    assert found == pytest.approx(truth / (2 * step), rel=1e-3)


@pytest.mark.parametrize('stiffness', [0.0, 0.05])
def test_splines_are_those_of_scipy(stiffness):
    points, goals, at = (np.float32(RNG.uniform(-1, 1, (n, 2))) for n in (5, 5, 40))
    truth = RBFInterpolator(points, goals, smoothing=stiffness, kernel='thin_plate_spline', degree=1)(at)
    np.testing.assert_allclose(spline(points, goals, at, stiffness, 0.0), truth, atol=2e-3)
    if not stiffness:
        np.testing.assert_allclose(spline(points, goals, points, 0.0, 0.0), goals, atol=2e-3)


def test_points_in_one_place_shift_what_is_around_them():
    """As those of a fresh detector: the map stays gentle, and so do its derivatives."""
    points = np.float32(np.full((1, 5, 2), 0.1) + RNG.normal(0, 1e-4, (1, 5, 2)))
    at = np.float32([[0.1, 0.1], [0.3, 0.1]])
    moved, back = jax.jit(jax.value_and_grad(lambda g: spline(points, g, at).sum()))(points + np.float32([0.2, 0]))
    assert float(moved) == pytest.approx(0.1 + 0.1 + 0.3 + 0.1 + 2 * 0.2, abs=0.05)
    assert np.abs(back).max() < 5


def test_a_motion_by_splines_takes_points_to_points():
    _, _, there, _ = keypoints(10, 2)
    here = there + np.float32(0.05 * RNG.normal(size=there.shape))
    eye = np.broadcast_to(np.eye(2, dtype=np.float32), (2, 10, 2, 2))
    grid = coordinate_grid(33, 33)
    on_grid = np.float32(np.round((there + 1) * 16) / 16 - 1)
    moved = sparse_motions(33, 33, here, eye, on_grid, eye, points=5)
    assert moved.shape == (2, 3, 33, 33, 2)
    np.testing.assert_allclose(moved[:, 0], np.broadcast_to(grid, moved[:, 0].shape), atol=1e-6)
    for b in range(2):
        for n in range(10):
            x, y = np.round((on_grid[b, n] + 1) * 16).astype(int)
            np.testing.assert_allclose(moved[b, 1 + n // 5, y, x], here[b, n], atol=0.06)  # they give way a little


def test_a_background_moves_by_its_map():
    here, bent, there, other = keypoints(2)
    matrix = np.float32([[[0.9, -0.2, 0.1], [0.15, 1.1, -0.05]]])
    moved = sparse_motions(7, 9, here, bent, there, other, background=matrix)
    truth = coordinate_grid(7, 9) @ matrix[0, :, :2].T + matrix[0, :, 2]
    np.testing.assert_allclose(moved[0, 0], truth, atol=1e-6)
    still = sparse_motions(7, 9, here, bent, there, other)
    np.testing.assert_array_equal(moved[:, 1:], still[:, 1:])


def test_maps_there_and_back():
    matrix = np.float32([[[0.9, -0.2, 0.1], [0.15, 1.1, -0.05]]])
    back = np.linalg.inv(np.vstack([matrix[0], [0, 0, 1]]))[None, :2].astype(np.float32)
    assert float(round_trip(matrix, back)) < 1e-6 < 0.05 < float(round_trip(matrix, matrix))


def test_the_background_net_finds_how_the_camera_moved():
    """Of a smooth picture and what a map makes of it, by the likeness of the two alone; at first it is still."""
    size, truth = 32, np.float32([[[0.95, 0.08, 0.12], [-0.06, 1.04, -0.1]]])
    noise = jax.image.resize(RNG.uniform(size=(1, 6, 6, 3)), (1, size, size, 3), 'cubic').astype(np.float32)
    grid = coordinate_grid(size, size)
    look = lambda m: sample(noise, (grid @ m[0, :, :2].T + m[0, :, 2])[None], True, 'reflect')
    driving, net = look(truth), Background(width=8, blocks=2, scale=0.5)
    variables = net.init(jax.random.key(0), noise, driving)
    np.testing.assert_allclose(net.apply(variables, noise, driving), np.eye(2, 3)[None], atol=1e-6)
    found = lambda params: net.apply(variables | {'params': params}, noise, driving)
    adam = optax.adam(3e-3)

    @jax.jit
    def step(params, moments):
        grads = jax.grad(lambda p: jnp.square(look(found(p)) - driving).mean())(params)
        updates, moments = adam.update(grads, moments)
        return optax.apply_updates(params, updates), moments

    params, moments = variables['params'], adam.init(variables['params'])
    for _ in range(300):
        params, moments = step(params, moments)
    np.testing.assert_allclose(found(params), truth, atol=0.02)


def test_motions_are_left_out_by_chance_but_the_background():
    left = left_motions(jax.random.split(jax.random.key(0), 400), 0.3, 10)
    assert left.shape == (400, 11) and left[:, 0].all()
    assert left[:, 1:].mean() == pytest.approx(0.7, abs=0.03)
    assert left_motions(jax.random.split(jax.random.key(0), 4), 0.0, 10).all()


@pytest.fixture(scope='module')
def generator():
    motion = {'width': 4, 'max_width': 8, 'blocks': 1, 'scale': 0.5, 'points': 2}
    module = Generator(width=4, max_width=8, downs=2, blocks=1, skips=True, motion=motion)
    here, _, there, _ = keypoints(4)
    eye = np.broadcast_to(np.eye(2, dtype=np.float32), (1, 4, 2, 2))
    picture = np.float32(RNG.uniform(size=(1, 16, 16, 3)))
    inputs = picture, here, eye, there, eye
    return module, module.init(jax.random.key(0), *inputs), inputs


def test_motions_left_out_count_for_nothing(generator):
    module, variables, inputs = generator
    whole = module.apply(variables, *inputs)[3]
    left = module.apply(variables, *inputs, None, jnp.array([[True, False, True]]))[3]
    assert whole.shape[-1] == 3 and float(left[..., 1].max()) == 0
    rest = whole[..., ::2] / whole[..., ::2].sum(-1, keepdims=True)
    np.testing.assert_allclose(left[..., ::2], rest, rtol=1e-4)


def test_each_size_has_an_occlusion_map(generator):
    """Where the last says that all is seen the picture is the source moved, and where it says nothing the decoder's."""
    module, variables, inputs = generator
    params = variables['params']
    assert params['motion']['occlusion']['kernel'].shape[-1] == 4
    found = {}
    for name, level in {'seen': 50.0, 'hidden': -50.0}.items():
        bias = params['motion']['occlusion']['bias'].at[3].set(level)
        occlusion = params['motion']['occlusion'] | {'bias': bias}
        changed = params | {'motion': params['motion'] | {'occlusion': occlusion}}
        found[name] = module.apply(variables | {'params': changed}, *inputs)
    np.testing.assert_allclose(found['seen'][0], found['seen'][1], atol=1e-5)
    assert float(jnp.abs(found['hidden'][0] - found['hidden'][1]).mean()) > 0.05

    def of(source: np.ndarray, seen: int) -> jax.Array:
        """The picture where the map of that number alone shows anything."""
        bias = jnp.full(4, -50.0).at[seen].set(50.0) if seen < 4 else jnp.full(4, -50.0)
        occlusion = {'kernel': 0 * params['motion']['occlusion']['kernel'], 'bias': bias}
        changed = params | {'motion': params['motion'] | {'occlusion': occlusion}}
        return module.apply(variables | {'params': changed}, source, *inputs[1:])[0]

    differ = lambda seen: float(jnp.abs(of(inputs[0], seen) - of(1 - inputs[0], seen)).max())
    assert differ(4) == 0  # all is hidden
    assert all(differ(n) > 1e-6 for n in range(4))


def test_a_step_with_everything_on_and_inference_without_chance(tmp_path):
    cfg = build(load_config('fomm:smoke'), PAST | {'batch_size': 2})
    fomm.check(cfg)
    data = make_data(cfg, fomm.BATCH)
    state = fomm.init(cfg, jax.random.key(0)).replace(horizon=jnp.int32(10))
    assert set(state.params) == {'kp', 'g', 'bg', 'd'}
    step = jax.jit(lambda state, feed: fomm.step(cfg, state, data.sample(feed, state.step, 0)))
    moved = []
    for _ in range(3):
        before = state.params['bg']['last']['bias']
        state, metrics = step(state, data.feed(1))
        assert np.isfinite(list(metrics.values())).all() and 'g/background' in metrics and 'g/jacobian' not in metrics
        moved.append(float(jnp.abs(state.params['bg']['last']['bias'] - before).max()))
    assert moved[1] > 0  # the background's map is learnt once it is used
    run = load_run(untrained(tmp_path / 'w', 'fomm', **PAST), can=('keypoints', 'animate'))
    pictures = RNG.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    points = run.system.keypoints(run.cfg, run.params, pictures)
    made = [run.system.animate(run.cfg, run.params, pictures, points, points) for _ in range(2)]
    np.testing.assert_array_equal(*made)
    large = run.system.animate(run.cfg, run.params, pictures, points, points, pictures.repeat(2, 1).repeat(2, 2))
    assert large.shape == (2, 64, 64, 3)


def test_points_make_whole_splines():
    with pytest.raises(InputError, match='8 are no whole splines of 3'):
        fomm.check(build(load_config('fomm:smoke'), PAST | {'model.g.motion.points': 3}))

"""First Order Motion Model's nets: files of other geometries, refusals, switches, and bends against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_golden_fomm import module_of

from dfjax.errors import InputError
from dfjax.losses import equivariance
from dfjax.models.fomm import Generator, KeypointDetector
from dfjax.models.fomm_discriminator import Discriminator, MultiScaleDiscriminator, SpectralConv
from dfjax.models.fomm_motion import sparse_motions
from dfjax.ops import motion
from dfjax.weights.fomm import NETS
from dfjax.weights.layers import compare, convert, expected

KP = {'keypoints': 4, 'channels': 3, 'kp.width': 8, 'kp.max_width': 24, 'kp.blocks': 2, 'kp.scale': 0.5}
KP |= {'kp.jacobian': True, 'kp.single_jacobian_map': False}
G = {'keypoints': 3, 'channels': 1, 'g.width': 6, 'g.max_width': 20, 'g.downs': 2, 'g.blocks': 1}
G |= {
    f'g.motion.{k}': v for k, v in {'width': 4, 'max_width': 12, 'blocks': 2, 'scale': 0.5, 'occlusion': True}.items()
}
D = {'d.scales': [1.0], 'd.width': 4, 'd.max_width': 12, 'd.blocks': 2, 'd.points': True, 'd.spectral': False}
D |= {'channels': 3, 'keypoints': 5}
RNG = np.random.default_rng(0)


def keypoints(count: int, batch: int = 1) -> list[np.ndarray]:
    """Value and jacobian, twice."""
    value = lambda: RNG.uniform(-0.8, 0.8, (batch, count, 2)).astype(np.float32)
    bent = lambda: (np.eye(2) + RNG.normal(size=(batch, count, 2, 2)) / 5).astype(np.float32)
    return [value(), bent(), value(), bent()]


def arguments(net: str, sizes: dict) -> list[np.ndarray]:
    picture = RNG.uniform(size=(1, 32, 32, sizes['channels'])).astype(np.float32)
    if net == 'kp':
        return [picture]
    if net == 'g':
        return [picture, *keypoints(sizes['keypoints'])]
    levels = [motion.shrink(picture, scale) for scale in sizes['d.scales']]
    return levels + ([keypoints(sizes['keypoints'])[0]] if sizes['d.points'] else [])


@pytest.mark.parametrize(
    ('net', 'sizes'),
    [
        ('kp', KP),
        ('kp', KP | {'kp.single_jacobian_map': True, 'kp.scale': 1.0}),
        ('kp', KP | {'kp.jacobian': False, 'kp.scale': 0.25, 'kp.blocks': 1, 'kp.max_width': 16}),
        ('g', G),
        ('g', G | {'g.motion.occlusion': False, 'g.motion.scale': 1.0, 'g.downs': 1, 'g.max_width': 12}),
        ('d', D),
        ('d', {k: v for k, v in D.items() if k != 'keypoints'} | {'d.points': False, 'd.spectral': True}),
        ('d', D | {'d.scales': [1.0, 0.5]}),
    ],
)
def test_a_file_of_another_geometry_is_read(net, sizes):
    module, model = module_of(net, sizes)
    shapes = jax.eval_shape(module.init, jax.random.key(0), *arguments(net, sizes))
    names = expected(NETS[net].layers(model), shapes).values()
    weights = {name: RNG.normal(size=shape).astype(np.float32) for name, _, shape in names}
    for at in (f'{net}.scale', 'g.motion.scale'):
        if sizes.get(at, 1) < 1:
            side = len(motion.shrink_taps(sizes[at]))
            weights['down.weight' if net == 'kp' else 'dense_motion_network.down.weight'] = np.ones((3, 1, side, side))
    found = NETS[net].sizes(weights)
    assert found == sizes
    module, model = module_of(net, found)
    table = NETS[net].layers(model)
    assert compare(weights, table, shapes) == []
    jax.eval_shape(module.apply, convert(weights, table, shapes), *arguments(net, sizes))
    weights.pop(next(name for name in weights if name.endswith(('weight', 'weight_orig'))))
    assert 'missing' in '\n'.join(compare(weights, table, shapes))


def test_points_that_stay_leave_the_picture_where_it_is():
    value, bent, *_ = keypoints(3)
    for align_corners in (False, True):
        moved = sparse_motions(9, 7, value, bent, value, bent)
        np.testing.assert_allclose(moved, np.broadcast_to(motion.coordinate_grid(9, 7), moved.shape), atol=1e-5)
        picture = jnp.asarray(RNG.uniform(size=(1, 9, 7, 2)), jnp.float32)
        if align_corners:
            np.testing.assert_allclose(motion.sample(picture, moved[:, 1], True), picture, atol=1e-5)


def test_a_point_alone_moves_what_is_around_it():
    """A keypoint half a side further right in the driving picture shows there what lay around it in the source."""
    value = jnp.array([[[-0.5, 0.0]]])
    eye = jnp.eye(2)[None, None]
    moved = sparse_motions(8, 9, value, eye, value + jnp.array([1.0, 0.0]), eye)[0, 1]
    np.testing.assert_allclose(moved, motion.coordinate_grid(8, 9) - [1.0, 0.0], atol=1e-6)


def test_a_fresh_detector_has_identity_jacobians():
    module = KeypointDetector(keypoints=3, width=4, max_width=8, blocks=1, scale=1.0)
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((2, 16, 16, 3)))
    picture = RNG.uniform(size=(2, 16, 16, 3)).astype(np.float32)
    value, jacobian = jax.jit(module.apply)(variables, picture)
    assert value.shape == (2, 3, 2)
    np.testing.assert_allclose(jacobian, np.broadcast_to(np.eye(2), (2, 3, 2, 2)), atol=1e-6)


def test_bends_have_the_jacobian_of_their_differences():
    bend = equivariance.random_bends(jax.random.split(jax.random.key(1), 2), 0.1, 0.05, 5)
    points = jnp.asarray(RNG.uniform(-0.9, 0.9, (2, 6, 2)), jnp.float32)
    step = 1e-3
    truth = [
        (equivariance.bent(bend, points + step * axis) - equivariance.bent(bend, points - step * axis)) / (2 * step)
        for axis in jnp.eye(2)
    ]
    np.testing.assert_allclose(equivariance.jacobian(bend, points), jnp.stack(truth, -1), atol=2e-2)


def test_bends_of_nothing_cost_nothing():
    keys = jax.random.split(jax.random.key(0), 2)
    still = equivariance.random_bends(keys, 0.0, 0.0, 5)
    value, bent, *_ = keypoints(4, 2)
    assert float(equivariance.value_loss(still, value, value)) < 1e-6
    assert float(equivariance.jacobian_loss(still, bent, value, bent)) < 1e-5
    picture = jnp.asarray(RNG.uniform(size=(2, 8, 8, 3)), jnp.float32)
    np.testing.assert_allclose(equivariance.bend_pictures(still, picture, True), picture, atol=1e-5)
    moved = equivariance.random_bends(keys, 0.1, 0.01, 5)
    assert float(equivariance.value_loss(moved, value, value)) > 0.01


def test_spectral_normalisation_finds_the_largest_singular_value():
    module = SpectralConv(8, 3)
    x = jnp.asarray(RNG.normal(size=(1, 6, 6, 4)), jnp.float32)
    variables = module.init(jax.random.key(0), x)
    kernel = variables['params']['kernel']
    stats = variables['batch_stats']
    for _ in range(30):
        stats = module.apply({'params': variables['params'], 'batch_stats': stats}, x, True, mutable=['batch_stats'])[
            1
        ]['batch_stats']
    sigma = np.linalg.svd(kernel.reshape(-1, 8))[1][0]
    truth = jax.lax.conv_general_dilated(x, kernel / sigma, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
    np.testing.assert_allclose(module.apply({'params': variables['params'], 'batch_stats': stats}, x), truth, atol=1e-3)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match='multiples of 4'):
        jax.eval_shape(KeypointDetector(blocks=2, scale=1.0).init, jax.random.key(0), jnp.zeros((1, 30, 32, 3)))
    with pytest.raises(InputError, match='keypoints are sought in 4x4'):
        jax.eval_shape(KeypointDetector(blocks=1, scale=1.0).init, jax.random.key(0), jnp.zeros((1, 4, 4, 3)))
    with pytest.raises(InputError, match='needs 53 pixels'):
        jax.eval_shape(Discriminator().init, jax.random.key(0), jnp.zeros((1, 52, 64, 3)))
    jax.eval_shape(MultiScaleDiscriminator().init, jax.random.key(0), jnp.zeros((1, 53, 53, 3)))
    assert Generator.OUTPUTS[0] == 'prediction'

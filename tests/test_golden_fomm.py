"""First Order Motion Model against the original's own numbers: functions, nets by way of the tables, losses, gradients.

`align_false` is the grid of PyTorch today, `align_true` the one that published weights were trained on.
"""

import functools

import golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_files as tf
from ml_collections import ConfigDict

from dfjax.apps.cli import main
from dfjax.inference.run import load_run
from dfjax.losses import equivariance
from dfjax.losses.adversarial import d_loss, g_loss
from dfjax.losses.perceptual import feature_distance, pyramid_distance
from dfjax.models import vgg
from dfjax.models.fomm import Generator, KeypointDetector
from dfjax.models.fomm_discriminator import MultiScaleDiscriminator
from dfjax.ops import motion
from dfjax.weights.fomm import NETS
from dfjax.weights.layers import compare, convert, expected

pytestmark = pytest.mark.whole

ALIGN = {'align_false': False, 'align_true': True}
GOLDEN = {'kp': 'fomm_kp_detector', 'g': 'fomm_generator', 'd': 'fomm_discriminator'}
PAIR = ('kp_source_value', 'kp_source_jacobian', 'kp_driving_value', 'kp_driving_jacobian')
SCALES = (1, 0.5, 0.25, 0.125)


@pytest.fixture(autouse=True)
def full_precision():
    with jax.default_matmul_precision('highest'):
        yield


def module_of(net: str, sizes: dict, align_corners: bool = True):
    """The module of these sizes."""
    model = ConfigDict({'kp': {}, 'g': {'motion': {}}, 'd': {}})
    for key, value in sizes.items():
        *path, last = key.split('.')
        functools.reduce(lambda section, name: section[name], path, model)[last] = value
    model = model.to_dict()
    if net == 'kp':
        return KeypointDetector(keypoints=model['keypoints'], **model['kp']), model
    if net == 'g':
        return Generator(outputs=model['channels'], align_corners=align_corners, **model['g']), model
    return MultiScaleDiscriminator(**model['d']), model


@functools.cache
def imported(net: str, name: str, align_corners: bool = True):
    """A net, its variables and its table, of a golden file's weights."""
    weights = golden.weights(name)
    module, model = module_of(net, NETS[net].sizes(weights), align_corners)
    data = golden.arrays(name)
    inputs = [data[f'in.{k}'] for k in {'kp': ['x'], 'g': ['source', *PAIR]}.get(net, ['prediction_1'])]
    inputs += [data['in.kp_value']] if 'in.kp_value' in data else []
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    table = NETS[net].layers(model)
    assert compare(weights, table, shapes) == []
    return module, convert(weights, table, shapes), table


def read(name: str) -> dict[str, np.ndarray]:
    return {key.removeprefix('in.'): value for key, value in golden.arrays(name).items() if key.startswith('in.')}


def bends(data: dict) -> equivariance.Bend:
    return equivariance.Bend(jnp.asarray(data['theta']), jnp.asarray(data['control_params'][:, 0]))


def test_functions():
    name = 'fomm_functions'
    data = read(name)
    found = jax.jit(functions)(data)
    source, initial = (data[f'kp_{k}_value'] for k in ('source', 'initial'))
    scaled = jax.jit(relative)(data, motion.movement_scale(source[0], initial[0]))
    for part, value, plain in zip(('value', 'jacobian'), scaled, jax.jit(relative)(data, 1.0)):
        found |= {f'normalize_kp.relative.{part}': plain, f'normalize_kp.relative_scaled.{part}': value}
    found['normalize_kp.relative_no_jacobian.value'] = found['normalize_kp.relative.value']
    found['normalize_kp.relative_no_jacobian.jacobian'] = data['kp_driving_jacobian']
    assert set(found) == set(golden.manifest(name)['outputs'])
    for output, value in found.items():
        golden.check(name, output, value)


def relative(data: dict, scale: float) -> tuple:
    kp = ((data[f'kp_{k}_value'], data[f'kp_{k}_jacobian']) for k in ('source', 'driving', 'initial'))
    return motion.relative_motion(*kp, scale)


def functions(data: dict) -> dict:
    frame, kp = data['frame'], data['kp_value']
    found = {'coordinate_grid': motion.coordinate_grid(5, 7), 'kp2gaussian': motion.gaussians(kp, 24, 40)}
    for scale in SCALES[1:]:
        found[f'antialias_{scale}'] = motion.shrink(frame, scale)
        taps = motion.shrink_taps(scale)
        found[f'antialias_kernel_{scale}'] = np.outer(taps, taps)
    found['nearest_up2'] = frame[:1, :8, :12, :1].repeat(2, 1).repeat(2, 2)
    found['bilinear_down'] = motion.stretch(frame[:1], 24, 32)
    found['bilinear_up'] = motion.stretch(frame[:1, :9, :7, :1], 27, 28)
    bend = bends(data)
    found['warped_kp'] = equivariance.bent(bend, kp)
    found['transform_jacobian'] = equivariance.jacobian(bend, kp)
    for align, corners in ALIGN.items():
        found[f'{align}.transformed_frame'] = equivariance.bend_pictures(bend, frame, corners)
        for outside, how in (('zeros', 'zeros'), ('reflection', 'reflect')):
            found[f'{align}.grid_sample_{outside}'] = motion.sample(frame, data['grid'], corners, how)
    return found


def test_keypoint_detector():
    name = 'fomm_kp_detector'
    module, variables, _ = imported('kp', name)
    assert sum(x.size for x in jax.tree.leaves(variables['params'])) == golden.manifest(name)['parameters']
    seen = lambda part, method: part.name in ('hourglass', 'value') and method == '__call__'
    apply = jax.jit(functools.partial(module.apply, capture_intermediates=seen))
    data = read(name)
    (value, jacobians), inner = apply(variables, data['x'])
    inner = inner['intermediates']
    found = {'down': motion.shrink(data['x'], 0.25), 'value': value, 'jacobian': jacobians}
    found |= {'features_first': inner['hourglass']['__call__'][0][:1], 'logits': inner['value']['__call__'][0]}
    found |= dict(zip(('value_large', 'jacobian_large'), jax.jit(module.apply)(variables, data['x_large'])))
    assert set(found) == set(golden.manifest(name)['outputs'])
    for output, value in found.items():
        golden.check(name, output, value)


@pytest.mark.parametrize('align', ALIGN)
def test_generator(align):
    name = 'fomm_generator'
    module, variables, _ = imported('g', name, ALIGN[align])
    data = read(name)
    inputs = [data[k] for k in ('source', *PAIR)]
    out, inner = jax.jit(functools.partial(module.apply, mutable=['intermediates']))(variables, *inputs)
    sparse = inner['intermediates']['sparse_deformed'][0].transpose(0, 1, 4, 2, 3)
    for output, value in zip((*Generator.OUTPUTS, 'sparse_deformed'), (*out, sparse), strict=True):
        golden.check(name, f'{align}.{output}', value)


@pytest.mark.parametrize('name', ['fomm_discriminator', 'fomm_discriminator_sn'])
def test_discriminator(name):
    module, variables, _ = imported('d', name)
    data = read(name)
    out = jax.jit(module.apply)(variables, *data.values())
    outputs = ['prediction_map_1', *(f'feature_maps_1.{i}' for i in range(4))]
    assert set(outputs) == set(golden.manifest(name)['outputs'])
    for output, value in zip(outputs, out, strict=True):
        golden.check(name, output, value)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """The three nets through `dfjax import`, out of one file as the original writes them."""
    roles = {'generator': 'g', 'discriminator': 'd', 'kp_detector': 'kp'}
    parts, storages = {'epoch': tf.whole(99)}, {}
    for n, (role, net) in enumerate(roles.items()):
        items = {}
        for i, (name, array) in enumerate(golden.weights(GOLDEN[net]).items()):
            key, array = str(1000 * n + i), np.asarray(array, order='C')
            storages[key] = array.tobytes()
            items[name] = tf.tensor(key, tf.STORAGE[array.dtype.str[1:]], array.size, array.shape)
        parts[role] = tf.mapping(items)
    folder = tmp_path_factory.mktemp('fomm')
    path = tf.write_archive(folder / 'vox-cpk.pth.tar', tf.pickled(tf.mapping(parts)), storages)
    words = [f'{net}={path}' for net in roles.values()]
    assert main(['import', 'fomm', *words, '-o', str(folder / 'run')]) == 0
    path.unlink()
    return folder / 'run'


def test_the_grid_is_the_users_to_say(run, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr('dfjax.inference.importing.import_run', lambda *a, **options: seen.append(options) or {})
    words = ['fomm', 'g=x', '-o', 'run']
    assert main(['import', *words, '--no-align-corners']) == main(['import', *words]) == 0
    assert seen == [{'align_corners': False}, {}]
    assert load_run(run).cfg.model.align_corners


@pytest.mark.parametrize('net', GOLDEN)
def test_files_through_import_and_apply(run, net, tmp_path):
    name = GOLDEN[net]
    given = {k: v for k, v in read(name).items() if k != 'x_large'}
    np.savez(tmp_path / 'in.npz', **given)
    words = ['--run', str(run), '--net', net, '--input', str(tmp_path / 'in.npz')]
    assert main(['apply', *words, '--output', str(tmp_path / 'out.npz')]) == 0
    with np.load(tmp_path / 'out.npz') as out:
        assert set(out) >= {'kp': {'value', 'jacobian'}, 'g': set(Generator.OUTPUTS)}.get(net, {'prediction_map_1'})
        for output in out:
            golden.check(name, f'align_true.{output}' if net == 'g' else output, out[output])


def vgg_weights() -> dict:
    weights = golden.weights('fomm_vgg19')
    return {
        layer: {
            'kernel': weights[f'features.{n}.weight'].transpose(2, 3, 1, 0),
            'bias': weights[f'features.{n}.bias'],
        }
        for layer, n in zip(vgg.LAYERS, vgg.TORCHVISION)
    }


def test_vgg19():
    name = 'fomm_vgg19'
    found = jax.jit(lambda weights, x: vgg.features(weights, 2 * x - 1, vgg.STYLE))(vgg_weights(), read(name)['x'])
    for i, value in enumerate(found, 1):
        golden.check(name, f'relu{i}_1', value)


def losses(align_corners: bool):
    """Function of (variables by net, VGG-19's weights, data) -> the generator's terms and what they are made of."""
    nets = {net: imported(net, file, align_corners)[0].apply for net, file in GOLDEN.items()}

    def generator(trained, fixed, data):
        variables = fixed | trained
        source, driving, bend = (
            nets['kp'](variables['kp'], data['source']),
            nets['kp'](variables['kp'], data['driving']),
            bends(data),
        )
        made = nets['g'](variables['g'], data['source'], *source, *driving)[0]
        points = jax.lax.stop_gradient(driving[0])
        fake, real = (nets['d'](variables['d'], x, points) for x in (made, data['driving']))
        picture = equivariance.bend_pictures(bend, data['driving'], align_corners)
        bent_value, bent_jacobian = nets['kp'](variables['kp'], picture)
        features = lambda x: vgg.features(fixed['vgg'], 2 * x - 1, vgg.STYLE)
        terms = {
            'perceptual': pyramid_distance(features, made, data['driving'], SCALES, [10] * 5),
            'gen_gan': g_loss('lsgan', fake[0]),
            'feature_matching': feature_distance(fake[1:], real[1:], [10] * 4),
            'equivariance_value': 10 * equivariance.value_loss(bend, driving[0], bent_value),
            'equivariance_jacobian': 10 * equivariance.jacobian_loss(bend, driving[1], bent_value, bent_jacobian),
        }
        total = sum(terms.values())
        found = {f'loss.{k}': v for k, v in (terms | {'generator_total': total}).items()}
        found |= {'prediction': made, 'transformed_kp_value': bent_value}
        return total, found | {'kp_source_value': source[0], 'kp_driving_jacobian': driving[1], 'points': points}

    def discriminator(d, data, made, points):
        return d_loss('lsgan', nets['d'](d, data['driving'], points)[0], nets['d'](d, made, points)[0])

    return generator, discriminator


@pytest.mark.parametrize('align', ['align_true', pytest.param('align_false', marks=pytest.mark.slow)])
def test_losses(align):
    name = 'fomm_losses'
    data = read(name)
    parts = {net: imported(net, file, ALIGN[align]) for net, file in GOLDEN.items()}
    trained = {net: parts[net][1] for net in ('kp', 'g')}
    generator, discriminator = losses(ALIGN[align])
    fixed = {'d': parts['d'][1], 'vgg': vgg_weights()}
    gradients, found = jax.jit(jax.grad(generator, has_aux=True))(trained, fixed, data)
    disc, gradients['d'] = jax.jit(jax.value_and_grad(discriminator))(
        fixed['d'], data, found['prediction'], found.pop('points')
    )
    found['loss.disc_gan'] = disc
    for net, role in (('g', 'generator'), ('kp', 'kp_detector'), ('d', 'discriminator')):
        there = {entry[0]: path for path, entry in expected(parts[net][2], gradients[net]).items()}
        order = golden.manifest(name)['parameter_order'][role]
        at = lambda path, tree: functools.reduce(lambda t, key: t[key], path, tree)
        norms = [np.sqrt(np.sum(np.square(at(there[n], gradients[net]), dtype=np.float64))) for n in order]
        found[f'grad_l2.{role}'] = norms
    wanted = {o.removeprefix(f'{align}.') for o in golden.manifest(name)['outputs'] if o.startswith(align)}
    assert set(found) == wanted
    for output, value in found.items():
        golden.check(name, f'{align}.{output}', value)

"""pix2pix, CycleGAN and StarGAN: their steps against closed forms, a replay in NumPy and the originals' losses."""

import functools
import importlib

import golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.errors import InputError
from dfjax.inference.importing import config_of, read_net
from dfjax.models.light import LightGenerator
from dfjax.models.norm import Dropout
from dfjax.ops.jitter import jitter
from dfjax.ops.optimize import learning_rate
from dfjax.systems import cyclegan, load_system, stargan

pytestmark = pytest.mark.whole


def smoke(name: str, **changes) -> ConfigDict:
    return build(importlib.import_module(f'configs.{name}').get_config('smoke'), changes)


# Schedules and augmentation


def test_the_rate_is_that_of_the_originals_rule():
    """lr * (1 - max(0, e + 1 - 100) / 101) for the epochs 0 to 199."""
    o = cyclegan.default_config().optimizer
    rate = jax.jit(jax.vmap(lambda step: learning_rate(o, step, jnp.int32(200))))
    truth = [2e-4 * (1 - max(0, e + 1 - 100) / 101) for e in range(201)]
    np.testing.assert_allclose(rate(jnp.arange(201)), truth, rtol=1e-5)
    assert truth[99] == 2e-4 and truth[200] == 0


def test_jitter_cuts_the_enlarged_picture_and_mirrors_it():
    keys = jax.random.split(jax.random.key(0), 6)
    ramp = jnp.broadcast_to(jnp.arange(16.0)[None, None, :, None], (6, 16, 16, 1))  # brightness is the column
    np.testing.assert_array_equal(jitter(keys, ramp, 1.0, 0.0), ramp)
    np.testing.assert_array_equal(jitter(keys, ramp, 1.0, 1.0), ramp[:, :, ::-1])
    cut = np.asarray(jitter(keys, ramp, 2.0, 0.0))[:, 5, :, 0]  # of 32 columns, half a unit apart
    np.testing.assert_allclose(np.diff(cut)[:, 1:-1], 0.5, atol=0.26)  # the edges of the picture are flat
    assert len(set(cut[:, 0].tolist())) > 1
    other = jitter(keys, 2 * ramp, 2.0, 0.5)  # the same keys move a partner the same way
    np.testing.assert_allclose(other, 2 * jitter(keys, ramp, 2.0, 0.5), rtol=1e-6)


def test_dropout_of_a_picture_follows_from_its_place_in_the_batch():
    x, rngs = jnp.ones((4, 8, 8, 2)), {'dropout': jax.random.key(3)}
    net = Dropout(0.25)
    whole = net.apply({}, x, True, rngs=rngs)
    np.testing.assert_array_equal(net.apply({}, x[:2], True, rngs=rngs), whole[:2])
    assert not np.array_equal(whole[0], whole[1])
    assert set(np.unique(whole).tolist()) == {0.0, np.float32(1 / 0.75)}
    assert abs(float((whole == 0).mean()) - 0.25) < 0.1
    np.testing.assert_array_equal(net.apply({}, x), x)


# CycleGAN's replay buffer


def replay(size: int, batches: list[np.ndarray], draws: list[np.ndarray]) -> list[np.ndarray]:
    """The buffer as a list, one picture after another."""
    buffer, shown = [], []
    for batch, chances in zip(batches, draws):
        out = []
        for picture, (chance, place) in zip(batch, chances):
            if len(buffer) < size:
                buffer.append(picture)
                out.append(picture)
            elif chance < 0.5:
                place = int(place * size)
                out.append(buffer[place])
                buffer[place] = picture
            else:
                out.append(picture)
        shown.append(np.stack(out))
    return shown


@pytest.mark.parametrize('batch', [1, 3])
def test_the_buffer_is_a_list_of_pictures_replayed(batch):
    rng, size = np.random.default_rng(0), 5
    batches = [rng.normal(size=(batch, 2, 2, 3)).astype(np.float32) for _ in range(12)]
    draws = [rng.random((batch, 2)).astype(np.float32) for _ in range(12)]
    buffer, replayed = jnp.zeros((size, 2, 2, 3)), jax.jit(cyclegan.replayed)
    truth = replay(size, batches, draws)
    for step in range(12):
        shown, buffer = replayed(buffer, batches[step], draws[step], jnp.int32(step * batch))
        np.testing.assert_array_equal(shown, truth[step])
    assert any(not np.array_equal(a, b) for a, b in zip(truth, batches))  # some were swapped


# Losses of a step against the originals


@functools.cache
def imported(system: str, net: str, name: str, salt: str | None = None) -> tuple[dict, dict]:
    """The sizes and parameters of a golden file."""
    sizes, variables, _ = read_net(system, net, golden.weights(name, salt))
    return sizes, variables['params']


def original(system: str, changes: dict) -> ConfigDict:
    return build(load_system(system).default_config(), {'dtype': 'float32', **changes})


def test_cyclegans_generator_terms_are_the_originals():
    name, other = 'cyclegan_losses', 'dfjax-dev/B'
    real = {'a': golden.arrays(name)['in.real_A'], 'b': golden.arrays(name)['in.real_B']}
    found = {
        'g_ab': imported('cyclegan', 'g_ab', 'cyclegan_generator'),
        'g_ba': imported('cyclegan', 'g_ba', 'cyclegan_generator', other),
        'd_b': imported('cyclegan', 'd_b', 'cyclegan_discriminator'),  # its D_A judges pictures b
        'd_a': imported('cyclegan', 'd_a', 'cyclegan_discriminator', other),
    }
    params = {net: tree for net, (_, tree) in found.items()}
    cfg = original('cyclegan', {'model': config_of('cyclegan', found['g_ab'][0] | found['d_a'][0]).model})
    part = lambda side: {net: tree for net, tree in params.items() if net[0] == side}
    with jax.default_matmul_precision('highest'):
        terms, _ = jax.jit(lambda g, d, real: cyclegan.generate(cfg, g, d, real))(part('g'), part('d'), real)
    truth = {
        'ab/adv': 'lsgan.G_A',
        'ba/adv': 'lsgan.G_B',
        'ab/cycle': 'cycle_A',
        'ba/cycle': 'cycle_B',
        'ab/identity': 'idt_A',
        'ba/identity': 'idt_B',
    }
    assert set(terms) == set(truth)
    for term, output in truth.items():
        golden.check(name, output, terms[term])
    golden.check(name, 'loss_G', sum(terms.values()))


def test_stargans_terms_are_the_originals():
    name = 'stargan_losses'
    data = {key.removeprefix('in.'): value for key, value in golden.arrays(name).items() if key.startswith('in.')}
    (g_sizes, g), (d_sizes, d) = (
        imported('stargan', net, f'stargan_{word}') for net, word in (('g', 'generator'), ('d', 'discriminator'))
    )
    model = config_of('stargan', g_sizes | d_sizes).model
    labels = [f'label_{k}' for k in range(data['c_org'].shape[1])]
    cfg = original('stargan', {'model': model, 'data.size': model['size'], 'data.labels': labels})
    known = np.ones_like(data['c_org'])
    part = {
        'x': data['x_real'],
        'label': data['c_org'],
        'target': data['c_trg'],
        'known': known,
        'alpha': data['alpha'],
    }

    @jax.jit
    def terms(g: dict, d: dict, part: dict) -> dict:
        fake = stargan.translate(cfg, {'g': g}, part['x'], part['target'])
        critic = stargan.d_cost(cfg, d, fake, part)
        made = stargan.g_cost(cfg, g, d, part)
        return critic[1] | made[1] | {'d': critic[0], 'g': made[0]}

    with jax.default_matmul_precision('highest'):
        found = terms(g, d, part)
    truth = {'d/real': 'd_loss_real', 'd/fake': 'd_loss_fake', 'd/label': 'd_loss_cls', 'd': 'd_loss'}
    truth |= {'g/adv': 'g_loss_fake', 'g/label': 'g_loss_cls', 'g': 'g_loss'}
    for term, output in truth.items():
        golden.check(name, output, found[term])
    golden.check(name, 'd_loss_gp', found['d/penalty'] / 10)
    golden.check(name, 'g_loss_rec', found['g/recon'] / 10)


# StarGAN's labels


def test_labels_that_are_not_known_do_not_count_and_are_not_asked_for():
    cfg = smoke('stargan', groups=[1, 1], **{'model.g.labels': 4})
    stargan.check(cfg)
    label = jnp.array([[1.0, 0], [0, 0], [1, 0], [0, 1], [0, 1], [0, 0], [0, 1], [0, 0]])
    known = jnp.array([[1.0, 0]] * 3 + [[0, 1]] * 5)
    keys = jax.random.split(jax.random.key(0), 8)
    batch = {'image': jnp.zeros((8, 32, 32, 3), jnp.uint8), 'label': label, 'known': known}
    parts = stargan.examples(cfg, batch | {'key': keys, 'step_key': jax.random.key(5)})
    assert parts['target'].shape == (cfg.n_critic, 4, 2)
    assert float((parts['target'] * (1 - parts['known'])).sum()) == 0
    assert 0 < float(parts['target'].sum()) < float(parts['known'].sum())
    np.testing.assert_array_equal(stargan.condition_of(cfg, label, known)[0], [1, 0, 1, 0])
    np.testing.assert_array_equal(stargan.condition_of(cfg, label, known)[3], [0, 1, 0, 1])


def test_all_known_labels_asked_for_are_those_of_the_batch_in_another_order():
    cfg = smoke('stargan')
    label = (np.random.default_rng(0).random((16, 2)) < 0.5).astype(np.float32)
    batch = {'label': jnp.asarray(label), 'known': jnp.ones((16, 2)), 'step_key': jax.random.key(1)}
    asked = np.asarray(stargan.random_target(cfg, batch, jnp.zeros((16, 2))))
    assert sorted(asked.tolist()) == sorted(label.tolist()) and not np.array_equal(asked, label)


def test_the_cross_entropy_of_labels_that_exclude_each_other():
    cfg = smoke('stargan', groups=[2, 3], **{'loss.exclusive': True, 'data.labels': list('abcde')})
    logits = np.random.default_rng(0).normal(size=(2, 5))
    label = np.array([[0.0, 1, 0, 0, 0], [0, 0, 1, 0, 0]])
    known = np.array([[1.0, 1, 0, 0, 0], [0, 0, 1, 1, 1]])
    p = np.exp(logits)
    truth = -(np.log(p[0, 1] / p[0, :2].sum()) + np.log(p[1, 2] / p[1, 2:].sum())) / 2
    assert np.isclose(stargan.label_cost(cfg, jnp.asarray(logits), label, known), truth, rtol=1e-5)
    turned, meant = stargan.flipped(cfg, jnp.asarray(label), 0)
    np.testing.assert_array_equal(turned, [[1, 0, 0, 0, 0], [1, 0, 1, 0, 0]])
    np.testing.assert_array_equal(meant, [[1, 1, 0, 0, 0]] * 2)


# The light generator


def test_the_light_generator_adds_to_the_picture():
    net = LightGenerator(width=4, blocks=1, add=True)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 8, 12, 3)).astype(np.float32)
    params = net.init(jax.random.key(0), x)['params']
    nothing = {'kernel': 0 * params['last']['kernel'], 'bias': jnp.full(12, 0.25)}
    np.testing.assert_allclose(net.apply({'params': params | {'last': nothing}}, x), x + 0.25, atol=1e-6)
    assert float(jnp.abs(net.apply({'params': params}, x) - x).max()) > 0.1


# What is refused


@pytest.mark.parametrize(
    'system, changes, line',
    [
        ('stargan', {'data.labels': []}, 'config key data.labels: name the labels'),
        ('stargan', {'data.labels': ['smile']}, '--config.model.g.labels=1 --config.model.d.labels=1'),
        ('stargan', {'groups': [1, 2]}, r'\[1, 2\] does not add up to the 2 labels'),
        ('stargan', {'model.size': 64}, 'config key model.size: give 32'),
        ('stargan', {'n_critic': 3}, 'give a multiple of n_critic 3, not 16'),
        ('stargan', {'n_critic': 0}, "config key 'n_critic' is from 1 to 16384, not 0"),
        ('stargan', {'targets': 'other'}, "config key 'targets' is one of permuted, random"),
        ('stargan', {'model.g.kind': 'unet'}, "'model.g.kind' is one of resnet, light, not 'unet'"),
        ('cyclegan', {'model.g.norm': 'batch'}, 'config key model.g: CycleGAN trains with norm'),
        ('cyclegan', {'model.inputs': 1}, 'config key model.inputs: pictures are trained on in 3 channels, not 1'),
        ('pix2pix', {'model.outputs': 4}, 'config key model.outputs: pictures are trained on in 3 channels, not 4'),
        ('cyclegan', {'data.size': 4}, '4x4 are too small for a'),
        ('pix2pix', {'data.size': 8}, '8x8 are too small for a patch discriminator of 2 layers'),
        ('pix2pix', {'model.g': {'kind': 'unet', 'depth': 6}}, 'do not fit a U-Net of depth 6'),
    ],
)
def test_configs_that_cannot_be_trained_are_one_line(system, changes, line):
    with pytest.raises(InputError, match=line) as error:
        cfg = smoke(system, **changes)
        jax.eval_shape(lambda key: load_system(system).init(cfg, key), jax.random.key(0))
    assert '\n' not in str(error.value)


def test_residual_blocks_follow_the_size():
    for size, blocks in ((128, 6), (256, 9), (512, 9)):
        for chosen in (0, 4):
            cfg = build(cyclegan.default_config(), {'model.g.blocks': chosen, 'data.size': size})
            assert {cyclegan.nets(cfg)[name].module.blocks for name in ('g_ab', 'g_ba')} == {chosen or blocks}

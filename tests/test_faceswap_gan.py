"""faceswap-GAN: its sizes, its losses by float64, its schedule and what a swap shows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.faceswap_gan import get_config
from dfjax.config import build
from dfjax.errors import InputError
from dfjax.losses import faceswap_gan as losses
from dfjax.models.faceswap_gan import SelfAttention
from dfjax.systems import faceswap_gan
from dfjax.systems.state import State

pytestmark = pytest.mark.whole

SHAPE = (2, 12, 12, 3)


def shapes(variant, **changes):
    """The parameters of a run, as shapes."""
    cfg = build(get_config(variant), changes)
    return jax.eval_shape(lambda key: faceswap_gan.init(cfg, key), jax.random.key(0)).params


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


# The nets


def attention(c):
    """Parameters of self-attention with eight times fewer channels: queries, keys without bias, values, a scale."""
    return c * (c // 8) + c // 8 + c * (c // 8) + c * c + c + 1


def conv(k, inputs, outputs):
    """A convolution and what normalises it, a scale and a shift each; a bias is as many as one of them."""
    return k * k * inputs * outputs + 2 * outputs


def test_paper_is_of_v2_2s_widths():
    params = shapes('paper')
    halved = [(9 * 64 * 128 + 128), conv(3, 128, 256), conv(3, 256, 512), conv(3, 512, 1024)]
    dense = 16 * 1024 * 1024 + 1024 + 1024 * 16 * 1024 + 16 * 1024
    first, up = 25 * 3 * 64 + 64, conv(3, 1024, 4 * 512)
    assert count(params['encoder']) == first + sum(halved) + attention(256) + attention(512) + dense + up
    ups = conv(3, 512, 4 * 256) + conv(3, 256, 4 * 128) + conv(3, 128, 4 * 64) + 2 * conv(3, 64, 64)
    out = 25 * 64 * 4 + 4
    assert count(params['decoder_a']) == ups + attention(128) + attention(64) + out == count(params['decoder_b'])
    halved = 16 * 6 * 64 + 64 + conv(4, 64, 128) + conv(4, 128, 256)
    assert count(params['discriminator_a']) == halved + attention(256) + 9 * 256


def test_larger_pictures_come_out_small_too():
    cfg = build(get_config('gpu'), {'batch_size': 2})
    found = shapes('gpu')
    code = jax.ShapeDtypeStruct((2, 8, 8, 512), jnp.float32)
    net = faceswap_gan.nets(cfg)['decoder_b']
    face, mask, small = jax.eval_shape(lambda p, x: net.module.apply({'params': p}, x), found['decoder_b'], code)
    assert face.shape == (2, 128, 128, 3) and mask.shape == (2, 128, 128, 1) and small.shape == (2, 64, 64, 3)
    assert net.outputs == ('y', 'mask', 'y_64')


def test_attention_is_by_likeness():
    x = jnp.float32(drawn(2, 3, 3, 16))
    net = SelfAttention(8)
    params = net.init(jax.random.key(0), x)['params']
    np.testing.assert_array_equal(net.apply({'params': params}, x), x)  # it adds nothing at first
    params['scale'] = jnp.float32(0.7)
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    flat = np.asarray(x, np.float64).reshape(2, 9, 16)
    query = flat @ p['query']['kernel'] + p['query']['bias']
    key, value = flat @ p['key']['kernel'], flat @ p['value']['kernel'] + p['value']['bias']
    share = np.exp(query @ key.transpose(0, 2, 1))
    want = flat + 0.7 * (share / share.sum(-1, keepdims=True)) @ value
    np.testing.assert_allclose(net.apply({'params': params}, x), want.reshape(x.shape), atol=1e-5)


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        ({'data.size': 34}, 'data.size is a multiple of 4'),
        ({'model.decoder.widths': [8, 8, 8]}, 'model.decoder.widths are 1'),
        ({'data.canonical': True}, 'data.canonical is false'),
        ({'schedule.at': [0.5]}, '2 values each'),
        ({'schedule.at': [0.2, 0.3, 0.4, 0.5, 0.9, 0.8, 0.7]}, 'is rising'),
        ({'loss.perceptual': [1.0] * 9}, 'loss.perceptual: pictures of 16 pixels have 2 maps'),
        ({'features': 'no.pth', 'data.size': 32}, 'no.pth'),
    ],
)
def test_what_does_not_go_together_is_refused(changes, line):
    with pytest.raises(InputError, match=line):
        shapes('smoke', **changes)


# The losses, by float64


def test_mixtures_are_told_by_the_share_of_real():
    real, fake, seen = (drawn(*SHAPE, seed=n) for n in range(3))
    weights = drawn(6, 1, seed=3)
    discriminate = lambda x: x @ jnp.float32(weights)
    mixed = np.concatenate([0.3 * real + 0.7 * fake, seen], -1) @ weights
    got = losses.mixup(discriminate, *map(jnp.float32, (real, fake, seen, 0.3)))
    np.testing.assert_allclose(got, np.mean((mixed - 0.3) ** 2), rtol=1e-5)
    alone = np.concatenate([fake, seen], -1) @ weights
    got = losses.fooled(discriminate, jnp.float32(fake), jnp.float32(seen))
    np.testing.assert_allclose(got, np.mean((alone - 1) ** 2), rtol=1e-5)


def test_edges_and_variation_are_steps_between_neighbours():
    x, y = drawn(*SHAPE), drawn(*SHAPE, seed=1)
    steps = lambda z, axis: np.abs(np.diff(z, axis=axis))
    want = sum(np.abs(steps(x, axis) - steps(y, axis)).mean() for axis in (1, 2))
    np.testing.assert_allclose(losses.edge_distance(jnp.float32(x), jnp.float32(y)), want, rtol=1e-5)
    want = sum(steps(x, axis).mean() for axis in (1, 2))
    np.testing.assert_allclose(losses.variation(jnp.float32(x)), want, rtol=1e-5)


def test_masks_are_to_be_small_or_at_least_as_large_as_the_margin():
    mask = np.abs(drawn(2, 8, 8, 1))
    cost = lambda margin: losses.mask_size(jnp.float32(mask), jnp.float32(margin), 0.01, 0.1)
    np.testing.assert_allclose(cost(0), 0.01 * mask.mean(), rtol=1e-5)
    np.testing.assert_allclose(cost(0.4), 0.1 * np.maximum(0.4 - mask, 0).mean(), rtol=1e-5)


def test_features_are_compared_as_their_channels_vary():
    """Brightness and contrast of a channel count for nothing."""
    maps = [drawn(2, 6, 6, 4, seed=n) for n in range(4)]
    fake, real = maps[:2], maps[2:]

    def normal(x):
        x = x - x.mean((1, 2), keepdims=True)
        return x / np.sqrt((x**2).mean((1, 2), keepdims=True) + 1e-5)

    want = sum(w * np.mean((normal(a) - normal(b)) ** 2) for w, a, b in zip((0.3, 0.1), fake, real))
    single = lambda many: [jnp.float32(x) for x in many]
    np.testing.assert_allclose(losses.perceptual(single(fake), single(real), (0.3, 0.1)), want, rtol=1e-5)
    brighter = losses.perceptual(single([3 * x + 5 for x in real]), single(real), (0.3, 0.1))
    assert float(brighter) < 1e-4


def test_kernels_of_convolutions_decay():
    tree = {'a': {'kernel': drawn(3, 3, 2, 2), 'bias': np.ones(2)}, 'dense': {'kernel': np.ones((4, 4))}}
    want = (tree['a']['kernel'] ** 2).sum()
    np.testing.assert_allclose(losses.kernel_decay(jax.tree.map(jnp.float32, tree)), want, rtol=1e-5)


# The schedule


def at(step, horizon=40_000, variant='paper'):
    return faceswap_gan.stage(get_config(variant), jnp.int32(step), jnp.int32(horizon))


@pytest.mark.parametrize(
    ('step', 'perceptual', 'margin', 'rate'),
    [
        (0, 0, 0, 1),
        (7_999, 0, 0, 1),
        (8_000, 1, 0, 1),
        (12_000, 1, 0.5, 1),
        (16_000, 1, 0.2, 1),
        (20_000, 1, 0.4, 1),
        (26_667, 1, 0, 0.3),
        (31_999, 1, 0, 0.3),
        (32_000, 1, 0.1, 0.3),
        (36_000, 1, 0.1, 0.1),
        (39_999, 1, 0.1, 0.1),
    ],
)
def test_what_is_asked_for_follows_the_step(step, perceptual, margin, rate):
    """The original's stages, by its 40,000 steps."""
    found = at(step)
    for name, want in (('perceptual', perceptual), ('margin', margin), ('rate', rate)):
        np.testing.assert_allclose(found[name], want, rtol=1e-6)
    assert bool(found['exchange']) == (step == 32_000)


def test_a_shorter_run_has_the_same_stages():
    assert float(at(10, 100)['margin']) == 0 and float(at(30, 100)['margin']) == 0.5
    assert [n for n in range(100) if bool(at(n, 100)['exchange'])] == [80]


def test_decoders_change_places_once_with_all_that_is_theirs():
    pair = lambda x, y: {
        'encoder': jnp.float32(0),
        'decoder_a': {'w': jnp.full(3, x)},
        'decoder_b': {'w': jnp.full(3, y)},
    }
    state = State(
        jnp.int32(0), params=pair(1.0, 2.0), opt={'g': ({'n': jnp.int32(3)}, pair(3.0, 4.0))}, ema=pair(5.0, 6.0)
    )
    same, other = (faceswap_gan.exchanged(jnp.bool_(here), state) for here in (False, True))
    assert all(bool((x == y).all()) for x, y in zip(jax.tree.leaves(same), jax.tree.leaves(state)))
    values = lambda tree: [float(tree[name]['w'][0]) for name in ('decoder_a', 'decoder_b')]
    assert [values(x) for x in (other.params, other.opt['g'][1], other.ema)] == [[2, 1], [4, 3], [6, 5]]
    assert int(other.opt['g'][0]['n']) == 3


# What a step is made of


@functools.cache
def faces(n=4, size=16):
    rng = np.random.default_rng(0)
    side = lambda: {
        'image': jnp.asarray(
            rng.integers(90, 130, (n, size, size, 3)) + rng.integers(-40, 40, (n, 1, 1, 3)), jnp.uint8
        ),
        'mask': jnp.full((n, size, size), 255, jnp.uint8),
        'landmarks': jnp.float32(rng.uniform(0.3, 0.7, (n, 68, 2))),
    }
    keys = {'key': jax.random.split(jax.random.key(0), n), 'step_key': jax.random.key(1)}
    return {'a': side(), 'b': side()} | keys


STILL = {f'augment.{name}': 0.0 for name in ('warp', 'rotate', 'scale', 'shift', 'flip')}


@pytest.mark.parametrize('share', [0.0, 1.0])
def test_some_faces_take_over_the_others_colours(share):
    cfg, batch = build(get_config('smoke'), STILL | {'colour': share}), faces()
    pair = faceswap_gan.augmented(cfg, batch)
    for side, other in ('ab', 'ba'):
        mean = lambda of: batch[of]['image'].astype(jnp.float32).mean((1, 2)) / 127.5 - 1
        want = mean(other if share else side)
        np.testing.assert_allclose(pair[side]['target'].mean((1, 2)), want, atol=0.05)  # means are of L*a*b*
        np.testing.assert_allclose(pair[side]['input'], pair[side]['target'], atol=1e-5)


def test_what_is_judged_is_the_face_in_the_picture_by_its_mask():
    cfg, batch = get_config('smoke'), faces()
    params = jax.jit(lambda key: faceswap_gan.init(cfg, key).params)(jax.random.key(0))
    pair = faceswap_gan.augmented(cfg, batch)
    now = faceswap_gan.stage(cfg, jnp.int32(0), jnp.int32(20))
    state = State(jnp.int32(0), frozen={'vgg': {}})
    terms, fakes = faceswap_gan.generate(cfg, params, state, now, pair, params)
    face, mask = faceswap_gan.swap(cfg, params, {}, pair['b']['input'], batch['b']['landmarks'], 'b')
    np.testing.assert_allclose(fakes['b'][4:], face, atol=1e-5)
    np.testing.assert_allclose(fakes['b'][:4], mask * face + (1 - mask) * pair['b']['input'], atol=1e-5)
    np.testing.assert_allclose(terms['b/l1'], jnp.abs(face - pair['b']['target']).mean(), rtol=1e-4)
    assert float(terms['g/perceptual']) == 0 and float(terms['b/gan']) > 0

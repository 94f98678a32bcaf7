"""SAEHD: its original's numbers, and what each option changes."""

import functools
import itertools
from pathlib import Path

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from configs.saehd import get_config
from dfjax.config import build
from dfjax.data.faces.canonical import mean_shape
from dfjax.data.faces.face import Face
from dfjax.errors import InputError
from dfjax.inference.run import Run
from dfjax.inference.swap import Swapper
from dfjax.losses import saehd as losses
from dfjax.models.saehd import patch_strides
from dfjax.systems import saehd

pytestmark = pytest.mark.whole

OPTIONS = [''.join(chosen) for n in range(5) for chosen in itertools.combinations('udtc', n)]


def shapes(variant, **changes):
    """The state of a run, as shapes."""
    cfg = build(get_config(variant), changes)
    return jax.eval_shape(lambda key: saehd.init(cfg, key), jax.random.key(0))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


# The nets


@pytest.mark.parametrize(
    ('variant', 'kind', 'parameters'),
    [('paper', 'liae', 82_376_555), ('paper', 'df', 54_470_998), ('quick96', 'df', 38_294_330)],
)
def test_as_many_parameters_as_the_original(variant, kind, parameters):
    params = shapes(variant, **{'model.kind': kind}).params
    assert count(params) == parameters
    if kind == 'liae':
        own = [count(params[name]) for name in ('encoder', 'inter_ab', 'inter_a', 'decoder')]
        assert own == [4_306_560, 19_933_440, 19_933_440, 38_203_115]


@pytest.mark.parametrize('kind', ['df', 'liae'])
@pytest.mark.parametrize('options', OPTIONS)
def test_every_architecture_makes_pictures_of_its_size(kind, options):
    cfg = build(get_config('smoke'), {'model.kind': kind, 'model.options': options, 'data.size': 96})
    picture, landmarks = jax.ShapeDtypeStruct((2, 96, 96, 3), jnp.float32), jnp.zeros((2, 68, 2))

    def swapped(key, picture):
        return saehd.swap(cfg, saehd.init(cfg, key).params, {}, picture, landmarks)

    face, mask = jax.eval_shape(swapped, jax.random.key(0), picture)
    assert face.shape == (2, 96, 96, 3) and mask.shape == (2, 96, 96, 1)


@pytest.mark.parametrize('size', [64, 208, 640])
def test_every_size(size):
    options = 'u' if size % 32 else 'udt'
    params = shapes('smoke', **{'data.size': size, 'model.options': options}).params
    side = size // (32 if 'd' in options else 16)
    assert params['inter_ab']['dense_1']['kernel'].shape == (8, side * side * 16)


def test_options_change_their_own_part():
    """The others' shapes stay: of 'u' and 'c', which have no parameters, all do."""
    plain = shapes('smoke', **{'model.options': ''}).params
    assert jax.tree.map(jnp.shape, shapes('smoke', **{'model.options': 'uc'}).params) == jax.tree.map(jnp.shape, plain)
    half, tall = (shapes('smoke', **{'model.options': option}).params for option in 'dt')
    assert half['encoder'] == plain['encoder'] and set(half['decoder']) - set(plain['decoder']) == {
        'out_1',
        'out_2',
        'out_3',
        'mask_up_3',
    }
    assert set(tall['encoder']) - set(plain['encoder']) == {'down_4', 'res_0', 'res_4'}
    assert set(plain['inter_ab']) - set(tall['inter_ab']) == {'up'}


def test_codes_are_normalised_and_the_cosine_is_an_activation():
    rows = {}
    for options in ('', 'u', 'c'):
        cfg = build(get_config('smoke'), {'model.options': options})
        net = saehd.nets(cfg)['encoder'].module
        picture = 2 * jnp.float32(pictures(0)) - 1
        rows[options] = jax.jit(lambda x, net=net: net.init_with_output(jax.random.key(1), x)[0])(picture)
    np.testing.assert_allclose(jnp.square(rows['u']).mean(-1), 1, rtol=0.01)
    root = jnp.sqrt(jnp.square(rows['']).mean(-1, keepdims=True))
    np.testing.assert_allclose(rows['u'], rows[''] / root, rtol=0.01, atol=1e-3)
    assert float(rows['c'].min()) < 0 and not np.allclose(rows['c'], rows[''])


@pytest.mark.parametrize('patch', [8, 16, 20, 32, 64])
def test_the_discriminator_sees_a_patch(patch):
    """What a number sees, by the gradient of a chain of sums, is as near to `patch` as three halvings allow."""
    strides = patch_strides(patch)

    def chain(x):
        for stride in strides:
            x = jax.lax.conv_general_dilated(
                x, jnp.ones((3, 1, 1)), (stride,), 'VALID', dimension_numbers=('NHC', 'HIO', 'NHC')
            )
        return x[0, 1, 0]

    seen = int((jax.grad(chain)(jnp.zeros((1, 400, 1))) > 0).sum())
    assert abs(seen - patch) <= 2 and strides[0] == 2


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        ({'model.options': 'ux'}, "model.options is letters of udtc, each once, not 'ux'"),
        ({'model.options': 'uu'}, "each once, not 'uu'"),
        ({'data.size': 80}, "a multiple of 32 with options 'ud', not 80"),
        ({'loss.true_face': 0.01}, "loss.true_face is for model.kind 'df', not 'liae'"),
        ({'data.canonical': True}, 'data.canonical is false'),
    ],
)
def test_what_does_not_go_together_is_refused(changes, line):
    with pytest.raises(InputError, match=line):
        shapes('smoke', **changes)


# The losses


def pictures(seed, size=64):
    """Two smooth pictures in [0, 1], float64."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(2, size, size, 3)), (0, 3, 3, 0))
    return np.clip(0.5 + noise, 0, 1)


@functools.cache
def example():
    mask = np.zeros((2, 64, 64, 1))
    mask[:, 14:50, 18:46] = 1
    landmarks = np.full((2, 68, 2), 0.5)
    landmarks[:, 36:42], landmarks[:, 42:48], landmarks[:, 48:] = (0.35, 0.4), (0.65, 0.4), (0.5, 0.7)
    pair = {'target': pictures(1), 'mask': mask, 'landmarks': landmarks}
    return pictures(0), np.full((2, 64, 64, 1), 0.3), pair


def blurred(x, sigma):
    """By SciPy, as many taps as the original has."""
    return gaussian_filter(x, (0, sigma, sigma, 0), mode='constant', radius=(0, 2 * sigma, 2 * sigma, 0))


def dssim(x, y, size):
    """Structural dissimilarity of [B, S, S, C], by definition."""
    t = np.arange(size) - (size - 1) / 2
    taps = np.exp(-0.5 * (t / 1.5) ** 2)
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    view = lambda z: np.lib.stride_tricks.sliding_window_view(z, (size, size), (1, 2))
    mean = lambda z: np.einsum('bijcuv,uv->bijc', view(z), kernel)
    mx, my = mean(x), mean(y)
    xx, yy, xy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    ssim = (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4) * (2 * xy + 9e-4) / (xx + yy + 9e-4)
    return np.mean((1 - ssim) / 2)


def test_reconstruction_has_the_originals_weights():
    made, mask, pair = example()
    w = dict(masked=True, dssim=10.0, mse=10.0, mask=10.0, features=0.0)
    got = losses.reconstruction(w, *jax.tree.map(jnp.float32, (made, mask, pair)))
    soft = np.clip(blurred(pair['mask'], 2), 0, 0.5) * 2
    x, y = made * soft, pair['target'] * soft
    want = {'dssim': 10 * dssim(x, y, 5), 'mse': 10 * np.mean((x - y) ** 2)}
    want['mask'] = 10 * np.mean((mask - pair['mask']) ** 2)
    assert set(got) == set(want)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-4)


def test_without_a_mask_all_of_the_picture_counts():
    made, mask, pair = jax.tree.map(jnp.float32, example())
    w = dict(masked=False, dssim=10.0, mse=10.0, mask=10.0, features=0.0)
    got = losses.reconstruction(w, made, mask, pair)
    np.testing.assert_allclose(got['mse'], 10 * np.mean((made - pair['target']) ** 2), rtol=1e-5)
    np.testing.assert_allclose(got['mask'], losses.reconstruction(w | {'masked': True}, made, mask, pair)['mask'])


def test_eyes_and_mouth_have_priority():
    """What is wrong there costs more; what is wrong between them does not, but for the rest of the loss."""
    _, mask, pair = jax.tree.map(jnp.float32, example())
    w = dict(masked=True, dssim=0.0, mse=0.0, mask=0.0, features=300.0)
    spot = lambda x, y: pair['target'].at[:, y - 2 : y + 2, x - 2 : x + 2].add(0.1)
    cost = lambda x, y: float(losses.reconstruction(w, spot(x, y), mask, pair)['features'])
    most = 300 * 0.1 * 16 / 64**2
    assert all(0.9 * most < cost(*at) <= 1.001 * most for at in ((22, 26), (42, 26), (32, 45)))
    assert cost(4, 60) < 0.01 * most


def test_large_pictures_are_compared_at_two_scales():
    x, y = (pictures(seed, 256)[:1, :, :, :1] for seed in (0, 1))
    want = (dssim(x, y, 22) + dssim(x, y, 11)) / 2
    np.testing.assert_allclose(losses.structure(jnp.float32(x), jnp.float32(y)), want, rtol=1e-4)


def test_styles_are_moments_of_colours():
    made, _, pair = example()
    face, like = made * pair['mask'], pair['target'] * pair['mask']
    a, b = (blurred(x, 8) for x in (face, like))
    spread = lambda x: np.sqrt(x.var((1, 2)) + 1e-5)
    want = ((a.mean((1, 2)) - b.mean((1, 2))) ** 2 + (spread(a) - spread(b)) ** 2).sum(-1).mean() * 10_000 * 0.1 / 3
    np.testing.assert_allclose(losses.face_style(0.1, jnp.float32(face), jnp.float32(like)), want, rtol=1e-3)
    off = 1 - blurred(pair['mask'], 2)
    x, y = made * off, pair['target'] * off
    want = 0.1 * (10 * dssim(x, y, 5) + 10 * np.mean((x - y) ** 2))
    w, arrays = dict(dssim=10.0, mse=10.0), (jnp.float32(z) for z in (made, pair['target'], blurred(pair['mask'], 2)))
    np.testing.assert_allclose(losses.background_style(w, 0.1, *arrays), want, rtol=1e-4)


# The options


def batch_shapes(cfg):
    of = lambda dtype, *shape: jax.ShapeDtypeStruct((2, *shape), dtype)
    size = cfg.data.size
    faces = {'image': of('uint8', size, size, 3), 'mask': of('uint8', size, size), 'landmarks': of('float32', 68, 2)}
    key = jax.random.key(0).dtype
    return {'a': faces, 'b': faces, 'key': of(key), 'step_key': jax.ShapeDtypeStruct((), key)}


def traced(**changes):
    """The state before and after a step, and its metrics, as shapes."""
    cfg = build(get_config('smoke'), changes)
    state = shapes('smoke', **changes)
    return state, *jax.eval_shape(functools.partial(saehd.step, cfg), state, batch_shapes(cfg))


BASE = {f'{side}/{term}' for side in 'ab' for term in ('dssim', 'mse', 'mask')} | {'total', 'rate'}


@pytest.mark.parametrize(
    ('changes', 'terms', 'nets'),
    [
        ({}, set(), set()),
        ({'loss.masked': False}, set(), set()),
        ({'loss.features': 300.0}, {'a/features', 'b/features'}, set()),
        ({'loss.face_style': 1.0}, {'style/face'}, set()),
        ({'loss.background_style': 1.0}, {'style/background'}, set()),
        ({'loss.gan': 0.1}, {'g/adv', 'g/spots', 'g/background', 'd/discriminator'}, {'discriminator'}),
        ({'loss.gan': 0.1, 'loss.masked': False}, {'g/adv', 'd/discriminator'}, {'discriminator'}),
        ({'loss.true_face': 0.01, 'model.kind': 'df'}, {'g/code', 'd/code_discriminator'}, {'code_discriminator'}),
    ],
)
def test_an_option_adds_its_own_terms_and_nets(changes, terms, nets):
    before, after, metrics = traced(**changes)
    plain = shapes('smoke', **{key: value for key, value in changes.items() if key == 'model.kind'})
    assert set(metrics) == BASE | terms
    assert set(after.params) - set(plain.params) == nets and set(after.opt) == {'nets'} | nets
    assert jax.tree.map(jnp.shape, before) == jax.tree.map(jnp.shape, after)
    assert set(after.ema) == set(plain.params)


def unchanged(**changes):
    """The nets whose parameters a step hands on as they are, by its program."""
    cfg = build(get_config('smoke'), changes)
    state = shapes('smoke', **changes)
    program, (after, _) = jax.make_jaxpr(functools.partial(saehd.step, cfg), return_shape=True)(
        state, batch_shapes(cfg)
    )
    given = set(program.jaxpr.invars)
    out = [(name, var in given) for name, var in zip(paths(after), program.jaxpr.outvars)]
    return {name[1] for name, same in out if name[0] == 'params' and same} - {
        name[1] for name, same in out if name[0] == 'params' and not same
    }


def paths(state):
    """The first two names of each leaf."""
    return [
        (path[0].name, getattr(path[1], 'key', None) if len(path) > 1 else None)
        for path, _ in jax.tree_util.tree_leaves_with_path(state)
    ]


def test_without_a_warp_the_shared_inter_learns_no_more():
    assert unchanged() == set()
    assert unchanged(**{'augment.warp': 0.0}) == {'inter_ab'}
    assert set(shapes('smoke', **{'augment.warp': 0.0}).opt['nets'][0].mu) == {'encoder', 'inter_a', 'decoder'}
    pretrained = build(get_config('smoke'), {'augment.warp': 0.0, 'pretrain': True})
    assert 'inter_ab' in saehd.trained(pretrained)


@pytest.fixture(scope='module')
def batch():
    rng = np.random.default_rng(0)
    faces = [
        {
            'image': np.uint8(255 * pictures(n)),
            'mask': np.full((2, 64, 64), 255, np.uint8),
            'landmarks': rng.random((2, 68, 2)),
        }
        for n in range(2)
    ]
    keys = {'key': jax.random.split(jax.random.key(0), 2), 'step_key': jax.random.key(1)}
    return jax.tree.map(jnp.asarray, dict(zip('ab', faces))) | keys


def test_the_warp_is_what_is_to_be_undone(batch):
    """Without one, input and target are one picture; with one they are not."""
    for warp in (0.0, 0.02):
        cfg = build(get_config('smoke'), {'augment.warp': warp})
        pair = jax.jit(functools.partial(saehd.augmented, cfg))(batch)
        apart = float(jnp.abs(pair['b']['input'] - (2 * pair['b']['target'] - 1)).mean())
        assert apart < 1e-5 if warp == 0 else apart > 0.01


def test_faces_of_b_take_over_colours_of_a(batch):
    still = {
        'augment.warp': 0.0,
        'augment.flip': 0.0,
        'augment.rotate': 0.0,
        'augment.scale': 0.0,
        'augment.shift': 0.0,
    }
    cfg = build(get_config('smoke'), still | {'colour': 'mkl'})
    pair = jax.jit(functools.partial(saehd.augmented, cfg))(batch)
    for side in 'ab':
        same = pair[side]['target'] * 255 - batch[side]['image']
        assert float(jnp.abs(same).max()) < 0.01 if side == 'a' else float(jnp.abs(same).mean()) > 2
    mean = lambda x: np.asarray(x).mean((1, 2))
    np.testing.assert_allclose(mean(pair['b']['target']), mean(batch['a']['image']) / 255, atol=0.01)
    np.testing.assert_allclose(pair['b']['input'], 2 * pair['b']['target'] - 1, atol=1e-5)


def test_a_step_leaves_a_share_of_parameters_as_they_are_and_its_rate_waves():
    before = {'x': jnp.zeros((100, 100)), 'y': jnp.zeros(1000)}
    after = jax.tree.map(lambda x: x + 1, before)
    new = saehd.dropped(jax.random.key(0), 0.7, before, after)
    assert {float(v) for v in np.unique(new['x'])} == {0.0, 1.0}
    assert abs(float(new['x'].mean()) - 0.3) < 0.02 and abs(float(new['y'].mean()) - 0.3) < 0.06
    other = saehd.dropped(jax.random.key(1), 0.7, before, after)
    assert (new['x'] != other['x']).any()
    cfg = build(get_config('quick96'), {})
    rates = [float(saehd.rate_of(cfg, saehd.State(jnp.int32(n), horizon=jnp.int32(9999)))) for n in (0, 125, 250, 500)]
    np.testing.assert_allclose(rates, [2e-4, 1e-4, 0, 2e-4], atol=1e-9)


def test_styles_reach_what_they_should(batch):
    """The face's style no further than the decoder; the background's the encoder and the inter too. By the program."""
    cfg = build(get_config('smoke'), {'loss.face_style': 1.0, 'loss.background_style': 1.0})
    params = shapes('smoke').ema
    reached = {}
    for name in ('face', 'background'):

        def term(params, batch, name=name):
            return saehd.generate(cfg, params, saehd.augmented(cfg, batch))[0][f'style/{name}']

        program = jax.make_jaxpr(jax.grad(term))(params, batch).jaxpr
        known = set(program.invars)
        for line in program.eqns:
            if any(v in known for v in line.invars if not isinstance(v, jax.extend.core.Literal)):
                known |= set(line.outvars)
        where = jax.tree_util.tree_leaves_with_path(params)
        reached[name] = {path[0].key for (path, _), v in zip(where, program.outvars) if v in known}
    assert reached == {'face': {'decoder'}, 'background': {'encoder', 'inter_ab', 'decoder'}}


def test_a_swap_is_pasted_into_frames():
    cfg = get_config('smoke')
    params = jax.jit(lambda key: saehd.init(cfg, key).ema)(jax.random.key(0))
    run = Run(Path('none'), cfg, saehd, params, 0)
    frame = np.uint8(255 * pictures(3, 160)[0])
    landmarks = np.float32(mean_shape('full') * 90 + 30)
    face = Face('in.mp4', 0, 0.0, (30.0, 30.0, 120.0, 120.0), 1.0, landmarks)
    (out,) = Swapper(run, batch_size=1)([frame], [[face]])
    changed = np.abs(out.astype(int) - frame).max(-1) > 2
    assert changed[60:90, 60:90].mean() > 0.9 and not changed[:10].any()

"""SAEHD's options: what each adds to a step, and what a step does with it."""

import functools
from pathlib import Path

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from saehd_runs import pictures, shapes

from configs.saehd import get_config
from dfjax.config import build
from dfjax.data.faces.canonical import mean_shape
from dfjax.data.faces.face import Face
from dfjax.inference.run import Run
from dfjax.inference.swap import Swapper
from dfjax.ops.optimize import dropped
from dfjax.systems import saehd

pytestmark = pytest.mark.whole


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
    new = dropped(jax.random.key(0), 0.7, before, after)
    assert {float(v) for v in np.unique(new['x'])} == {0.0, 1.0}
    assert abs(float(new['x'].mean()) - 0.3) < 0.02 and abs(float(new['y'].mean()) - 0.3) < 0.06
    other = dropped(jax.random.key(1), 0.7, before, after)
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
            return saehd.generate(cfg, params, {}, saehd.augmented(cfg, batch))[0][f'style/{name}']

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

"""AMP: its sizes, how people are mixed, what its losses add, and its original's saved nets."""

import itertools
import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_import_saehd import Model

from configs import saehd
from configs.amp import get_config
from dfjax.apps.cli import main
from dfjax.config import build
from dfjax.errors import InputError
from dfjax.inference.importing import nets_in
from dfjax.inference.run import Run, load_run, with_morph
from dfjax.systems import amp, load_system
from dfjax.weights.amp import files

pytestmark = pytest.mark.whole

SIZE = 64


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_paper_is_of_deepfacelabs_sizes():
    cfg = get_config('paper')
    params = jax.eval_shape(lambda key: amp.init(cfg, key), jax.random.key(0)).params
    conv = lambda k, inputs, outputs: k * k * inputs * outputs + outputs
    down = sum(conv(5, x, y) for x, y in ((3, 64), (64, 128), (128, 256), (256, 512), (512, 512)))
    residual = lambda c: 2 * conv(3, c, c)
    assert count(params['encoder']) == down + residual(64) + residual(512) + conv(1, 512 * 7 * 7, 256)
    assert count(params['inter_a']) == conv(1, 256, 1024 * 7 * 7) == count(params['inter_b'])
    widths = (1024, 512, 512, 256, 128)
    face = sum(conv(3, x, 4 * y) + residual(y) for x, y in itertools.pairwise(widths))
    widths = (1024, 176, 176, 88, 44, 22)
    mask = sum(conv(3, x, 4 * y) for x, y in itertools.pairwise(widths)) + conv(1, 22, 1)
    assert count(params['decoder']) == face + mask + conv(1, 128, 3) + 3 * conv(3, 128, 3)


@pytest.mark.parametrize(
    ('changes', 'line'), [({'data.size': 112}, 'a multiple of 32'), ({'data.canonical': True}, 'is false')]
)
def test_what_does_not_go_together_is_refused(changes, line):
    with pytest.raises(InputError, match=line):
        jax.eval_shape(lambda key: amp.init(build(get_config('smoke'), changes), key), jax.random.key(0))


# People are mixed by channels


@pytest.fixture(scope='module')
def start():
    cfg = get_config('smoke')
    params = jax.jit(lambda key: amp.init(cfg, key).params)(jax.random.key(0))
    pictures = jnp.float32(np.random.default_rng(0).uniform(-1, 1, (4, SIZE, SIZE, 3)))
    return cfg, params, pictures


def test_a_share_of_the_channels_is_the_other_persons(start):
    cfg, params, pictures = start
    codes = amp.applied(cfg, params, 'encoder', pictures)
    of_a, of_b = (np.asarray(amp.applied(cfg, params, f'inter_{side}', codes)) for side in 'ab')
    assert np.abs(of_a - of_b).min((0, 1, 2)).min() >= 0 and np.abs(of_a - of_b).max() > 1e-3
    for share, first in ((0.0, 0), (0.3, 2), (0.5, 4), (1.0, 8)):  # of 8 channels, rounded down
        maps = amp.morph(cfg, params, codes, share)
        np.testing.assert_allclose(maps, np.concatenate([of_b[..., :first], of_a[..., first:]], -1), atol=1e-6)


def test_a_swap_is_of_the_configs_share_and_a_himself_of_none(start):
    cfg, params, pictures = start
    points = jnp.zeros((4, 68, 2))
    swaps = {
        share: amp.swap(build(cfg, {'morph': share}), params, {}, pictures, points)[0] for share in (0.0, 0.5, 1.0)
    }
    assert float(jnp.abs(swaps[0.0] - swaps[1.0]).max()) > 1e-4
    assert float(jnp.abs(swaps[0.5] - swaps[1.0]).max()) > 1e-5
    np.testing.assert_allclose(amp.swap(cfg, params, {}, pictures, points, 'a')[0], swaps[0.0], atol=1e-6)


def test_faces_of_b_are_learnt_from_channels_of_both(start):
    """With `mixed` 1 from b's own alone, with 0 from a's alone; in between every face has other channels."""
    cfg, params, pictures = start
    same = jnp.broadcast_to(pictures[:1], pictures.shape)
    keys = jax.random.split(jax.random.key(1), 4)
    pair = {side: {'input': same} for side in 'ab'}
    made = {share: amp.learnt(build(cfg, {'mixed': share}), params, keys, pair) for share in (0.0, 0.5, 1.0)}
    np.testing.assert_allclose(made[0.0]['b'][0], made[0.0]['a'][0], atol=1e-6)
    own = (amp.swap(cfg, params, {}, same, None)[0] + 1) / 2
    np.testing.assert_allclose(made[1.0]['b'][0], own, atol=1e-6)
    face = np.asarray(made[0.5]['b'][0])
    assert all(np.abs(face[0] - other).max() > 1e-5 for other in face[1:])
    np.testing.assert_allclose(made[0.5]['a'][0], made[0.0]['a'][0], atol=1e-6)


def test_a_run_is_told_how_far_to_go_if_it_can(start):
    cfg, params, _ = start
    run = Run(Path('runs/x'), cfg, amp, params, 0)
    assert with_morph(run, 0.25).cfg.morph == 0.25 and run.cfg.morph == 1
    with pytest.raises(InputError, match='from 0 to 1'):
        with_morph(run, 1.5)
    other = Run(Path('runs/y'), saehd.get_config('smoke'), load_system('saehd'), {}, 0)
    with pytest.raises(InputError, match=r"--morph: runs/y: a run of system 'saehd', which cannot morph; can: amp"):
        with_morph(other, 0.5)


# The losses


def test_what_is_off_as_face_counts_faintly():
    rng = np.random.default_rng(0)
    made, target = rng.uniform(0, 1, (2, 2, SIZE, SIZE, 3))
    faces = {side: (jnp.float32(made), jnp.zeros((2, SIZE, SIZE, 1))) for side in 'ab'}
    landmarks = jnp.full((2, 68, 2), 0.5)
    pair = {'target': jnp.float32(target), 'mask': jnp.zeros((2, SIZE, SIZE, 1)), 'landmarks': landmarks}
    cfg = get_config('smoke')
    found = amp.terms_of(cfg, faces, {'a': pair, 'b': pair})
    np.testing.assert_allclose(found['a/background'], 0.1 * np.mean((made - target) ** 2), rtol=1e-4)
    steps = sum((np.diff(made, axis=axis) ** 2).sum((1, 2, 3)) for axis in (1, 2))
    np.testing.assert_allclose(found['a/spots'], 1e-6 * steps.mean(), rtol=1e-4)
    assert 'b/background' not in found and float(found['a/features']) == float(found['b/features']) > 0
    whole = amp.terms_of(build(cfg, {'loss.masked': False}), faces, {'a': pair, 'b': pair})
    assert not {'a/background', 'a/spots'} & set(whole)


def test_a_discriminator_that_knows_nothing_costs_log_2():
    """It is an eighth of eight cross entropies: of two heads, two people, real faces and made ones."""
    cfg = build(get_config('smoke'), {'loss.gan': 0.1, 'discriminator': {'patch': 8, 'width': 2}})
    shapes = jax.eval_shape(lambda key: amp.init(cfg, key).params, jax.random.key(0))
    params = {'discriminator': jax.tree.map(lambda x: jnp.zeros(x.shape), shapes['discriminator'])}
    face = jnp.full((2, SIZE, SIZE, 3), 0.5)
    pair = {side: {'target': face, 'mask': jnp.ones((2, SIZE, SIZE, 1))} for side in 'ab'}
    faces = dict.fromkeys('ab', face)
    assert [head.shape[1:] for head in amp.heads(cfg, params, faces, pair)][1::2] == 2 * [(SIZE, SIZE, 1)]
    np.testing.assert_allclose(amp.discriminate(cfg, params, faces, pair), np.log(2), rtol=1e-5)


def test_with_a_discriminator_a_step_has_its_terms():
    cfg = build(get_config('smoke'), {'loss.gan': 0.1, 'discriminator': {'patch': 8, 'width': 2}})
    of = lambda dtype, *shape: jax.ShapeDtypeStruct((2, *shape), dtype)
    side = {'image': of('uint8', SIZE, SIZE, 3), 'mask': of('uint8', SIZE, SIZE), 'landmarks': of('float32', 68, 2)}
    key = jax.random.key(0).dtype
    batch = {'a': side, 'b': side, 'key': of(key), 'step_key': jax.ShapeDtypeStruct((), key)}
    state = jax.eval_shape(lambda key: amp.init(cfg, key), jax.random.key(0))
    after, metrics = jax.eval_shape(lambda state, batch: amp.step(cfg, state, batch), state, batch)
    assert {'g/adv', 'd/adv'} <= set(metrics) and set(after.params) == {*amp.GENERATOR, 'discriminator'}
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)


# The original's nets


class Saved(Model):
    """A model of DeepFaceLab's AMP in float64, by what SAEHD's test knows of its layers."""

    def __init__(self):
        super().__init__('amp', 'udt')

    def swap(self, bgr, share):
        """What dst's face is, by that share src's, and its mask."""
        code = self.dense('encoder', 'dense1', self.encoder(bgr, 2), 6)
        side, inter = SIZE // 32, 10
        unfolded = lambda net: self.dense(net, 'dense2', code, side * side * inter).reshape(-1, inter, side, side)
        src, dst = unfolded('inter_src'), unfolded('inter_dst')
        first = int(share * inter)
        mixed = np.concatenate([src[:, :first], dst[:, first:]], 1)
        return self.decoder('decoder', mixed.transpose(0, 2, 3, 1), 3, 2)

    def save(self, folder):
        for net, arrays in self.nets.items():
            (folder / f'new_AMP_{net}.npy').write_bytes(pickle.dumps(arrays, 4))


def test_an_imported_morph_is_the_originals(tmp_path, capsys):
    model, rgb = Saved(), np.random.default_rng(1).uniform(0, 1, (2, SIZE, SIZE, 3))
    want = {share: model.swap(rgb[..., ::-1], share) for share in (0.4, 1.0)}
    (tmp_path / 'model').mkdir()
    model.save(tmp_path / 'model')
    (tmp_path / 'model' / 'new_SAEHD_encoder.npy').write_bytes(b'another model in the same folder')
    assert [path.name for path in nets_in('saehd', tmp_path / 'model').values()] == ['new_SAEHD_encoder.npy']
    assert main(['import', 'amp', str(tmp_path / 'model'), '-o', str(tmp_path / 'run')]) == 0
    capsys.readouterr()
    run = load_run(tmp_path / 'run', can='swap')
    assert run.cfg.data.size == SIZE and run.cfg.model.to_dict() == {
        **{'code': 6, 'inter': 10, 'width': 2},
        **{'decoder_width': 3, 'mask_width': 2},
    }
    for share, (face, mask) in want.items():
        cfg = with_morph(run, share).cfg
        got, where = amp.swap(cfg, run.params, {}, jnp.float32(2 * rgb - 1), jnp.zeros((2, 68, 2)))
        assert face.std() > 0.02
        np.testing.assert_allclose((got + 1) / 2, face[..., ::-1], atol=2e-5)
        np.testing.assert_allclose(where, mask, atol=2e-5)
    assert np.abs(want[0.4][0] - want[1.0][0]).max() > 1e-3


def test_folders_without_a_model_or_with_two_are_refused(tmp_path):
    with pytest.raises(InputError, match=r'there is no \*_AMP_encoder.npy in it'):
        files(tmp_path)
    for name in 'ab':
        (tmp_path / f'{name}_AMP_encoder.npy').write_bytes(b'')
    with pytest.raises(InputError, match='are of two models'):
        files(tmp_path)


def test_nets_of_two_trainings_are_refused(tmp_path, capsys):
    model = Saved()
    model.swap(np.zeros((1, SIZE, SIZE, 3)), 1.0)
    model.nets['inter_dst'] = {
        'dense2/weight:0': np.zeros((6, 4 * 12), np.float32),
        'dense2/bias:0': np.zeros(48, np.float32),
    }
    model.save(tmp_path)
    assert main(['import', 'amp', str(tmp_path), '-o', str(tmp_path / 'run')]) == 2
    assert 'give nets of one training' in capsys.readouterr().err

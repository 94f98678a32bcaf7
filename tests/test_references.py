"""Reference pictures: which are chosen, how they are mixed, by closed forms and rendered faces; what may be deleted."""

import importlib
import json

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import softmax
from untrained import untrained

from dfjax.config import build
from dfjax.data.batches import make_data
from dfjax.data.faces.canonical import mean_shape
from dfjax.data.faces.references import choose_references, clear, farthest_first
from dfjax.errors import InputError
from dfjax.inference.run import load_run
from dfjax.ops import references
from dfjax.systems import load_system
from dfjax.training.loop import train
from dfjax.training.parallel import Devices, on_first_device
from dfjax.training.workdir import last_step

SIDE = 64


@pytest.fixture(scope='module')
def faces():
    """Canonical rendered faces of one person, [24, 64, 64]."""
    changes = {'data.a': 'render:1:24', 'data.b': 'render:2:24', 'data.size': SIDE, 'input_size': SIDE}
    changes |= {'model.decoder.widths': [8, 8], 'references.size': SIDE}
    cfg = build(importlib.import_module('configs.faceswap').get_config('smoke'), changes)
    return make_data(cfg, 'faces_ab').some(24)['b'][1]


@pytest.fixture(scope='module')
def begun():
    """A smoke run's config and state before its first step."""
    cfg = importlib.import_module('configs.faceswap').get_config('smoke')
    system = load_system('faceswap')
    return cfg, system, on_first_device(Devices(cfg, system, make_data(cfg, system.BATCH)).init())


def test_the_farthest_comes_first():
    places = np.random.default_rng(0).normal(size=(40, 5))
    chosen = farthest_first(places, 12)
    assert chosen[0] == np.linalg.norm(places - places.mean(0), axis=1).argmin()
    for n in range(1, 12):
        assert chosen[n] == cdist(places, places[chosen[:n]]).min(1).argmax()
    assert len(farthest_first(np.tile(places[:3], (4, 1)), 12)) == 3  # what is there twice is not chosen twice


def test_blurred_and_covered_faces_are_left_out(faces):
    assert clear(faces['image'], faces['mask']).sum() >= 22
    images = faces['image'].copy()
    images[3] = cv2.GaussianBlur(images[3], (0, 0), 3)
    images[7, 36:60, 6:26] = 255  # a hand over a cheek
    images[7, 36:60:2, 6:26:2] = 150  # and sharp
    good = clear(images, faces['mask'])
    assert not good[3] and not good[7] and good.sum() >= 20
    chosen = choose_references(faces | {'image': images}, 22)
    assert not {3, 7} & set(chosen.tolist()) and len(set(chosen.tolist())) == len(chosen) <= 22


def test_landmarks_count_where_they_are():
    shape = mean_shape('full')
    shares = references.landmark_shares(shape, 32)
    np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-5)
    for part in (slice(36, 42), slice(42, 48), slice(48, 68)):  # eyes and mouth
        x, y = (shape[part].mean(0) * 32).astype(int)
        assert shares[y, x, part].sum() > 0.4


def test_nearness_is_the_squared_offset():
    shares = references.landmark_shares(mean_shape('full'), 8)
    at = np.random.default_rng(0).uniform(0.3, 0.7, (68, 2)).astype(np.float32)
    moved = np.stack([at, at + np.float32([0.008, 0]), at + np.float32([0.012, 0.016])]).astype(np.float32)
    known = references.blank(3, 8, 8) | {'landmarks': moved}
    logits = references.nearness(shares, at[None], known)
    np.testing.assert_allclose(logits[0], np.broadcast_to([0, -0.5, -(0.02**2) / (2 * 0.008**2)], (8, 8, 3)), atol=1e-3)
    known['used'] = jnp.array([0.0, 1, 1])
    weights = jax.nn.softmax(references.nearness(shares, at[None], known))
    assert float(weights[..., 0].max()) == 0


def test_a_blend_is_the_weighted_mean_of_its_pictures():
    rng = np.random.default_rng(1)
    pictures, logits = rng.integers(0, 256, (5, 12, 12, 3)), rng.normal(0, 2, (2, 12, 12, 5))
    weights = softmax(logits, -1)
    truth = np.einsum('bhwr,rhwc->bhwc', weights, pictures / 127.5 - 1)
    made = references.blend(jnp.float32(logits), jnp.uint8(pictures))
    np.testing.assert_allclose(made, truth, atol=1e-5)
    coarse = references.blend(jnp.zeros((1, 3, 3, 5)), jnp.uint8(pictures))
    np.testing.assert_allclose(coarse[0], (pictures / 127.5 - 1).mean(0), atol=1e-5)


@pytest.mark.whole
def test_a_run_begins_as_the_mixture_of_its_references(begun):
    """At the landmarks of a reference the swap shows that reference; without training nothing else is painted."""
    cfg, system, state = begun
    known = state.aux['references']['b']
    assert known['pictures'].shape == (4, 32, 32, 3) and known['large'].shape == (4, 64, 64, 3)
    assert len(np.unique(known['landmarks'], axis=0)) == 4 and known['used'].sum() == 4
    sharp = known | {'landmarks': known['landmarks'] * 10}  # so that none is near another
    rest, mixture = jnp.zeros((4, 32, 32, 3)), jnp.zeros((4, 8, 8, 4))
    for large, name in ((False, 'pictures'), (True, 'large')):
        made = references.paint(sharp, state.frozen['shares'], sharp['landmarks'], rest, mixture, large)
        np.testing.assert_allclose(made, np.float32(known[name]) / 127.5 - 1, atol=0.02)
    params = state.params | state.ema | state.aux
    heads = [params['decoder_b'][name] for name in ('mixture', 'rest')]
    assert not any(leaf.any() for leaf in jax.tree.leaves(heads))
    pictures = jax.random.uniform(jax.random.key(2), (2, 32, 32, 3), minval=-1)
    landmarks = state.ema['stats']['a']['landmarks']['mean'] + jnp.zeros((2, 1, 1))
    swap = jax.jit(lambda *arrays: system.swap(cfg, *arrays))
    faces, masks = swap(params, state.frozen, pictures, landmarks)
    assert faces.shape == (2, 64, 64, 3) and masks.shape == (2, 32, 32, 1)
    np.testing.assert_array_equal(faces[0], faces[1])  # whatever the picture


@pytest.mark.whole
def test_the_moments_of_a_run_that_begins_are_those_of_its_faces(begun):
    cfg, system, state = begun
    for side, (_, faces) in make_data(cfg, system.BATCH).some(400).items():
        stats = state.ema['stats'][side]['landmarks']
        np.testing.assert_allclose(stats['mean'], faces['landmarks'].mean(0), atol=1e-5)
        np.testing.assert_allclose(stats['square'], (faces['landmarks'] ** 2).mean(0), atol=1e-5)


@pytest.mark.whole
def test_a_run_can_be_used_before_its_first_step_and_a_reference_thrown_out(tmp_path):
    cfg = importlib.import_module('configs.faceswap').get_config('smoke')
    train(cfg, tmp_path, deadline=0.0, progress=False)
    assert last_step(tmp_path) == 0
    sheet = cv2.imread(str(tmp_path / 'references.jpg'))
    assert sheet.shape == (2 * 64, 4 * 64, 3)
    assert float(load_run(tmp_path).params['references']['b']['used'].sum()) == 4
    (tmp_path / 'references' / 'b_02.jpg').unlink()
    np.testing.assert_array_equal(load_run(tmp_path).params['references']['b']['used'], [1, 1, 0, 1])
    state = train(cfg, tmp_path, deadline=0.0, progress=False)
    np.testing.assert_array_equal(state.aux['references']['b']['used'], [1, 1, 0, 1])
    assert not (tmp_path / 'references' / 'b_02.jpg').exists()
    for path in (tmp_path / 'references').glob('a_*'):
        path.unlink()
    with pytest.raises(InputError, match='no picture of a is left; bring one back'):
        load_run(tmp_path)


def test_references_that_cannot_be_are_refused():
    cfg = importlib.import_module('configs.faceswap').get_config('smoke')
    for changes in ({'references.size': 48}, {'references.size': 16}, {'data.canonical': False}):
        with pytest.raises(InputError, match=r'references\.size is a multiple of 32'):
            load_system('faceswap').init(build(cfg, changes), jax.random.key(0))


@pytest.mark.whole
def test_a_run_from_before_there_were_references_is_told_apart(tmp_path):
    folder = untrained(tmp_path / 'old', 'faceswap', **{'references.count': 0})
    assert 'references' not in load_run(folder).params  # without them it is a run as any
    config = json.loads((folder / 'config.json').read_text())
    del config['references']
    (folder / 'config.json').write_text(json.dumps(config))
    with pytest.raises(InputError, match=r'trained with another version of the model \(.*; train it anew'):
        load_run(folder)

"""The identity loss: chips against dlib's own, what it says of people, and what it changes in each system."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.config import build
from dfjax.data.batches import make_data
from dfjax.data.faces.align import MEAN_FACE, align_matrices, crop
from dfjax.data.faces.dlib_models import DESCRIPTOR, dlib_model
from dfjax.data.faces.identity import face_chip, load_descriptor
from dfjax.data.sets.open import open_dataset
from dfjax.losses.identity import chips, identity, identity_distance, identity_net
from dfjax.models.descriptor import Descriptor
from dfjax.ops.geometry import to_pixels, to_unit
from dfjax.systems import load_system, systems_with
from dfjax.weights.dlib import read_descriptor

SIZE = 128


@pytest.fixture(scope='module')
def net():
    return read_descriptor(dlib_model(DESCRIPTOR))


def faces(name: str, size: int = SIZE, face_type: str = 'full') -> dict[str, np.ndarray]:
    source = open_dataset(name, size, face_type)
    items = [source[n] for n in range(len(source))]
    return {key: np.stack([item[key] for item in items]) for key in ('image', 'mask', 'landmarks')}


def pair_of(a: dict, b: dict) -> tuple[dict, dict]:
    """Pictures in [-1, 1], and masks and landmarks of both sides."""
    pictures = {side: jnp.asarray(x['image'] / 127.5 - 1, jnp.float32) for side, x in (('a', a), ('b', b))}
    rest = lambda x: {'mask': jnp.asarray(x['mask'][..., None] / 255, jnp.float32), 'landmarks': x['landmarks']}
    return pictures, {'a': rest(a), 'b': rest(b)}


@pytest.mark.parametrize('seed', range(3))
def test_chips_lie_where_dlibs_do(seed):
    """On a picture whose colours are places; dlib cuts values off below their whole number, and coordinates not."""
    rng, side = np.random.default_rng(seed), 400
    y, x = np.mgrid[:side, :side]
    picture = np.stack([x / 2, y / 2, 0 * x], -1).astype(np.uint8)
    angle, scale = rng.uniform(-0.5, 0.5), rng.uniform(60, 120)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = np.round((MEAN_FACE - 0.5 + rng.normal(0, 0.02, (68, 2))) @ turn.T + 200)
    want = face_chip(picture, landmarks)
    got = chips(jnp.asarray(picture[None], jnp.float32), jnp.asarray(to_unit(landmarks, side)[None], jnp.float32))[0]
    inside = ((want[..., :2] > 2) & (want[..., :2] < 197)).all(-1)
    assert inside.mean() > 0.3 and np.abs(want - np.asarray(got))[inside].max() < 1.1


def test_a_crop_is_described_as_its_source_is(net):
    """A face set's crop on the device, against dlib's own of the whole frame."""
    whole = faces('render:1:3', 512, 'head')
    describe = load_descriptor()
    for picture, unit in zip(whole['image'], whole['landmarks']):
        landmarks = to_pixels(unit, 512)
        matrix = align_matrices(landmarks[None], 'full', 160)[0]
        small = crop(picture, matrix, 160)
        points = landmarks @ matrix[:, :2].T + matrix[:, 2]
        x = jnp.asarray(small[None] / 127.5 - 1, jnp.float32)
        seen = chips(x, jnp.asarray(to_unit(points, 160)[None], jnp.float32))
        got = np.asarray(Descriptor().apply({'params': net}, seen))[0]
        assert np.linalg.norm(got - describe(picture, landmarks)) < 0.15


def test_it_is_low_for_the_person_and_high_for_others(net):
    b, other = faces('render:1:8'), faces('render:2:8')
    own, others = ({key: x[::2] for key, x in b.items()}, {key: x[1::2] for key, x in b.items()})
    cost = jax.jit(identity_distance)
    values = []
    for a in (own, others, {key: x[:4] for key, x in other.items()}):
        pictures, pair = pair_of(a, own)
        values.append(float(cost(net, pictures['a'], pictures['b'], pair)))
    itself, same, different = values
    assert 0 <= itself < 0.02 and same < 0.3 * different and different > 0.05, values


def test_it_is_differentiable_inside_the_mask_alone(net):
    pictures, pair = pair_of(faces('render:2:2'), faces('render:1:2'))
    cost = lambda made: identity_distance(net, made, pictures['b'], pair)
    before, slope = jax.jit(jax.value_and_grad(cost))(pictures['a'])
    assert np.isfinite(slope).all() and np.abs(slope).max() > 0
    assert not np.asarray(slope)[np.asarray(pair['a']['mask'][..., 0]) == 0].any()
    nearer = pictures['a'] - 3 * slope / jnp.linalg.norm(slope)
    assert float(jax.jit(cost)(nearer)) < float(before)


def test_without_a_weight_nothing_is_read_or_asked():
    def never():
        raise AssertionError

    assert identity_net(0.0) == {} and identity(0.0, {}, never, None, {}) == {}


@pytest.mark.parametrize('system', systems_with(['swap']))
def test_every_swap_system_has_it(system):
    """Traced, and not compiled: one term more with a weight, and the net is read for it alone."""
    module, metrics = load_system(system), {}
    for weight in (0.0, 0.1):
        cfg = build(importlib.import_module(f'configs.{system}').get_config('smoke'), {'loss.identity': weight})
        data = make_data(cfg, module.BATCH)
        state = jax.eval_shape(lambda key, cfg=cfg: module.init(cfg, key), jax.random.key(0))
        state = state.replace(frozen=module.frozen(cfg))
        assert ('descriptor' in state.frozen) == bool(weight)
        step = lambda state, feed, cfg=cfg, data=data: module.step(cfg, state, data.sample(feed, jnp.int32(0), 0))
        metrics[weight] = set(jax.eval_shape(step, state, data.feed(1))[1])
    assert metrics[0.1] - metrics[0.0] == {'g/identity'} and metrics[0.0] < metrics[0.1]

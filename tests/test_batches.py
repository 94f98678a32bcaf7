"""Batches: the order of examples, resident and streamed sets, positions, parts and devices."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_faces import write_faces
from ml_collections import ConfigDict

from dfjax.data.batches import Resident, make_data
from dfjax.data.faces.quality import pose
from dfjax.data.names import parse
from dfjax.data.sets import rendered
from dfjax.data.sets.open import open_dataset
from dfjax.data.shuffle import Draw, below, element_seeds, shuffled
from dfjax.errors import InputError

RESIDENT, STREAMED = 2**30, 0


@pytest.fixture(scope='module')
def sets(tmp_path_factory):
    """Two face sets, of 7 and 5 faces, in one folder."""
    folder = tmp_path_factory.mktemp('sets')
    write_faces(folder / 'a', count=7)
    write_faces(folder / 'b', count=5, source='two.mp4')
    return folder


def config(sets, resident_bytes=RESIDENT, **changes) -> ConfigDict:
    data = dict(
        a=str(sets / 'a'),
        b=str(sets / 'b'),
        size=32,
        face_type='full',
        canonical=False,
        uniform_yaw=False,
        resident_bytes=resident_bytes,
    )
    cfg = ConfigDict(dict(seed=3, batch_size=4, data=data))
    cfg.update_from_flattened_dict(changes)
    return cfg


def batches(data, steps) -> list[dict]:
    """The batches of steps 0, 1, ..., with the keys as integers, in NumPy."""
    sample = jax.jit(lambda feed, step: data.sample(feed, step, 0))
    out = [sample(data.feed(1), jnp.int32(step)) for step in range(steps)]
    return [jax.tree.map(np.asarray, with_numbers(b)) for b in out]


def with_numbers(batch: dict) -> dict:
    """The batch with its keys as integers."""
    return batch | {name: jax.random.key_data(batch[name]) for name in ('key', 'step_key')}


def assert_same(x, y):
    assert jax.tree.structure(x) == jax.tree.structure(y)
    assert all((np.asarray(p) == np.asarray(q)).all() for p, q in zip(jax.tree.leaves(x), jax.tree.leaves(y)))


# the order of examples


@pytest.mark.parametrize('count', [1, 2, 7, 100, 1023])
def test_every_epoch_is_a_permutation(count):
    order = shuffled(np.arange(4 * count, dtype=np.uint32), count, seed=5).reshape(4, count)
    assert (np.sort(order, 1) == np.arange(count)).all()
    if count >= 100:
        same = [(order[0] == order[k]).mean() for k in (1, 2, 3)]
        assert max(same) < 0.05  # 1 / count is what chance gives


def test_orders_are_even_and_independent():
    """Each item is as often at each place, and each pair as often side by side, within five standard deviations."""
    n, epochs = 6, 6000
    order = shuffled(np.arange(n * epochs, dtype=np.uint32), n, seed=0).reshape(epochs, n)
    at = (order[:, :, None] == np.arange(n)).mean(0)
    assert np.abs(at - 1 / n).max() < 5 * np.sqrt(1 / n / epochs)
    for first, second in ((0, 1), (2, 5)):
        pairs = np.bincount(order[:, first] * n + order[:, second], minlength=n * n).reshape(n, n) / epochs
        expected = (1 - np.eye(n)) / (n * (n - 1))
        assert np.abs(pairs - expected).max() < 5 * np.sqrt(1 / n / (n - 1) / epochs)
    assert (order[1:] == order[:-1]).mean() == pytest.approx(1 / n, abs=0.01)


def test_order_depends_on_seed_and_salt_and_not_on_numpy_or_jax():
    position = np.arange(300, dtype=np.uint32)
    order = shuffled(position, 100, seed=1)
    assert (order == np.asarray(jax.jit(lambda p: shuffled(p, 100, seed=1))(position))).all()
    for other in (shuffled(position, 100, seed=2), shuffled(position, 100, seed=1, salt=1)):
        assert (order == other).mean() < 0.05


def weights_of(count: int) -> np.ndarray:
    return np.random.default_rng(0).gamma(0.5, size=count)


@pytest.mark.parametrize('count', [2, 7, 300])
def test_weighted_items_come_as_often_as_they_should_in_every_epoch(count):
    """Rounded down or up in one epoch; over many their share is the weight's, within five standard deviations."""
    weights, epochs = weights_of(count), 400
    draw = Draw(count, seed=3, weights=weights)
    order = draw.index(np.arange(count * epochs, dtype=np.uint32)).reshape(epochs, count)
    found = np.stack([np.bincount(epoch, minlength=count) for epoch in order])
    expected = weights / weights.sum() * count
    assert (found >= np.floor(expected - 1e-6)).all() and (found <= np.ceil(expected + 1e-6)).all()
    part = expected % 1
    assert (np.abs(found.mean(0) - expected) <= 5 * np.sqrt(part * (1 - part) / epochs) + 1e-6).all()
    if count == 300:
        assert (order[0] != order[1]).any() and (np.diff(order[0]) < 0).any()  # epochs differ, and none is sorted


def test_weighted_draws_do_not_depend_on_numpy_or_jax():
    draw, position = Draw(300, seed=3, salt=1, weights=weights_of(300)), np.arange(900, dtype=np.uint32)
    order = draw.index(position)
    assert (order == np.asarray(jax.jit(draw.index)(position, jnp.asarray(draw.ends)))).all()
    assert (order == draw.index(position)).all()
    assert (order != Draw(300, seed=3, salt=2, weights=weights_of(300)).index(position)).mean() > 0.5


def test_items_without_weight_never_come():
    draw = Draw(5, seed=0, weights=np.array([0.0, 1, 0, 3, 0]))
    found = np.bincount(draw.index(np.arange(4000, dtype=np.uint32)), minlength=5)
    assert found[[0, 2, 4]].sum() == 0 and found[3] / found[1] == pytest.approx(3, rel=0.1)
    for weights in ([0.0, 0], [-1.0, 2], [np.nan, 1]):
        with pytest.raises(ValueError, match='weights are finite'):
            Draw(2, seed=0, weights=np.array(weights))


def test_what_items_are_drawn_by_differs_everywhere_and_not_by_numpy_or_jax():
    example = np.arange(64, dtype=np.uint32)
    steps = [np.full(64, step, np.uint32) for step in range(50)]
    seeds = np.stack([element_seeds(5, step, example, salt) for salt in (0, 1) for step in steps])
    assert len(np.unique(seeds)) == seeds.size
    alike = jax.jit(lambda step: element_seeds(5, step, jnp.asarray(example), 1))(jnp.uint32(7))
    assert (seeds[57] == np.asarray(alike)).all()
    drawn = below(seeds.ravel(), np.int32(10), 3)
    assert np.abs(np.bincount(drawn, minlength=10) / len(drawn) - 0.1).max() < 5 * np.sqrt(0.09 / len(drawn))
    assert (np.asarray(below(jnp.asarray(seeds.ravel()), jnp.int32(10), 3)) == drawn).all()


# batches


def test_batch_of_pairs(sets):
    data = make_data(config(sets), 'faces_ab')
    batch = jax.jit(data.sample)(data.feed(1), jnp.int32(0), 0)
    faces = {'image': ((4, 32, 32, 3), 'uint8'), 'mask': ((4, 32, 32), 'uint8'), 'landmarks': ((4, 68, 2), 'float32')}
    key, step_key = batch.pop('key'), batch.pop('step_key')
    assert jax.tree.map(lambda x: (x.shape, str(x.dtype)), batch) == {'a': faces, 'b': faces}
    assert all(jnp.issubdtype(x.dtype, jax.dtypes.prng_key) for x in (key, step_key))
    assert key.shape == (4,) and step_key.shape == ()


def test_faces_keep_their_masks_and_landmarks_together():
    """A batch never mixes rows: image, mask and landmarks of an example carry one number."""
    number = np.arange(50)
    rows = {
        'image': np.broadcast_to(number[:, None, None, None], (50, 4, 4, 3)).astype(np.uint8),
        'mask': np.broadcast_to(number[:, None, None], (50, 4, 4)).astype(np.uint8),
        'landmarks': np.broadcast_to(number[:, None, None], (50, 68, 2)).astype(np.float32),
    }
    data = Resident({'a': rows, 'b': rows}, seed=0, batch_size=16)
    found = batches(data, 25)  # 400 examples: 8 epochs
    for side in 'ab':
        for batch in found:
            n = batch[side]['image'][:, 0, 0, 0]
            assert (batch[side]['mask'] == n[:, None, None]).all() and (
                batch[side]['landmarks'] == n[:, None, None]
            ).all()
        seen = np.concatenate([b[side]['mask'][:, 0, 0] for b in found])
        assert (np.bincount(seen) == 8).all()
    assert any((b['a']['mask'] != b['b']['mask']).any() for b in found)
    keys = np.concatenate([b['key'] for b in found])
    assert len(np.unique(keys, axis=0)) == len(keys)


def test_streamed_batches_equal_resident_ones(sets):
    resident, streamed = (make_data(config(sets, n), 'faces_ab') for n in (RESIDENT, STREAMED))
    assert resident.resident and not streamed.resident
    assert_same(batches(resident, 9), batches(streamed, 9))
    streamed.close()


def test_streamed_chunks_need_not_divide_the_batch(sets):
    """11 examples are read as 8 and 3."""
    resident, streamed = (make_data(config(sets, n, batch_size=11), 'faces_ab') for n in (RESIDENT, STREAMED))
    assert_same(batches(resident, 5), batches(streamed, 5))
    streamed.close()


def test_a_chunk_of_steps_equals_single_steps(sets):
    for limit in (RESIDENT, STREAMED):
        cfg = config(sets, limit)
        single, data = batches(make_data(cfg, 'faces_ab'), 5), make_data(cfg, 'faces_ab')

        @jax.jit
        def chunk(feed, first, data=data):
            def body(step, i):
                batch = data.sample(feed, step, i)
                return step + 1, with_numbers(batch)

            return jax.lax.scan(body, first, jnp.arange(5))[1]

        stacked = chunk(data.feed(5), jnp.int32(0))
        assert_same(stacked, jax.tree.map(lambda *leaves: np.stack(leaves), *single))
        data.close()


def test_streamed_position_is_saved_and_restored(sets):
    cfg = config(sets, STREAMED)
    data, resumed = make_data(cfg, 'faces_ab'), make_data(cfg, 'faces_ab')
    data.feed(6)
    state = data.get_state()
    following = data.feed(3)
    resumed.set_state(state)
    assert_same(resumed.feed(3), following)
    data.set_state(state)  # back, in the same iterator
    assert_same(data.feed(3), following)
    for d in (data, resumed):
        d.close()


@pytest.mark.parametrize('limit', [RESIDENT, STREAMED])
def test_parts_make_up_the_batch(sets, limit):
    """What pmap's devices ask for, and what several processes read, is the same batch cut in two."""
    cfg = config(sets, limit)
    whole = batches(make_data(cfg, 'faces_ab'), 3)[-1]
    parts = []
    for part in range(2):
        data = make_data(cfg, 'faces_ab', part, 2)
        if not data.resident:
            data.set_state({'step': 2})
        batch = data.sample(data.feed(1), jnp.int32(2), 0, part, 2)
        parts.append(with_numbers(batch))
        data.close()
    one, two, step_key = *(part.pop('step_key') for part in parts), whole.pop('step_key')
    assert (one == step_key).all() and (two == step_key).all()  # the same for all
    assert_same(jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts), whole)


def test_eight_devices_share_a_batch(sets):
    """The batch of one device, split over eight; the gather runs where its rows are wanted."""
    code = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from dfjax.data.batches import Resident
rows = {'image': np.arange(50 * 12, dtype=np.uint8).reshape(50, 2, 2, 3)}
data = Resident({'a': rows}, seed=0, batch_size=16)
mesh = Mesh(np.array(jax.devices()), ('data',))
feed = jax.device_put(data.feed(1), NamedSharding(mesh, P()))
split = NamedSharding(mesh, P('data'))
where = {'a': split, 'key': split, 'step_key': NamedSharding(mesh, P())}
sample = jax.jit(lambda feed, step: jax.lax.with_sharding_constraint(data.sample(feed, step, 0), where))
batch, alone = sample(feed, jnp.int32(7)), jax.jit(data.sample)(data.feed(1), jnp.int32(7), 0)
assert len(jax.devices()) == 8 and batch['a']['image'].sharding.is_equivalent_to(split, 4)
assert (np.asarray(batch['a']['image']) == np.asarray(alone['a']['image'])).all()
assert all((jax.random.key_data(batch[k]) == jax.random.key_data(alone[k])).all() for k in ('key', 'step_key'))
text = sample.lower(feed, jnp.int32(7)).compile().as_text()
assert 'u8[2,2,2,3]' in text and 'u8[16,2,2,3]' not in text, text
"""
    flags = {'XLA_FLAGS': '--xla_force_host_platform_device_count=8', 'JAX_PLATFORMS': 'cpu', 'PATH': ''}
    done = subprocess.run([sys.executable, '-c', code], env=flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_rendered_faces_by_name():
    cfg = ConfigDict(
        dict(
            seed=0,
            batch_size=2,
            data=dict(size=32, face_type='full', canonical=False, uniform_yaw=False, resident_bytes=RESIDENT),
        )
    )
    cfg.data.update(a='render:1:3', b='render:2:2')
    data = make_data(cfg, 'faces_ab')
    assert {side: x['image'].shape for side, x in data.arrays.items()} == {'a': (3, 32, 32, 3), 'b': (2, 32, 32, 3)}
    for faces in data.arrays.values():  # eyes, nose and mouth lie on the face
        x, y = (faces['landmarks'][:, 27:68] * 32 - 0.5).round().astype(int).transpose(2, 0, 1)
        assert np.mean([mask[v, u] > 127 for mask, u, v in zip(faces['mask'], x, y)]) > 0.9


@pytest.mark.parametrize('limit', [RESIDENT, STREAMED])
def test_faces_that_look_to_any_side_come_equally_often(limit, monkeypatch):
    """Of three bins of yaw each has a third of the examples, however many faces it holds, in both modes."""
    monkeypatch.setattr('dfjax.data.faces.quality.YAW_BINS', 3)
    monkeypatch.setattr('dfjax.data.faces.quality.YAW_RANGE', 0.3)
    names = 'render:person:1:0:40+render:person:2:0:8', 'render:person:3:0:12'
    data = dict(
        size=32, face_type='full', canonical=False, uniform_yaw=True, resident_bytes=limit, **dict(zip('ab', names))
    )
    data = make_data(ConfigDict(dict(seed=0, batch_size=16, data=data)), 'faces_ab')
    found = batches(data, 24)
    data.close()
    for side, name in zip('ab', names):
        faces = open_dataset(name, 32, 'full')
        yaw = np.deg2rad(pose(faces.landmarks())[:, 0])
        held = np.histogram(yaw, [-9, -0.1, 0.1, 9])[0]
        drawn = np.deg2rad(pose(np.concatenate([batch[side]['landmarks'] for batch in found]))[:, 0])
        share = np.histogram(drawn, [-9, -0.1, 0.1, 9])[0] / len(drawn)
        expected = (held > 0) / (held > 0).sum()
        assert np.abs(share - expected).max() < 0.03, (held, share)
        assert held.max() > 1.5 * held[held > 0].min()  # what is in the set is not even


def test_drawing_counts_pictures(monkeypatch):
    bars = []

    class Bar(rendered.tqdm):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            bars.append(self)

    monkeypatch.setattr(rendered, 'tqdm', Bar)
    monkeypatch.setattr(rendered, 'CHUNK', 3)
    assert len(rendered.RenderedFaces(parse('render:1:4'), 32, 'full')) == 4
    assert [(bar.n, bar.total, bar.unit_scale) for bar in bars] == [(4, 4, False)]


# bad input


def test_bad_configs_get_one_line(sets, tmp_path):
    cases = {
        'none: no such folder': {'data.a': str(tmp_path / 'none')},
        'faces of type full, where head is needed': {'data.face_type': 'head'},
        'render:SEED:COUNT': {'data.a': 'render:x'},
        'render:7:0: write': {'data.a': 'render:7:0'},
    }
    for message, changes in cases.items():
        with pytest.raises(InputError, match=message) as caught:
            make_data(config(sets, **changes), 'faces_ab')
        assert '\n' not in str(caught.value)
    with pytest.raises(InputError, match="batches of kind 'films'"):
        make_data(config(sets), 'films')
    with pytest.raises(InputError, match='batch_size 4 does not split over 3 processes'):
        make_data(config(sets), 'faces_ab', 0, 3)


def test_a_picture_lost_while_streaming_is_named(tmp_path):
    write_faces(tmp_path / 'a')
    write_faces(tmp_path / 'b')
    data = make_data(config(tmp_path, STREAMED), 'faces_ab')
    for file in (tmp_path / 'b').glob('one_*.png'):
        file.unlink()
    with pytest.raises(InputError, match=r'b/one_0000\d\d.png'):
        data.feed(1)
    data.close()

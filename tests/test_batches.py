"""Batches: resident and streamed sets, positions, parts and devices."""

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

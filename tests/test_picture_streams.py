"""Rendered people, and the streams that batches are made of: labels of several sources, pairs, and bad names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_faces import write_faces
from ml_collections import ConfigDict
from picture_folders import SIZE, cut_short, flat, section, write

from dfjax.data.batches import make_data
from dfjax.data.kinds import open_streams
from dfjax.data.media.image import write_image
from dfjax.data.render.people import LABELS, random_people
from dfjax.data.sets.open import open_dataset
from dfjax.errors import InputError

PEOPLE, OTHERS = 'render:people:5:6', 'render:people:2:6'


@pytest.fixture(scope='module')
def people():
    return open_dataset(PEOPLE, SIZE)


# rendered people


def test_labels_of_people_are_balanced_and_independent():
    _, _, labels = random_people(0, 4000)
    table = np.stack([labels[k] for k in LABELS], 1).astype(float)
    assert (np.abs(table.mean(0) - 0.5) < 5 * 0.5 / np.sqrt(4000)).all()
    off = np.corrcoef(table.T)[~np.eye(len(LABELS), dtype=bool)]
    assert np.abs(off).max() < 5 / np.sqrt(4000)


def test_people_agree_with_the_renderer_and_go_on_from_fewer():
    from dfjax.data.render import attributes

    identity, motion, labels = random_people(3, 200)
    said = attributes(identity, motion)
    same = {'smile': 'smile', 'mouth_open': 'mouth_open', 'glasses': 'glasses', 'beard': 'beard', 'fringe': 'fringe'}
    for label, name in (same | {'long_hair': 'long_hair'}).items():
        assert (labels[label] == said[name]).all(), label
    assert not (labels['dark_hair'] & said['fair_hair']).any()
    fewer = random_people(3, 20)
    for some, all_ in zip(fewer, (identity, motion, labels)):
        assert all((some[k] == all_[k][:20]).all() for k in all_)
    assert (random_people(4, 20)[0]['width'] != fewer[0]['width']).all()


def test_rendered_people_are_different_and_aligned(people):
    assert len(people) == 6 and set(people.labels) == set(LABELS)
    images = np.stack([people[n]['image'].astype(float) for n in range(6)])
    apart = np.abs(images[:, None] - images).mean((2, 3, 4))
    assert apart[~np.eye(6, dtype=bool)].min() > 8
    middle = np.mean([people[n]['landmarks'][27:48].mean(0) for n in range(6)], 0)  # of eyes and nose
    assert np.abs(middle - 0.5).max() < 0.1


# labels of several sources


def test_labels_of_several_sources_are_joined_by_masks(tmp_path):
    write(tmp_path, {'smile/1.png': 10, 'plain/2.png': 20, 'plain/3.png': 30})
    source = open_streams('labelled', section(source=f'{tmp_path}+{PEOPLE}', labels=('smile', 'plain', 'beard')))['']
    rows = source.arrays()
    truth = random_people(5, 6)[2]
    assert rows['image'].shape == (9, SIZE, SIZE, 3) and rows['label'].dtype == np.float32
    assert rows['image'][:3, 0, 0, 0].tolist() == [20, 30, 10]
    assert rows['label'][:3].tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert rows['known'].tolist() == [[1, 1, 0]] * 3 + [[1, 0, 1]] * 6
    assert (rows['label'][3:] == np.stack([truth['smile'], np.zeros(6), truth['beard']], 1)).all()


def test_faces_of_different_types_are_not_joined(tmp_path):
    faces = write_faces(tmp_path / 'faces', count=3)
    with pytest.raises(InputError, match=f'faces of one type are needed.*{PEOPLE} has whole_face.*{faces} has full'):
        open_streams('labelled', section(source=f'{PEOPLE}+{faces}', labels=()))


def test_no_labels_are_no_columns():
    assert open_streams('labelled', section(source=PEOPLE, labels=()))[''][0]['label'].shape == (0,)


# pairs


def test_pairs_of_folders_go_by_name(tmp_path, capsys):
    write(tmp_path / 'a', {'1.png': 10, '2.png': 20, 'x/3.png': 30, '4.png': 40})
    write(tmp_path / 'b', {'1.jpg': 110, '2.png': 120, 'x/3.png': 130, '4.png': 140})
    (tmp_path / 'b' / '2.png').write_bytes(b'nothing')
    source = open_streams('aligned', section(a=str(tmp_path / 'a'), b=str(tmp_path / 'b')))['']
    found = [(int(p['a']['image'].mean()), int(p['b']['image'].mean())) for p in (source[n] for n in range(3))]
    assert found == [(10, 110), (40, 140), (30, 130)] and len(source) == 3
    assert '1 of 4 pictures' in capsys.readouterr().err


def test_pairs_side_by_side(tmp_path):
    for n in (1, 2):
        write_image(tmp_path / f'{n}.png', np.hstack([flat(10 * n), flat(100 * n)]))
    write_image(tmp_path / '3.png', flat(0, width=1))
    source = open_streams('aligned', section(source=str(tmp_path)))['']
    assert [int(source[1][side]['image'].mean()) for side in 'ab'] == [20, 200]
    with pytest.raises(InputError, match=r'3.png: one pixel wide, where two pictures'):
        source[2]


def test_a_damaged_picture_of_a_pair_is_named(tmp_path):
    for folder in 'ab':
        write(tmp_path / folder, {'1.png': 10, '2.png': 20})
    cut_short(tmp_path / 'b', '3.jpg')
    write(tmp_path / 'a', {'3.png': 30})
    source = open_streams('aligned', section(a=str(tmp_path / 'a'), b=str(tmp_path / 'b')))['']
    assert len(source) == 3
    with pytest.raises(InputError, match=r'b/3.jpg: not a picture that can be read'):
        source[2]


# names


def test_bad_names_get_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path / 'here', {'1.png': 10, '2.png': 20}))  # which '' would otherwise be
    write(tmp_path / 'a', {'1.png': 10, '2.png': 20})
    write(tmp_path / 'b', {'1.png': 10, '5.png': 20})
    write(tmp_path / 'one', {'1.png': 10})
    write(tmp_path / 'domains', {'x/1.png': 10, 'y/2.png': 20})
    (tmp_path / 'none').mkdir()
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad' / '1.png').write_bytes(b'x')
    for name in ('notes.txt', 'clip.mp4'):
        (tmp_path / name).write_bytes(b'')
    notes, clip = (str(tmp_path / name) for name in ('notes.txt', 'clip.mp4'))
    empty = dict(source='', labels=())
    a, b, one = (str(tmp_path / k) for k in ('a', 'b', 'one'))
    cases = [
        ('no/such: no such folder', 'labelled', dict(source='no/such', labels=())),
        ('none: no picture and no video in this folder', 'labelled', dict(source=str(tmp_path / 'none'), labels=())),
        (r'none of the 1 pictures can be read; .*1.png', 'labelled', dict(source=str(tmp_path / 'bad'), labels=())),
        ('only 1 picture; at least 2 are needed', 'unpaired', dict(a=a, b=one)),
        ("no label 'z'; there are: x, y", 'labelled', dict(source=str(tmp_path / 'domains'), labels=('z',))),
        ("no label 'z'; there are: none", 'labelled', dict(source=a, labels=('z',))),
        ("no picture has the label 'eyes_shut'", 'labelled', dict(source='render:1:2', labels=('eyes_shut',))),
        ('render:people:1: write render:people:SEED:COUNT', 'labelled', dict(source='render:people:1', labels=())),
        ('notes.txt: neither a folder of pictures nor a video', 'labelled', dict(source=notes, labels=())),
        ('gone.mp4: no such folder or video', 'unpaired', dict(a='gone.mp4', b=a)),
        (r'none of the 1 files can be read; .*clip.mp4: the file is empty', 'unpaired', dict(a=b, b=clip)),
        ('config key data.source is empty: name the pictures, as --config.data.source=F', 'labelled', empty),
        (r'a name is empty between the \+', 'labelled', dict(source=f'{a}+', labels=())),
        ('config key data.b is empty', 'unpaired', dict(a=a, b='')),
        (
            'config key data.a is empty',
            'faces_ab',
            dict(a='', b=PEOPLE, face_type='full', canonical=False, uniform_yaw=False),
        ),
        ('config keys data.source, or data.a and data.b, are empty', 'aligned', dict(source='', a='', b='')),
        ('config key data.b is empty', 'aligned', dict(source='', a=a, b='')),
        ('pictures, where pairs are needed; write pair:CONDITION:render', 'aligned', dict(source=PEOPLE)),
        (
            'pictures, where faces are needed',
            'faces_ab',
            dict(a=a, b=a, face_type='full', canonical=False, uniform_yaw=False),
        ),
        ('pairs, where pictures are needed', 'unpaired', dict(a=f'pair:edges:{a}', b=a)),
        ('pair:edges:: write pair:CONDITION:NAME', 'aligned', dict(source='pair:edges:')),
        ('2 pictures without a partner: 2, 5', 'aligned', dict(a=a, b=b)),
        ('2 and 6 pictures; pairs need as many', 'aligned', dict(a=a, b=PEOPLE)),
        ("kind 'films' cannot be made; the kinds are: faces_ab", 'films', {}),
    ]
    for message, kind, keys in cases:
        with pytest.raises(InputError, match=message) as caught:
            open_streams(kind, section(**keys))
        assert '\n' not in str(caught.value)


# batches


@pytest.fixture(scope='module')
def tables(people):
    """The number of each picture, by its bytes, of two sets."""
    sets = {PEOPLE: people, OTHERS: open_dataset(OTHERS, SIZE)}
    return {name: {s[n]['image'].tobytes(): n for n in range(len(s))} for name, s in sets.items()}


def which(table: dict[bytes, int], images) -> list[int]:
    return [table[np.asarray(image).tobytes()] for image in images]


@pytest.mark.parametrize('limit', [2**30, 0], ids=['resident', 'streamed'])
@pytest.mark.parametrize('kind', ['labelled', 'unpaired', 'aligned'])
def test_batches_of_every_kind(kind, limit, tables):
    """Shapes and types; and what belongs together stays together, told by which whole pictures came."""
    data = section(resident_bytes=limit, source=PEOPLE, labels=('smile',), a=PEOPLE, b=OTHERS)
    if kind == 'aligned':
        data.source = ''
    data = make_data(ConfigDict(dict(seed=0, batch_size=4, data=data)), kind)
    assert data.resident is bool(limit)
    batch = data.sample(data.feed(1), jnp.int32(0), 0)
    data.close()
    assert batch.pop('key').shape == (4,) and batch.pop('step_key').shape == ()
    image = (4, SIZE, SIZE, 3), 'uint8'
    shapes = jax.tree.map(lambda x: (x.shape, str(x.dtype)), batch)
    if kind == 'labelled':
        assert shapes == {'image': image, 'label': ((4, 1), 'float32'), 'known': ((4, 1), 'float32')}
        who = which(tables[PEOPLE], batch['image'])
        assert (np.asarray(batch['label'])[:, 0] == random_people(5, 6)[2]['smile'][who]).all()
    else:
        assert shapes == {'a': {'image': image}, 'b': {'image': image}}
        who = [which(tables[name], batch[side]['image']) for side, name in (('a', PEOPLE), ('b', OTHERS))]
        assert (who[0] == who[1]) is (kind == 'aligned')

"""Domains: what pictures become, and the pairs and views made of them."""

import numpy as np
import pytest
from fake_faces import write_faces
from ml_collections import ConfigDict

from dfjax.data.kinds import open_streams
from dfjax.data.media.image import write_image
from dfjax.data.sets.conditions import BACKGROUND, CONDITIONS, PARTS, condition_image
from dfjax.data.sets.open import open_dataset
from dfjax.errors import InputError

SIZE, PEOPLE = 64, 'render:people:3:4'


@pytest.fixture(scope='module')
def people():
    return open_dataset(PEOPLE, SIZE)


def section(**keys) -> ConfigDict:
    return ConfigDict(dict(size=SIZE, resident_bytes=2**30) | keys)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize('name', [*CONDITIONS, 'mask+landmarks'])
def test_conditions_are_pictures_and_pure(people, name):
    item = people[0]
    before = {k: v.copy() for k, v in item.items()}
    made = condition_image(name, item)
    assert made.shape == (SIZE, SIZE, 3) and made.dtype == np.uint8 and made.std() > 5
    assert (made == condition_image(name, item)).all()
    assert all(np.array_equal(item[k], before[k], equal_nan=True) for k in item)


def test_edges_lie_where_brightness_steps():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    rows = condition_image('edges', {'image': image})[..., 0]
    assert (rows[:, 18:22] < 60).all() and (rows[:, :16] == 255).all() and (rows[:, 24:] == 255).all()


def test_grey_is_the_brightness_of_bt601(people):
    image = people[0]['image']
    grey = condition_image('grey', people[0])
    assert np.abs(grey - image.astype(float) @ [[0.299] * 3, [0.587] * 3, [0.114] * 3]).max() <= 1


def test_mask_names_the_parts_of_a_rendered_picture(people):
    item = people[0]
    near = [np.abs(condition_image('mask', item) - colour).sum(-1) < 6 for colour in (*PARTS, BACKGROUND)]
    assert all(0.02 < where.mean() < 0.8 for where in near)
    assert sum(where.mean() for where in near) > 0.85  # the rest are edges
    inner = (item['landmarks'][30:68] * SIZE - 0.5).round().astype(int)  # nose, eyes, mouth are skin
    assert near[0][inner[:, 1], inner[:, 0]].all()
    assert near[3][:3, :3].all() or near[1][:3, :3].all()  # a corner at the top is no skin
    hair = item['image'][near[1]].mean(0)
    assert np.linalg.norm(hair - item['image'][near[0]].mean(0)) > 30


def test_landmarks_are_drawn_where_they_are(people):
    item = people[0]
    drawn = condition_image('landmarks', item).sum(-1) > 60
    y, x = np.nonzero(drawn)
    apart = np.linalg.norm(item['landmarks'][:, None] * SIZE - 0.5 - np.stack([x, y], -1), axis=-1)
    assert apart.min(1).max() < 1  # every point is on a line
    over = condition_image('mask+landmarks', item)
    mask = condition_image('mask', item)
    assert (over != mask).any(-1)[drawn].mean() > 0.9 and (over == mask).all(-1)[~drawn].mean() > 0.9


def test_a_cartoon_is_far_from_its_photo():
    source, other = (open_dataset('render:people:8:6' + end, SIZE) for end in ('', ':cartoon'))
    found = [psnr(source[n]['image'], other[n]['image']) for n in range(6)]
    assert 8 < np.mean(found) < 14
    assert other.labels.keys() == source.labels.keys()


def test_pairs_of_a_domain_and_its_picture(people):
    source = open_streams('aligned', section(source=f'pair:mask+landmarks:{PEOPLE}'))['']
    assert len(source) == 4
    for n in range(4):
        assert (source[n]['b']['image'] == people[n]['image']).all()
        assert (source[n]['a']['image'] == condition_image('mask+landmarks', people[n])).all()


def test_pairs_from_a_folder_and_from_a_face_set(tmp_path):
    for n in range(2):
        write_image(tmp_path / 'p' / f'{n}.png', np.random.default_rng(n).integers(0, 255, (50, 50, 3), np.uint8))
    source = open_streams('aligned', section(source=f'pair:grey:{tmp_path / "p"}'))['']
    assert (np.ptp(source[1]['a']['image'], -1) == 0).all() and np.ptp(source[1]['b']['image'], -1).any()
    faces = write_faces(tmp_path / 'faces', count=2)
    source = open_streams('aligned', section(source=f'pair:mask:{faces}'))['']
    assert (source[0]['a']['image'][SIZE // 2, SIZE // 2] == PARTS[0]).all()


def test_one_person_stands_in_one_room():
    """The light and the background are the person's; poses and expressions are the seed's."""
    one, two = (open_dataset(f'render:person:4:{seed}:3', SIZE) for seed in (1, 2))
    images = np.stack([s[n]['image'].astype(float) for s in (one, two) for n in range(3)])
    apart = np.abs(images[:, None] - images).mean((2, 3, 4))[~np.eye(6, dtype=bool)]
    assert apart.min() > 1
    strangers = np.abs(images - open_dataset('render:person:5:1:3', SIZE)[0]['image']).mean((1, 2, 3))
    assert strangers.mean() > 1.5 * apart.mean()


def test_bad_conditions_get_one_line(tmp_path):
    for n in range(2):
        write_image(tmp_path / f'{n}.png', np.full((9, 9, 3), n, np.uint8))
    cases = [
        ("condition 'oil' does not exist; there are: edges, grey", f'pair:oil:{PEOPLE}'),
        ("condition 'mask' needs faces with known landmarks", f'pair:mask:{tmp_path}'),
        ('pair:edges: write pair:CONDITION:NAME', 'pair:edges'),
    ]
    for message, source in cases:
        with pytest.raises(InputError, match=message) as caught:
            open_streams('aligned', section(source=source))
        assert '\n' not in str(caught.value)
    for name, message in (
        (f'{PEOPLE}:oil', "condition 'oil' does not exist"),
        ('render:1:grey', 'write render:SEED:COUNT'),
        ('render:person:1:2', 'write render:person:WHO:SEED:COUNT'),
        ('render:people', 'write render:people:SEED:COUNT'),
    ):
        with pytest.raises(InputError, match=message):
            open_dataset(name, SIZE)


def test_large_sets_are_kept_and_damaged_ones_drawn_again(tmp_path, monkeypatch):
    from dfjax.data.sets import cache, rendered

    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(rendered, 'CACHED', 3)
    drawn = []
    draw = rendered._draw
    monkeypatch.setattr(rendered, '_draw', lambda *a: drawn.append(1) or draw(*a))

    def image() -> np.ndarray:
        return open_dataset('render:1:3', 32)[2]['image']

    first = image()
    (file,) = tmp_path.glob('dfjax/render/*.npz')
    assert (image() == first).all() and len(drawn) == 1
    file.write_bytes(file.read_bytes()[:1000])
    assert (image() == first).all() and len(drawn) == 2
    monkeypatch.setattr(cache, 'CACHE_BYTES', int(1.5 * file.stat().st_size))
    open_dataset('render:2:3', 32)
    assert len(list(tmp_path.glob('dfjax/render/*'))) == 1 and not file.exists()

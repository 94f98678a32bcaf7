"""The grammar of data names: what each form says, and that it is written back as it was."""

import pytest

from dfjax.data.names import Joined, Pair, Rendered, Stored, parse
from dfjax.errors import InputError

PEOPLE = Rendered('people', count=200, drawn=3)
NAMES = {
    'photos': Stored('photos'),
    'some/clip.mp4': Stored('some/clip.mp4'),
    'render:7:20': Rendered('', count=20, drawn=7),
    'render:person:4:1:20': Rendered('person', count=20, drawn=1, who=4),
    'render:people:3:200': PEOPLE,
    'render:talk:3:200:50': Rendered('talk', count=200, drawn=3, frames=50),
    'render:voices:3:20:50': Rendered('voices', count=20, drawn=3, frames=50),
    'render:people:3:200:mask+landmarks': Rendered('people', count=200, drawn=3, condition='mask+landmarks'),
    'pair:edges:render:people:3:200': Pair('edges', PEOPLE),
    'pair:mask+landmarks:photos': Pair('mask+landmarks', Stored('photos')),
    'a+render:people:3:200+b': Joined((Stored('a'), PEOPLE, Stored('b'))),
    'render:people:3:200:mask+grey+cartoon+b': Joined(
        (Rendered('people', count=200, drawn=3, condition='mask+grey+cartoon'), Stored('b'))
    ),
    'pair:grey:a+b': Pair('grey', Joined((Stored('a'), Stored('b')))),
}


@pytest.mark.parametrize('name', NAMES)
def test_names_say_what_they_hold_and_are_written_as_they_were(name):
    assert parse(name) == NAMES[name]
    assert str(parse(name)) == name


def test_a_path_that_exists_is_that_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('a+b', 'render:people:1:2', 'pair:edges:x', 'x:train'):
        (tmp_path / name).mkdir()
        assert parse(name) == Stored(name) and parse(name).kind() == 'images'
    (tmp_path / 'set' / 'v' / '1.0.0').mkdir(parents=True)
    (tmp_path / 'set' / 'v' / '1.0.0' / 'dataset_info.json').write_text('{}')
    assert parse('set:train') == Stored('set', 'train') and str(parse('set:train')) == 'set:train'
    assert parse('set').kind() == 'tfds' and parse('set').folder.name == '1.0.0'
    assert parse('other:train') == Stored('other:train')  # no dataset: the colon is a part of the name


@pytest.mark.parametrize(
    ('name', 'other'),
    [
        ('render:people:3:200:cartoon', 'render:people:9:5:cartoon'),
        ('render:person:4:3:200', 'render:person:4:9:5'),
        ('render:talk:3:200:50', 'render:talk:9:5:50'),
        ('pair:edges:render:people:3:200', 'pair:edges:render:people:9:5'),
    ],
)
def test_others_like_these(name, other):
    assert parse(name).seed == 3
    assert str(parse(name).with_seed(9, 5)) == other


@pytest.mark.parametrize('name', ['photos', 'a+b', 'render:7:20', 'pair:edges:photos'])
def test_of_some_names_there_are_no_others(name):
    assert parse(name).seed is None


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('', 'is empty'),
        ('a++b', r'empty between the \+'),
        ('render:people:3', 'write render:people:SEED:COUNT, whole numbers, as in render:people:1:2000'),
        ('render:talk:3:1', 'write render:talk:SEED:COUNT:FRAMES'),
        ('render:talk:3:1:0', 'write render:talk:SEED:COUNT:FRAMES'),
        ('render:3:0', 'write render:SEED:COUNT'),
        ('render:3:-1', 'write render:SEED:COUNT'),
        ('render:3:1:oil', "condition 'oil' does not exist; there are: edges"),
        ('pair:oil:x', "condition 'oil' does not exist"),
        ('pair:edges:', 'write pair:CONDITION:NAME'),
    ],
)
def test_bad_names_get_one_line(name, message):
    with pytest.raises(InputError, match=message) as caught:
        parse(name)
    assert '\n' not in str(caught.value)


def test_what_is_not_there_or_no_data_is_said(tmp_path):
    (tmp_path / 'notes.txt').write_text('')
    for path, message in (
        ('gone', 'no such folder or video'),
        ('notes.txt', 'neither a folder of pictures nor a video'),
    ):
        with pytest.raises(InputError, match=message):
            parse(str(tmp_path / path)).kind()

"""Clips in tfds datasets: builders made here, as those of robots and of videos are, against what tfds itself reads."""

import json

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds
from test_clips import section

from dfjax.data.kinds import open_streams
from dfjax.data.names import parse
from dfjax.data.sets.clip import open_clips
from dfjax.errors import InputError

pytestmark = pytest.mark.whole

LONG = 7
SHAPE = (24, 32, 3)


def picture(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (SHAPE[1], SHAPE[0]))


def png(seed: int) -> bytes:
    return cv2.imencode('.png', picture(seed)[..., ::-1])[1].tobytes()


class Made(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A dataset of the features and splits that it is given; a split is a list of examples."""

    VERSION = tfds.core.Version('1.0.0')
    name = 'made'

    def __init__(self, features, splits: dict, **options):
        self.given, self.rows = features, splits
        super().__init__(**options)

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=self.given, disable_shuffling=True)

    def _split_generators(self, manager):
        return {name: self._generate_examples(rows) for name, rows in self.rows.items()}

    def _generate_examples(self, rows):
        yield from enumerate(rows)


def prepare(folder, features, splits: dict, name: str = 'made'):
    builder = type('Named', (Made,), {'name': name}, skip_registration=True)
    made = builder(features, splits, data_dir=folder, file_format='array_record')
    made.download_and_prepare()
    return folder / name


@pytest.fixture(scope='module')
def robots(tmp_path_factory):
    """As bair_robot_pushing_small: a sequence of moments at the top, two cameras, always as many."""
    features = tfds.features.Sequence(
        {
            'image_main': tfds.features.Image(shape=SHAPE),
            'image_aux1': tfds.features.Image(shape=SHAPE),
            'action': tfds.features.Tensor(shape=(4,), dtype=np.float32),
        },
        length=LONG,
    )
    moment = lambda seed: {'image_main': png(seed), 'image_aux1': png(seed + 500), 'action': np.zeros(4, np.float32)}
    clip = lambda first: [moment(first + n) for n in range(LONG)]
    splits = {'train': [clip(0), clip(20), clip(40)], 'test': [clip(60)]}
    return prepare(tmp_path_factory.mktemp('tfds'), features, splits, 'robot_small')


def test_robots(robots, capsys):
    clips = open_clips(parse(str(robots)), 16)
    assert [clip.count for clip in clips] == [LONG] * 3 and all(clip.sound is None for clip in clips)
    assert 'image_main that is looked at' in capsys.readouterr().err
    theirs = tfds.builder_from_directory(robots / '1.0.0').as_data_source('train')
    for n, clip in enumerate(clips):
        for frame in (0, LONG - 1):
            truth = theirs[n]['image_main'][frame]
            np.testing.assert_array_equal(truth, picture(20 * n + frame))
            middle = cv2.resize(truth[:, 4:28], (16, 16), interpolation=cv2.INTER_AREA)
            np.testing.assert_allclose(clip.frame(frame), middle, atol=1)
    assert len(open_clips(parse(f'{robots}:test'), 16)) == 1
    item = open_streams('clips', section(robots))[''].read(1, 5)
    assert item['source']['image'].shape == (16, 16, 3) and item['apart'] != 0


def test_the_name_is_enough_where_tfds_keeps_it(robots, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match='no such folder'):
        open_clips(parse('robot_small'), 16)
    monkeypatch.setenv('TFDS_DATA_DIR', str(robots.parent))
    for name, count in (('robot_small', 3), ('robot_small:test', 1)):
        assert str(parse(name)) == name and len(open_clips(parse(name), 16)) == count


@pytest.mark.parametrize('form', ['pictures', 'video', 'within'])
def test_videos_of_any_length(form, tmp_path):
    """A sequence of pictures, tfds's video feature, which is stored like one, or one within another feature."""
    lengths, image = (3, 5, 2), tfds.features.Image(shape=(None, None, 3))
    rows = [[png(10 * n + i) for i in range(length)] for n, length in enumerate(lengths)]
    if form == 'within':
        pictures = tfds.features.Sequence({'frames': image, 'masks': image})
        rows = [[{'frames': x, 'masks': png(99)} for x in row] for row in rows]
    else:
        pictures = tfds.features.Sequence(image)
    label = tfds.features.ClassLabel(names=['a', 'b'])
    features = tfds.features.FeaturesDict({'label': label, 'video': pictures, 'still': image})
    made = [{'video': row, 'label': 'a', 'still': png(7)} for row in rows]
    folder = prepare(tmp_path, features, {'whole': made}) / '1.0.0'
    if form == 'video':  # which tfds makes with TensorFlow alone
        tree = json.loads((folder / 'features.json').read_text())
        shape = {'dimensions': ['-1', '24', '32', '3']}
        kind = 'tensorflow_datasets.core.features.video_feature.Video'
        tree['featuresDict']['features']['video'] = {'pythonClassName': kind, 'video': {'shape': shape}}
        (folder / 'features.json').write_text(json.dumps(tree))
    clips = open_clips(parse(str(folder)), 24)
    assert [clip.count for clip in clips] == list(lengths)
    np.testing.assert_array_equal(clips[1].frame(4), picture(14)[:, 4:28])


def test_bad_datasets_get_one_line(robots, tmp_path):
    image = tfds.features.Image(shape=(None, None, 3))
    still = prepare(tmp_path, tfds.features.FeaturesDict({'image': image}), {'train': [{'image': png(1)}]}, 'still')
    for name, said in ((still, 'no moving pictures'), (f'{robots}:valid', 'say which split')):
        with pytest.raises(InputError, match=said) as caught:
            open_clips(parse(str(name)), 16)
        assert '\n' not in str(caught.value)
    copied = tmp_path / 'broken'
    copied.mkdir()
    for file in (robots / '1.0.0').iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    for text in ('{"sequence": 3}', '[]', '{', '{"featuresDict": {"features": {"x": {"video": {}}}}}'):
        (copied / 'features.json').write_text(text)
        with pytest.raises(InputError, match='damaged'):
            open_clips(parse(str(copied)), 16)
    tree = json.loads((robots / '1.0.0' / 'features.json').read_text())
    tree['sequence']['length'] = '9'
    (copied / 'features.json').write_text(json.dumps(tree))
    with pytest.raises(InputError, match='7 pictures in a record, where there should be 9'):
        open_clips(parse(str(copied)), 16)
    next(copied.glob('*train*')).write_bytes(b'nothing')
    with pytest.raises(InputError, match='cannot be read'):
        open_clips(parse(str(copied)), 16)

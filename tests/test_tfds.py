"""Pictures and labels from tfds datasets, in both of their formats, and datasets made of pictures."""

import json
import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader
from picture_folders import section

from dfjax.apps.cli import main
from dfjax.data.kinds import open_streams
from dfjax.data.media.image import write_image
from dfjax.data.media.video import VideoWriter
from dfjax.data.sets.open import open_dataset
from dfjax.data.sets.tfrecord import convert_dataset, masked_crc, read_records
from dfjax.errors import InputError


class Celebrities(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What celeb_a is like: pictures of 218 x 178 and a dictionary of truth values."""

    VERSION = tfds.core.Version('2.1.0')
    name = 'celeb_a'

    def _info(self):
        features = {
            'image': tfds.features.Image(shape=(218, 178, 3), encoding_format='jpeg'),
            'landmarks': {'nose_x': np.int64},
            'attributes': {'Male': np.bool_, 'Smiling': np.bool_},
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, manager):
        return {'train': self._generate_examples(0, 5), 'test': self._generate_examples(5, 7)}

    def _generate_examples(self, start, stop):
        for n in range(start, stop):
            data = cv2.imencode('.png', celebrity(n)[..., ::-1])[1].tobytes()
            yield n, {'image': data, 'landmarks': {'nose_x': n}, 'attributes': {'Male': n % 2 > 0, 'Smiling': n > 2}}


class Horses(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What cycle_gan/* is like: splits trainA and trainB."""

    VERSION = tfds.core.Version('1.0.0')
    name = 'horses'

    def _info(self):
        features = {'image': tfds.features.Image(), 'label': tfds.features.ClassLabel(names=['A', 'B'])}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, manager):
        return {'trainA': self._generate_examples('A', 30), 'trainB': self._generate_examples('B', 90)}

    def _generate_examples(self, label, value):
        for n in range(3):
            picture = np.full((40, 40, 3), value + n, np.uint8)
            yield n, {'image': cv2.imencode('.png', picture)[1].tobytes(), 'label': label}


def celebrity(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 255, (218, 178, 3), np.uint8)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """celeb_a in array_record, in tfrecord, and horses in array_record."""
    path = tmp_path_factory.mktemp('tfds')
    for builder in (Celebrities, Horses):
        made = builder(data_dir=path / 'work', file_format='array_record')
        made.download_and_prepare()
        made.data_path.rename(path / made.name)
    write_tfrecords(path / 'celeb_a', path / 'usual')
    return path


def write_tfrecords(source, target):
    """The dataset as TensorFlow would have prepared it, byte by byte."""
    target.mkdir()
    for file in source.iterdir():
        if '.array_record-' not in file.name:
            (target / file.name).write_text(file.read_text().replace('array_record', 'tfrecord'))
            continue
        data = b''
        reader = ArrayRecordReader(str(file))
        for record in reader.read([*range(reader.num_records())]):
            length = struct.pack('<Q', len(record))
            data += length + struct.pack('<I', masked_crc(length)) + record + struct.pack('<I', masked_crc(record))
        reader.close()
        (target / file.name.replace('array_record', 'tfrecord')).write_bytes(data)


def test_checksum_is_that_of_the_standard():
    """CRC-32C of '123456789' (RFC 3720 gives the polynomial, this value is its catalogue check), masked."""
    crc = 0xE3069283
    assert masked_crc(b'123456789') == ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def test_celebrities_with_their_labels(folder):
    source = open_streams('labelled', section(source=str(folder / 'celeb_a'), labels=('Smiling',), size=178))['']
    assert len(source) == 5
    found = {source[n]['image'].tobytes(): source[n]['label'].tolist() for n in range(5)}
    assert found == {celebrity(n)[20:198].tobytes(): [float(n > 2)] for n in range(5)}
    assert len(open_dataset(f'{folder / "celeb_a"}:test', 32)) == 2


def test_a_dataset_is_found_in_the_folder_that_tfds_keeps_it_in(folder, tmp_path):
    place = tmp_path / 'celeb_a' / '2.1.0'
    place.parent.mkdir()
    place.symlink_to(folder / 'celeb_a')
    for name in (place, place.parent, tmp_path):
        assert len(open_dataset(str(name), 32)) == 5 and len(open_dataset(f'{name}:test', 32)) == 2
    (tmp_path / 'celeb_a' / '2.0.1').symlink_to(folder / 'celeb_a')
    (tmp_path / 'cycle_gan' / 'horses').mkdir(parents=True)
    (tmp_path / 'cycle_gan' / 'horses' / '3.0.0').symlink_to(folder / 'horses')
    assert len(open_dataset(f'{tmp_path / "cycle_gan"}:trainA', 32)) == 3
    for name, found in ((place.parent, '2.0.1, .*2.1.0'), (tmp_path, 'horses/3.0.0')):
        with pytest.raises(InputError, match=f'{name}: several datasets; name one of them: .*{found}'):
            open_dataset(str(name), 32)


def test_splits_by_name(folder):
    names = (f'{folder / "horses"}:train{side}' for side in 'AB')
    streams = open_streams('unpaired', section(**dict(zip('ab', names))))
    for side, value in (('a', 30), ('b', 90)):
        assert sorted(int(streams[side][n]['image'].mean()) for n in range(3)) == [value, value + 1, value + 2]
    assert open_dataset(f'{folder / "horses"}:trainB', 32).labels['B'].tolist() == [True] * 3


def test_conversion_keeps_every_record(folder, tmp_path, capsys):
    usual, out = folder / 'usual', tmp_path / 'out'
    with pytest.raises(InputError, match=r'format tfrecord; `dfjax data convert .*/usual OUT` rewrites it once'):
        open_dataset(str(usual), 32)
    assert convert_dataset(usual, out) == 7
    names = {p.name for p in (folder / 'celeb_a').iterdir()}
    assert {p.name for p in out.iterdir()} == names
    for split, count in (('train', 5), ('test', 2)):
        ours, theirs = (tfds.builder_from_directory(p).as_data_source(split) for p in (out, folder / 'celeb_a'))
        assert len(ours) == count
        for mine, other in zip(ours, theirs):
            assert mine['attributes'] == other['attributes'] and (mine['image'] == other['image']).all()


def test_converted_sets_are_read_without_tensorflow(folder, tmp_path):
    out = tmp_path / 'out'
    code = (
        'import sys\n'
        'from dfjax.apps.cli import main\n'
        f'assert main(["data", "convert", {str(folder / "usual")!r}, {str(out)!r}]) == 0\n'
        'from dfjax.data.sets.open import open_dataset\n'
        f'assert len(open_dataset({str(out)!r}, 32).labels["Male"]) == 5\n'
        'assert "tensorflow" not in sys.modules\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_bad_datasets_get_one_line(folder, tmp_path, capsys):
    def broken(name, change):
        copy = tmp_path / name
        copy.mkdir()
        for file in (folder / 'usual').iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        change(copy)
        return str(copy)

    def shorten(copy):
        (file,) = copy.glob('*train.tfrecord*')
        file.write_bytes(file.read_bytes()[:-9])

    def flip(copy):
        (file,) = copy.glob('*train.tfrecord*')
        file.write_bytes(b'x' + file.read_bytes()[1:])

    def lose(copy):
        (file,) = copy.glob('*train.tfrecord*')
        first = next(read_records(file))
        file.write_bytes(file.read_bytes()[len(first) + 16 :])

    cases = {
        'damaged or not a tfrecord file': broken('short', shorten),
        'damaged or not a tfrecord': broken('flipped', flip),
        '4 records, but dataset_info.json says 5': broken('lost', lose),
        'cannot be read .No such file': broken('gone', lambda c: next(c.glob('*train.tfrecord*')).unlink()),
        'dataset_info.json: damaged': broken('json', lambda c: (c / 'dataset_info.json').write_text('{')),
        'no dataset_info.json in this folder': str(tmp_path),
        'already in the format array_record': str(folder / 'celeb_a'),
    }
    for message, source in cases.items():
        with pytest.raises(InputError, match=message) as caught:
            convert_dataset(source, tmp_path / 'out')
        assert '\n' not in str(caught.value) and not (tmp_path / 'out').exists()
    for message, name in (
        ('say which split, as .*horses:train.; there are: trainA, trainB', folder / 'horses'),
        ('say which split', f'{folder / "horses"}:trainC'),
    ):
        with pytest.raises(InputError, match=message):
            open_dataset(str(name), 32)
    assert main(['data', 'convert', str(folder / 'celeb_a'), str(tmp_path / 'out')]) == 2
    assert json.loads((folder / 'celeb_a' / 'dataset_info.json').read_text())['fileFormat'] == 'array_record'


# Packing


def test_pictures_are_packed_with_their_labels(tmp_path):
    """A folder keeps its bytes, rendered people their labels, and plain tfds reads both."""
    photos = tmp_path / 'photos'
    for n in range(3):
        write_image(photos / f'{n}.jpg', np.random.default_rng(n).integers(0, 255, (40, 30, 3), np.uint8))
    (photos / 'labels.csv').write_text('file,smile\n0.jpg,1\n1.jpg,0\n2.jpg,1\n')
    assert main(['pack', str(photos), '-o', str(tmp_path / 'a')]) == 0
    raw = {'image': tfds.decode.SkipDecoding()}
    rows = list(tfds.builder_from_directory(tmp_path / 'a').as_data_source('train', decoders=raw))
    assert [row['image'] for row in rows] == [(photos / f'{n}.jpg').read_bytes() for n in range(3)]
    one, two = (open_dataset(str(path), 32) for path in (photos, tmp_path / 'a'))
    assert one.labels['smile'].tolist() == two.labels['smile'].tolist() == [True, False, True]
    assert all((one[n]['image'] == two[n]['image']).all() for n in range(3))
    (photos / 'labels.csv').unlink()
    with VideoWriter(photos / 'clip.mp4', 10, (48, 32)) as writer:
        for n in range(2):
            writer.write(np.full((32, 48, 3), 90 * n + 40, np.uint8))
    assert main(['pack', str(photos), '-o', str(tmp_path / 'c'), '--size', '32']) == 0
    one, two = (open_dataset(str(path), 32) for path in (photos, tmp_path / 'c'))
    assert len(one) == 5 and all((one[n]['image'] == two[n]['image']).all() for n in range(5))

    assert main(['pack', 'render:people:5:3', '-o', str(tmp_path / 'b'), '--size', '32']) == 0
    one, two = (open_dataset(name, 32) for name in ('render:people:5:3', str(tmp_path / 'b')))
    assert {k: v.tolist() for k, v in one.labels.items()} == {k: v.tolist() for k, v in two.labels.items()}
    assert all((one[n]['image'] == two[n]['image']).all() for n in range(3))


def test_folders_that_cannot_be_packed_get_one_line(tmp_path, capsys):
    (tmp_path / 'none').mkdir()
    for name, message in (('none', 'not a face set'), ('gone', 'no such folder')):
        assert main(['pack', str(tmp_path / name), '-o', str(tmp_path / 'out')]) == 2
        assert message in capsys.readouterr().err
    assert main(['pack', 'render:people:1:2', '-o', str(tmp_path / 'out'), '--size', '8']) == 2

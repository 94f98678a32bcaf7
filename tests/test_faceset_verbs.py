"""The verbs on a face set: sort, check and pack."""

import itertools
import json
import logging
import shutil
import subprocess
import sys
from argparse import Namespace

import cv2
import numpy as np
import pytest
from fake_faces import COUNT, SIZE, edit_row, picture, write_faces

from dfjax.apps import check, pack, sort
from dfjax.data import render
from dfjax.data.faces.faceset import load_faceset
from dfjax.data.media.image import write_image
from dfjax.data.media.inputs import ROWS
from dfjax.data.sets import pack as packing
from dfjax.data.sets.open import open_dataset
from dfjax.errors import InputError

pytestmark = pytest.mark.whole


@pytest.fixture
def faces(tmp_path):
    return write_faces(tmp_path / 'faces')


# sort


def ranked(path) -> list[int]:
    """Numbers of the faces, in the order a file browser shows."""
    return [int(p.stem.split('_')[-1]) // 3 for p in sorted(path.glob('*.png'))]


def test_sort_by_brightness_and_back(faces):
    before = (faces / ROWS).read_bytes()
    plain = sorted(p.name for p in faces.iterdir())
    report = sort.sort_faces(faces, 'brightness', reverse=True)
    assert ranked(faces) == [5, 4, 3, 2, 1, 0]
    assert report['first'] == '00000@one_000015.png' and report['faces'] == COUNT
    assert (faces / ROWS).read_bytes() == before
    assert [row.face.frame for row in load_faceset(faces).rows] == [0, 3, 6, 9, 12, 15]  # a run reads as before
    sort.sort_faces(faces, 'brightness')
    assert ranked(faces) == [0, 1, 2, 3, 4, 5]
    sort.sort_faces(faces, 'name')
    assert sorted(p.name for p in faces.iterdir()) == plain


def test_sort_by_blur(tmp_path):
    sigma = [2.0, 0.3, 4.0, 1.0]

    def draw(n, side):
        return cv2.GaussianBlur(picture(3, side), (0, 0), sigma[n])

    path = write_faces(tmp_path / 'f', count=4, size=128, draw=draw)
    sort.sort_faces(path, 'blur')
    assert ranked(path) == [1, 3, 0, 2]


def test_sort_by_identity_puts_others_last(faces):
    stranger = np.random.default_rng(1).normal(0, 0.1, 128).tolist()
    for number in (2, 5):
        edit_row(faces, number, descriptor=stranger)
    edit_row(faces, 3, descriptor=None)
    sort.sort_faces(faces, 'identity')
    assert set(ranked(faces)[:3]) == {0, 3, 5} and set(ranked(faces)[3:5]) == {1, 4} and ranked(faces)[5] == 2


def test_sort_by_similarity_keeps_kinds_together(tmp_path):
    """Two faces with small changes each, taken in turns, come apart."""
    two = [cv2.GaussianBlur(picture(n), (0, 0), 3) for n in (0, 1)]
    path = write_faces(tmp_path / 'f', count=12, draw=lambda n, side: np.roll(two[n % 2], n // 4, 0))
    sort.sort_faces(path, 'similarity')
    kinds = [n % 2 for n in ranked(path)]
    assert sum(a != b for a, b in itertools.pairwise(kinds)) == 1


@pytest.mark.parametrize('by, agree', [('yaw', 0.95), ('pitch', 0.8)])
def test_sort_by_pose_agrees_with_rendered_heads(tmp_path, by, agree):
    """The rank of each of four people's poses against the truth."""
    rng, correlations = np.random.default_rng(0), []
    for person in range(4):
        motion = render.animate(person, 16)
        motion |= {'yaw': rng.uniform(-40, 40, 16), 'pitch': rng.uniform(-20, 20, 16)}
        heads = render.render(render.random_identity(person), motion, 64)
        path = write_faces(tmp_path / str(person), count=16, size=64, draw=lambda n, side, heads=heads: heads.image[n])
        for n in range(16):
            edit_row(path, n + 1, landmarks_aligned=heads.landmarks[n].tolist())
        sort.sort_faces(path, by)
        correlations.append(np.corrcoef(motion[by][ranked(path)], np.arange(16))[0, 1])
    assert min(correlations) > agree, correlations


def test_sort_changes_nothing_when_a_picture_is_damaged(faces):
    sort.sort_faces(faces, 'brightness')
    names = sorted(p.name for p in faces.iterdir())
    (faces / '00003@one_000009.png').write_bytes(b'')
    with pytest.raises(InputError, match=r'00003@one_000009.png'):
        sort.sort_faces(faces, 'yaw', reverse=True)
    assert sorted(p.name for p in faces.iterdir()) == names


def test_sort_needs_descriptors_for_identity(tmp_path):
    path = write_faces(tmp_path / 'f', descriptor=False)
    with pytest.raises(InputError, match='no face has an identity descriptor'):
        sort.sort_faces(path, 'identity')


# check


def test_check_names_what_is_wrong(faces):
    def name(n):
        return f'one_{3 * n:06d}.png'

    (faces / name(0)).write_bytes((faces / name(0)).read_bytes()[:200])
    write_image(faces / name(1), picture(1, 40))
    write_image(faces / name(2), cv2.GaussianBlur(picture(2), (0, 0), 5))
    write_image(faces / name(3), picture(3) // 20)
    edit_row(faces, 5, descriptor=np.ones(128).tolist(), matrix=[[5, 0, 0], [0, 5, 0]])
    shutil.copy(faces / name(5), faces / 'mine.png')
    report = check.check_faces(faces)
    reasons = {key: [r.split(' (')[0] for r in why] for key, why in report['unusable'].items()}
    assert reasons == {
        name(0): ['unreadable'],
        name(1): ['wrong size'],
        name(2): ['blurred'],
        name(3): ['blurred', 'too dark'],
        name(4): ['too small in its source', 'another person'],
        'mine.png': ['no line in faces.jsonl'],
    }
    assert '(40x40, the face set has 48x48)' in report['unusable'][name(1)][0]
    assert (report['faces'], report['usable']) == (7, 1)


def test_check_moves_what_is_unusable(faces, tmp_path):
    (faces / 'one_000000.png').write_bytes(b'')
    report = check.run(Namespace(faces=faces, move=tmp_path / 'bad'))
    assert report['unusable'] == ['one_000000.png: unreadable'] and report['reasons'] == {'unreadable': 1}
    assert report['usable'] == COUNT - 1 and len(load_faceset(faces)) == COUNT - 1
    assert [p.name for p in (tmp_path / 'bad').iterdir()] == ['one_000000.png']
    (faces / 'one_000000.png').write_bytes(b'')
    with pytest.raises(InputError, match='exists; name another folder'):
        check.run(Namespace(faces=faces, move=tmp_path / 'bad'))


# pack


def test_packed_set_reads_as_the_folder_does(faces, tmp_path):
    packed = tmp_path / 'packed'
    see_through = np.dstack([picture(0), np.full((SIZE, SIZE), 128, np.uint8)])  # tfds would give four channels
    cv2.imwrite(str(faces / 'one_000003.png'), see_through)
    report = pack.pack(faces, packed, force=False)
    assert report['faces'] == COUNT and report['bytes'] > COUNT * SIZE * SIZE
    folder, dataset = (open_dataset(str(p), 32, 'full').arrays() for p in (faces, packed))
    assert folder.keys() == dataset.keys()
    for key in folder:
        assert (folder[key] == dataset[key]).all(), key
    with pytest.raises(InputError, match='--force'):
        pack.pack(faces, packed, force=False)
    pack.pack(faces, packed, force=True)


def test_packed_outlines_are_the_masks(faces, tmp_path):
    """A square with a hole, a hole in what the landmarks say, and a face without; as other readers of tfds have it."""
    import tensorflow_datasets as tfds

    square = lambda label, low, high: {'label': label, 'points': [[low, low], [high, low], [high, high], [low, high]]}
    drawn = [[square('face', 8, 40), square('not face', 16, 24)], [square('not face', 16, 32)]]
    for n, shapes in enumerate(drawn):
        (faces / f'one_{3 * n:06d}.json').write_text(json.dumps({'shapes': shapes}))
    pack.pack(faces, tmp_path / 'packed', force=False)
    masks = open_dataset(str(tmp_path / 'packed'), SIZE, 'full').arrays()['mask'] > 127
    truth = np.zeros((SIZE, SIZE), bool)
    truth[8:40, 8:40] = True
    truth[16:24, 16:24] = False
    assert (masks[0] == truth).all() and not masks[1, 17:31, 17:31].any() and masks[2, 17:31, 17:31].all()
    for size in (SIZE, 20):
        both = (open_dataset(str(p), size, 'full').arrays()['mask'] for p in (faces, tmp_path / 'packed'))
        np.testing.assert_array_equal(*both)
    row = tfds.builder_from_directory(tmp_path / 'packed').as_data_source()['train'][0]
    assert row['drawn_points'].tolist() == [4, 4] and row['drawn_face'].tolist() == [True, False]
    assert row['drawn'][:2].tolist() == [[7.5, 7.5], [39.5, 7.5]]


def test_a_full_disk_while_packing_is_one_line_and_nothing_stays(faces, tmp_path, monkeypatch):
    def full(*args, **options):
        raise RuntimeError('Failed to finalize writing: write() failed: No space left on device; writing x')

    monkeypatch.setattr(packing.FaceSetBuilder, 'download_and_prepare', full)
    with pytest.raises(InputError, match='packed: the disk is full; free some space'):
        pack.pack(faces, tmp_path / 'packed', force=False)
    assert not list(tmp_path.glob('*packed*'))


def test_plain_tfds_reads_a_packed_set_without_tensorflow(tmp_path):
    pack.pack(write_faces(tmp_path / 'f', descriptor=False), tmp_path / 'packed', force=False)
    code = (
        'import sys, tensorflow_datasets as tfds\n'
        f'data = tfds.builder_from_directory({str(tmp_path / "packed")!r}).as_data_source()["train"]\n'
        'x = data[2]\n'
        'print(len(data), x["image"].shape, x["file"].decode(), x["frame"], x["polygon"].shape)\n'
        'assert "tensorflow" not in sys.modules and "dfjax" not in sys.modules\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split('\n')[0] == f'{COUNT} ({SIZE}, {SIZE}, 3) one_000006.png 6 (27, 2)', done.stderr


def test_packing_is_quiet_and_leaves_logging_as_it_was(faces, tmp_path, capfd):
    log = logging.getLogger('absl')
    before = log.level
    log.setLevel(logging.INFO)
    pack.pack(faces, tmp_path / 'packed', force=False)
    assert log.level == logging.INFO
    log.setLevel(before)
    assert capfd.readouterr() == ('', '')


def test_bad_packed_sets_get_one_line(tmp_path, faces):
    import tensorflow_datasets as tfds

    packed = tmp_path / 'packed'
    pack.pack(faces, packed, force=False)
    with pytest.raises(InputError, match='packed: faces of type full, where head is needed'):
        open_dataset(str(packed), SIZE, 'head')
    for file, data in (('dataset_info.json', b'{'), ('features.json', b''), ('*array_record*', b'12345678' * 9)):
        broken = shutil.copytree(packed, tmp_path / f'broken_{file[:3].strip("*")}')
        next(broken.glob(file)).write_bytes(data)
        with pytest.raises(InputError, match='a dataset that cannot be read') as caught:
            open_dataset(str(broken), SIZE, 'full')
        assert str(broken) in str(caught.value) and '\n' not in str(caught.value)

    class Other(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version('1.0.0')

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({'image': np.int32}))

        def _split_generators(self, manager):
            return {'train': ((n, {'image': n}) for n in range(3))}

        def _generate_examples(self):
            raise NotImplementedError

    other = Other(data_dir=tmp_path / 'other', file_format='array_record')
    other.download_and_prepare()
    with pytest.raises(InputError, match='no picture in this dataset; it has image'):
        open_dataset(str(other.data_dir), SIZE, 'full')

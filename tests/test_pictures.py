"""Folders of pictures and face sets as sources: what is read, in which order, with which labels; what is left out."""

import cv2
import numpy as np
import pytest
from fake_faces import write_faces
from ml_collections import ConfigDict
from picture_folders import SIZE, cut_short, section, values, write

from dfjax.data.batches import make_data
from dfjax.data.faces.faceset import load_faceset
from dfjax.data.kinds import open_streams
from dfjax.data.media.image import squared
from dfjax.data.sets.open import open_dataset
from dfjax.data.sets.pack import pack_faceset
from dfjax.errors import InputError


def test_squares_are_cut_from_the_middle():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = np.arange(10)[None, :, None] * 20
    assert (squared(wide, 10) == wide[:, 10:20]).all()
    assert (squared(wide, 4, crop=4) == wide[3:7, 13:17]).all()
    assert (squared(wide, 10, crop=50) == wide[:, 10:20]).all()
    half = squared(wide, 5)
    assert (half == wide[:, 10:20].reshape(5, 2, 5, 2, 3).mean((1, 3)).round()).all()
    assert squared(wide, 40).shape == (40, 40, 3)


def test_a_folder_is_read_with_its_folders_in_order(tmp_path):
    write(tmp_path, {'b/2.png': 20, 'a/1.png': 10, 'c.jpg': 30, '.hidden/x.png': 99, '.x.png': 98}, height=50, width=80)
    (tmp_path / 'notes.txt').write_text('no picture')
    source = open_dataset(str(tmp_path), SIZE)
    assert values(source) == [10, 20, 30] and not source.labels
    assert source[0]['image'].shape == (SIZE, SIZE, 3) and source[0]['image'].dtype == np.uint8


def test_pictures_of_every_kind_become_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / '1.png'), np.full((9, 9), 50, np.uint8))
    cv2.imwrite(str(tmp_path / '2.png'), np.full((9, 9, 3), 200 * 256, np.uint16))
    cv2.imwrite(str(tmp_path / '3.png'), np.dstack([np.full((9, 9, 3), 100, np.uint8), np.zeros((9, 9), np.uint8)]))
    assert values(open_dataset(str(tmp_path), 9)) == [50, 200, 255]


def test_pictures_that_cannot_be_read_are_left_out_and_named(tmp_path, capsys):
    write(tmp_path, {'1.png': 10, '3.png': 30})
    (tmp_path / '2.png').write_bytes(b'nothing')
    (tmp_path / '4.jpg').write_bytes(b'')
    source = open_dataset(str(tmp_path), SIZE)
    assert values(source) == [10, 30]
    said = capsys.readouterr().err
    assert '2 of 4 pictures' in said and '2.png: not a picture' in said and '4.jpg: the file is empty' in said


def test_a_folder_is_opened_by_its_headers_alone(tmp_path, monkeypatch):
    write(tmp_path, {f'{n}.{suffix}': 10 * n for n, suffix in enumerate(('png', 'jpg', 'webp', 'bmp', 'tif'), 1)})
    with monkeypatch.context() as patched:
        patched.setattr('dfjax.data.sets.images.read_image', None)
        source = open_dataset(str(tmp_path), SIZE)
    assert np.abs(np.subtract(values(source), [10, 20, 30, 40, 50])).max() <= 1
    (tmp_path / '2.jpg').unlink()
    with pytest.raises(InputError, match=r'2.jpg: no such file'):
        source[1]


def test_a_damaged_picture_is_named_when_it_is_met(tmp_path, capsys):
    """Resident sets say it before the first step, streamed ones when its turn comes; labels stay those of the files."""
    write(tmp_path, {f'x/{n}.png': 10 for n in range(4)} | {f'y/{n}.png': 20 for n in range(4)})
    cut_short(tmp_path, 'x/5.jpg')
    source = open_dataset(str(tmp_path), SIZE)
    assert len(source) == 9 and not capsys.readouterr().err
    assert source.labels['x'].tolist() == [True] * 5 + [False] * 4
    for limit, when in ((2**30, 'at once'), (0, 'later')):
        cfg = ConfigDict(
            dict(seed=0, batch_size=4, data=section(source=str(tmp_path), labels=(), resident_bytes=limit))
        )
        with pytest.raises(InputError, match=r'^[^\n]*x/5.jpg: not a picture that can be read, or cut short[^\n]*$'):
            data = make_data(cfg, 'labelled')
            assert when == 'later'
            for _ in range(3):
                data.feed(1)
    cut_short(tmp_path, 'y/6.jpg')
    with pytest.raises(InputError, match=rf'^{tmp_path}: 2 of 10 cannot be read, among them [^\n]*x/5.jpg'):
        open_dataset(str(tmp_path), SIZE).arrays()


def test_folders_in_a_folder_are_labels(tmp_path):
    write(tmp_path, {'summer/1.png': 10, 'summer/2.png': 20, 'winter/deep/1.png': 30})
    source = open_dataset(str(tmp_path), SIZE)
    assert {k: v.tolist() for k, v in source.labels.items()} == {
        'summer': [True, True, False],
        'winter': [False, False, True],
    }


def test_a_table_of_something_else_matters_only_where_labels_are_wanted(tmp_path):
    write(tmp_path, {'1.png': 10, '2.png': 20})
    (tmp_path / 'notes.csv').write_text('when,where\n2020,home\n')
    assert len(open_streams('labelled', section(source=str(tmp_path), labels=()))['']) == 2
    with pytest.raises(InputError, match=r'notes.csv: no column has the names of the pictures'):
        open_streams('labelled', section(source=str(tmp_path), labels=('smile',)))


def test_a_face_set_is_a_picture_source(tmp_path):
    source = open_dataset(str(write_faces(tmp_path / 'faces', count=3)), SIZE)
    assert len(source) == 3 and source[1]['image'].shape == (SIZE, SIZE, 3)


def test_a_face_set_of_another_type_than_is_asked_for_is_refused(tmp_path):
    faces = str(write_faces(tmp_path / 'faces', count=3))
    pack_faceset(load_faceset(faces), tmp_path / 'packed')
    for name in (faces, str(tmp_path / 'packed')):
        assert len(open_dataset(name, SIZE, 'full')) == 3
        with pytest.raises(InputError, match=f'{name}: faces of type full, where whole_face is needed'):
            open_dataset(name, SIZE, 'whole_face')

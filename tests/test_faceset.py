"""The face set on disk: writing, reading, its arrays and its contact sheet, and what is said of bad ones."""

import json
import shutil

import cv2
import numpy as np
import pytest
from fake_faces import COUNT, FACE, SIZE, edit_line, edit_row, picture, write_faces

from dfjax.data.faces.face import Face
from dfjax.data.faces.faceset import FaceSetWriter, gather, load_faceset, read_face
from dfjax.data.faces.sheet import contact_sheet
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.inputs import ROWS, SHEET
from dfjax.errors import InputError


@pytest.fixture
def faces(tmp_path):
    return write_faces(tmp_path / 'faces')


def test_what_is_written_is_read(faces):
    loaded = load_faceset(faces)
    assert (loaded.face_type, loaded.size, len(loaded)) == ('full', SIZE, COUNT)
    assert [row.file for row in loaded.rows] == [f'one_{3 * n:06d}.png' for n in range(COUNT)]
    for n, row in enumerate(loaded.rows):
        assert (read_image(row.path) == picture(n)).all()
        assert np.allclose(row.landmarks, FACE * SIZE, atol=2e-3)  # the matrix takes the source's to the picture's
        assert np.allclose(row.face.landmarks, FACE * 2 * SIZE + (10 * n, 5), atol=1e-4)
        assert (row.face.frame, row.face.time, row.face.source) == (3 * n, n / 8, 'one.mp4')
    assert loaded.descriptors().shape == (COUNT, 128) and np.isfinite(loaded.descriptors()).all()
    assert (faces / SHEET).is_file() and not [p for p in faces.parent.iterdir() if p != faces]


def test_every_line_has_what_the_design_names(faces):
    row = json.loads((faces / ROWS).read_text().splitlines()[0])
    names = 'file source frame time box landmarks matrix landmarks_aligned polygon descriptor sharpness face_type size'
    assert set(names.split()) <= row.keys()


def test_deleting_a_picture_removes_the_face(faces):
    (faces / 'one_000006.png').unlink()
    assert [row.face.frame for row in load_faceset(faces).rows] == [0, 3, 9, 12, 15]


def test_faces_of_one_name_do_not_overwrite_each_other(tmp_path):
    with FaceSetWriter(tmp_path / 'f', 'full', SIZE, format='jpg') as writer:
        for source in ('x/one.mp4', 'x/one.mp4', 'y/one.mp4', 'z/00012@one.mp4'):
            face = Face(source, 4, 0.1, (0, 0, 1, 1), 1.0, np.float32(FACE * SIZE))
            writer.add(picture(0), face, np.eye(2, 3), FACE[:17] * SIZE)
    files = sorted(row.file for row in load_faceset(tmp_path / 'f').rows)
    assert files == ['00012_one_000004.jpg', 'one_000004.jpg', 'one_000004_1.jpg', 'one_000004_2.jpg']


def test_writer_leaves_nothing_half_written(tmp_path):
    with pytest.raises(RuntimeError), FaceSetWriter(tmp_path / 'f', 'full', SIZE) as writer:
        writer.add(picture(0), Face('a', 0, 0, (0, 0, 1, 1), 1, np.float32(FACE)), np.eye(2, 3), FACE[:17])
        raise RuntimeError
    with pytest.raises(InputError, match='no face to write'), FaceSetWriter(tmp_path / 'f', 'full', SIZE):
        pass
    assert list(tmp_path.iterdir()) == []


def test_writer_refuses_what_is_there(faces):
    with pytest.raises(InputError, match=r'exists.*--force'):
        write_faces(faces)
    write_faces(faces, count=2, force=True)
    assert len(load_faceset(faces)) == 2
    (faces / ROWS).unlink()  # now it could be anybody's pictures
    with pytest.raises(InputError, match=ROWS):
        write_faces(faces, force=True)
    assert len(list(faces.glob('one_*.png'))) == 2


def faceset_arrays(folder, size):
    rows, stored = load_faceset(folder).rows, load_faceset(folder).size
    return gather(lambda n: read_face(rows[n], stored, size), len(rows))


@pytest.mark.parametrize('size', [SIZE, 24, 96])
def test_arrays_keep_their_coordinates_at_any_size(tmp_path, size):
    """A dot drawn at a landmark stays at it, and the mask covers what the polygon covers."""

    def dot(n, side):
        y, x = np.mgrid[:side, :side]
        light = np.exp(-0.5 * ((x - FACE[36, 0] * side) ** 2 + (y - FACE[36, 1] * side) ** 2) / 3**2)
        return np.uint8(np.round(255 * np.repeat(light[..., None], 3, -1)))

    arrays = faceset_arrays(write_faces(tmp_path / 'dots', count=2, draw=dot), size)
    assert {k: (v.shape, str(v.dtype)) for k, v in arrays.items()} == {
        'image': ((2, size, size, 3), 'uint8'),
        'mask': ((2, size, size), 'uint8'),
        'landmarks': ((2, 68, 2), 'float32'),
        'descriptor': ((2, 128), 'float32'),
    }
    light = arrays['image'][0, ..., 0].astype(float)
    ys, xs = np.mgrid[:size, :size]
    centre = np.array([(xs * light).sum(), (ys * light).sum()]) / light.sum()
    assert np.allclose(centre, arrays['landmarks'][0, 36] * size - 0.5, atol=0.02 * size / 24)
    outline = np.concatenate([FACE[:17], FACE[26:16:-1] - (0, 0.15)])
    area = cv2.contourArea(outline.astype(np.float32))
    assert arrays['mask'][0].mean() / 255 == pytest.approx(area, rel=0.03)


def test_contact_sheet_shows_each_face_once(faces):
    sheet = contact_sheet([(row.path, str(row.face.frame)) for row in load_faceset(faces).rows], side=SIZE)
    cell = SIZE + 4
    for n in range(COUNT):  # 3 columns of 2
        y, x = 4 + n // 3 * (cell + 15), 4 + n % 3 * cell
        assert (sheet[y : y + SIZE, x : x + SIZE] == picture(n)).all()
    assert sheet.shape == (4 + 2 * (cell + 15), 4 + 3 * cell, 3)


# bad input: one line that names the file


def bad_folders(tmp_path, faces):
    """(what load_faceset is given, what it says)."""
    (tmp_path / 'empty').mkdir()
    yield tmp_path / 'none', 'none: no such folder'
    yield tmp_path / 'empty', 'empty: not a face set'
    for number, change in enumerate((lambda s: s[:40], lambda s: '[1]', lambda s: s.replace('landmarks_al', 'x'))):
        damaged = shutil.copytree(faces, tmp_path / f'damaged{number}')
        edit_line(damaged, 3, change)
        yield damaged, 'line 3 is damaged'
    for number, values in enumerate(({'descriptor': [1.0]}, {'landmarks': [[0, 0]]}, {'polygon': [[1e999, 0]] * 4})):
        damaged = shutil.copytree(faces, tmp_path / f'values{number}')
        edit_row(damaged, 4, **values)
        yield damaged, 'line 4 is damaged'
    mixed = shutil.copytree(faces, tmp_path / 'mixed')
    edit_row(mixed, 2, size=64)
    yield mixed, 'line 2 has another face type or size'
    bare = shutil.copytree(faces, tmp_path / 'bare')
    for file in bare.glob('one_*.png'):
        file.unlink()
    yield bare, 'the face set is empty'
    copied = shutil.copytree(faces, tmp_path / 'copied')
    shutil.copy(copied / 'one_000003.png', copied / '00007@one_000003.png')
    yield copied, 'one_000003.png: the same face as 00007@one_000003.png; delete one'


def test_bad_face_sets_get_one_line(tmp_path, faces):
    for path, message in bad_folders(tmp_path, faces):
        with pytest.raises(InputError, match=message) as caught:
            load_faceset(path)
        assert str(path) in str(caught.value) and '\n' not in str(caught.value)


def test_a_picture_of_another_size_is_named(faces):
    write_image(faces / 'one_000003.png', picture(1, 40))
    with pytest.raises(InputError, match=r'one_000003.png: 40x40 pixels, but its face set has 48x48'):
        faceset_arrays(faces, SIZE)

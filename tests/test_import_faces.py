"""Face sets of DeepFaceLab, as its own format writes them, and such as are refused."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from aligned import SIDE, Evil, check_pictures, crop_matrix, landmarks_of, with_segment, write_dfl
from fake_faces import FACE

from dfjax.apps.cli import main
from dfjax.data.faces.faceset import load_faceset, read_face
from dfjax.data.faces.polygons import outlines_path, read_outlines
from dfjax.errors import InputError
from dfjax.inference.facesets import import_faces

pytestmark = pytest.mark.whole


@pytest.mark.parametrize('protocol', [3, 4, 5])
def test_faces_of_deepfacelab(tmp_path, protocol, capsys):
    source = write_dfl(tmp_path / 'aligned', protocol=protocol)
    cv2.imwrite(str(source / 'other.jpg'), np.zeros((SIDE, SIDE, 3), np.uint8))
    assert main(['import', 'faceset', str(source), '-o', str(tmp_path / 'faces'), '--json']) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report | {'out': 0} == {'out': 0, 'faces': 3, 'left': 1, 'masks': {}, 'face_type': 'full', 'size': SIDE}
    assert 'other.jpg: a picture without face data of DeepFaceLab' in said.err
    loaded = check_pictures(tmp_path / 'faces', 3)
    assert [row.face.source for row in loaded.rows] == ['00000.png', '00001.png', '00002.png']
    assert loaded.rows[1].face.box == (100, 60, 220, 190)


def square(n, low, high):
    """A square, in pixels of the picture."""
    return np.float32([[low, low], [high, low], [high, high], [low, high]])


def test_what_was_drawn_and_what_a_net_saw_come_along(tmp_path):
    """Of three faces one has polygons, one a mask of half the side, and one neither."""
    polygons = {'polys': [{'type': 1, 'pts': square(0, 30, 100)}, {'type': 0, 'pts': square(0, 50, 70)}]}
    seen = np.zeros((SIDE // 2, SIDE // 2), np.uint8)
    seen[20:50, 16:40] = 255
    packed = cv2.imencode('.png', seen)[1]
    source = write_dfl(
        tmp_path / 'aligned',
        seg_ie_polys=lambda n: polygons if n == 0 else None,
        xseg_mask=lambda n: packed if n == 1 else None,
    )
    assert import_faces(source, tmp_path / 'faces', progress=False)['masks'] == {'drawn': 1, 'xseg': 1}
    rows = load_faceset(tmp_path / 'faces').rows
    files = [outlines_path(row.path, row.file) for row in rows]
    assert [file.is_file() for file in files] == [True, True, False]
    assert not read_outlines(files[0]).ours and read_outlines(files[1]).ours
    drawn = np.zeros((SIDE, SIDE), np.float32)
    drawn[30:101, 30:101] = 255
    drawn[50:71, 50:71] = 0
    large = cv2.resize(seen, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST).astype(np.float32)
    for n, truth in ((0, drawn), (1, large)):
        before = crop_matrix(landmarks_of(n), 2.2)
        back = np.linalg.inv(np.vstack([before, [0, 0, 1]]))
        matrix = (np.vstack([rows[n].matrix, [0, 0, 1]]) @ back)[:2]
        truth = cv2.warpAffine(truth, matrix, (SIDE, SIDE)) > 127
        found = read_face(rows[n], SIDE, SIDE)['mask'] > 127
        assert (found & truth).sum() / (found | truth).sum() > 0.95


def test_a_wider_type_than_the_pictures_is_refused(tmp_path):
    source = write_dfl(tmp_path / 'aligned')
    with pytest.raises(
        InputError, match=r'00000_0.jpg: shows a full face, which is less than head; give --face-type full'
    ):
        import_faces(source, tmp_path / 'faces', face_type='head', progress=False)
    assert import_faces(source, tmp_path / 'faces', face_type='half', size=64, progress=False)['size'] == 64
    assert not (tmp_path / 'faces').joinpath('other').exists()
    check_pictures(tmp_path / 'faces', 3)


@pytest.mark.parametrize(
    ('facts', 'said'),
    [
        (
            pickle.dumps({'landmarks': Evil()}),
            r"refused: its face data holds the global 'posix.system'; nothing in it was",
        ),
        (pickle.dumps({'face_type': 'full_face'}), "damaged (no 'landmarks')"),
        (pickle.dumps({'landmarks': [[0.0, 1.0]] * 68}), 'all in one place'),
        (pickle.dumps({'landmarks': [[0.0, 1.0]] * 5}), 'an array of shape (5, 2)'),
        (pickle.dumps({'landmarks': FACE.tolist(), 'face_type': 'nose'}), "face type 'nose'"),
        (pickle.dumps({'landmarks': (80 * FACE).tolist(), 'xseg_mask': b'no picture'}), 'its mask: not a picture'),
        (pickle.dumps({'landmarks': (80 * FACE).tolist(), 'seg_ie_polys': [(7, FACE)]}), 'a polygon that is neither'),
        (pickle.dumps([1]), 'no table'),
        (pickle.dumps({'landmarks': FACE})[:40], 'damaged'),
        (b'', 'damaged'),
    ],
)
def test_face_data_that_is_none_is_left_out_in_one_line(tmp_path, monkeypatch, capsys, facts, said):
    monkeypatch.chdir(tmp_path)
    source = write_dfl(tmp_path / 'aligned', count=2)
    with_segment(source / '00000_0.jpg', np.zeros((SIDE, SIDE, 3), np.uint8), facts)
    assert import_faces(source, tmp_path / 'faces', progress=False)['left'] == 1
    line = capsys.readouterr().err.strip()
    assert line.startswith(f'left out: {source / "00000_0.jpg"}: ') and said in line and '\n' not in line
    assert not Path('evil').exists()


def test_folders_without_faces_are_refused(tmp_path):
    (tmp_path / 'empty').mkdir()
    cv2.imwrite(str(tmp_path / 'empty.jpg'), np.zeros((9, 9, 3)))
    (tmp_path / 'plain').mkdir()
    cv2.imwrite(str(tmp_path / 'plain' / 'a.jpg'), np.zeros((9, 9, 3)))
    cases = [('empty', 'holds no .jpg'), ('plain', 'of its pictures none has face data'), ('none', 'give a folder')]
    for name, said in (*cases, ('empty.jpg', 'give a folder')):
        with pytest.raises(InputError, match=said) as error:
            import_faces(tmp_path / name, tmp_path / 'faces')
        assert str(error.value).startswith(str(tmp_path / name))
    assert not (tmp_path / 'faces').exists()

"""Alignments of faceswap, as its own formats write them, and such as are refused."""

import json
import pickle
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from aligned import SIDE, Evil, check_pictures, crop_matrix, frame_of, landmarks_of, moved, write_dfl
from test_convert import write_video

from dfjax.apps.cli import main
from dfjax.data.faces.faceset import load_faceset, read_face
from dfjax.data.media.video import open_video
from dfjax.errors import InputError
from dfjax.inference.facesets import import_faces

pytestmark = pytest.mark.whole


def row_of(n, **more):
    points = landmarks_of(n)
    x, y, w, h = (int(v) for v in (*points.min(0), *np.ptp(points, 0)))
    return {'x': x, 'y': y, 'w': w, 'h': h, 'landmarks_xy': points.astype(np.float32), 'mask': {}} | more


def mask_of(n, side=64):
    """A disc round the face's middle, stored by a matrix of its own."""
    points = landmarks_of(n)
    matrix = crop_matrix(points, 1.3) * side / SIDE
    y, x = np.mgrid[:side, :side]
    disc = np.uint8(255 * (np.hypot(x - side / 2, y - side / 2) < side / 3))
    stored = {'mask': zlib.compress(disc.tobytes()), 'affine_matrix': matrix, 'interpolator': 2, 'stored_size': side}
    return stored | {'stored_centering': 'face'}


def write_fsa(path, frames, **meta):
    path.write_bytes(zlib.compress(pickle.dumps({'__meta__': {'version': 2.4} | meta, '__data__': frames})))
    return path


def frames_in(folder, count=3):
    folder.mkdir(exist_ok=True)
    for n in range(count):
        cv2.imwrite(str(folder / f'{n:03d}.png'), frame_of(n)[..., ::-1])
    return folder


def test_alignments_beside_a_folder(tmp_path):
    folder = frames_in(tmp_path / 'frames')
    masks = {'components': mask_of(1), 'vgg-clear': mask_of(0), 'bisenet-fp_head': mask_of(1)}
    rows = [row_of(0, mask=masks, thumb=np.zeros(50, np.uint8)), row_of(1), row_of(2)]
    write_fsa(
        folder / 'alignments.fsa', {f'{n:03d}.png': {'faces': [row], 'video_meta': {}} for n, row in enumerate(rows)}
    )
    report = import_faces(folder, tmp_path / 'faces', size=SIDE, face_type='whole_face', progress=False)
    assert report['masks'] == {'vgg-clear': 1} and report['left'] == 0
    loaded = check_pictures(tmp_path / 'faces', 3)
    assert loaded.face_type == 'whole_face' and [row.face.source for row in loaded.rows] == [
        '000.png',
        '001.png',
        '002.png',
    ]
    centre = moved(np.array([[32.0, 32.0]]), cv2.invertAffineTransform(mask_of(0)['affine_matrix']))
    to = moved(centre, loaded.rows[0].matrix)[0]
    found = read_face(loaded.rows[0], SIDE, SIDE)['mask'] > 127
    np.testing.assert_allclose(np.argwhere(found).mean(0)[::-1], to, atol=0.6)
    scale = np.sqrt(np.linalg.det(loaded.rows[0].matrix[:, :2]) / np.linalg.det(mask_of(0)['affine_matrix'][:, :2]))
    assert found.sum() == pytest.approx(np.pi * (scale * 64 / 3) ** 2, rel=0.04)


def test_alignments_of_a_video_count_from_one(tmp_path):
    video = write_video(tmp_path / 'talk.mp4', 4)
    rows = {f'talk_{n + 1:06d}.mp4': {'faces': [row_of(n)]} for n in (1, 3)}
    write_fsa(tmp_path / 'talk_alignments.fsa', rows | {'talk_000009.mp4': {'faces': [row_of(0)]}})
    report = import_faces(tmp_path / 'talk_alignments.fsa', tmp_path / 'faces', progress=False)
    assert (report['faces'], report['left'], report['size']) == (2, 1, 256)
    loaded = load_faceset(tmp_path / 'faces')
    assert [row.face.frame for row in loaded.rows] == [1, 3] and loaded.rows[0].face.source == 'talk.mp4'
    with open_video(video) as (_, frames):
        times = [frame.time for frame in frames]
    assert loaded.rows[1].face.time == pytest.approx(times[3])


def test_older_alignments_are_json_of_lists(tmp_path):
    folder = frames_in(tmp_path / 'frames')
    rows = {}
    for n in range(3):
        row = row_of(n)
        points = row.pop('landmarks_xy')
        rows[f'{n:03d}.png'] = [{key: row[key] for key in 'xywh'} | {'landmarksXY': points.tolist()}]
    rows['002.png'][0]['r'] = 90
    (tmp_path / 'old.json').write_text(json.dumps(rows))
    report = import_faces(tmp_path / 'old.json', tmp_path / 'faces', folder, size=SIDE, progress=False)
    assert (report['faces'], report['left']) == (2, 1)
    check_pictures(tmp_path / 'faces', 2)


def bad_alignments(folder):
    good = zlib.compress(pickle.dumps({'__data__': {'000.png': {'faces': [row_of(0)]}}}))
    bomb = zlib.compressobj(9)
    yield 'evil.fsa', zlib.compress(pickle.dumps({'__data__': Evil()})), "refused: it holds the global 'posix.system'"
    yield 'cut.fsa', good[:-20], 'it ends too soon'
    yield 'text.fsa', b'hello', 'no alignments of faceswap, or damaged'
    yield 'list.json', b'[1, 2]', 'no table'
    yield 'deep.json', b'[' * 99999, 'nested too deeply'
    yield 'none.fsa', zlib.compress(pickle.dumps({'__data__': {}})), 'lists no face'
    yield (
        'other.fsa',
        zlib.compress(pickle.dumps({'__data__': {'x.png': {'faces': [row_of(0)]}}})),
        'none of the frames',
    )
    yield 'bomb.fsa', bomb.compress(bytes(2**22)) + bomb.flush(), 'more than 1048576 bytes'
    yield 'gone.fsa', None, 'No such file'


def test_alignments_that_are_none_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('dfjax.inference.alignments.LARGEST', 2**20)
    folder = frames_in(tmp_path / 'frames', 1)
    for name, data, said in bad_alignments(folder):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=said) as error:
            import_faces(tmp_path / name, tmp_path / 'faces', folder, progress=False)
        assert name in str(error.value) and '\n' not in str(error.value)
    assert not Path('evil').exists() and not (tmp_path / 'faces').exists()


def test_what_is_missing_is_asked_for(tmp_path):
    path = write_fsa(tmp_path / 'talk_alignments.fsa', {'talk_000001.mp4': {'faces': [row_of(0)]}})
    with pytest.raises(InputError, match='give --frames VIDEO'):
        import_faces(path, tmp_path / 'faces')
    with pytest.raises(InputError, match=r'--frames x: is for alignments of faceswap'):
        import_faces(write_dfl(tmp_path / 'aligned', 1), tmp_path / 'faces', 'x')
    with pytest.raises(InputError, match='16 or more'):
        import_faces(path, tmp_path / 'faces', size=2)
    assert main(['import', 'faceset', 'a', 'b', '-o', str(tmp_path / 'faces')]) == 2

"""Face sets of DeepFaceLab and alignments of faceswap, as their own formats write them, and such as are refused."""

import json
import os
import pickle
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_faces import FACE
from test_convert import write_video

from dfjax.apps.cli import main
from dfjax.data.faces.align import template
from dfjax.data.faces.faceset import load_faceset, read_face
from dfjax.data.faces.polygons import outlines_path, read_outlines
from dfjax.data.media.image import read_image
from dfjax.data.media.video import open_video
from dfjax.errors import InputError
from dfjax.inference.facesets import import_faces
from dfjax.weights.arrays import plain

pytestmark = pytest.mark.whole

SIDE = 128  # of the pictures of DeepFaceLab's


def frame_of(seed, height=240, width=320):
    """Something smooth in colours, so that a place is known by what it looks like."""
    noise = np.random.default_rng(seed).uniform(0, 255, (6, 8, 3)).astype(np.float32)
    return np.clip(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def landmarks_of(n):
    """A face that is turned and moved a little."""
    turn = np.deg2rad(7 * n)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (FACE - 0.5) @ spin * 110 + (160 + 5 * n, 120 - 3 * n)


def crop_matrix(points, room):
    """Any similarity that shows a face: its middle in the middle, `room` times as wide as it is."""
    low, high = points.min(0), points.max(0)
    scale = SIDE / (room * (high - low).max())
    return np.array(
        [[scale, 0, SIDE / 2 - scale * (low + high)[0] / 2], [0, scale, SIDE / 2 - scale * (low + high)[1] / 2]]
    )


def moved(points, matrix):
    return points @ matrix[:, :2].T + matrix[:, 2]


def with_segment(path, picture, facts, marker=0xEF):
    """A JPEG with bytes in a segment of their own, right after the first."""
    data = cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    end = 4 + int.from_bytes(data[4:6]) if data[3] == 0xE0 else 2
    path.write_bytes(data[:end] + bytes([0xFF, marker]) + (len(facts) + 2).to_bytes(2) + facts + data[end:])
    return path


def write_dfl(folder, count=3, room=2.2, protocol=4, **more):
    folder.mkdir()
    for n in range(count):
        points = landmarks_of(n)
        matrix = crop_matrix(points, room)
        picture = cv2.warpAffine(frame_of(n), matrix, (SIDE, SIDE), flags=cv2.INTER_LANCZOS4)
        facts = {
            'face_type': 'full_face',
            'landmarks': moved(points, matrix).tolist(),
            'source_filename': f'{n:05d}.png',
            'source_rect': np.array([100, 60, 220, 190]),
            'source_landmarks': points.tolist(),
            'image_to_face_mat': matrix,
        } | {key: value(n) for key, value in more.items()}
        with_segment(folder / f'{n:05d}_0.jpg', picture, pickle.dumps(facts, protocol))
    return folder


def check_pictures(faces, count):
    """Pictures show what the frames have there, by the matrix, and landmarks lie where the type says."""
    loaded = load_faceset(faces)
    assert len(loaded) == count
    for n, row in enumerate(loaded.rows):
        np.testing.assert_allclose(row.face.landmarks, landmarks_of(n), atol=0.01)
        np.testing.assert_allclose(row.landmarks, moved(landmarks_of(n), row.matrix), atol=0.05)
        own = row.landmarks[[*range(17, 49), 54]]
        assert np.abs(own - template(loaded.face_type, loaded.size)).mean() < 0.05 * loaded.size
        np.testing.assert_allclose(own.mean(0), template(loaded.face_type, loaded.size).mean(0), atol=0.1)
        truth = cv2.warpAffine(frame_of(n), row.matrix, (loaded.size, loaded.size), flags=cv2.INTER_CUBIC)
        inside = (slice(loaded.size // 4, -loaded.size // 4),) * 2
        assert np.abs(read_image(row.path)[inside].astype(float) - truth[inside]).mean() < 3
        assert row.face.descriptor.shape == (128,) and row.face.sharpness > 0
    return loaded


# DeepFaceLab


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


class Evil:
    def __reduce__(self):
        return os.system, ('touch evil',)


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


# faceswap


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


# Pickles of plain things


@pytest.mark.parametrize('protocol', range(3, 6))
def test_plain_things_come_back(protocol):
    things = {
        'list': [1, -2.5, None, True, 'text', b'bytes', (1, [2])],
        'scalar': np.float32(0.5),
        'flags': np.array([True, False]),
        **{kind: np.arange(6, dtype=kind).reshape(2, 3) for kind in ('u1', 'i4', 'i8', 'f2', 'f4', 'f8')},
        'columns': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    found = plain(pickle.dumps(things, protocol))
    assert found['list'] == [1, -2.5, None, True, 'text', b'bytes', [1, [2]]] and found['scalar'] == 0.5
    for key in things.keys() - {'list', 'scalar'}:
        np.testing.assert_array_equal(found[key], things[key])


def test_what_grows_or_holds_itself_ends():
    wide = 'x'
    for _ in range(12):
        wide = [wide] * 1000  # one list, a thousand times: 1e36 of them if each were looked at
    assert len(plain(pickle.dumps(wide))) == 1000
    ring = []
    ring.append(ring)
    assert plain(pickle.dumps(ring)) == [None]

"""Extraction end to end, on short videos made of real ones, and every kind of bad input."""

import argparse
import functools
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from dfjax.apps import extract
from dfjax.apps.people import people
from dfjax.data.faces import analyse as analysis
from dfjax.data.faces.align import ALIGNED, template
from dfjax.data.faces.detect import overlap
from dfjax.data.faces.faceset import load_faceset
from dfjax.data.faces.identity import descriptor_distance
from dfjax.data.faces.workers import Pool
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.video import VideoWriter, read_frames
from dfjax.errors import InputError

DATA = Path(__file__).parents[2] / 'shared' / 'data'
# A few frames: one worker starts faster than two.
analyse = functools.partial(analysis.analyse, workers=1)
extract_faces = functools.partial(extract.extract_faces, progress=False, workers=1)
pytestmark = [pytest.mark.whole, pytest.mark.skipif(not DATA.exists(), reason='the real videos are not there')]


def frames(name: str, count: int, size: int = 512) -> list[np.ndarray]:
    path = DATA / 'faces' / f'{name}.mp4'
    return [cv2.resize(rgb, (size, size)) for *_, rgb in itertools.islice(read_frames(path), count)]


def video(path: Path, pictures: list[np.ndarray]) -> Path:
    with VideoWriter(path, 25, pictures[0].shape[1::-1]) as writer:
        for picture in pictures:
            writer.write(picture)
    return path


@pytest.fixture(scope='module')
def media(tmp_path_factory):
    """A folder: one person, two side by side (b smaller), a cut with a gap before it, nobody; pictures of all."""
    folder = tmp_path_factory.mktemp('media')
    a, b = frames('a', 40), frames('b', 14, 400)
    video(folder / 'one.mp4', a[:14])
    below = [np.pad(rgb, ((112, 0), (0, 0), (0, 0))) for rgb in b]
    video(folder / 'two.mp4', [np.hstack(pair) for pair in zip(a, below)])
    hidden = [rgb.copy() for rgb in a[:20]]
    for rgb in hidden[7:10]:
        rgb[90:490, 60:450] = cv2.resize(
            cv2.resize(rgb[90:490, 60:450], (5, 5), interpolation=cv2.INTER_AREA), (390, 400)
        )
    video(folder / 'gap.mp4', hidden)
    video(folder / 'cut.mp4', a[:9] + [cv2.resize(rgb, (512, 512)) for rgb in b[:9]])
    video(folder / 'nobody.mp4', [rgb[:200, :200] // 2 for rgb in a[:4]])
    write_image(folder / 'a.png', a[30])
    write_image(folder / 'b.png', b[13])
    write_image(folder / 'both.png', np.hstack([a[30], below[13]]))
    write_image(folder / 'none.png', np.full((200, 300, 3), 90, np.uint8))
    return folder


def test_a_face_set_of_a_video(media, tmp_path, capfd):
    report = extract_faces([media / 'one.mp4'], tmp_path / 'out', face_type='whole_face', size=128, progress=True)
    assert report['faces'] == report['frames'] == 14 and report['frames_without'] == 0
    assert '14/14' in capfd.readouterr().err  # the bar
    faces = load_faceset(tmp_path / 'out')
    assert (faces.face_type, faces.size, len(faces)) == ('whole_face', 128, 14)
    source = {n: rgb for n, _, rgb in read_frames(media / 'one.mp4')}
    for row in faces.rows:
        error = np.linalg.norm(row.landmarks[list(ALIGNED)] - template('whole_face', 128), axis=1).mean()
        assert error < 5
        seen = cv2.warpAffine(source[row.face.frame], row.matrix, (128, 128), borderMode=cv2.BORDER_REPLICATE)
        assert np.abs(read_image(row.path).astype(float) - seen).mean() < 6  # the right frame, the right place
        assert row.face.descriptor.shape == (128,) and row.face.sharpness > 0


def test_two_people(media):
    who = {name: analyse(media / f'{name}.png').faces[0].descriptor for name in 'ab'}
    largest = analyse(media / 'two.mp4').faces
    asked = analyse(media / 'two.mp4', person=media / 'b.png').faces
    everyone = analyse(media / 'two.mp4', every_face=True).faces
    assert [f.frame for f in largest] == [f.frame for f in asked] == list(range(14))
    assert all(f.box[2] < 512 for f in largest) and all(f.box[0] > 512 for f in asked)
    for faces, name, other in ((largest, 'a', 'b'), (asked, 'b', 'a')):
        assert descriptor_distance(faces[0].descriptor, who[name]) < 0.5
        assert descriptor_distance(faces[0].descriptor, who[other]) > 0.6
    assert [f.frame for f in everyone] == sorted([*range(14), *range(14)])
    assert len({f.track for f in everyone}) == 2


def test_gaps_are_bridged_and_left_out_of_the_set(media, tmp_path):
    found = analyse(media / 'gap.mp4')
    assert [f.frame for f in found.faces] == list(range(20))
    assert [f.frame for f in found.faces if f.interpolated] == [7, 8, 9]
    eyes = np.linalg.norm(found.faces[6].landmarks[36] - found.faces[6].landmarks[45])
    steps = [np.linalg.norm(p.landmarks - q.landmarks, axis=1).mean() for p, q in itertools.pairwise(found.faces[5:12])]
    assert max(steps) < 0.06 * eyes
    report = extract_faces([media / 'gap.mp4'], tmp_path / 'out', size=64, analyses=[found])
    assert report['faces'] == 17 and report['frames_without'] == 0
    assert {row.face.frame for row in load_faceset(tmp_path / 'out').rows} == set(range(20)) - {7, 8, 9}


def test_a_cut_ends_a_track(media):
    faces = analyse(media / 'cut.mp4', every_face=True).faces
    tracks = [f.track for f in faces]
    assert len(faces) == 18 and len(set(tracks[:9])) == len(set(tracks[9:])) == 1 and tracks[8] != tracks[9]
    assert not any(f.interpolated for f in faces)
    assert descriptor_distance(faces[8].descriptor, faces[9].descriptor) > 0.6


def test_results_do_not_depend_on_the_number_of_workers(media):
    told = []
    one = analyse(media / 'one.mp4', progress=lambda *now: told.append(now))
    three = analyse(media / 'one.mp4', workers=3)
    assert [f.to_json() for f in one.faces] == [f.to_json() for f in three.faces]
    assert told[-1] == (14, 14) and (one.width, one.height, one.frames) == (512, 512, 14)


def test_pictures_and_folders(media, tmp_path):
    folder = tmp_path / 'mixed'
    folder.mkdir()
    for name in ('a.png', 'none.png', 'one.mp4'):
        (folder / name).symlink_to(media / name)
    found = analyse(folder)
    assert found.frames == 16
    assert [(f.source, f.frame) for f in found.faces] == [('a.png', 0), *(('one.mp4', n) for n in range(14))]
    report = extract_faces([folder, media / 'a.png'], tmp_path / 'out', size=64, format='jpg')
    assert report['faces'] == 16 and report['frames_without'] == 1 and report['sources'] == 2
    assert len(list((tmp_path / 'out').glob('a_*.jpg'))) == 2


def test_large_frames_are_measured_in_their_own_pixels(media, tmp_path):
    picture = read_image(media / 'a.png')
    write_image(tmp_path / 'large.jpg', cv2.resize(picture, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC))
    (small,), (large,) = analyse(media / 'a.png').faces, analyse(tmp_path / 'large.jpg').faces
    eyes = np.linalg.norm(small.landmarks[36] - small.landmarks[45])
    assert np.linalg.norm((large.landmarks + 0.5) / 5 - 0.5 - small.landmarks, axis=1).mean() < 0.02 * eyes
    assert overlap(tuple(np.array(large.box) / 5), small.box) > 0.7


# Bad input -----------------------------------------------------------------------------------------------------------


def test_nobody_there(media, tmp_path):
    with pytest.raises(InputError, match=r'nobody\.mp4: no face found in its 4 frames'):
        analyse(media / 'nobody.mp4')
    with pytest.raises(InputError, match=r'none\.png: no face found in it;'):
        extract_faces([media / 'none.png'], tmp_path / 'out')
    assert not any(tmp_path.iterdir())  # nothing half-written
    assert not analyse(media / 'nobody.mp4', allow_none=True).faces


def test_not_the_person_asked_for(media):
    with pytest.raises(InputError, match=r'one\.mp4: nobody looks like .*b\.png \(nearest distance 0\.\d\d'):
        analyse(media / 'one.mp4', person=media / 'b.png')


def test_person_pictures_that_show_nobody_or_several(media):
    with pytest.raises(InputError, match=r'none\.png: no face found'):
        analyse(media / 'one.mp4', person=media / 'none.png')
    with pytest.raises(InputError, match=r'both\.png: 2 faces'):
        analyse(media / 'one.mp4', person=media / 'both.png')
    with pytest.raises(InputError, match=r'gone\.png: no such file'):
        analyse(media / 'one.mp4', person=media / 'gone.png')


@pytest.mark.parametrize(
    'bad, line',
    [
        ({'face_type': 'huge'}, "face type 'huge' is unknown"),
        ({'size': 8}, '--size 8: give 16'),
        ({'detector': 'haar'}, "detector 'haar' is unknown"),
        ({'detector': 'yunet'}, '--detector-model'),
        ({'detector': 'yunet', 'detector_model': 'gone.onnx'}, r'gone\.onnx: no such file'),
    ],
)
def test_bad_arguments(media, tmp_path, bad, line):
    with pytest.raises(InputError, match=line):
        extract_faces([media / 'one.mp4'], tmp_path / 'out', **bad)
    assert not any(tmp_path.iterdir())


def test_outputs_that_are_in_the_way(media, tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'notes.txt').write_text('mine')
    for force in (False, True):  # a folder that is no face set is never replaced
        with pytest.raises(InputError, match=r'mine: '):
            extract_faces([media / 'a.png'], tmp_path / 'mine', force=force)
    extract_faces([media / 'a.png'], tmp_path / 'set', size=64)
    with pytest.raises(InputError, match=r'set: exists.*--force'):
        extract_faces([media / 'a.png'], tmp_path / 'set')
    extract_faces([media / 'a.png'], tmp_path / 'set', size=32, force=True)
    assert load_faceset(tmp_path / 'set').size == 32 and (tmp_path / 'mine' / 'notes.txt').read_text() == 'mine'
    with pytest.raises(InputError, match=r'set: is a face set already'):
        extract_faces([tmp_path / 'set'], tmp_path / 'again')


def test_a_worker_that_dies_is_an_error_and_not_a_wait(media):
    with pytest.raises(InputError, match='was ended, most likely for want of memory'), Pool(count=1) as pool:
        pool._processes[0].kill()
        pool.search([read_image(media / 'a.png')]).result(timeout=60)


def test_the_verb(media, tmp_path):
    parser = argparse.ArgumentParser()
    extract.add_arguments(parser)
    args = [str(media / 'two.mp4'), '-o', str(tmp_path / 'out'), '--person', str(media / 'b.png'), '--size', '64']
    report = extract.run(parser.parse_args(args))
    assert report['faces'] == 14 and load_faceset(tmp_path / 'out').face_type == 'full'
    with pytest.raises(SystemExit):
        parser.parse_args([*args, '--every-face'])  # one person or everybody


def test_people_are_numbered_and_taken_by_number(media, tmp_path, capsys):
    found = people(media / 'two.mp4', tmp_path / 'who.jpg')
    assert [person['frames'] for person in found['people']] == [14, 14] and found['people'][0]['share'] == 1.0
    assert read_image(tmp_path / 'who.jpg').shape[1] == 2 * 192
    for place, left in ((1, True), (2, False)):  # the larger face comes first; it is at the left
        faces = analyse(media / 'two.mp4', person=str(place)).faces
        assert len(faces) == 14 and all((face.box[0] < 512) == left for face in faces)
    with pytest.raises(InputError, match=r'who.txt: name a picture'):
        people(media / 'two.mp4', tmp_path / 'who.txt')
    with pytest.raises(InputError, match=r'no --person 3: there are 2 people in it, as `dfjax people'):
        analyse(media / 'two.mp4', person='3')

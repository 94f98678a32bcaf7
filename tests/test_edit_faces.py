"""`edit` of the faces of rendered people, from files to files: pictures, folders and videos, with a run not trained."""

import numpy as np
import pytest
from untrained import untrained

from dfjax.apps.edit import edit
from dfjax.data.faces.analyse import analyse
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.video import VideoWriter, read_frames
from dfjax.data.render import random_people, render

pytestmark = pytest.mark.whole

SIDE, PEOPLE = 256, 3


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp('run') / 'vae', 'vae', **{'data.source': 'render:people:1:24'})


@pytest.fixture(scope='module')
def people():
    """Pictures of different people, uint8 [SIDE, SIDE, 3] each."""
    identity, motion, _ = random_people(11, PEOPLE)
    return list(render(identity, motion, SIDE, 192).image)


def boxes(path):
    """Slices of the middles of all faces of a picture, from left to right."""
    found = sorted(analyse(path, every_face=True, workers=1).faces, key=lambda face: face.box[0])
    middles = [face.landmarks[27:48].mean(0).astype(int) for face in found]
    return [(slice(y - 20, y + 20), slice(x - 20, x + 20)) for x, y in middles]


def changed(before, after) -> float:
    return np.abs(after.astype(float) - before).mean()


def test_every_person_of_a_folder_is_edited(run, people, tmp_path):
    for n, picture in enumerate(people):
        write_image(tmp_path / 'in' / f'{n}.png', picture)
    report = edit(run, {'glasses': 1.0}, tmp_path / 'in', tmp_path / 'out', detail=False, progress=False)
    assert (report['frames'], report['edited'], report['passed_through']) == (PEOPLE, PEOPLE, 0)
    for n, picture in enumerate(people):
        (place,) = boxes(tmp_path / 'in' / f'{n}.png')
        made = read_image(tmp_path / 'out' / f'{n}.png')
        assert changed(picture[place], made[place]) > 10
        assert (made[:4] == picture[:4]).all()


def test_everyone_in_a_picture_is_edited(run, people, tmp_path):
    both = np.hstack(people[:2])
    write_image(tmp_path / 'in.png', both)
    report = edit(run, {'glasses': 1.0}, tmp_path / 'in.png', tmp_path / 'out.png', detail=False, progress=False)
    assert (report['frames'], report['edited']) == (1, 1)
    made, places = read_image(tmp_path / 'out.png'), boxes(tmp_path / 'in.png')
    assert len(places) == 2
    for place in places:
        assert changed(both[place], made[place]) > 10


def test_an_edit_of_a_video_stays_on_its_people_and_does_not_flicker(run, people, tmp_path):
    """The camera passes by two people: moved back, all frames of the edit are one picture, as the input's are."""
    scene, step, count = np.hstack(people[:2]), 4, 8
    wide = scene.shape[1] - step * count
    with VideoWriter(tmp_path / 'in.mp4', 25, (wide, SIDE)) as writer:
        for n in range(count):
            writer.write(np.ascontiguousarray(scene[:, step * n : step * n + wide]))
    report = edit(run, {'smile': 1.0}, tmp_path / 'in.mp4', tmp_path / 'out.mp4', detail=False, progress=False)
    given, made = ([rgb for _, _, rgb in read_frames(tmp_path / name)] for name in ('in.mp4', 'out.mp4'))
    assert report['frames'] == report['edited'] == len(made) == len(given) == count
    write_image(tmp_path / 'scene.png', scene)
    for rows, columns in boxes(tmp_path / 'scene.png'):
        there = [(rows, slice(columns.start - step * n, columns.stop - step * n)) for n in range(count)]
        before, after = (
            np.stack([frame[place] for frame, place in zip(f, there)]).astype(float) for f in (given, made)
        )
        flicker = np.abs(np.diff(after, axis=0)).mean()
        assert np.abs(after - before).mean() > 10
        assert flicker < 0.1 * np.abs(after - before).mean()

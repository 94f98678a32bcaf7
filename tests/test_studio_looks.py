"""What the studio sees in an upload: how long it is, who is in it, and what is wrong with it."""

import tracemalloc

import numpy as np
import pytest

from dfjax.apps.studio.asking import Asking
from dfjax.apps.studio.seen import Seer, look
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.image import read_image, write_image
from dfjax.data.render import animate, random_identity, render
from dfjax.errors import InputError

pytestmark = pytest.mark.whole


@pytest.fixture(scope='module')
def seer():
    return Seer()


@pytest.fixture(scope='module')
def film(tmp_path_factory):
    """Two rendered people side by side, 16 frames at 8 a second; the second leaves after a quarter. The descriptor
    has these 0.69 apart, where 0.5 makes two."""
    people = [render(random_identity(seed), animate(seed, 16), 192).image for seed in (31, 27)]
    path = tmp_path_factory.mktemp('film') / 'file.mp4'
    with VideoWriter(path, 8, (384, 192)) as writer:
        for n, (left, right) in enumerate(zip(*people)):
            writer.write(np.concatenate([left, right if n < 4 else np.full_like(right, 128)], 1))
    return path


def test_the_people_of_a_video_are_told_apart(seer, film, tmp_path):
    """The first is who is there most, and the picture of each shows that person alone: it is given as --person."""
    found = look(seer, str(film), tmp_path, 1)
    assert (found['kind'], found['width'], found['height'], found['seconds']) == ('video', 384, 192, 2.0)
    assert found['people'][0] == 1.0 and 0 < found['people'][1] < 0.5 and len(found['people']) == 2
    frame = found['people'] and read_image(tmp_path / 'poster.jpg')
    assert frame.shape == (192, 384, 3)
    for number in range(2):
        assert len(seer.search.everywhere(read_image(tmp_path / f'person{number}.png'))) == 1


def test_what_is_wrong_with_a_file_is_said_without_its_path(seer, film, tmp_path):
    too_long = look(seer, str(film), tmp_path, 0.01)
    assert 'longer than 0.01 minutes' in too_long['fault']
    cut = tmp_path / 'file.mp4'
    cut.write_bytes(film.read_bytes()[:2000])
    assert 'damaged' in look(seer, str(cut), tmp_path, 1)['fault']
    silent = tmp_path / 'file.wav'
    silent.write_bytes(b'RIFF\0\0\0\0WAVEfmt ' + bytes(60))
    for path in (cut, silent):
        assert str(tmp_path) not in look(seer, str(path), tmp_path, 1)['fault']


def test_few_frames_of_a_video_are_held_at_once(seer, tmp_path):
    """A dozen of 4K would be 300 MB; so that it is quick, of half the sides."""
    head = render(random_identity(12), animate(12, 1), 256).image[0]
    frame = np.full((1080, 1920, 3), 90, np.uint8)
    frame[400:656, 800:1056] = head
    with VideoWriter(tmp_path / 'file.mp4', 10, (1920, 1080), preset='ultrafast') as writer:
        for _ in range(40):
            writer.write(frame)
    look(seer, str(tmp_path / 'file.mp4'), tmp_path, 1)  # what is loaded once
    tracemalloc.start()
    assert look(seer, str(tmp_path / 'file.mp4'), tmp_path, 1)['people'] == [1.0]
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 6 * frame.nbytes


def test_a_picture_without_people_has_none(seer, tmp_path):
    write_image(tmp_path / 'file.png', np.full((90, 120, 3), 200, np.uint8))
    found = look(seer, str(tmp_path / 'file.png'), tmp_path, 1)
    assert (found['kind'], found['people'], found['width']) == ('image', [], 120)


def test_the_process_that_looks_is_started_again_when_it_has_died(film, tmp_path):
    asking = Asking()
    try:
        assert asking.ask('look', path=str(film), folder=str(tmp_path), minutes=1)['kind'] == 'video'
        asking._workers._processes[0].kill()
        with pytest.raises(InputError, match='ended'):
            asking.ask('look', path=str(film), folder=str(tmp_path), minutes=1)
        assert asking.ask('look', path=str(film), folder=str(tmp_path), minutes=1)['kind'] == 'video'
    finally:
        asking.close()

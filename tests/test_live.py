"""A swap of frames that come one at a time: as `convert` makes it, and nothing compiled after the first."""

import jax
import numpy as np
import pytest
from untrained import untrained

import dfjax
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.mark import Mark
from dfjax.data.media.mark_search import search
from dfjax.data.render import random_people, render
from dfjax.errors import InputError
from dfjax.inference.settings import Part, Settings

pytestmark = pytest.mark.whole

MARKED = True
SIDE = 512
durations: list[str] = []  # what JAX traced and compiled, in this process
jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: durations.append(name))


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return dfjax.load_run(untrained(tmp_path_factory.mktemp('run') / 'swap', 'faceswap'))


@pytest.fixture(scope='module')
def shots():
    """One person in two poses and between them: uint8 [3, SIDE, SIDE, 3]."""
    identity, motion, _ = random_people(11, 2)
    same = {name: np.repeat(value[:1], 3, 0) for name, value in identity.items()}
    ways = {name: np.stack([a, 0.9 * a + 0.1 * b, b]).astype(a.dtype) for name, (a, b) in motion.items()}
    return np.asarray(render(same, ways, SIDE, 384).image)


def off(one, other) -> int:
    return int(np.abs(one.astype(int) - other).max())


def test_frames_are_as_convert_makes_them(run, shots, tmp_path, monkeypatch):
    """Without the marks: an output's is its own."""
    monkeypatch.setattr(Mark, 'on', lambda self, rgb: rgb)
    for n, picture in enumerate(shots[::2]):
        write_image(tmp_path / 'in' / f'{n}.png', picture)
    how = Settings(steady=False)
    report = dfjax.convert(run, tmp_path / 'in', tmp_path / 'out', settings=how, progress=False, workers=1)
    assert report['swapped'] == 2
    swapper = dfjax.swapper(run, settings=how)
    for n, picture in enumerate(shots[::2]):
        made, want = swapper.frame(picture), read_image(tmp_path / 'out' / f'{n}.png')
        assert off(want, picture) > 20
        alone = dfjax.swapper(run, settings=how).frame(picture)
        assert off(alone, want) <= 1
        assert np.abs(made.astype(float) - want).mean() < 0.3  # the face is searched for where it was before


def test_a_stream_is_followed_and_nothing_is_compiled_twice(run, shots):
    swapper, wall = dfjax.swapper(run), np.full((SIDE, SIDE, 3), 90, np.uint8)
    assert swapper.frame(wall) is wall
    made = [swapper.frame(shots[0])]
    durations.clear()
    made += [swapper.frame(picture) for picture in (shots[1], shots[2], shots[1][..., ::-1][..., ::-1])]
    wide = np.hstack([shots[0], wall])
    made.append(swapper.frame(wide))
    assert swapper.frame(wall) is wall
    assert not [name for name in durations if 'compile' in name]
    assert all(off(out, frame) > 20 for out, frame in zip(made, [*shots, shots[1], wide]))
    assert search(made[:3]) is not None and search(list(shots)) is None


def test_the_face_of_one_person_among_two(run, shots, tmp_path):
    identity, motion, _ = random_people(12, 8)  # the seventh is another person for the descriptor too
    small = np.asarray(render(identity, motion, SIDE * 5 // 8, 300).image)[6]
    wanted = np.pad(small, ((SIDE * 3 // 8, 0), (SIDE * 3 // 8, 0), (0, 0)), mode='edge')
    both = np.hstack([shots[0], wanted])
    changed = lambda made: [(np.abs(half.astype(int) - frame) > 30).mean() > 0.01 for half, frame in made]
    halves = lambda made: zip(np.hsplit(made, 2), np.hsplit(both, 2))
    write_image(tmp_path / 'who.png', wanted)
    assert changed(halves(dfjax.swapper(run).frame(both))) == [True, False]  # the larger face
    swapper = dfjax.swapper(run, person=tmp_path / 'who.png')
    assert changed(halves(swapper.frame(both))) == changed(halves(swapper.frame(both))) == [False, True]
    other = shots[0]
    assert swapper.frame(other) is other


def test_what_frames_cannot_have(run, shots):
    for settings in (Settings(start=1.0), Settings(codec='png16'), Settings(ranges=(Part((('mode', 'raw'),)),))):
        with pytest.raises(InputError, match='settings: frames that come one at a time'):
            dfjax.swapper(run, settings=settings)
    with pytest.raises(InputError, match=r'frame: float32 \(512, 512, 3\); give uint8 RGB'):
        dfjax.swapper(run).frame(shots[0].astype(np.float32))

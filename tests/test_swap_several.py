"""Several people swapped in one pass: each as they would be alone, whoever crosses whom."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from converting import INVERTED, PLAIN, face_at, stub
from test_paste import smooth_frame

from dfjax.apps import cli
from dfjax.apps.convert import convert
from dfjax.apps.swap import swap
from dfjax.data.faces.analyse import Analysis, several_people
from dfjax.data.faces.table import Faces
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.video import read_frames
from dfjax.data.render import animate, random_identity, render
from dfjax.errors import InputError
from dfjax.inference.swap import Swapper, Together

pytestmark = pytest.mark.whole

SMOKE = f'{Path(__file__).parents[1]}/configs/faceswap.py:smoke'
FRAMES, SIDE = 5, 192


def test_each_is_swapped_as_alone_and_from_the_frame_as_it_was():
    """Two inverters side by side do what each does; where faces cross, the second inverts what the input shows."""
    frames = [smooth_frame(i) for i in range(3)]
    apart = [face_at(0, x=5, y=20, side=90), face_at(0, x=150, y=90, side=70)]
    crossing = [face_at(0), face_at(0, x=90, y=60)]
    for left, right in (apart, crossing):
        object.__setattr__(right, 'track', 1)
        both = Together([Swapper(stub(INVERTED), PLAIN) for _ in range(2)], {0: 0, 1: 1})
        made = list(both.begin(frames, [[left, right], [left], []]))
        alone = [Swapper(stub(INVERTED), PLAIN)([frames[0]], [[face]])[0] for face in (left, right)]
        assert (made[1] == Swapper(stub(INVERTED), PLAIN)([frames[1]], [[left]])[0]).all()
        assert made[2] is frames[2]
        touched = [(one != frames[0]).any(-1) for one in alone]
        only = touched[0] & ~touched[1], touched[1] & ~touched[0]
        for one, where in zip(alone, only):
            assert where.any() and (made[0][where] == one[where]).all()
    middle = touched[0] & touched[1]
    core = tuple(np.median(np.nonzero(middle), 1).astype(int))  # both masks are whole there: the second lies on top
    assert middle.any() and (made[0][core] == alone[1][core]).all()


def test_a_track_is_of_the_nearest_of_those_who_are_named(monkeypatch):
    codes = np.zeros((3, 128), np.float32)
    codes[:, 0] = 0.0, 0.4, 1.0  # the middle one could be either
    faces = [face_at(n % 4) for n in range(12)]
    for n, face in enumerate(faces):
        object.__setattr__(face, 'track', n // 4)
        object.__setattr__(face, 'frame', n)
        object.__setattr__(face, 'descriptor', codes[n // 4])
    found = Analysis('in.mp4', 320, 240, 12, Faces(faces))
    pictures = {'anna.jpg': codes[0], 'carl.jpg': codes[2], 'again.jpg': codes[0], 'dora.jpg': codes[0] + 1}
    monkeypatch.setattr('dfjax.data.faces.analyse.describe', lambda path: pictures[path])
    tracks = lambda people: [sorted({face.track for face in part.faces}) for part in several_people(found, people)]
    assert tracks(['anna.jpg', 'carl.jpg']) == [[0, 1], [2]]
    assert tracks(['carl.jpg', 'anna.jpg']) == [[2], [0, 1]]
    with pytest.raises(InputError, match=r'in\.mp4: again\.jpg is nobody in it whom another --person is not'):
        several_people(found, ['anna.jpg', 'again.jpg'])
    with pytest.raises(InputError, match=r'in\.mp4: nobody looks like dora\.jpg'):
        several_people(found, ['anna.jpg', 'dora.jpg'])


@pytest.fixture(scope='module')
def two(tmp_path_factory) -> Path:
    """A folder with both.mp4, of two people side by side, and one.png and other.png, of two others."""
    folder = tmp_path_factory.mktemp('two')
    left, right, *others = (render(random_identity(n), animate(n, FRAMES), SIDE).image for n in (12, 31, 49, 54))
    with VideoWriter(folder / 'both.mp4', 25, (2 * SIDE, SIDE)) as writer:
        for pair in zip(left, right):
            writer.write(np.concatenate(pair, 1))
    for name, pictures in zip(('face_one', 'face_other'), others):
        with VideoWriter(folder / f'{name}.mp4', 25, (SIDE, SIDE)) as writer:
            for picture in pictures:
                writer.write(picture)
    return folder


def test_two_people_are_swapped_in_one_command(two, capsys):
    """In one pass with a run of each, and each run alone gives that person the same face."""
    words = ['swap', '--into', two / 'both.mp4', '-o', two / 'out.mp4', '--instant', '--config', SMOKE]
    pairs = [('1', two / 'face_one.mp4'), ('2', two / 'face_other.mp4')]
    both = [word for who, face in pairs for word in ('--person', who, '--face', face)]
    assert cli.main([str(word) for word in [*words, *both, '--json']]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report['steps'] == [0, 0] and report['swapped'] == FRAMES
    assert [set(found) for found in report['faces']] == [{'a', 'b'}] * 2
    assert [Path(run).name for run in report['workdir']] == ['1', '2']
    frames = lambda path: np.stack([rgb for *_, rgb in read_frames(path)]).astype(float)
    given, made = frames(two / 'both.mp4'), frames(two / 'out.mp4')
    halves = np.s_[:, :, :SIDE], np.s_[:, :, SIDE:]
    for n, (who, _) in enumerate(pairs):
        convert(report['workdir'][n], two / 'both.mp4', two / f'alone_{n}.mp4', person=who, progress=False)
        alone = frames(two / f'alone_{n}.mp4')
        where = (np.abs(alone - given).mean((0, -1)) > 8)[None].repeat(FRAMES, 0)
        where[halves[1 - n]] = False
        assert where.any()
        changed, apart = (np.abs(x - alone)[where].mean() for x in (given, made))
        assert apart < 2 < 8 < changed, (n, apart, changed)  # two encodings of one picture; grey levels of 255
    # The folder holds the faces of everybody in that video, and of no other.
    shutil.copy(two / 'both.mp4', two / 'another.mp4')
    other = ['swap', '--into', two / 'another.mp4', '-o', two / 'out.mp4', '--force', '--instant', '--config', SMOKE]
    assert cli.main([str(word) for word in [*other, *both]]) == 2
    assert 'out.mp4.run: holds the work on other inputs' in capsys.readouterr().err


def test_the_minutes_are_shared(two, tmp_path, monkeypatch):
    """Each training gets its part of what is left: here the first takes none of its own, and the second has all."""
    given = []
    monkeypatch.setattr(
        'dfjax.apps.train.train_for', lambda cfg, run, steps, seconds, *_, **__: given.append(seconds) or 1
    )
    monkeypatch.setattr(
        'dfjax.apps.convert.convert', lambda runs, *_, **__: {'runs': [Path(run).name for run in runs.values()]}
    )
    pairs = {'1': [two / 'face_one.mp4'], '2': [two / 'face_other.mp4']}
    report = swap(pairs, two / 'both.mp4', tmp_path / 'out.mp4', minutes=5, config=SMOKE, progress=False)
    assert report['runs'] == ['1', '2'] and report['steps'] == [1, 1]
    assert 0 < given[0] < 150 and given[1] == pytest.approx(2 * given[0], abs=5)


@pytest.mark.parametrize(
    'words, said',
    [
        (
            ['--person', '1', '--face', 'a', '--face', 'b'],
            '--face: given 2 times, and --person 1; give as many of both',
        ),
        (['--person', '1', '--person', '1', '--face', 'a', '--face', 'b'], '--person 1: is given twice'),
        (['--person', '1', '--person', '2', '--face', 'a', 'b'], '--face: given 1 times, and --person 2; give as many'),
    ],
)
def test_pairs_that_do_not_match_are_refused(words, said, tmp_path, capsys):
    line = ['swap', '--into', 'v.mp4', '-o', str(tmp_path / 'o.mp4'), *words]
    assert cli.main(line) == 2
    assert said in capsys.readouterr().err

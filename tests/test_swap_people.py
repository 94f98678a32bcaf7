"""A swap whose settings name people: who is not in the video is said before the training."""

from pathlib import Path

import numpy as np
import pytest

from dfjax.apps import convert as convert_verb
from dfjax.apps import train as train_verb
from dfjax.apps.swap import swap
from dfjax.data.faces import analyse as analysis
from dfjax.data.faces.table import ROW, Faces
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.image import write_image
from dfjax.data.render import animate, random_identity, render
from dfjax.errors import InputError
from dfjax.inference.settings import read_settings

pytestmark = pytest.mark.whole

SMOKE = f'{Path(__file__).parents[1]}/configs/faceswap.py:smoke'
FRAMES = 4


def test_people_who_are_not_there_are_refused_before_the_training(tmp_path, monkeypatch):
    """A picture that nobody resembles (rendered people are too alike for that), then one of the person who is there."""
    drawn = render(random_identity(12), animate(12, FRAMES), 192).image
    with VideoWriter(tmp_path / 'a.mp4', 25, (192, 192)) as writer:
        for frame in drawn:
            writer.write(frame)
    write_image(tmp_path / 'a.png', drawn[0])
    (tmp_path / 'who.toml').write_text('[[person]]\npicture = "a.png"\n')
    settings, done = read_settings(tmp_path / 'who.toml'), []
    monkeypatch.setattr(train_verb, 'train_for', lambda *args, **more: done.append('trained') or 2)
    monkeypatch.setattr(convert_verb, 'convert', lambda *args, **more: done.append(more['analysis']) or {})
    job = [[tmp_path / 'a.png'], tmp_path / 'a.mp4', tmp_path / 'out.mp4']
    how = {'steps': 2, 'config': SMOKE, 'settings': settings, 'progress': False}
    with monkeypatch.context() as patch:
        patch.setattr(analysis, 'describe', lambda path: np.ones(128, np.float32))
        with pytest.raises(InputError, match=r'a\.mp4: nobody looks like .*a\.png; give another picture of the person'):
            swap(*job, **how)
    assert not done
    (tmp_path / 'out.mp4.run' / 'everyone.jsonl').unlink()
    searched, search = [], analysis.analyse
    monkeypatch.setattr(analysis, 'analyse', lambda src, **more: searched.append(Path(src).name) or search(src, **more))
    assert swap(*job, **how)['steps'] == 2
    assert done[0] == 'trained' and len(done[1].faces) == FRAMES
    assert searched.count('a.mp4') == 1  # for everybody, the one whose faces are learnt from among them


def test_one_person_among_everybody_is_who_is_searched_for():
    """By a place, by a descriptor, and by default; who is not there is said in the words of the search."""
    rows, codes = np.zeros(9, ROW), np.eye(2, 128, dtype=np.float32)
    rows['frame'], rows['track'] = np.arange(9), np.repeat([0, 1], [6, 3])
    rows['box'] = [0, 0, 50, 50]
    faces = Faces()
    rows['descriptor'] = [faces.describe(codes[track]) for track in rows['track']]
    faces = faces.take(rows)
    faces.sources.append('a.mp4')
    everyone = analysis.Analysis('a.mp4', 64, 64, 9, faces)
    frames = lambda found: found.faces.rows['frame'].tolist()
    assert frames(analysis.one_person(everyone, None)) == frames(analysis.one_person(everyone, 1)) == [*range(6)]
    assert frames(analysis.one_person(everyone, 2)) == [6, 7, 8]
    assert frames(analysis.one_person(everyone, 'b.png', codes[1])) == [6, 7, 8]
    assert analysis.one_person(everyone, 2).width == 64 and len(everyone.faces) == 9
    with pytest.raises(InputError, match=r'a\.mp4: no --person 3: there are 2 people in it'):
        analysis.one_person(everyone, 3)
    with pytest.raises(InputError, match=r'a\.mp4: nobody looks like c\.png \(nearest distance'):
        analysis.one_person(everyone, 'c.png', -codes[0])

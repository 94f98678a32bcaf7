"""`dfjax extract --clips`: which frames, which square, sound at its time; and what opens such clips."""

import json

import numpy as np
import pytest

from dfjax.apps.cli import main
from dfjax.data.faces.analyse import Analysis
from dfjax.data.faces.face import Face
from dfjax.data.media.video import VideoWriter
from dfjax.data.names import parse
from dfjax.data.sets.clip import open_clips
from dfjax.inference.clipset import _write, plan_faces, ticks

pytestmark = pytest.mark.whole

RATE = 16_000


def film(path, shades, fps=25, sound=None, size=(64, 48)):
    with VideoWriter(path, fps, size, sound=sound) as writer:
        for shade in shades:
            writer.write(np.full((size[1], size[0], 3), shade, np.uint8))
    return path


@pytest.mark.parametrize('fps', [12.5, 25, 29.97, 50])
def test_ticks_are_the_nearest_frames(fps):
    times = 0.3 + np.arange(60) / fps
    rows = ticks(times)
    assert abs(len(rows) - 60 / fps * 25) <= 1
    at = times[0] + np.arange(len(rows)) / 25
    nearest = np.abs(times[:, None] - at).min(0)
    np.testing.assert_allclose(np.abs(times[rows] - at), nearest, atol=1e-9)


def test_whole_pictures_from_cut_to_cut(tmp_path, capsys):
    """Two shots at 50 frames a second, a click in the second; what is shorter than a second is left out."""
    shades = [40 + n // 4 for n in range(60)] + [160 + n // 4 for n in range(80)] + [20] * 20
    sound = np.zeros(RATE * 160 // 50, np.float32)
    click = round((60 + 25) / 50 * RATE)
    sound[click : click + 40] = 0.8
    film(tmp_path / 'a.mp4', shades, 50, (sound, RATE))
    words = ['extract', str(tmp_path / 'a.mp4'), '-o', str(tmp_path / 'clips'), '--size', '32', '--format', 'png']
    assert main([*words, '--clips', '--any', '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert report['clips'] == 2 and report['with_sound'] == 2 and report['in_sync'] == 0
    clips = open_clips(parse(str(tmp_path / 'clips')), 32)
    assert [clip.count for clip in clips] == [30, 40] and all(clip.landmarks is None for clip in clips)
    for clip, first in zip(clips, (40, 160)):
        seen = np.array([clip.frame(n).mean() for n in range(clip.count)])
        np.testing.assert_allclose(seen, first + np.arange(clip.count) // 2, atol=2.5)  # as the codec leaves it
    heard = clips[1].sound
    assert abs(len(heard) - 40 * 640) <= 1 and abs(int(np.abs(heard).argmax()) - RATE // 2) < 80
    assert main([*words, '--clips', '--any']) == 2  # it is there already
    assert '--force' in capsys.readouterr().err
    assert main([*words, '--clips', '--any', '--force']) == 0


def test_a_face_stays_in_one_square(tmp_path):
    """A mark that moves through the frame, at the landmarks' middle: it is where the clip's landmarks say."""
    path, count = tmp_path / 'm.mp4', 40
    shape = np.random.default_rng(0).uniform(-15, 15, (68, 2))
    middles = np.stack([60 + 0.5 * np.arange(count), np.full(count, 50.0)], -1)
    with VideoWriter(path, 25, (128, 96)) as writer:
        for x, y in middles:
            picture = np.full((96, 128, 3), 60, np.uint8)
            at = (np.arange(128) - x) ** 2 + (np.arange(96)[:, None] - y) ** 2
            picture[at < 36] = 220
            writer.write(picture)
    face = lambda n, track: Face('m.mp4', n, n / 25, (0, 0, 1, 1), 1.0, np.float32(shape + middles[n]), track=track)
    faces = [face(n, 0) for n in range(30)] + [face(n, 1) for n in range(30, 40)]
    plans = plan_faces(path, Analysis(str(path), 128, 96, count, faces), 64)
    assert len(plans) == 1 and len(plans[0].frames) == 30  # the other is shorter than a second
    assert plans[0].facts == {'delay': 0.0, 'in_sync': None}  # it has no sound
    object.__setattr__(plans[0], 'name', 'm-000')
    _write(path, plans, tmp_path, 64, 'png', lambda *_: None)
    (clip,) = open_clips(parse(str(tmp_path / 'm-000')), 64)
    for n in (0, 15, 29):
        light = np.maximum(clip.frame(n)[..., 0].astype(float) - 110, 0)
        found = [(light.sum(axis) * (np.arange(64) + 0.5) / 64).sum() / light.sum() for axis in (0, 1)]
        np.testing.assert_allclose(found, clip.landmarks[n].mean(0), atol=0.06)
    (tmp_path / 'm-000' / '000003.png').unlink()
    with pytest.raises(Exception, match='delete the folder'):
        open_clips(parse(str(tmp_path / 'm-000')), 64)


def test_bad_input_gets_one_line(tmp_path, capsys):
    film(tmp_path / 'short.mp4', [10] * 10)
    words = ['extract', '-o', str(tmp_path / 'out'), '--size', '32']
    cases = {
        (str(tmp_path / 'short.mp4'), '--clips', '--any'): 'no shot in it lasts 1 s',
        (str(tmp_path / 'short.mp4'), '--any'): '--any is for --clips',
        (str(tmp_path / 'short.mp4'), '--clips', '--face-type', 'head'): '--face-type',
    }
    for given, said in cases.items():
        assert main([*words, *given]) == 2
        err = capsys.readouterr().err
        assert said in err and 'Traceback' not in err
        assert not (tmp_path / 'out').exists()

"""`dfjax lipsync --run`: speech at its time, what goes back into a frame, and the verb on a rendered talker."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import wavfile
from untrained import untrained

from dfjax.apps import cli
from dfjax.apps.lipsync import lipsync
from dfjax.data.faces.analyse import Analysis
from dfjax.data.faces.face import Face
from dfjax.data.faces.square import face_square
from dfjax.data.faces.warp import apply
from dfjax.data.media.image import write_image
from dfjax.data.media.video import VideoWriter, probe
from dfjax.data.render import animate, random_identity, render
from dfjax.data.render.speech import RATE, speak
from dfjax.inference.lipnet import Mouths, pasted
from dfjax.ops.speech import MARGIN, frame_mels, mels_at

pytestmark = pytest.mark.whole

COUNT, SIZE = 8, 160


@pytest.fixture(scope='module')
def seen():
    return render(random_identity(3), animate(3, COUNT, 25.0), SIZE)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp('runs') / 'lips', 'wav2lip')


@pytest.mark.parametrize('early', [0, 1, 2])
def test_speech_at_a_time_is_that_of_a_window(early):
    sound, first = speak(7, 2.0).sound, 20
    window = sound[first * 640 - MARGIN : (first + 5) * 640 + MARGIN]
    wanted = frame_mels(jnp.asarray(window)[None], 5, early)[0]
    found = mels_at(sound, (first + np.arange(5)) / 25, early)
    assert found.shape == (5, 80, 16, 1)
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert float(mels_at(sound, np.array([-1.0, 9.0])).max()) < -3.9  # before it and after it there is silence


def test_only_the_lower_face_changes(seen):
    frame, own = seen.image[0], np.float64(seen.landmarks[0])
    matrix = face_square(own, 64)
    made = pasted(frame, np.full((64, 64, 3), 255, np.float32), matrix, own)
    changed = np.argwhere((made != frame).any(-1))[:, ::-1]
    at = apply(matrix, changed.astype(float))
    assert len(changed) > 100 and at[:, 1].min() > 31 and at.max() < 64
    low, high = own[3:14].min(0), own[3:14].max(0)
    eyes = np.linalg.norm(own[36:42].mean(0) - own[42:48].mean(0))
    assert (changed >= low - 0.3 * eyes).all() and (changed <= high + 0.5 * eyes).all()


def test_frames_do_not_depend_on_their_company(seen):
    """One by one, or together; frames that are not to be painted keep their bits."""
    system = SimpleNamespace(
        lipsync=lambda cfg, params, mels, x, y: 0.5 * x + 0.1 * jnp.tanh(mels.mean((1, 2, 3)))[:, None, None, None]
    )
    cfg = SimpleNamespace(data=SimpleNamespace(size=32), model=SimpleNamespace(early=2), room=2.0)
    painted = np.ones(COUNT, bool)
    painted[2] = False
    rows = np.arange(COUNT)
    run = SimpleNamespace(system=system, cfg=cfg, params={})
    mouths = Mouths(
        run, seen.landmarks, painted, np.zeros(COUNT, int), rows, rows / 25,
        speak(7, 1.0).sound,
    )  # fmt: skip
    mouths.show(0, seen.image[mouths.references[0]])
    together = mouths.paint(list(rows), list(seen.image))
    np.testing.assert_array_equal(together[2], seen.image[2])
    for n in (0, 2, 5):
        np.testing.assert_array_equal(mouths.paint([n], [seen.image[n]])[0], together[n])
    assert (together[0] != seen.image[0]).any()


def test_the_verb_on_a_video_and_a_picture(run, seen, tmp_path, capsys):
    with VideoWriter(tmp_path / 'a.mp4', 25, (SIZE, SIZE)) as writer:
        for picture in seen.image:
            writer.write(picture)
    row = lambda n: Face('a.mp4', n, n / 25, (0, 0, 1, 1), 1.0, seen.landmarks[n], sharpness=10.0)
    analysis = Analysis(str(tmp_path / 'a.mp4'), SIZE, SIZE, COUNT, [row(n) for n in range(COUNT) if n != 3])
    wavfile.write(tmp_path / 's.wav', RATE, np.float32(speak(7, 0.6).sound))
    report = lipsync(tmp_path / 'a.mp4', tmp_path / 's.wav', tmp_path / 'out.mp4', run=run, analysis=analysis)
    assert report['mouths'] == 'run' and report['frames'] == 15 and report['without_face'] >= 1
    assert probe(tmp_path / 'out.mp4').has_audio
    write_image(tmp_path / 'p.png', seen.image[0])
    points = ' '.join(f'{x:.1f},{y:.1f}' for x, y in seven(seen.landmarks[0]))
    words = ['lipsync', '--face', str(tmp_path / 'p.png'), '--audio', str(tmp_path / 's.wav'), '--run', str(run)]
    assert cli.main([*words, '--points', points, '-o', str(tmp_path / 'still.mp4')]) == 0
    assert probe(tmp_path / 'still.mp4').frames == 15
    capsys.readouterr()
    assert cli.main([*words, '--gain', '2', '-o', str(tmp_path / 'no.mp4')]) == 2
    assert '--gain' in capsys.readouterr().err


def seven(landmarks):
    from dfjax.inference.clicked import ROWS

    return [landmarks[row].mean(0) for row in ROWS]

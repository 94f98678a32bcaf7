"""`dfjax lipsync`: mouths out of a pool, the matte, and the whole verb on a rendered talker."""

import itertools

import numpy as np
import pytest
from scipy.io import wavfile

from dfjax.apps import cli
from dfjax.apps.lipsync import lipsync
from dfjax.data.faces.analyse import Analysis
from dfjax.data.faces.face import Face
from dfjax.data.media.audio import read_sound
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.image import write_image
from dfjax.data.media.video import VideoWriter, probe, read_frames
from dfjax.data.render import animate, random_identity, render
from dfjax.data.render.speech import RATE, speak
from dfjax.errors import InputError
from dfjax.evaluation.lipsync import compare as figures
from dfjax.evaluation.lipsync import held_out
from dfjax.inference import head as heads
from dfjax.inference.driving import driver_of
from dfjax.inference.length import frames_in_order
from dfjax.inference.lips import hear, listen
from dfjax.inference.lipsync import Dubbing, gather_pool, speaker
from dfjax.inference.mouthpool import JUMP, Pool, lip_gap, pick
from dfjax.inference.mouthshape import USUAL, directions, shape_of
from dfjax.inference.ownspeech import learn
from dfjax.inference.remouth import matte, remouth

pytestmark = pytest.mark.whole


COUNT, SIZE = 36, 192


def write_wave(path, samples):
    wavfile.write(path, RATE, np.float32(samples))


@pytest.fixture(scope='module')
def talker(tmp_path_factory):
    """A rendered head that talks: pictures, their analysis as a video, the video with its voice."""
    path = tmp_path_factory.mktemp('talker') / 'talker.mp4'
    voice, how = speak(11, COUNT / 25), animate(3, COUNT, 25.0)
    mouth = voice.mouth(np.arange(COUNT) / 25)
    how |= {'open': np.float32(0.9 * mouth[:, 0]), 'pucker': np.float32(np.clip(-mouth[:, 1], 0, 1))}
    seen = render(random_identity(3), how, SIZE)
    with VideoWriter(path, 25, (SIZE, SIZE), sound=(voice.sound, RATE)) as writer:
        for picture in seen.image:
            writer.write(picture)
    row = lambda n: Face(path.name, n, n / 25, (0, 0, 1, 1), 1.0, seen.landmarks[n], sharpness=10.0)
    analysis = Analysis(str(path), SIZE, SIZE, COUNT, [row(n) for n in range(COUNT)])
    return seen, analysis, path


def test_frames_come_in_any_order(talker):
    _, _, path = talker
    whole = [rgb for _, _, rgb in read_frames(path)]
    for rows in ([3, 4, 5], [0, 1, 2, 1, 0, 1], [5, 4, 4, 2, 3, 3, 9], [7]):
        made = list(frames_in_order(path, np.array(rows)))
        assert len(made) == len(rows) and all((a == whole[n]).all() for a, n in zip(made, rows))


def test_the_path_through_the_pool_is_the_cheapest_of_all():
    rng = np.random.default_rng(0)
    lips, turn = rng.normal(0, 0.05, (4, 20, 2)), rng.normal(0, 0.1, (4, 3))
    number = np.array([3, 4, 5, 9])
    pool = Pool([None] * 4, np.zeros((4, 2)), np.zeros((4, 68, 2)), lips, turn, number)
    wanted, turned = rng.normal(0, 0.05, (5, 20, 2)), rng.normal(0, 0.1, (5, 3))
    usual = ((lips - lips.mean(0)) ** 2).mean()
    each = ((wanted[:, None] - lips) ** 2).mean((2, 3)) / usual
    each += 0.3 * ((turned[:, None] - turn) ** 2).sum(-1) / 0.12**2

    def cost(path: tuple) -> float:
        jumps = sum(number[b] != number[a] + 1 for a, b in itertools.pairwise(path))
        return sum(each[t, n] for t, n in enumerate(path)) + JUMP * jumps

    best = min(itertools.product(range(4), repeat=5), key=cost)
    assert cost(tuple(pick(pool, wanted, turned))) == pytest.approx(cost(best))


def test_mouths_that_are_asked_for_are_as_wide_open_as_that(talker):
    driver = driver_of(talker[1])
    shape = shape_of(driver.motion)
    gap = np.linspace(0, 0.25, 6)
    lips = shape.lips(gap, 0 * gap)
    np.testing.assert_allclose(np.diff(lip_gap(lips[..., :2])), np.diff(gap), atol=0.01)
    wider = shape.lips(0 * gap, np.full(6, 0.1))
    np.testing.assert_allclose((wider - shape.lips(0 * gap, 0 * gap))[:, 6, 0] * 2, 0.1, atol=0.01)
    heard = np.array([[0.7, 0, 0, 0], [0.7, 0, 1, 0], [0.0, 1, 0, 0]])
    found, width = shape.targets(heard)
    np.testing.assert_allclose(found, [shape.wide_open, 0, 0], atol=1e-9)
    assert width.tolist() == [0, 0, 0.12]
    assert shape.targets(heard, 0.0)[0].max() == 0


def test_frames_keep_their_bits_outside_the_matte_and_their_own_mouth_inside(talker):
    seen = talker[0]
    frame, points = seen.image[4], seen.landmarks[4].astype(np.float64)
    again = remouth(frame, points, points, frame, np.zeros(2), points, 0.0)
    assert np.abs(again.astype(int) - frame).max() <= 3
    other = points + 0
    other[48:68, 1] += 4
    made = remouth(frame, points, other, frame, np.zeros(2), points, 0.0)
    eyes = np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0))
    soft = matte(points, other, eyes, (0, 0, SIZE, SIZE))
    assert (made[soft == 0] == frame[soft == 0]).all() and (made[soft == 1] != frame[soft == 1]).mean() > 0.2
    assert soft[np.round(points[48:68, 1]).astype(int), np.round(points[48:68, 0]).astype(int)].min() > 0.5
    assert (soft[: int(points[30, 1])] == 0).all()


def test_a_held_out_mouth_is_like_the_true_one(talker):
    """The last frames re-made from the first ones at true landmarks, against the renderer's own."""
    _, analysis, path = talker
    found = held_out(path, analysis)
    assert found['psnr'] > 28 and found['detail'] > 0.7 and found['seam'] < 1.2 and found['frames'] == 11, found


def test_silence_closes_the_mouth_and_faces_that_are_not_seen_pass_through(talker):
    seen, analysis, path = talker
    driver = driver_of(analysis)
    driver.known[3] = False
    driver.motion.turn[5, 1] = np.radians(60)
    pool = gather_pool(path, driver, analysis)
    quiet = np.zeros((COUNT, 4))
    dubbing = Dubbing(driver, pool, shape_of(driver.motion), quiet, np.arange(COUNT), 1.0)
    wanted = np.stack([dubbing.landmarks(j)[1] for j in range(len(dubbing))])
    gap = np.linalg.norm(wanted[:, 66] - wanted[:, 62], axis=-1) / driver.motion.scale
    assert gap.max() < 0.02 and dubbing.counts == {'without_face': 1, 'profiles': 1}
    same = [(dubbing(n, seen.image[n]) == seen.image[n]).all() for n in (3, 5, 8)]
    assert same == [True, True, False]


def test_a_picture_speaks_from_its_own_landmarks():
    head = heads.load_head()
    landmarks = head.mean[:68, :2] * 40 + [100, 120]
    heard = np.zeros((50, 4))
    heard[20:30, 0] = 0.7
    driver = speaker(landmarks, heard, still=True)
    assert len(driver) == 51
    np.testing.assert_allclose(driver.landmarks[-1], landmarks, atol=1e-3)
    np.testing.assert_allclose(driver.landmarks[:, 27:48], np.repeat(landmarks[None, 27:48], 51, 0), atol=0.01)
    gap = (driver.landmarks[:, 66, 1] - driver.landmarks[:, 62, 1]) / 40
    assert np.abs(gap[:20]).max() < 0.02 and gap[24] == pytest.approx(USUAL, abs=0.02)
    swaying = speaker(landmarks, heard, seed=1).landmarks[:50, 30]
    assert 0.5 < np.ptp(swaying[:, 0]) < 20
    assert directions()[0][[62, 66], 1].tolist() == sorted(directions()[0][[62, 66], 1])


def test_a_video_says_what_a_sound_says(talker, tmp_path):
    _, analysis, path = talker
    write_wave(tmp_path / 'said.wav', speak(21, 2.0).sound)
    out = tmp_path / 'out.mp4'
    report = lipsync(path, tmp_path / 'said.wav', out, analysis=analysis, progress=False)
    assert report['frames'] == 50 and report['without_face'] == 0 and report['sound_seconds'] == 2.0
    info = probe(out)
    assert info.size == (SIZE, SIZE) and info.frames == 50 and info.has_audio and info.fps == 25
    assert abs(len(read_sound(out, RATE, mono=True)[0]) / RATE - 2.0) < 0.1
    assert 'lipsync' in str(read_credentials(out))
    again = lipsync(path, tmp_path / 'said.wav', out, analysis=analysis, loop=True, force=True, progress=False)
    assert again['frames'] == 50


def test_a_short_sound_ends_the_video_unless_it_is_kept(talker, tmp_path):
    _, analysis, path = talker
    write_wave(tmp_path / 'said.wav', speak(21, 0.8).sound)
    for keep, count in ((False, 20), (True, COUNT)):
        report = lipsync(
            path, tmp_path / 'said.wav', tmp_path / 'o.mp4', analysis=analysis, keep=keep, force=True, progress=False
        )
        assert report['frames'] == count


def test_bad_input_is_said_in_one_line(talker, tmp_path, capsys):
    path = talker[2]
    write_wave(tmp_path / 'said.wav', speak(21, 1.5).sound[RATE:])
    write_wave(tmp_path / 'silent.wav', np.zeros(RATE))
    write_wave(tmp_path / 'short.wav', np.ones(100))
    write_image(tmp_path / 'grey.png', np.full((80, 80, 3), 128, np.uint8))
    with VideoWriter(tmp_path / 'mute.mp4', 25, (64, 64)) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    names = {name: tmp_path / name for name in ('said.wav', 'silent.wav', 'short.wav', 'grey.png', 'mute.mp4', 'o.mp4')}
    cases = [
        (['--face', path, '--audio', names['mute.mp4']], 'mute.mp4: has no sound track'),
        (['--face', path, '--audio', names['silent.wav']], 'silent.wav: its sound is silent'),
        (['--face', path, '--audio', names['short.wav']], 'short.wav: its sound lasts 0.01 s'),
        (['--face', path, '--audio', tmp_path / 'none.wav'], 'none.wav: no such file'),
        (['--face', tmp_path, '--audio', names['said.wav']], 'is a folder; give one video or picture'),
        (['--face', names['grey.png'], '--audio', names['said.wav']], 'grey.png: no face found; show where it is by'),
        (['--face', path, '--audio', names['said.wav'], '--gain', '9'], '--gain 9: give a number from 0'),
        (['--face', path, '--audio', names['said.wav'], '--sync', 'soon'], '--sync soon: give auto, off, or seconds'),
        (['--face', path, '--audio', names['said.wav'], '-o', tmp_path / 'o.png'], 'name the output'),
        (['--face', path, '--audio', names['said.wav'], '--points', '1,2'], '--points is for a picture'),
    ]
    for words, line in cases:
        out = [] if '-o' in words else ['-o', names['o.mp4']]
        assert cli.main(['lipsync', *map(str, [*words, *out])]) == 2, words
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1 and line in said[0], (line, said)
        assert not names['o.mp4'].exists()


def test_a_face_that_is_too_small_is_refused(talker, tmp_path):
    _, analysis, path = talker
    write_wave(tmp_path / 'said.wav', speak(21, 1.5).sound[RATE:])
    small = [Face(f.source, f.frame, f.time, f.box, 1.0, f.landmarks * 0.3, sharpness=1.0) for f in analysis.faces]
    tiny = Analysis(str(path), SIZE, SIZE, COUNT, small)
    with pytest.raises(InputError, match='pixels between the eyes are too few; 24 are needed'):
        lipsync(path, tmp_path / 'said.wav', tmp_path / 'o.mp4', analysis=tiny, progress=False)
    assert not (tmp_path / 'o.mp4').exists()


def test_half_a_minute_of_a_person_says_how_that_mouth_moves():
    """A person who smiles at open vowels and mumbles: the width that is learnt follows, what is heard alone cannot."""
    voice = speak(61, 40.0)
    times = np.arange(0, 40, 0.04)
    features = listen(voice.sound)[2]
    mouth = voice.mouth(times)
    seen = np.stack([0.4 * mouth[:, 0], 0.9 * mouth[:, 0]], -1)
    early = times < 28
    own = learn(features, np.where(early[:, None], seen, np.nan), times)
    assert own.share == pytest.approx(28 / 48, abs=0.01)
    at = np.round(times[~early] * 40 - 0.25).astype(int)
    for column in range(2):
        assert np.corrcoef(own(features)[at, column], seen[~early, column])[0, 1] > 0.85
    blended = hear(voice.sound, times, own=own)[~early]
    plain = hear(voice.sound, times)[~early]
    error = [np.abs(x[:, 1] - seen[~early, 1]).mean() for x in (blended, plain)]
    assert error[0] < 0.6 * error[1]
    assert learn(features[:100], seen[:30], times[:30]) is None


def test_figures_say_how_well_lips_follow_a_sound(talker):
    """Of the renderer's own landmarks: in sync, and late by 0.2 s."""
    seen = talker[0]
    voice, times = speak(11, 5.0), np.arange(125) / 25
    points = np.repeat(seen.landmarks[:1], 125, 0).astype(np.float64)
    mouth = voice.mouth(times)
    points[:, 55:60, 1] += 12 * mouth[:, :1]
    points[:, 65:68, 1] += 12 * mouth[:, :1]
    good = figures('x', points, times, voice.sound)
    assert good['opening'] > 0.8 and abs(good['delay']) <= 0.04 and good['frames'] == 125
    late = figures('x', points, times, np.concatenate([np.zeros(3200), voice.sound]))
    assert abs(late['delay'] - 0.2) <= 0.04 and late['opening'] < good['opening'] - 0.2
    assert late['likeness'] == pytest.approx(good['likeness'], abs=0.05)
    with pytest.raises(InputError, match='no face'):
        figures('x', np.full((30, 68, 2), np.nan), times[:30], voice.sound)


def test_a_mouth_is_drawn_only_where_the_video_never_shows_one(talker):
    seen, analysis, path = talker
    driver = driver_of(analysis)
    shape, pool = shape_of(driver.motion), gather_pool(path, driver, analysis)
    loud = np.tile([0.7, 0.0, 0.0, 0.0], (COUNT, 1))
    shut = int(np.argmin(pool.gap))
    alone = Pool(
        pool.patches[shut : shut + 1], pool.corners[shut : shut + 1], pool.landmarks[shut : shut + 1],
        pool.lips[shut : shut + 1], pool.turn[shut : shut + 1], pool.number[shut : shut + 1],
    )  # fmt: skip
    assert pool.opens and not alone.opens
    dark = []
    for mouths in (pool, alone):
        dubbing = Dubbing(driver, mouths, shape, loud, np.arange(COUNT), 1.0)
        x, y = dubbing.landmarks(6)[1][[61, 62, 63, 65, 66, 67]].mean(0).round().astype(int)
        dark.append(dubbing(6, seen.image[6])[y - 1 : y + 2, x - 2 : x + 3].mean())
        assert bool(dubbing._tones) == (mouths is alone)
    lip = seen.image[shut][tuple(np.round(seen.landmarks[shut][57]).astype(int)[::-1] - [1, 0])].mean()
    assert dark[1] < 0.8 * lip

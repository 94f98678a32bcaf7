"""When sound and lips go together, and how a video is made as long as its sound."""

from fractions import Fraction

import numpy as np
import pytest

from dfjax.data.render import animate, random_identity
from dfjax.data.render.features import landmarks
from dfjax.data.render.head import head, moment
from dfjax.data.render.speech import RATE, speak
from dfjax.data.render.trace import camera
from dfjax.inference.driving import make_driver
from dfjax.inference.length import fit_length
from dfjax.inference.mouthshape import shape_of
from dfjax.inference.sync import find_delay

pytestmark = pytest.mark.whole


def true_landmarks(who: dict, how: dict, size: int) -> np.ndarray:
    """Landmarks [T, 68, 2] of a rendered head, which is not drawn."""
    who = {name: float(value) for name, value in who.items()}
    still, points = head(who), []
    for n in range(len(how['yaw'])):
        now = {name: float(value[n]) for name, value in how.items()}
        points.append(camera(now, size).project(landmarks(who, now, moment(who, now, still).skin, still.rest)))
    return np.float32(points)


@pytest.mark.parametrize('fps', [23.976, 25, 29.97, 50, 'variable'])
def test_delays_are_found_at_any_rate(fps):
    """Lips of a voice, with the noise of landmarks, against its sound moved by up to ten frames."""
    rng = np.random.default_rng(1)
    step = 25 if fps == 'variable' else fps
    times = np.cumsum(rng.uniform(0.02, 0.06, 125)) if fps == 'variable' else np.arange(int(5 * fps)) / fps
    for seed, frames in ((301, -10), (302, 3), (303, 10)):
        voice = speak(seed, 8.0)
        seen = voice.mouth(times + 1.5)[:, :2] * [0.16, 0.1] + rng.normal(0, 0.012, (len(times), 2))
        seen[40:44] = np.nan  # a moment in which the face is not seen
        start = 1.5 - frames / step
        sound = voice.sound[round(start * RATE) : round((start + 5) * RATE)]
        found = find_delay(sound, seen, times)
        assert abs(found.seconds - frames / step) <= 1 / step and found.found, (seed, found)


def test_lips_that_say_something_else_have_no_delay():
    times = np.arange(125) / 25
    seen = speak(401, 5.0).mouth(times)[:, :2]
    assert find_delay(speak(402, 5.0).sound, seen, times).likeness < 0.45
    assert not find_delay(np.zeros(5 * RATE), seen, times).found
    assert not find_delay(speak(401, 5.0).sound, np.full((125, 2), np.nan), times).found


@pytest.mark.slow
def test_delays_of_rendered_talkers():
    """Eight people whose heads move, 5 s each at another rate, shifted by -10 to 10 frames; landmarks are noisy."""
    rng, rates, right = np.random.default_rng(0), (23.976, 24, 25, 29.97, 30, 50, 60, 'variable'), []
    for n, fps in enumerate(rates):
        step = 25 if fps == 'variable' else fps
        times = np.cumsum(rng.uniform(0.02, 0.06, 120)) if fps == 'variable' else np.arange(int(5 * fps)) / fps
        voice, moments = speak(70_000 + n, 8.0), animate(900 + n, 512, 25.0)
        how = {name: np.interp(times, np.arange(512) / 25, value) for name, value in moments.items()}
        opening, width = voice.mouth(times + 1.5)[:, :2].T
        how |= {
            'open': 0.9 * opening,
            'pucker': width.clip(-1, 0) * -1,
            'smile': 0.3 * how['smile'] + 0.5 * width.clip(0),
        }
        points = true_landmarks(random_identity(500 + n), how, 256)
        points += rng.normal(0, 0.7, points.shape)
        driver = make_driver('x', points, times, np.zeros(len(times), int), np.ones(len(times), bool))
        seen = shape_of(driver.motion).seen(driver.motion)
        for frames in range(-10, 11):
            start = round((1.5 - frames / step) * RATE)
            found = find_delay(voice.sound[start : start + 5 * RATE], seen, times)
            right.append(abs(found.seconds - frames / step) <= 1 / step)
    assert np.mean(right) >= 0.98


def test_a_longer_sound_plays_the_video_forth_and_back():
    times = np.arange(5) / 25
    length = fit_length(times, Fraction(25), 14 / 25)
    assert length.rows.tolist() == [0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3, 4, 3] and length.fps == 25
    assert fit_length(times, Fraction(25), 7 / 25, loop=True).rows.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert fit_length(times, Fraction(25), 3 / 25).rows.tolist() == [0, 1, 2]
    kept = fit_length(times, Fraction(25), 3 / 25, keep=True)
    assert kept.rows.tolist() == [0, 1, 2, 3, 4] and kept.fps is None
    # Frames that keep their times keep those of a video that begins late, as its sound does not.
    late = fit_length(times + 0.04, Fraction(25), 5 / 25)
    np.testing.assert_allclose(late.times, times + 0.04)
    uneven = fit_length(np.array([0.0, 0.01, 0.02, 0.03, 0.2]), Fraction(25), 5 / 25 - 0.041)
    assert uneven.rows.tolist() == [0, 3, 3, 4]
    assert fit_length(np.zeros(1), Fraction(25), 0.2).rows.tolist() == [0, 0, 0, 0, 0]

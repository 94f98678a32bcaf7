"""What drives a picture: landmarks of a video, points that were clicked, talk."""

import numpy as np
import pytest

from dfjax.data.faces.analyse import Analysis
from dfjax.data.faces.face import Face
from dfjax.errors import InputError
from dfjax.inference.clicked import ROWS, clicked_landmarks, parse_points
from dfjax.inference.driving import driver_of, load_motion, parse_talk, save_motion, steady
from dfjax.inference.reenact import Animator

# Clicked points


def test_clicked_points_are_met():
    seven = np.array([[100, 90], [170, 95], [130, 150], [105, 175], [160, 178], [132, 176], [128, 215]], float)
    marks = clicked_landmarks(seven, (300, 300))
    assert marks.shape == (68, 2)
    np.testing.assert_allclose([marks[row].mean(0) for row in ROWS], seven, atol=0.3)
    again = parse_points(' '.join(f'{x},{y}' for x, y in seven))
    np.testing.assert_array_equal(again, seven)


@pytest.mark.parametrize(
    'change, said',
    [
        (lambda p: p[[1, 0, 2, 3, 4, 5, 6]], 'left of the picture'),
        (lambda p: p[[0, 1, 2, 4, 3, 5, 6]], 'corner'),
        (lambda p: p[[0, 1, 6, 3, 4, 5, 2]], 'order'),
        (lambda p: p + np.array([250, 0]), 'outside'),
    ],
)
def test_wrong_points_are_refused(change, said):
    seven = np.array([[100, 90], [170, 95], [130, 150], [105, 175], [160, 178], [132, 176], [128, 215]], float)
    with pytest.raises(InputError, match=said):
        clicked_landmarks(change(seven), (300, 300))


# Drivers


def test_frames_without_a_face_move_between_their_neighbours(talker):
    _, analysis = talker
    faces = [face for face in analysis.faces if face.frame not in (0, 5, 11)]
    driver = driver_of(Analysis('talker.mp4', 192, 192, 12, faces))
    assert driver.known.tolist() == [n not in (0, 5, 11) for n in range(12)]
    np.testing.assert_allclose(driver.times, np.arange(12) / 25, atol=1e-6)
    between = (driver.landmarks[4] + driver.landmarks[6]) / 2
    np.testing.assert_allclose(driver.landmarks[5], between, atol=1e-4)
    np.testing.assert_allclose(driver.landmarks[0], driver.landmarks[1], atol=1e-4)


def test_each_shot_has_its_own_best_frame(talker):
    seen, analysis = talker
    faces = [Face(**(vars(face) | {'track': int(face.frame >= 6)})) for face in analysis.faces]
    driver = driver_of(Analysis('talker.mp4', 192, 192, 12, faces))
    assert driver.shots.tolist() == [0] * 6 + [1] * 6
    best = Animator(seen.image[0], seen.landmarks[0], driver, mouth='drawn').best
    assert best[0] < 6 <= best[1]


def test_a_motion_is_kept_whole(talker, tmp_path):
    driver = driver_of(talker[1])
    save_motion(driver, tmp_path / 'm.npz')
    again = load_motion(tmp_path / 'm.npz')
    np.testing.assert_allclose(again.motion.turn, driver.motion.turn, atol=1e-6)
    np.testing.assert_allclose(again.motion.residual, driver.motion.residual, atol=1e-6)
    np.testing.assert_array_equal(again.landmarks, driver.landmarks)
    assert again.fps == pytest.approx(25)
    for damaged in (b'', (tmp_path / 'm.npz').read_bytes()[:300]):
        (tmp_path / 'd.npz').write_bytes(damaged)
        with pytest.raises(InputError, match='no motion'):
            load_motion(tmp_path / 'd.npz')
    np.savez(tmp_path / 'o.npz', x=1)
    with pytest.raises(InputError, match='no motion'):
        load_motion(tmp_path / 'o.npz')


def test_talkers_have_names():
    assert [parse_talk(name) for name in ('talk', 'talk:7', 'talk:7:2.5')] == [(0, 10), (7, 10), (7, 2.5)]
    for name in ('talk:', 'talk:x', 'talk:1:0', 'talk:1:nan', 'talk:1:2:3', 'talk:-1'):
        with pytest.raises(InputError, match='talk:SEED'):
            parse_talk(name)


def test_uneven_times_are_made_even(talker):
    faces = [Face(**(vars(face) | {'time': face.frame / 25 + (face.frame > 5)})) for face in talker[1].faces]
    driver = driver_of(Analysis('talker.mp4', 192, 192, 12, faces))
    even = steady(driver)
    assert np.ptp(np.diff(even.times)) < 1e-9
    assert even.times[-1] == pytest.approx(driver.times[-1], abs=0.6 / driver.fps)

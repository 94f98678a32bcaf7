"""`dfjax animate`: the bent picture, the mouth, clicked points, drivers, and the whole verb on small pictures."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dfjax.apps import animate as verb
from dfjax.apps import cli
from dfjax.data.faces.analyse import Analysis
from dfjax.data.faces.face import Face
from dfjax.data.media.animation import write_animation
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.video import VideoWriter, probe, read_frames
from dfjax.data.render import animate, random_identity, render
from dfjax.errors import InputError
from dfjax.evaluation import animation
from dfjax.evaluation.animation import compare, compare_faces
from dfjax.evaluation.measure import Measured
from dfjax.inference import head as heads
from dfjax.inference import lids, mouth
from dfjax.inference.bend import RING, Bend
from dfjax.inference.clicked import ROWS, clicked_landmarks, parse_points
from dfjax.inference.driving import driver_of, load_motion, parse_talk, save_motion, steady
from dfjax.inference.opening import paint
from dfjax.inference.reenact import Animator

HEAD = heads.load_head()
POINTS = HEAD.mean[:, :2] * 30 + [160, 150]  # 30 pixels between the eyes


@pytest.fixture(scope='module')
def noise() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (320, 330, 3), np.uint8)


@pytest.fixture(scope='module')
def ramp() -> np.ndarray:
    """A picture whose red is x / 2 and whose green is y / 2."""
    y, x = np.mgrid[:320, :330]
    return np.stack([x / 2, y / 2, 0 * x], -1).astype(np.uint8)


@pytest.fixture(scope='module')
def talker():
    """Pictures of a rendered head, and the analysis of them as a video 'talker.mp4'."""
    how = animate(3, 12, 25.0)
    seen = render(random_identity(3), how, 192)
    faces = [Face('talker.mp4', n, n / 25, (0, 0, 1, 1), 1.0, points) for n, points in enumerate(seen.landmarks)]
    return seen, Analysis('talker.mp4', 192, 192, 12, faces)


# The bend


def test_what_does_not_move_keeps_its_bits(noise):
    np.testing.assert_array_equal(Bend(noise, POINTS)(POINTS), noise)


def test_outside_the_ring_pictures_keep_their_bits(noise):
    bend = Bend(noise, POINTS)
    bent = bend(POINTS + np.random.default_rng(1).normal(0, 3, POINTS.shape), np.array([4.0, 2.0]))
    y, x = np.mgrid[:320, :330]
    outside = np.hypot(x - bend.centre[0], y - bend.centre[1]) > RING * bend.eyes + 1
    assert outside.sum() > 5000 and (bent[~outside] != noise[~outside]).mean() > 0.5
    np.testing.assert_array_equal(bent[outside], noise[outside])


def test_points_come_to_lie_where_they_should(ramp):
    """The colours of a ramp say where a pixel comes from."""
    moves = np.zeros_like(POINTS)
    moves[17:68] = 4 * np.stack([np.sin(POINTS[17:68, 0] / 30), np.cos(POINTS[17:68, 1] / 25)], -1)
    bent = Bend(ramp, POINTS)(POINTS + moves).astype(float)
    for own, now in zip(POINTS[27:48], (POINTS + moves)[27:48]):
        x, y = np.round(now).astype(int)
        np.testing.assert_allclose(2 * bent[y, x, :2], own + np.array([x, y]) - now, atol=2.0)


def test_a_face_that_leaves_the_picture_is_mirrored():
    picture = np.random.default_rng(2).integers(0, 255, (90, 100, 3), np.uint8)
    points = POINTS - [110, 110]
    bent = Bend(picture, points)(points + 6)
    assert bent.shape == picture.shape and bent.dtype == np.uint8


def test_folds_are_undone(ramp):
    """Points that change places would turn the picture inside out: going right, it must come from further right."""
    crossed = POINTS.copy()
    crossed[[36, 45]] = POINTS[[45, 36]]
    bend = Bend(ramp, POINTS)
    bent = bend(crossed)
    assert bend.folds == 1
    row = bent[int(POINTS[36, 1]), int(POINTS[0, 0]) : int(POINTS[16, 0]), 0].astype(int)
    assert np.diff(row).min() >= -2
    bend(POINTS)
    assert bend.folds == 1


# The mouth


def opened(gap: float) -> np.ndarray:
    """POINTS with the lips apart by `gap` distances between the eyes."""
    lips = POINTS[:68].copy()
    middle = lips[[61, 62, 63, 65, 66, 67], 1].mean()
    lips[[60, 64], 1] = middle
    lips[[61, 62, 63], 1], lips[[65, 66, 67], 1] = middle - 15 * gap, middle + 15 * gap
    return lips


def test_edges_seen_from_the_side_are_curves_still():
    """Points that hide each other, as of a puckered mouth in profile, give numbers."""
    lips = opened(0.3)
    lips[[61, 62, 63], 0] = lips[60, 0]
    lips[[65, 66], 0] = lips[64, 0] + 2
    inside = mouth.between_lips(lips, 30.0, (320, 330))
    assert np.isfinite(mouth.drawn(inside, np.full(3, 140.0))).all() and np.isfinite(inside.within()).all()


def test_shut_lips_show_nothing():
    inside = mouth.between_lips(opened(0.0), 30.0, (320, 330))
    assert mouth.shown(inside, 0.0).max() == 0
    inside = mouth.between_lips(opened(0.3), 30.0, (320, 330))
    assert inside.gap == pytest.approx(0.3, abs=1e-6)
    assert mouth.shown(inside, 0.0).max() == 1
    assert mouth.shown(inside, 0.3).max() == 0  # the picture's own mouth is open as far


def test_painting_stays_between_the_lips(noise):
    lips = opened(0.4)
    inside = mouth.between_lips(lips, 30.0, noise.shape)
    painted = noise.copy()
    paint(painted, inside, mouth.drawn(inside, np.array([200.0, 150, 130])), mouth.shown(inside, 0.0))
    y, x = np.nonzero((painted != noise).any(-1))
    assert lips[60, 0] - 1 <= x.min() and x.max() <= lips[64, 0] + 1
    assert lips[61:64, 1].min() - 2 <= y.min() and y.max() <= lips[65:68, 1].max() + 2
    assert len(y) > 50


def test_a_drawn_mouth_has_bright_teeth_over_a_dark_back():
    inside = mouth.between_lips(opened(0.4), 30.0, (320, 330))
    colour = mouth.drawn(inside, np.array([200.0, 150, 130]))
    middle = colour[:, colour.shape[1] // 2][mouth.shown(inside, 0)[:, colour.shape[1] // 2] > 0.9].mean(-1)
    assert middle.argmax() < len(middle) / 3 and middle.max() > 2 * middle.min()
    grey = mouth.drawn(inside, np.full(3, 140.0))
    assert np.ptp(grey, -1).max() < 1e-6  # a statue's is grey


def test_the_drivers_mouth_takes_the_pictures_light_not_its_hue():
    lips = opened(0.4)
    inside = mouth.between_lips(lips, 30.0, (320, 330))
    frame = np.full((320, 330, 3), (60, 40, 30), np.uint8)
    tone = mouth.DriverMouth(np.array([100.0, 100, 100]), np.array([200.0, 160, 120]))
    seen = tone(inside, lips, frame, lips)
    assert np.ptp(seen, -1).max() < 1  # on grey stone it is grey
    assert seen.mean() == pytest.approx(
        (frame[0, 0] @ mouth.LUMA) * 100 / (np.array([200, 160, 120]) @ mouth.LUMA), 0.02
    )


def test_the_drivers_mouth_is_bent_to_the_lips(ramp):
    lips, theirs = opened(0.4), opened(0.2) + np.array([20, 30])
    tone = mouth.DriverMouth(np.array([200.0, 150, 100]), np.array([200.0, 150, 100]))
    inside = mouth.between_lips(lips, 30.0, ramp.shape)
    seen = tone(inside, lips, ramp, theirs)
    x, y = lips[[62, 66]].mean(0).round().astype(int)
    goal = theirs[[62, 66]].mean(0)
    np.testing.assert_allclose(2 * seen[y - inside.rows.start, x - inside.columns.start, :2], goal, atol=3)


# Lids


def test_edges_that_meet_are_kept_apart_only_where_they_were():
    met = POINTS.copy()
    met[lids.PAIRS] = POINTS[lids.PAIRS].mean(1, keepdims=True)
    down = np.array([0.0, 1.0])
    apart = lids.keep_apart(met, POINTS, 30.0, down)
    own = np.linalg.norm(POINTS[lids.PAIRS[:, 1]] - POINTS[lids.PAIRS[:, 0]], axis=-1)
    wanted = np.minimum(own, lids.APART * 30)
    np.testing.assert_allclose((apart[lids.PAIRS[:, 1]] - apart[lids.PAIRS[:, 0]])[:, 1], wanted, atol=1e-9)
    np.testing.assert_array_equal(lids.keep_apart(POINTS, POINTS, 30.0, down), POINTS)
    np.testing.assert_array_equal(lids.keep_apart(met, met, 30.0, down), met)


def test_shut_lids_cover_the_eye():
    """A white eye in grey skin: open it is white, shut it is not."""
    points, skin = 3 * POINTS - 300, np.full((400, 400, 3), 120, np.uint8)
    for upper, lower in lids.EYES:
        eye = points[[*upper, *lower[2:0:-1]]]
        cv2.fillConvexPoly(skin, np.round(eye).astype(np.int32), (255, 255, 255))
    for share, white in (([1.0, 1.0], 255), ([0.0, 0.0], 121)):
        picture = skin.copy()
        lids.shut_lids(picture, points, np.array(share), 90.0)
        for upper, lower in lids.EYES:
            x, y = points[[*upper, *lower]].mean(0).round().astype(int)
            assert (picture[y - 2 : y + 3, x - 8 : x + 9] <= white).all()
            assert picture[y, x].max() == 255 if share[0] else picture[y, x].max() < 125
    wide = lids.openings(points)
    np.testing.assert_allclose(lids.openings(np.stack([points, 2 * points])), [wide, wide])


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


# The picture that moves


def test_a_rendered_head_follows_itself(talker):
    """Inside the face the picture is nearer to the true one than one that stands still."""
    seen, analysis = talker
    driver = driver_of(analysis)
    animator = Animator(seen.image[0], seen.landmarks[0], driver, mouth='drawn', frame=0)
    np.testing.assert_array_equal(animator(0), seen.image[0])
    better = []
    for n in range(4, 12):
        inside = seen.mask[n] > 127
        off = [((p[inside].astype(float) - seen.image[n][inside]) ** 2).mean() for p in (animator(n), seen.image[0])]
        better.append(off[0] / off[1])
    assert np.mean(better) < 0.4


# The verb


@pytest.fixture(scope='module')
def files(talker, tmp_path_factory):
    """A picture, and the video of the talker with its analysis."""
    folder = tmp_path_factory.mktemp('animate')
    seen, analysis = talker
    write_image(folder / 'head.png', seen.image[0])
    tone = np.sin(np.arange(16000 * 12 // 25) / 20).astype(np.float32) / 2
    with VideoWriter(folder / 'talker.mp4', 25, (192, 192), sound=(tone, 16000)) as writer:
        for frame in seen.image:
            writer.write(frame)
    landmarks = seen.landmarks[0]
    seven = ' '.join(f'{x:.1f},{y:.1f}' for x, y in (landmarks[row].mean(0) for row in ROWS))
    return folder, seven, analysis


def test_a_video_drives_a_picture(files):
    folder, seven, analysis = files
    options = {'points': seven, 'analysis': analysis, 'progress': False, 'save_motion': folder / 'm.npz'}
    report = verb.animate(folder / 'head.png', folder / 'talker.mp4', folder / 'out.mp4', **options)
    assert report['frames'] == 12 and report['without_face'] == 0 and report['mouth'] == 'driver'
    made = probe(folder / 'out.mp4')
    assert made.size == (192, 192) and made.has_audio and float(made.fps) == pytest.approx(25)
    assert 'animate' in str(read_credentials(folder / 'out.mp4'))
    moved = [frame for _, _, frame in read_frames(folder / 'out.mp4')]
    assert np.abs(moved[9].astype(int) - moved[0]).mean() > 1

    again = verb.animate(folder / 'head.png', folder / 'm.npz', folder / 'again.mp4', points=seven, progress=False)
    assert again['frames'] == 12 and again['mouth'] == 'drawn' and not probe(folder / 'again.mp4').has_audio


def test_a_picture_drives_a_picture(files, talker, capsys):
    folder, seven, _ = files
    write_image(folder / 'pulled.png', talker[0].image[9])
    analysis = Analysis(
        'pulled.png', 192, 192, 1, [Face('pulled.png', 0, 0.0, (0, 0, 1, 1), 1.0, talker[0].landmarks[9])]
    )
    verb.animate(folder / 'head.png', folder / 'pulled.png', folder / 'out.png', points=seven, analysis=analysis)
    assert '--absolute' in capsys.readouterr().err
    assert read_image(folder / 'out.png').shape == (192, 192, 3)


def test_talk_needs_no_video(files):
    folder, seven, _ = files
    words = ['--image', str(folder / 'head.png'), '--driving', 'talk:2:0.24', '-o', str(folder / 'talk.mp4')]
    assert cli.main(['animate', *words, '--size', '160', '--points', seven]) == 0
    assert probe(folder / 'talk.mp4').size == (160, 160) and probe(folder / 'talk.mp4').frames == 6


@pytest.mark.parametrize(
    'options, said',
    [
        ({'drive': 'pose,ears'}, '--drive'),
        ({'gain': float('nan')}, '--gain'),
        ({'gain': -1}, '--gain'),
        ({'size': 8}, '--size'),
        ({'frame': 'x'}, '--frame'),
        ({'frame': 12}, 'has 12 frames'),
        ({'points': '1,2 3'}, 'seven points'),
        ({'points': '1,2 3,4 5,6 7,8 9,10 11,12 999,14'}, 'outside'),
        ({'save_motion': 'm.txt'}, '.npz'),
        ({'size': 64}, 'between the eyes'),
        ({'driving': 'talk:x'}, 'talk:SEED'),
        ({'driving': 'talk:1', 'mouth': 'driver'}, '--mouth driver'),
        ({'out': 'bad.png'}, 'name the output'),
        ({'driving': '.'}, 'one video or picture'),
        ({'image': '.'}, 'one picture'),
    ],
)
def test_bad_input_is_one_line(files, options, said):
    folder, seven, analysis = files
    words = {'image': folder / 'head.png', 'driving': folder / 'talker.mp4', 'out': folder / 'bad.mp4'}
    words |= {'points': seven, 'analysis': analysis, 'progress': False} | options
    for name in ('image', 'driving', 'out'):
        words[name] = folder / words[name] if not str(words[name]).startswith('talk') else words[name]
    with pytest.raises(InputError, match=said) as error:
        verb.animate(**words)
    assert '\n' not in str(error.value)
    assert not (folder / 'bad.mp4').exists()


def test_a_driver_that_does_not_move_is_refused(files):
    folder, seven, analysis = files
    rng = np.random.default_rng(0)  # what coding leaves of a face that keeps still
    faces = [replace(f, landmarks=analysis.faces[0].landmarks + rng.normal(0, 0.05, (68, 2))) for f in analysis.faces]
    still = replace(analysis, faces=faces)
    words = folder / 'head.png', folder / 'talker.mp4', folder / 'bad.mp4'
    with pytest.raises(InputError, match=r'talker.mp4: the face in it does not move'):
        verb.animate(*words, points=seven, analysis=still, progress=False)
    assert not (folder / 'bad.mp4').exists()


def test_a_picture_without_a_face_asks_for_points(files, noise):
    folder, _, _ = files
    write_image(folder / 'noise.png', noise[:128, :128])
    with pytest.raises(InputError, match='no face found; show where it is by --points'):
        verb.animate(folder / 'noise.png', 'talk:1', folder / 'bad.mp4', progress=False)


# Its figures


def measured(landmarks: np.ndarray, descriptors: np.ndarray) -> Measured:
    return Measured('a.mp4', len(landmarks), landmarks, descriptors, np.ones(len(landmarks)))


def test_figures_of_an_animation():
    rng = np.random.default_rng(0)
    driver = POINTS[:68] + np.concatenate([np.zeros((30, 48, 2)), rng.normal(0, 2, (30, 20, 2))], 1)
    people = np.zeros((30, 128))
    picture = measured(POINTS[None, :68], np.eye(1, 128) * 0.25)
    copy = compare(measured(1.5 * driver + 40, people), measured(driver, people), picture)
    assert copy['found'] == 1 and copy['frames'] == 30
    assert copy['expression'] == pytest.approx(1, abs=1e-3) and copy['jitter'] == pytest.approx(0, abs=1e-3)
    assert copy['distance'] == 0.25
    half = driver.copy()
    half[::2] = np.nan
    assert compare(measured(half, people), measured(driver, people), picture)['found'] == 0.5
    with pytest.raises(InputError, match='not its animation'):
        compare(measured(driver[1:], people), measured(driver, people), picture)


def test_faces_are_compared_with_the_true_ones(files, talker, monkeypatch, tmp_path):
    """The judge reads a landmark where it is told to: what is compared is the rest."""
    folder, _, _ = files
    read = lambda rgb, box: talker[0].landmarks[0] + (box[0] + rgb[0, 0, 0] / 255, 0)
    monkeypatch.setattr(animation, 'load_models', lambda: (lambda rgb: [((0.0, 0, 9, 9), 1.0)], read))
    same = compare_faces(folder / 'head.png', folder / 'head.png')
    assert same == {'landmarks': 0.0, 'psnr': None}
    other = read_image(folder / 'head.png').astype(int) + 10
    first = np.clip(other, 0, 255)[0, 0, 0] - read_image(folder / 'head.png')[0, 0, 0].astype(int)
    write_image(tmp_path / 'other.png', np.clip(other, 0, 255).astype(np.uint8))
    found = compare_faces(tmp_path / 'other.png', folder / 'head.png')
    eyes = np.linalg.norm(
        np.subtract(*(talker[0].landmarks[0, part].mean(0) for part in (slice(36, 42), slice(42, 48))))
    )
    assert found['landmarks'] == pytest.approx(first / 255 / eyes, abs=1e-4)
    assert found['psnr'] == pytest.approx(20 * np.log10(255 / 10), abs=0.2)


def test_of_several_faces_the_largest_is_moved_and_said(files, talker, monkeypatch, capsys):
    folder, _, _ = files
    landmarks = talker[0].landmarks[0]
    small = Face('first.png', 0, 0.0, (0, 0, 40, 40), 1.0, landmarks / 2)
    large = Face('first.png', 0, 0.0, (0, 0, 90, 90), 1.0, landmarks, track=1)
    found = Analysis('first.png', 192, 192, 1, [small, large])
    monkeypatch.setattr('dfjax.data.faces.analyse.analyse', lambda *args, **options: found)
    write_animation(folder / 'head.gif', [talker[0].image[0], talker[0].image[9]], 10)
    report = verb.animate(folder / 'head.gif', 'talk:1:0.1', folder / 'two.mp4', progress=False)
    assert '2 faces; the largest is moved' in capsys.readouterr().err
    assert report['frames'] == 2
    picture, seen = verb.find_source(folder / 'head.gif', None, None, None)
    np.testing.assert_allclose(seen, landmarks, atol=1e-4)
    away = [np.abs(picture.astype(int) - talker[0].image[n]).mean() for n in (0, 9)]
    assert away[0] < away[1] / 2  # the first frame of a moving picture

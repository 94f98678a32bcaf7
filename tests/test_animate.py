"""A picture that moves: by the verb, on rendered heads, and its figures."""

from dataclasses import replace

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
from dfjax.errors import InputError
from dfjax.evaluation import animation
from dfjax.evaluation.animation import compare, compare_faces
from dfjax.evaluation.measure import Measured
from dfjax.inference.clicked import ROWS
from dfjax.inference.driving import driver_of
from dfjax.inference.head import load_head
from dfjax.inference.reenact import Animator

POINTS = load_head().mean[:, :2] * 30 + [160, 150]  # 30 pixels between the eyes

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

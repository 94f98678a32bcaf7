"""What First Order Motion Model is measured on: figures whose joints are known, people moved as others move."""

import numpy as np
import pytest
from untrained import untrained

from dfjax.apps.evaluate import evaluate_run
from dfjax.data.names import parse
from dfjax.data.render import figure
from dfjax.data.render.figure import JOINTS, draw, joints, random_figure
from dfjax.data.sets.clip import open_clips, rendered_clips
from dfjax.errors import InputError
from dfjax.evaluation.fomm import read_out
from dfjax.evaluation.metrics import psnr_of_faces


@pytest.mark.parametrize('seed', range(6))
def test_joints_are_where_they_are_drawn(seed):
    """The near hand lies over everything, and limbs keep their lengths; nothing leaves the picture."""
    who = random_figure(seed)
    places = joints(who, 30)
    pictures = draw(who, places, 128)
    assert pictures.shape == (30, 128, 128, 3) and places.min() > 0 and places.max() < 1
    for moment, picture in zip(places, pictures):
        x, y = np.floor(moment[JOINTS.index('right hand')] * 128).astype(int)
        np.testing.assert_allclose(picture[y, x], who['ends'], atol=1)
    at = dict(zip(JOINTS, places.swapaxes(0, 1)))
    for a, b, part in (('neck', 'left elbow', 'upper arm'), ('left elbow', 'left hand', 'forearm')):
        np.testing.assert_allclose(np.linalg.norm(at[a] - at[b], axis=1), who[part], rtol=1e-4)
    for a, b, part in (
        ('hips', 'right knee', 'thigh'),
        ('right knee', 'right foot', 'shin'),
        ('hips', 'neck', 'torso'),
    ):
        np.testing.assert_allclose(np.linalg.norm(at[a] - at[b], axis=1), who[part], rtol=1e-4)
    feet = np.maximum(at['left foot'][:, 1], at['right foot'][:, 1])
    np.testing.assert_allclose(feet, figure.GROUND, atol=1e-5)  # one foot stands on the ground


def test_clips_of_figures_by_name():
    clips = open_clips(parse('render:figure:2:3:20'), 32)
    longer = open_clips(parse('render:figure:2:4:30'), 32)
    assert len(clips) == 3 and all(clip.count == 20 and clip.sound is None for clip in clips)
    for clip, more in zip(clips, longer):
        np.testing.assert_array_equal(clip.joints, more.joints[:20])
        np.testing.assert_array_equal(clip.frame(7), more.frame(7))
    assert (clips[0].frame(0) != clips[1].frame(0)).any()
    with pytest.raises(InputError, match='render:figure:SEED:COUNT:FRAMES'):
        parse('render:figure:2:3')


def test_joints_are_read_out_of_what_knows_them():
    rng = np.random.default_rng(0)
    truth = [rng.uniform(0.2, 0.8, (16, 24)) for _ in range(8)]
    mix = rng.normal(size=(24, 30))
    assert read_out([t @ mix for t in truth], truth)['joints'] < 0.01
    blind = read_out([rng.normal(size=(16, 5)) for _ in truth], truth)
    assert blind['joints'] > 0.9 * blind['joints_still'] > 0.1


def test_figures_of_a_run(tmp_path):
    found = evaluate_run(untrained(tmp_path / 'w', 'fomm'), data='render:figure:5:4:20')
    assert set(found) == {'psnr', 'psnr_still', 'joints', 'joints_still', 'clips'}
    assert found['clips'] == 4 and 0 < found['psnr'] < found['psnr_still'] < 60


def test_people_are_moved_as_others_move(tmp_path):
    own, moved = (rendered_clips(parse('render:talk:5:3:6'), 32, by) for by in (0, 1))
    for n, clip in enumerate(moved):
        for key, values in own[(n + 1) % 3].motion.items():
            np.testing.assert_array_equal(clip.motion[key], values)
        assert (clip.frame(0) != own[(n + 1) % 3].frame(0)).any()
    found = evaluate_run(untrained(tmp_path / 'w', 'fomm'), data='render:talk:5:3:6')
    assert set(found) == {'psnr', 'psnr_still', 'psnr_other', 'psnr_other_still', 'clips'}
    assert 0 < found['psnr_other'] < found['psnr_other_still'] < 60


def test_psnr_of_faces_looks_inside_them():
    landmarks = np.tile(np.float32([[10, 10], [30, 10], [30, 30], [10, 30]]), (17, 1))[None]
    true = np.full((1, 64, 64, 3), 100, np.uint8)
    made = np.full_like(true, 255)
    made[:, 10:31, 10:31] = 110
    np.testing.assert_allclose(psnr_of_faces(made, true, landmarks), 10 * np.log10(255**2 / 100), atol=1e-3)

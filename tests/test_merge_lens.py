"""A face laid in with the frame's sharpness, noise and motion blur; and settled over time."""

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from merging import FRAME, PLAIN, SIDE, face_at, merged, stub
from scipy.ndimage import fourier_shift
from test_paste import smooth_frame

from dfjax.inference import follow as following
from dfjax.inference import paste
from dfjax.inference.merge import SHARP, motion_blurred
from dfjax.inference.settings import Part, Settings
from dfjax.inference.sharpen import band_energies
from dfjax.inference.swap import Swapper

# Lens


def grating(cycles, amplitude=0.2):
    return np.repeat(
        (0.5 + amplitude * np.sin(2 * np.pi * cycles * np.arange(SIDE) / SIDE))[None, :, None], 3, -1
    ) + np.zeros((1, SIDE, SIDE, 1))


@pytest.mark.parametrize('sharpen', [-1.0, -0.5, 1.0])
def test_sharpening_amplifies_a_grating_by_the_closed_form(sharpen):
    picture = grating(8)
    faces, _ = merged(Settings(sharpen=sharpen, **PLAIN), picture)
    sigma = max(SHARP * SIDE, 0.5)
    gain = 1 + sharpen * (1 - np.exp(-2 * (np.pi * 8 / SIDE * sigma) ** 2))
    inner = (0, slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(faces[inner] - 0.5, gain * (picture[inner] - 0.5), atol=0.01)


def test_motion_blur_is_the_mean_over_the_way():
    picture = smooth_frame(4, SIDE, SIDE)[None].astype(np.float32) / 255
    along = np.float32([[7.3, -2.6]])
    made = np.asarray(motion_blurred(jnp.asarray(picture), jnp.asarray(along)))[0]
    steps = (np.arange(400) + 0.5) / 400 - 0.5
    seen = np.fft.fft2(picture[0].astype(np.float64), axes=(0, 1))
    shifted = [fourier_shift(seen, (t * along[0, 1], t * along[0, 0], 0)) for t in steps]
    np.testing.assert_allclose(made, np.fft.ifft2(np.mean(shifted, 0), axes=(0, 1)).real, atol=1e-3)
    faces, _ = merged(Settings(motion_blur=0.5, **PLAIN), picture, moves=0.1)
    inner = (0, slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(
        faces[inner], np.asarray(motion_blurred(jnp.asarray(picture), jnp.full((1, 2), 0.05 * SIDE)))[inner], atol=0.005
    )
    still, _ = merged(Settings(motion_blur=0.5, **PLAIN), picture)
    np.testing.assert_allclose(still, picture, atol=0.003)


def test_noise_is_measured_and_given_as_the_frame_has_it():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:90, :90]
    smooth = np.stack([60 + x, 100 + 0.5 * y, 200 - 0.8 * x], -1)
    smooth[30:60, 40:42] += 60  # an edge
    noisy = smooth + rng.normal(0, (2, 5, 9), smooth.shape)
    where = np.ones((90, 90), bool)
    np.testing.assert_allclose(paste.noise_level(noisy, where), (2, 5, 9), rtol=0.06)
    part = paste.Placed(slice(0, 90), slice(0, 90), smooth.astype(np.float32), np.ones((90, 90, 1), np.float32))
    frame = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    made = paste.grainy(frame, part, 1.0, (3, 0)).face
    np.testing.assert_allclose(paste.noise_level(made, where), (2, 5, 9), rtol=0.1)
    np.testing.assert_array_equal(made, paste.grainy(frame, part, 1.0, (3, 0)).face)
    kept = paste.grainy(np.rint(smooth).astype(np.uint8), part, 1.0, (3, 0)).face
    assert np.abs(kept - smooth).mean() < 0.5  # a clean frame adds none


def test_a_sharp_face_becomes_as_soft_as_the_frame():
    rng = np.random.default_rng(0)
    sharp = np.clip(0.5 + 0.1 * rng.normal(size=(1, SIDE, SIDE, 1)) + np.zeros((1, 1, 1, 3)), 0, 1).astype(np.float32)
    soft = cv2.GaussianBlur(sharp[0], (0, 0), 1.0)[None]
    faces, _ = merged(Settings(degrade=1.0, **PLAIN), soft, lambda x, points: 2 * jnp.asarray(sharp) - 1)
    have, wanted, before = (
        np.asarray(band_energies(jnp.asarray(x), jnp.ones((1, SIDE, SIDE, 1)))) for x in (faces, soft, sharp)
    )
    assert (before[0, :2] / wanted[0, :2] > (10, 1.5)).all()
    assert (np.abs(np.log(have[0, :2] / wanted[0, :2])) < np.log(2.5)).all()
    sharper, _ = merged(Settings(degrade=1.0, **PLAIN), sharp, lambda x, points: 2 * jnp.asarray(soft) - 1)
    np.testing.assert_allclose(sharper, soft, atol=0.005)  # a soft face is left alone


# Over time


def flicker(pictures):
    """Mean second difference of the mean colour over time."""
    return np.abs(np.diff(pictures.mean((1, 2)), 2, axis=0)).mean()


def test_a_face_flickers_no_more_than_the_frame():
    rng = np.random.default_rng(0)
    light = 0.1 * np.sin(np.arange(40) / 6) + 0.01 * rng.normal(size=40)  # of the scene
    crops = np.clip(0.35 + 0.1 * smooth_frame(1, SIDE, SIDE) / 255 + light[:, None, None, None], 0, 1)
    points = np.zeros((40, 68, 2), np.float32)
    points[:, 0, 0] = rng.normal(size=40)  # what the net makes of it varies by itself

    def paint(x, points):
        wobble = 0.1 * points[:, 0, 0][:, None, None, None]
        return jnp.clip((x * (1 + wobble)) * jnp.asarray([0.9, 1.1, 0.7]) + wobble, -1, 1)

    for colour in ('reinhard', 'mkl', 'hist'):
        steady, loose = (
            merged(Settings(colour=colour, detail=False, steady=way), crops, paint, points=points)[0]
            for way in (True, False)
        )
        assert flicker(steady[5:]) <= 1.2 * flicker(crops[5:]) < flicker(loose[5:])
        own = np.corrcoef(steady.mean((1, 2, 3)), crops.mean((1, 2, 3)))[0, 1]
        assert own > 0.97  # the light of the scene is followed


def test_what_is_followed_begins_anew_with_a_shot_and_does_not_depend_on_groups():
    rng = np.random.default_rng(0)
    masks = np.clip(0.5 + 0.05 * rng.normal(size=(8, 4, 4, 1)), 0, 1).astype(np.float32)
    masks[5:, :2] = 1.0  # something went away
    stats = rng.normal(size=(8, 2)).astype(np.float32)
    light = np.repeat(np.float32([0.3, 0.5])[:, None], 4, 0) * np.ones(3, np.float32)  # a cut in the middle
    slots, fresh = np.zeros(8, np.int32), np.arange(8) == 0

    def through(size):
        state, found = following.fresh_state(4, 2), []
        for start in range(0, 8, size):
            at = slice(start, start + size)
            state, *made = following.follow(state, slots[at], fresh[at], masks[at], stats[at], light[at])
            found.append(made)
        return [np.concatenate(part) for part in zip(*found)]

    made, means = through(8)
    for one, other in zip(through(3), (made, means)):
        np.testing.assert_array_equal(one, other)
    running = [stats[:n].mean(0) for n in range(1, 5)] + [stats[4:n].mean(0) for n in range(5, 9)]
    np.testing.assert_allclose(means, running, atol=1e-6)
    assert np.abs(np.diff(made[:4], axis=0)).mean() < 0.6 * np.abs(np.diff(masks[:4], axis=0)).mean()
    np.testing.assert_array_equal(made[4], masks[4])
    np.testing.assert_allclose(made[5, :2], masks[5, :2], atol=1e-6)  # at once


def test_settings_hold_for_moments_and_for_people():
    settings = Settings(
        **PLAIN,
        ranges=(Part((('mode', 'original'),), 0.1, 0.2),),
        people=(Part(()), Part((('scale', 0.5), ('mask', 'hull')))),
    )
    swapper = Swapper(stub(half=False), settings, batch_size=4)
    swapper.owner = {0: 0, 1: 1}
    frames = [FRAME] * 4
    faces = [[face_at(n, 10, 40, 90, track=0), face_at(n, 130, 40, 90, track=1)] for n in range(4)]  # 25 a second
    done = swapper(frames, faces)
    assert done[3] is FRAME and all((out != FRAME).any() for out in done[:3])
    left, right = (done[0] != FRAME).any(-1)[:, :120].sum(), (done[0] != FRAME).any(-1)[:, 120:].sum()
    assert right == pytest.approx(left / 4, rel=0.15)

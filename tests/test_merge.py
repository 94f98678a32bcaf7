"""What the merger does to faces and masks, against OpenCV, scikit-image, SciPy and closed forms."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from fake_faces import FACE
from scipy.ndimage import fourier_shift
from skimage.exposure import match_histograms
from test_paste import smooth_frame

from configs.faceswap import get_config
from dfjax.data.faces.align import align_matrices
from dfjax.data.faces.face import Face
from dfjax.errors import InputError
from dfjax.inference import follow as following
from dfjax.inference import paste
from dfjax.inference.merge import SHARP, STATS, merge, motion_blurred
from dfjax.inference.run import Run
from dfjax.inference.settings import Part, Settings
from dfjax.inference.sharpen import band_energies
from dfjax.inference.swap import Swapper
from dfjax.inference.views import coverage, layer, masked
from dfjax.ops.colour import match_colour

SIDE = 64
PLAIN = {'colour': 'none', 'detail': False}
HALF = (np.arange(SIDE) < SIDE // 2).astype(np.float32)  # learned by b, as a mask; a's is the upper half
FRAME = np.full((200, 240, 3), 60, np.uint8)


def stub(paint=lambda x, points: -x, half=True, canonical=False) -> Run:
    """A run that paints by a function, and whose masks are known: halves, or everywhere."""

    def swap(cfg, params, frozen, x, points, side):
        mask = jnp.asarray(HALF if side == 'b' else HALF[:, None]) if half else jnp.ones(())
        return paint(x, points), jnp.broadcast_to(jnp.broadcast_to(mask, (SIDE, SIDE))[..., None], (*x.shape[:3], 1))

    cfg = get_config('smoke')
    with cfg.unlocked():
        cfg.data.update(size=SIDE, face_type='full', canonical=canonical)
    return Run(Path('none'), cfg, SimpleNamespace(swap=swap), {}, 0)


def face_at(frame=0, x=60.0, y=40.0, side=110.0, track=0) -> Face:
    landmarks = (FACE * side + (x, y)).astype(np.float32)
    return Face('in.mp4', frame, frame / 25, (x, y, x + side, y + side), 1.0, landmarks, track=track)


def made(settings) -> Settings:
    """The net's picture as it is, but for what is asked for."""
    return Settings(**({} if settings.get('mode') in ('raw', 'original') else PLAIN) | settings)


def swapped(frame, face, run=None, mask_net=None, **settings):
    swapper = Swapper(run or stub(), made(settings), batch_size=1, mask_net=mask_net)
    return swapper([frame], [[face]])[0]


def changed(mask, **others):
    return (swapped(FRAME, face_at(), mask=mask, **others) != FRAME).any(-1)


def merged(settings, crops, paint=lambda x, points: x, moves=0.0, points=None, state=None):
    """Faces in [0, 1] that a run with a hull everywhere makes of crops [B, S, S, 3] in [0, 1], and the state."""
    count = len(crops)
    x = {
        'crops': np.rint(255 * np.asarray(crops)).astype(np.uint8),
        'hulls': np.full((count, SIDE, SIDE, 1), 255, np.uint8),
        'points': np.zeros((count, 68, 2), np.float32) if points is None else points,
        'slots': np.zeros(count, np.int32),
        'fresh': np.full(count, state is None) & (np.arange(count) == 0),
        'moves': np.full((count, 2), moves, np.float32),
    }
    state = following.fresh_state(SIDE, STATS) if state is None else state
    state, faces, _ = merge(stub(paint, half=False), 'b', settings, None, None, ({}, {}, {}), state, x)
    return np.asarray(faces) / 255, state


# Masks


def test_masks_are_what_they_are_called():
    top = lambda cfg, params, x: jnp.broadcast_to(jnp.asarray(HALF)[:, None, None], (*x.shape[:3], 1))
    net = Run(Path('none'), None, SimpleNamespace(mask=top), {}, 0)
    left, upper, hull, auto, union, product = map(
        changed, ('learned-source', 'learned-destination', 'hull', 'auto', 'union', 'product')
    )
    swapper = Swapper(stub(), Settings(mask='segment', mask_net='w', **PLAIN), batch_size=1, mask_net=net)
    segment = (swapper([FRAME], [[face_at()]])[0] != FRAME).any(-1)
    matrix = align_matrices(face_at().landmarks[None], 'full', SIDE)[0]
    y, x = np.mgrid[: FRAME.shape[0], : FRAME.shape[1]]
    at = np.stack([x, y], -1) @ matrix[:, :2].T + matrix[:, 2]  # pixels of the crop
    assert at[left][:, 0].max() < SIDE / 2 + 2 and at[upper][:, 1].max() < SIDE / 2 + 2
    assert not ((left | upper) & ~union).any() and (union & ~(left | upper)).sum() < 0.01 * union.sum()
    for both, one, other in ((auto, hull, left), (product, left, upper), (segment, auto, upper)):
        assert not (both & ~(one & other)).any()
        assert both.sum() > 0.8 * (one & other).sum()  # less the soft edge


def test_masks_that_a_run_has_not_learnt_are_refused():
    with pytest.raises(InputError, match=r"mask 'union': this run's faces have no outline .* choose auto, hull"):
        Swapper(stub(canonical=True), Settings(mask='union'))
    Swapper(stub(canonical=True), Settings(mask='hull'))


@pytest.mark.parametrize(('erode', 'blur'), [(0.05, 0.0), (-0.04, 0.0), (0.03, 0.04)])
def test_masks_are_eroded_and_blurred_as_opencv_does(erode, blur):
    size = 100
    where = np.zeros((size, size), np.float32)
    where[30:60, 30:70] = 1
    made = np.asarray(paste.soft_mask(jnp.asarray(where[None, ..., None]), erode, blur))[0, ..., 0]
    reach = round((paste.EDGE + erode) * size)
    window = np.ones((2 * abs(reach) + 1,) * 2, np.uint8)
    truth = (cv2.erode if reach > 0 else cv2.dilate)(where, window, borderValue=0)
    sigma = np.hypot(round(paste.EDGE * size), blur * size)
    taps = 2 * int(np.ceil(3 * sigma)) + 1
    truth = cv2.GaussianBlur(truth, (taps, taps), sigma, borderType=cv2.BORDER_CONSTANT)
    np.testing.assert_allclose(made, truth, atol=1e-5)


@pytest.mark.parametrize('scale', [0.6, 1.0, 1.4])
def test_a_face_is_laid_in_as_large_as_asked_about_its_middle(scale):
    at = np.argwhere((swapped(FRAME, face_at(), run=stub(half=False), mode='raw', scale=scale) != FRAME).any(-1))
    matrix = align_matrices(face_at().landmarks[None], 'full', SIDE)[0]
    side = scale * SIDE / np.sqrt(np.linalg.det(matrix[:, :2]))
    middle = np.linalg.solve(matrix[:, :2], (SIDE - 1) / 2 - matrix[:, 2])
    np.testing.assert_allclose((at.max(0) + at.min(0))[::-1] / 2, middle, atol=1)
    np.testing.assert_allclose(at.max(0) - at.min(0) + 1, side, atol=4)


# Modes


@pytest.mark.parametrize(
    'settings',
    [{}, {'mode': 'seamless'}, {'mode': 'hist-match'}, {'mode': 'raw'}, {'degrade': 1.0, 'erode': -0.05, 'blur': 0.05}],
)
def test_pixels_outside_of_the_mask_keep_their_bits(settings):
    frame = smooth_frame(3)
    out, seen = with_parts(stub(half=False), frame, face_at(), **settings)
    outside = coverage(frame.shape, seen)[..., 0] == 0
    assert 0.3 < outside.mean() < 0.95
    np.testing.assert_array_equal(out[outside], frame[outside])
    assert (out[~outside] != frame[~outside]).any()


def test_an_original_is_the_frame_itself():
    frame = smooth_frame(1)
    assert swapped(frame, face_at(), mode='original') is frame


def test_seamless_is_opencvs_clone():
    frame, face = smooth_frame(5) // 4 + 120, face_at(x=40, y=20, side=150)
    run = stub(lambda x, points: x - 0.3, half=False)
    plain, (part,) = with_parts(run, frame, face)
    out, _ = with_parts(run, frame, face, mode='seamless')
    source, inside = np.zeros_like(frame), np.zeros(frame.shape[:2], np.uint8)
    source[part.rows, part.columns] = np.rint(np.clip(part.face, 0, 255))
    inside[part.rows, part.columns] = 255 * (part.mask[..., 0] > 0.05)
    x, y, w, h = cv2.boundingRect(inside)
    clone = cv2.seamlessClone(source, frame, inside.copy(), (x + w // 2, y + h // 2), cv2.NORMAL_CLONE)
    deep = cv2.erode(inside, np.ones((9, 9), np.uint8)) > 0
    assert deep.sum() > 1000
    assert np.abs(out[deep].astype(int) - clone[deep]).max() <= 1
    assert np.abs(plain[deep].astype(int) - clone[deep]).mean() > 5


def with_parts(run, frame, face, **settings):
    """A swap, and the faces that are laid into it."""
    swapper, seen = Swapper(run, made(settings), batch_size=1), []
    swapper._written = lambda frame, parts: seen.extend(parts) or Swapper._written(swapper, frame, parts)
    return swapper([frame], [[face]])[0], seen


def test_histograms_are_matched_as_scikit_image_does():
    face, like = (smooth_frame(seed, SIDE, SIDE).astype(np.float32) / 255 for seed in (1, 2))
    like = like**2
    whole = jnp.ones((1, SIDE, SIDE, 1))
    made = np.asarray(match_colour('hist', jnp.asarray(face[None]), jnp.asarray(like[None]), whole, whole))[0]
    truth = match_histograms(face, like, channel_axis=-1)
    assert np.abs(made - truth).mean() < 0.004 and np.quantile(np.abs(made - truth), 0.99) < 0.02


def test_the_mode_hist_match_gives_the_face_the_histogram_under_it():
    like = smooth_frame(2, SIDE, SIDE)[None].astype(np.float32) / 255
    faces, _ = merged(Settings('hist-match', **PLAIN, steady=False), like, lambda x, points: 0.3 * x + 0.4)
    for channel in range(3):
        apart = np.sort(faces[0, ..., channel].ravel()) - np.sort(like[0, ..., channel].ravel())
        assert np.abs(apart).mean() < 0.01


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


# What is written


def test_a_layer_over_the_frame_is_the_result():
    frame, rng = smooth_frame(7), np.random.default_rng(0)
    parts = []
    for at in (20, 40):
        mask = cv2.GaussianBlur(rng.uniform(0, 1, (60, 70, 1)).astype(np.float32), (0, 0), 4)[..., None]
        face = rng.uniform(0, 255, (60, 70, 3)).astype(np.float32)
        parts.append(paste.Placed(slice(at, at + 60), slice(at + 10, at + 80), face, mask))
    done = frame.copy()
    for part in parts:
        paste.lay(done, part)
    alone = layer(frame.shape, parts)
    assert alone.dtype == np.uint16 and alone.shape == (200, 240, 4)
    colour, alpha = alone[..., :3] / 65535 * 255, alone[..., 3:] / 65535
    assert np.abs(colour * alpha + frame * (1 - alpha) - done).max() <= 1.01  # rounded twice where faces overlap
    np.testing.assert_allclose(alpha, coverage(frame.shape, parts), atol=1e-4)
    assert not alone[(alpha == 0)[..., 0]].any()
    tinted = masked(frame, parts)
    np.testing.assert_array_equal(tinted[alpha[..., 0] == 0], frame[alpha[..., 0] == 0])
    assert (tinted[..., 0] >= frame[..., 0]).all()


def test_views_stand_beside_the_result():
    frame, face = smooth_frame(1), face_at()
    done = swapped(frame, face)
    view = swapped(frame, face, compare=True, mask_view=True)
    np.testing.assert_array_equal(view[:, :240], frame)
    np.testing.assert_array_equal(view[:, 480:], done)
    assert Swapper(stub(), Settings(compare=True, **PLAIN))([frame], [[]])[0].shape == (200, 480, 3)

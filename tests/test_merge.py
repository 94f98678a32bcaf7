"""How a face is laid into the frame: masks, modes, and what is written."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from merging import FRAME, HALF, PLAIN, SIDE, face_at, made, merged, stub
from skimage.exposure import match_histograms
from test_paste import smooth_frame

from dfjax.data.faces.align import align_matrices
from dfjax.errors import InputError
from dfjax.inference import paste
from dfjax.inference.run import Run
from dfjax.inference.settings import Settings
from dfjax.inference.swap import Swapper
from dfjax.inference.views import coverage, layer, masked
from dfjax.ops.colour import match_colour


def swapped(frame, face, run=None, mask_net=None, **settings):
    swapper = Swapper(run or stub(), made(settings), batch_size=1, mask_net=mask_net)
    return swapper([frame], [[face]])[0]


def changed(mask, **others):
    return (swapped(FRAME, face_at(), mask=mask, **others) != FRAME).any(-1)


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
    swapper.written = lambda frame, parts: seen.extend(parts) or Swapper.written(swapper, frame, parts)
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

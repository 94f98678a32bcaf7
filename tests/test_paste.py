"""Colours, masks, pastes and detail bands against closed forms and other libraries."""

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from skimage.color import rgb2lab

from dfjax.data.faces.align import crop
from dfjax.inference import paste
from dfjax.inference import sharpen as detail
from dfjax.ops import colour
from dfjax.ops.skin import skin


def smooth_frame(seed, height=200, width=240) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return np.clip((smooth - smooth.mean()) * 9 + 128, 0, 255).astype(np.uint8)


def colours(seed, offset, spread):
    """Pictures [2, 24, 24, 3] of correlated colours well inside [0, 1], so that nothing is clipped."""
    rng = np.random.default_rng(seed)
    mix = (np.eye(3) + 0.4 * rng.normal(size=(3, 3))) * spread
    return jnp.asarray(np.clip(rng.normal(size=(2, 24, 24, 3)) @ mix + offset, 0.02, 0.98), jnp.float32)


def moments(x, weight):
    flat, w = np.asarray(x, np.float64).reshape(-1, 3), np.asarray(weight, np.float64).ravel()
    return np.average(flat, 0, w), np.cov(flat.T, aweights=w, ddof=0)


WEIGHT = jnp.asarray(np.random.default_rng(5).uniform(0, 1, (2, 24, 24, 1)) > 0.4, jnp.float32)


def test_monge_kantorovich_gives_mean_and_covariance_by_the_closed_form():
    face, like = colours(0, (0.5, 0.4, 0.45), 0.06), colours(1, (0.45, 0.55, 0.5), 0.08)
    made = colour.match_colour('mkl', face, like, WEIGHT, WEIGHT)
    for n in range(2):
        (mean, cov), (wanted, wanted_cov) = moments(face[n], WEIGHT[n]), moments(like[n], WEIGHT[n])
        got, got_cov = moments(made[n], WEIGHT[n])
        np.testing.assert_allclose(got, wanted, atol=1e-4)
        np.testing.assert_allclose(got_cov, wanted_cov, atol=3e-5)
        root = scipy.linalg.sqrtm(cov)  # Pitié & Kokaram 2007, eq. 7
        linear = np.linalg.inv(root) @ scipy.linalg.sqrtm(root @ wanted_cov @ root) @ np.linalg.inv(root)
        truth = (np.asarray(face[n]) - mean) @ linear.T + wanted
        np.testing.assert_allclose(made[n], truth, atol=2e-3)


def test_linear_transfer_gives_mean_and_covariance_by_roots():
    face, like = colours(0, (0.5, 0.4, 0.45), 0.06), colours(1, (0.45, 0.55, 0.5), 0.08)
    made = colour.match_colour('lct', face, like, WEIGHT, WEIGHT)
    (mean, cov), (wanted, wanted_cov) = moments(face[0], WEIGHT[0]), moments(like[0], WEIGHT[0])
    linear = scipy.linalg.sqrtm(wanted_cov) @ np.linalg.inv(scipy.linalg.sqrtm(cov))
    np.testing.assert_allclose(made[0], (np.asarray(face[0]) - mean) @ linear.T + wanted, atol=2e-3)


@pytest.mark.parametrize('kind', ['idt', 'sot'])
def test_sliced_transfer_gives_all_of_the_distribution(kind):
    """Two lumps of colour where there was one, which no linear map makes: by quantiles along directions of its own."""
    face, like = colours(0, (0.5, 0.4, 0.45), 0.05), colours(1, (0.45, 0.5, 0.5), 0.03)
    like = like + jnp.asarray([0.2, -0.1, 0.0]) * (np.arange(24)[:, None, None] % 2)
    made = colour.match_colour(kind, face, like, WEIGHT, WEIGHT)

    def apart(x, y):
        """Mean distance of the quantiles along directions, Wasserstein's."""
        ways = np.random.default_rng(9).normal(size=(3, 50))
        ways /= np.linalg.norm(ways, axis=0)
        inside = lambda z: np.asarray(z[0])[np.asarray(WEIGHT[0, ..., 0]) > 0]
        return np.abs(np.sort(inside(x) @ ways, 0) - np.sort(inside(y) @ ways, 0)).mean()

    linear = apart(colour.match_colour('mkl', face, like, WEIGHT, WEIGHT), like)
    assert apart(made, like) < linear / 2 < apart(face, like) / 2


def test_reinhard_gives_mean_and_spread_in_lab():
    face, like = colours(2, (0.5, 0.4, 0.45), 0.06), colours(3, (0.45, 0.55, 0.5), 0.03)
    made = colour.match_colour('reinhard', face, like, WEIGHT, WEIGHT)
    for n in range(2):
        got, got_cov = moments(rgb2lab(np.asarray(made[n])), WEIGHT[n])
        wanted, wanted_cov = moments(rgb2lab(np.asarray(like[n])), WEIGHT[n])
        np.testing.assert_allclose(got, wanted, atol=0.05)
        np.testing.assert_allclose(np.sqrt(np.diag(got_cov)), np.sqrt(np.diag(wanted_cov)), rtol=0.01)


@pytest.mark.parametrize('kind', colour.COLOURS[1:])
def test_colours_outside_the_mask_do_not_count(kind):
    face, like = colours(0, 0.5, 0.02), colours(1, 0.45, 0.03)
    elsewhere = jnp.where(WEIGHT > 0, like, 0.9)
    one, two = (colour.match_colour(kind, face, x, WEIGHT, WEIGHT) for x in (like, elsewhere))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(colour.match_colour(kind, face, like, 0 * WEIGHT, WEIGHT), face)  # an empty mask
    flat = colour.match_colour(kind, jnp.full_like(face, 0.3), like, WEIGHT, WEIGHT)  # no spread at all
    assert np.isfinite(flat).all()
    np.testing.assert_allclose(colour.match_colour(kind, like, like, WEIGHT, WEIGHT), like, atol=2e-3)


def test_reinhard_raises_contrast_only_so_far():
    face = colours(2, 0.5, 0.02)
    made = colour.match_colour('reinhard', face, jnp.clip(0.5 + 4 * (face - 0.5), 0, 1), WEIGHT, WEIGHT)
    spread = lambda x: np.sqrt(np.diag(moments(rgb2lab(np.asarray(x[0])), WEIGHT[0])[1]))
    np.testing.assert_allclose(spread(made), colour.MOST_CONTRAST * spread(face), rtol=0.02)


@pytest.mark.parametrize('kind,space', [('reinhard', rgb2lab), ('lct', np.asarray), ('mkl', np.asarray)])
def test_a_face_may_keep_some_of_its_own_tone(kind, space):
    face, like = colours(2, 0.5, 0.03), colours(3, 0.4, 0.03)
    both = [colour.match_colour(kind, face, like, WEIGHT, WEIGHT, tone) for tone in (1.0, 0.75)]
    mean, cov = ([moments(space(np.asarray(x[0])), WEIGHT[0])[i] for x in (face, like, *both)] for i in (0, 1))
    np.testing.assert_allclose(mean[3], 0.25 * mean[0] + 0.75 * mean[1], atol=0.02 * np.abs(mean[1] - mean[0]).max())
    np.testing.assert_allclose(np.diag(cov[3]), np.diag(cov[2]), rtol=0.02)


def test_dark_features_are_not_skin():
    grey = np.full((1, 40, 40, 1), 0.6, np.float32)
    grey += np.random.default_rng(0).normal(0, 0.02, grey.shape).astype(np.float32)
    grey[:, 10:14, 5:35] = 0.1  # brows
    weight = np.ones_like(grey)
    weight[:, 30:] = 0
    kept = np.asarray(skin(jnp.asarray(np.repeat(grey, 3, -1)), jnp.asarray(weight)))
    assert kept[:, 10:14, 5:35].max() < 0.01 and not kept[:, 30:].any()
    assert np.delete(kept[:, :30], slice(10, 14), 1).min() > 0.9


def test_no_colour_transfer_leaves_the_face_alone():
    face = colours(0, 0.5, 0.02)
    assert colour.match_colour('none', face, 1 - face, WEIGHT, WEIGHT) is face


def test_the_soft_mask_lies_inside():
    size = 100
    where = np.zeros((1, size, size, 1), np.float32)
    where[:, 20:70, 15:85] = 1
    mask = np.asarray(paste.soft_mask(jnp.asarray(where)))[0, ..., 0]
    where = where[0, ..., 0]
    assert mask[where == 0].max() < 0.1  # soft, but next to nothing outside
    assert mask[45, 50] == pytest.approx(1, abs=1e-5)
    reach = round(paste.EDGE * size)
    truth = cv2.erode(where, np.ones((2 * reach + 1,) * 2, np.uint8), borderValue=0)
    side = 2 * 3 * reach + 1
    truth = cv2.GaussianBlur(truth, (side, side), reach, borderType=cv2.BORDER_CONSTANT)
    np.testing.assert_allclose(mask, truth, atol=1e-5)
    white = np.asarray(paste.soft_mask(jnp.ones((1, size, size, 1))))
    assert max(white[0, 0].max(), white[0, :, -1].max()) < 0.08  # fades out before the crop ends


@pytest.mark.parametrize(('shift', 'tolerance'), [((0, 0), 1), ((0.5, 0.25), 2)])
def test_a_crop_pasted_back_is_the_frame(shift, tolerance):
    frame = smooth_frame(0)
    matrix = np.array([[0.9, 0.2, -30 + shift[0]], [-0.2, 0.9, 10 + shift[1]]])
    face = crop(frame, matrix, 128).astype(np.float32)
    mask = np.asarray(paste.soft_mask(jnp.ones((1, 128, 128, 1))))[0, ..., 0]
    done = frame.copy()
    paste.paste(done, face, mask, matrix)
    assert np.abs(done.astype(int) - frame).max() <= tolerance
    dark = frame.copy()
    paste.paste(dark, face * 0, mask, matrix)
    assert dark[100, 100].max() == 0
    outside = (
        cv2.warpAffine(
            np.ones((128, 128), np.float32), matrix, (240, 200), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        == 0
    )
    assert (dark[outside] == frame[outside]).all()  # bit for bit


def test_pastes_land_between_pixels():
    """The centre of mass of a pasted blob follows the matrix (OpenCV's cubic kernel alone moves it by up to 0.05)."""
    y, x = np.mgrid[:65, :65]
    blob = np.exp(-((x - 32) ** 2 + (y - 32) ** 2) / 50)[..., None].repeat(3, 2).astype(np.float32) * 200
    mask = np.ones((65, 65), np.float32)
    for dx in (0.0, 0.25, 0.5, 0.75):
        frame = np.zeros((120, 120, 3), np.uint8)
        paste.paste(frame, blob, mask, np.array([[1, 0, -20 - dx], [0, 1, -30.0]]))
        light = frame[..., 0].astype(float)
        gy, gx = np.mgrid[:120, :120]
        assert (light * gx).sum() / light.sum() == pytest.approx(52 + dx, abs=0.06)
        assert (light * gy).sum() / light.sum() == pytest.approx(62, abs=0.06)


def test_a_face_much_larger_than_its_place_does_not_alias():
    stripes = np.zeros((256, 256, 3), np.float32)
    stripes[:, ::2] = 255  # finer than the frame can show: grey is right
    frame = np.zeros((100, 100, 3), np.uint8)
    paste.paste(frame, stripes, np.ones((256, 256), np.float32), np.array([[4.3, 0, -80], [0, 4.3, -80]]))
    assert np.abs(frame[30:60, 30:60].astype(int) - 127).max() < 8
    y, x = np.mgrid[:256, :256]
    blob = np.exp(-((x - 127.5) ** 2 + (y - 127.5) ** 2) / 800)[..., None].repeat(3, 2).astype(np.float32) * 200
    frame[:] = 0
    paste.paste(frame, blob, np.ones((256, 256), np.float32), np.array([[4.0, 0, -80], [0, 4.0, -80]]))
    light, gx = frame[..., 0].astype(float), np.mgrid[:100, :100][1]
    assert (light * gx).sum() / light.sum() == pytest.approx((127.5 + 80) / 4, abs=0.03)


@pytest.mark.parametrize('where', [(-60, -60), (180, 150), (400, 400), (-300, 0)])
def test_faces_at_the_edge_of_the_frame_and_beyond(where):
    frame, black = smooth_frame(1), np.zeros((64, 64, 3), np.float32)
    done = frame.copy()
    matrix = np.column_stack([0.6 * np.eye(2), -0.6 * np.array(where)])
    paste.paste(done, black, np.ones((64, 64), np.float32), matrix)
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    at = 0.6 * (np.stack([x, y], -1) - where)  # the face's pixel under each of the frame's
    inside = ((at >= 0) & (at <= 63)).all(-1)
    beyond = ((at <= -1) | (at >= 64)).any(-1)
    assert (done[inside] == 0).all()
    assert (done[beyond] == frame[beyond]).all()  # bit for bit
    assert inside.any() == (min(where) > -100 and max(where) < 200)


def test_the_seamless_clone_takes_over_the_frames_level():
    """A face that is the frame plus a constant has the frame's gradients: Poisson's equation gives the frame back."""
    frame = smooth_frame(2) // 2 + 40
    matrix = np.array([[0.8, 0, -20], [0, 0.8, -20]])
    face = crop(frame, matrix, 96).astype(np.float32) + 50
    mask = np.asarray(paste.soft_mask(jnp.ones((1, 96, 96, 1))))[0, ..., 0]
    plain, cloned = frame.copy(), frame.copy()
    paste.paste(plain, face, mask, matrix)
    paste.paste(cloned, face, mask, matrix, seamless=True)
    assert np.abs(plain.astype(int) - frame).max() > 40
    assert np.abs(cloned.astype(int) - frame).max() <= 6


def test_bands_add_up_and_gains_restore_their_energy():
    sharp = jnp.asarray(smooth_frame(3, 64, 64)[None], jnp.float32)
    sharp = sharp + jnp.asarray(np.random.default_rng(0).normal(0, 6, sharp.shape), jnp.float32)
    np.testing.assert_allclose(sum(detail.bands(sharp)), sharp, atol=1e-3)
    *fine, rest = detail.bands(sharp)
    soft = 0.5 * fine[0] + 0.7 * fine[1] + fine[2] + rest
    weight = jnp.ones((1, 64, 64, 1))
    gains = detail.measure_gains(soft, weight, sharp, weight)
    assert 1.3 < gains[0] < detail.MOST and gains[0] > gains[1] > 1

    def energies(x):
        return np.array([float((b**2).sum()) for b in detail.bands(x.mean(-1, keepdims=True))[:-1]])

    before, after, wanted = (energies(x) for x in (soft, detail.amplify(soft, gains), sharp))
    assert (np.abs(after / wanted - 1) < 0.2).all() and before[0] / wanted[0] < 0.6
    assert detail.measure_gains(rest, weight, sharp, weight)[0] == detail.MOST  # capped
    assert detail.measure_gains(sharp, weight, soft, weight)[0] == 1.0  # never softened


@pytest.mark.parametrize('scale', [0.3, 1.0, 2.6])
def test_a_face_larger_than_its_mask_is_pasted_at_the_same_place(scale):
    """The mask's matrix says where both go, whatever the face's size."""
    frame = np.full((200, 240, 3), 90, np.uint8)
    small = cv2.GaussianBlur(smooth_frame(3, 48, 48), (0, 0), 4).astype(np.float32)
    large = cv2.resize(small, (144, 144), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((48, 48), np.float32)
    mask[6:-6, 6:-6] = 1
    matrix = np.array([[scale, 0.05, -20 * scale], [-0.05, scale, -15 * scale]])
    one, other = frame.copy(), frame.copy()
    paste.paste(one, small, mask, matrix)
    paste.paste(other, large, mask, matrix)
    assert np.abs(one.astype(int) - other).max() <= 8 and (one != frame).any()
    np.testing.assert_array_equal((one == frame).all(-1).sum(), (other == frame).all(-1).sum())

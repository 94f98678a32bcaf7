"""Array operations against scikit-image, SciPy, OpenCV and closed forms."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from skimage import color
from skimage.transform import SimilarityTransform

from dfjax.ops import geometry, image


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def smooth_picture(h: int, w: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A random picture in [0, 1] without edges sharper than a few pixels."""
    noise = rng(seed).normal(size=(h, w, channels))
    noise = scipy.ndimage.gaussian_filter(noise, (3, 3, 0))
    return ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


def skimage_similarity(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    return SimilarityTransform.from_estimate(src, dst).params[:2]


# Geometry


@pytest.mark.parametrize('points', [2, 5, 51])
def test_umeyama_equals_scikit_image_batched(points):
    src = rng().normal(size=(7, points, 2)) * 40 + 100
    turned = np.stack(
        [SimilarityTransform(scale=s, rotation=4 * s, translation=(9, -3))(p) for s, p in enumerate(src, 1)]
    )
    dst = turned + rng(1).normal(size=turned.shape) * 5
    ours = jax.jit(geometry.umeyama)(jnp.asarray(src), jnp.asarray(dst))
    assert ours.shape == (7, 2, 3)
    truth = np.stack([skimage_similarity(s, d) for s, d in zip(src, dst)])
    np.testing.assert_allclose(ours, truth, rtol=2e-4, atol=2e-3)


def test_umeyama_recovers_the_exact_similarity_and_leaves_out_mirroring():
    src = np.array([[0, 0], [10, 0], [10, 5], [3, 8]], np.float32)
    known = np.array([[0, -2, 7], [2, 0, -1]], np.float32)  # twice the size, a quarter turn
    dst = src @ known[:, :2].T + known[:, 2]
    np.testing.assert_allclose(geometry.umeyama(src, dst), known, atol=1e-4)
    mirrored = geometry.umeyama(src, dst * [-1, 1])
    assert np.linalg.det(mirrored[:, :2]) > 0


def test_umeyama_gradient_equals_finite_differences():
    src, dst = rng().normal(size=(2, 6, 2)).astype(np.float32)
    step = 1e-2
    moved = src + step * np.concatenate([np.eye(12), -np.eye(12)]).reshape(24, 6, 2)
    entry = lambda s: (geometry.umeyama(s, jnp.asarray(dst)) * jnp.arange(1.0, 7).reshape(2, 3)).sum()
    up, down = np.split(np.asarray(jax.jit(jax.vmap(entry))(moved)), 2)
    gradient = jax.jit(jax.grad(entry))(src)
    np.testing.assert_allclose(gradient.ravel(), (up - down) / (2 * step), rtol=5e-3, atol=5e-3)


def test_affine_maps_compose_invert_and_apply():
    a, b = rng().normal(size=(2, 4, 2, 3)).astype(np.float32)
    points = rng(1).normal(size=(4, 9, 2)).astype(np.float32)
    square = lambda m: np.concatenate([m, np.broadcast_to([[[0, 0, 1]]], (4, 1, 3))], 1)
    np.testing.assert_allclose(square(geometry.compose_affine(a, b)), square(a) @ square(b), atol=1e-5)
    np.testing.assert_allclose(square(geometry.invert_affine(a)), np.linalg.inv(square(a)), rtol=1e-3, atol=1e-4)
    truth = np.stack([cv2.transform(p[None], m)[0] for p, m in zip(points, a)])
    np.testing.assert_allclose(geometry.transform_points(a, points), truth, atol=1e-5)


# Rearrangement


@pytest.mark.parametrize('r', [2, 3])
def test_pixel_shuffle_puts_every_channel_in_its_place(r):
    b, h, w, c = 2, 3, 4, 5
    x = rng().normal(size=(b, h, w, r * r * c)).astype(np.float32)
    y = np.asarray(image.pixel_shuffle(jnp.asarray(x), r))
    assert y.shape == (b, r * h, r * w, c)
    for i in range(r):
        for j in range(r):
            for k in range(c):
                np.testing.assert_array_equal(y[:, i::r, j::r, k], x[..., (i * r + j) * c + k])


def test_space_to_depth_is_the_inverse_of_pixel_shuffle():
    x = jnp.asarray(rng().normal(size=(2, 6, 4, 3)))
    np.testing.assert_array_equal(image.pixel_shuffle(image.space_to_depth(x, 2), 2), x)


# Types


@pytest.mark.parametrize('module', [np, jnp])
def test_bytes_become_floats_and_bytes_again(module):
    x = module.arange(256, dtype=module.uint8)
    y = image.to_float(x)
    assert isinstance(y, type(x)) and y.dtype == np.float32
    np.testing.assert_allclose(y[::51], [-1, -0.6, -0.2, 0.2, 0.6, 1], atol=1e-7)
    assert image.to_uint8(y).dtype == np.uint8
    np.testing.assert_array_equal(image.to_uint8(y), x)
    np.testing.assert_array_equal(image.to_uint8(module.array([-3.0, 3.0, 0.999])), [0, 255, 255])


# Filters


def test_sobel_equals_scipy():
    x = rng().normal(size=(2, 9, 11, 3)).astype(np.float32)
    dx, dy = jax.jit(image.sobel)(jnp.asarray(x))
    smooth = lambda axis: scipy.ndimage.correlate1d(x, [1, 2, 1], axis, mode='nearest')
    slope = lambda y, axis: scipy.ndimage.correlate1d(y, [-1, 0, 1], axis, mode='nearest')
    np.testing.assert_allclose(dx, slope(smooth(1), 2), atol=1e-5)
    np.testing.assert_allclose(dy, slope(smooth(2), 1), atol=1e-5)
    np.testing.assert_allclose(dx[0, ..., 0], scipy.ndimage.sobel(x[0, ..., 0], 1, mode='nearest'), atol=1e-5)


@pytest.mark.parametrize('sigma, size', [(1.5, 11), (0.8, 5), (2.0, 7), (2.0, None)])
def test_gaussian_blur_equals_opencv(sigma, size):
    x = rng().normal(size=(2, 24, 20, 3)).astype(np.float32)
    taps = size or 2 * int(np.ceil(3 * sigma)) + 1
    truth = np.stack([cv2.GaussianBlur(p, (taps, taps), sigma, borderType=cv2.BORDER_REFLECT_101) for p in x])
    np.testing.assert_allclose(image.gaussian_blur(jnp.asarray(x), sigma, size), truth, atol=1e-5)
    valid = image.gaussian_blur(jnp.asarray(x), sigma, size, pad='valid')
    e = taps // 2
    assert valid.shape == (2, 24 - 2 * e, 20 - 2 * e, 3)
    np.testing.assert_allclose(valid, truth[:, e:-e, e:-e], atol=1e-5)


# Looking up pixels


@pytest.mark.parametrize(
    ('outside', 'border'),
    [
        ('edge', cv2.BORDER_REPLICATE),
        ('zeros', cv2.BORDER_CONSTANT),
        ('reflect', cv2.BORDER_REFLECT_101),
        ('symmetric', cv2.BORDER_REFLECT),
    ],
)
def test_grid_sample_equals_opencv_remap_inside_and_beyond_the_edges(outside, border):
    x = rng().normal(size=(3, 17, 23, 3)).astype(np.float32)
    grid = rng(1).uniform(-40, 60, size=(3, 12, 9, 2)).astype(np.float32)
    grid[0, :2] = rng(2).uniform(-1, 24, size=(2, 9, 2))
    # At positions in 32nds of a pixel OpenCV's fixed-point remap is exact.
    grid = np.round(grid * 32) / 32
    ours = jax.jit(image.grid_sample, static_argnums=(2, 3))(jnp.asarray(x), jnp.asarray(grid), False, outside)
    truth = [cv2.remap(p, g, None, cv2.INTER_LINEAR, borderMode=border) for p, g in zip(x, grid)]
    np.testing.assert_allclose(ours, np.stack(truth), atol=1e-4)


def test_grid_sample_at_pixels_gives_them_back_and_has_the_slope_between_them():
    x = jnp.asarray(rng().normal(size=(1, 5, 7, 2)), jnp.float32)
    gx, gy = np.meshgrid(np.arange(7.0), np.arange(5.0))
    grid = jnp.asarray(np.stack([gx, gy], -1)[None], jnp.float32)
    np.testing.assert_array_equal(image.grid_sample(x, grid), x)
    at = jnp.array([[[[2.25, 3.5]]]])
    slope = jax.jacobian(lambda g: image.grid_sample(x, g)[0, 0, 0])(at)[:, 0, 0, 0, 0]
    np.testing.assert_allclose(slope, (x[0, 3:5, 3] - x[0, 3:5, 2]).mean(0), atol=1e-5)


@pytest.mark.parametrize('h, w', [(1, 1), (1, 6), (6, 1)])
def test_grid_sample_of_a_single_row_or_column(h, w):
    x = jnp.asarray(rng().normal(size=(1, h, w, 1)), jnp.float32)
    far = jnp.array([[[[99.0, 99.0], [-9.0, -9.0]]]])
    np.testing.assert_allclose(image.grid_sample(x, far)[0, 0, :, 0], [x[0, -1, -1, 0], x[0, 0, 0, 0]])


def test_cubic_grid_sample_keeps_parabolas():
    """Keys' weights are exact for polynomials of degree two, away from the edges."""

    def surface(x, y):
        return 0.3 * x**2 - 0.2 * y**2 + 0.1 * x * y + x - 2 * y

    gx, gy = np.meshgrid(np.arange(12.0), np.arange(10.0))
    grid = rng(2).uniform(2, 7, size=(1, 6, 5, 2)).astype(np.float32)
    x = jnp.asarray(surface(gx, gy)[None, ..., None], jnp.float32)
    out = image.grid_sample(x, jnp.asarray(grid), cubic=True)[0, ..., 0]
    np.testing.assert_allclose(out, surface(*np.moveaxis(grid[0], -1, 0)), atol=1e-4)


@pytest.mark.parametrize('size', [16, 40])
def test_an_affine_warp_equals_opencv(size):
    x = np.stack([smooth_picture(30, 36, seed=s) for s in (0, 1)])
    maps = np.stack([cv2.getRotationMatrix2D((15, 14), a, s) for a, s in ((20, 1.3), (-100, 0.8))]).astype(np.float32)
    ours = image.grid_sample(jnp.asarray(x), image.affine_grid(jnp.asarray(maps), size))
    how = {'flags': cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, 'borderMode': cv2.BORDER_REPLICATE}
    truth = np.stack([cv2.warpAffine(p, m, (size, size), **how) for p, m in zip(x, maps)])
    np.testing.assert_allclose(ours, truth, atol=4e-3)  # OpenCV rounds positions to 1/32 pixel


def test_an_affine_warp_is_undone_by_its_inverse():
    x = jnp.asarray(smooth_picture(48, 48)[None])
    turn = jnp.asarray(cv2.getRotationMatrix2D((23.5, 23.5), 30, 1.0)[None], jnp.float32)
    turned = image.grid_sample(x, image.affine_grid(turn, 48))
    back = image.grid_sample(turned, image.affine_grid(geometry.invert_affine(turn), 48))
    np.testing.assert_allclose(back[0, 16:32, 16:32], x[0, 16:32, 16:32], atol=0.02)


def test_resize_keeps_means_and_ramps():
    ramp = jnp.broadcast_to(jnp.linspace(0, 1, 32)[None, None, :, None], (1, 32, 32, 1))
    small = image.resize(ramp, 8)
    np.testing.assert_allclose(small.mean(), 0.5, atol=1e-5)
    np.testing.assert_allclose(
        small[0, 4, 1:-1, 0], cv2.resize(np.asarray(ramp[0]), (8, 8), interpolation=cv2.INTER_AREA)[4, 1:-1], atol=1e-5
    )
    large = image.resize(small, 16)
    np.testing.assert_allclose(large[0], cv2.resize(np.asarray(small[0]), (16, 16))[..., None], atol=1e-5)


# Colour


def test_lab_equals_scikit_image_and_returns():
    rgb = rng().uniform(size=(2, 8, 8, 3)).astype(np.float32)
    rgb[0, 0, :4] = [[0, 0, 0], [1, 1, 1], [1, 0, 0], [0.01, 0.02, 0.03]]
    lab = jax.jit(image.rgb_to_lab)(jnp.asarray(rgb))
    np.testing.assert_allclose(lab, color.rgb2lab(rgb), atol=0.02)
    np.testing.assert_allclose(image.lab_to_rgb(lab), rgb, atol=1e-4)
    impossible = np.array([[[50, 120, -120], [99, -80, 90]]], np.float32)
    ours = image.lab_to_rgb(jnp.asarray(impossible))
    assert ((ours >= 0) & (ours <= 1)).all()


def test_lab_has_a_finite_gradient_at_black():
    slope = jax.grad(lambda x: image.rgb_to_lab(x).sum())(jnp.zeros((1, 1, 1, 3)))
    back = jax.grad(lambda x: image.lab_to_rgb(x).sum())(jnp.zeros((1, 1, 1, 3)))
    assert np.isfinite(slope).all() and np.isfinite(back).all()


def test_unit_coordinates_and_pixels():
    """A picture of 4 pixels reaches from 0 to 1, and the centre of its first pixel lies half a pixel inside."""
    points = np.array([[0.0, 3.0], [-0.5, 3.5]])
    np.testing.assert_array_equal(geometry.to_unit(points, 4), [[0.125, 0.875], [0, 1]])
    np.testing.assert_array_equal(geometry.to_pixels(geometry.to_unit(points, 4), 4), points)


# Looking up fewer pixels


def waves(period: float, size: int = 160) -> jax.Array:
    """Pictures [4, S, S, 1] of a cosine across, `period` pixels long, in four phases."""
    at = 2 * np.pi * np.arange(size) / period
    lines = np.cos(at + np.arange(4)[:, None] * np.pi / 4)
    return jnp.asarray(np.broadcast_to(lines[:, None, :, None], (4, size, size, 1)), jnp.float32)


@pytest.mark.parametrize('size, small', [(160, 64), (256, 128)])
def test_what_a_smaller_picture_cannot_show_is_not_in_it(size, small):
    """Waves shorter than two of its pixels would come out as longer ones; those of eight pixels stay."""
    ratio = size / small
    strength = lambda x: float(jnp.sqrt(2 * (x[:, :, 4:-4] ** 2).mean()))
    at = np.arange(small) * ratio  # of every nth pixel
    grid = jnp.broadcast_to(np.float32(np.stack(np.meshgrid(at, at), -1)), (4, small, small, 2))
    short = waves(1.25 * ratio, size)
    plain, filtered = (strength(sample(short, grid)) for sample in (image.grid_sample, image.sample_smaller))
    assert plain > 0.6 and filtered < 0.3 * plain
    assert strength(image.smaller(waves(8 * ratio, size), small)) > 0.85
    checker = jnp.asarray((np.indices((size, size)).sum(0) % 2 * 2.0 - 1)[None, ..., None], jnp.float32)
    assert float(jnp.abs(image.sample_smaller(checker, grid[:1] + 0.25)).max()) < 0.05
    assert float(jnp.abs(image.grid_sample(checker, grid[:1] + 0.25)).max()) > 0.2


def test_a_face_that_moves_by_less_than_a_pixel_flickers_less():
    """A picture filmed at quarters of a pixel, each looked up where it then is: it should be one picture."""
    large = smooth_picture(640, 640) + 0.2 * rng(1).normal(size=(640, 640, 3)).astype(np.float32)
    filmed = [cv2.resize(np.roll(large, move, 1), (160, 160), interpolation=cv2.INTER_AREA) for move in range(4)]
    filmed = jnp.asarray(np.stack(filmed))
    at = (np.arange(64) + 0.5) * 2.5 - 0.5
    grids = np.stack([np.stack(np.meshgrid(at + move / 4, at), -1) for move in range(4)])
    spread = lambda sample: float(sample(filmed, jnp.asarray(grids, jnp.float32))[:, 4:-4, 4:-4].std(0).mean())
    assert spread(image.sample_smaller) < 0.7 * spread(image.grid_sample)


def test_no_fewer_pixels_are_looked_up_as_they_are():
    x = jnp.asarray(smooth_picture(16, 16)[None])
    np.testing.assert_array_equal(image.smaller(x, 16), x)
    grid = image.affine_grid(jnp.array([[[0.5, 0, 0], [0, 0.5, 0]]]), 32)
    np.testing.assert_array_equal(image.sample_smaller(x, grid), image.grid_sample(x, grid))

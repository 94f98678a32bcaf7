"""Warped pairs and colour against closed forms and OpenCV."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from dfjax.config import build
from dfjax.data import augment
from dfjax.ops.geometry import umeyama
from dfjax.ops.skin import extended

SIZE = 32
OFF = {'warp': 0.0, 'rotate': 0.0, 'scale': 0.0, 'shift': 0.0, 'flip': 0.0}


def config(**changes):
    """Everything off but `changes`."""
    return build(augment.default_config(), OFF | changes)


def make_faces(n: int = 4, size: int = SIZE) -> dict:
    """Smooth random pictures with the coordinates of their own pixels in two channels."""
    rng = np.random.default_rng(0)
    noise = scipy.ndimage.gaussian_filter(rng.normal(size=(n, size, size, 3)), (0, 3, 3, 0))
    image = (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)
    image[..., 0] = np.arange(size) * 255 / (size - 1)  # x
    image[..., 1] = np.arange(size)[:, None] * 255 / (size - 1)  # y
    mask = np.zeros((n, size, size), np.uint8)
    mask[:, size // 4 : -size // 4, size // 3 : -size // 3] = 255
    landmarks = rng.uniform(0.25, 0.75, (n, 68, 2)).astype(np.float32)
    return {'image': image, 'mask': mask, 'landmarks': landmarks}


@pytest.fixture(scope='module')
def faces() -> dict:
    return make_faces()


def make_pair(cfg, faces: dict, side_in: int = SIZE, side_out: int = SIZE, seed: int = 0, first: int = 0) -> dict:
    """The warped pair of some faces, with the keys of examples `first`, first + 1, ..."""
    count = len(faces['image'])
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(first + jnp.arange(count))
    made = jax.jit(lambda keys, faces: augment.warped_pair(cfg, keys, faces, side_in, side_out))(keys, faces)
    return jax.tree.map(np.asarray, made)


def coordinates(picture: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Source pixel coordinates that a picture of `make_faces` shows at each pixel."""
    return (picture[..., :2] + 1) / 2 * (size - 1)


def test_nothing_happens_at_zero_strength(faces):
    pair = make_pair(config(), faces)
    truth = faces['image'] / 127.5 - 1
    for name in ('input', 'target'):
        np.testing.assert_allclose(pair[name], truth, atol=1e-5)
    np.testing.assert_allclose(pair['mask'][..., 0], faces['mask'] / 255, atol=1e-5)
    np.testing.assert_allclose(pair['landmarks'], faces['landmarks'], atol=1e-5)


def test_other_sizes_show_the_same_picture(faces):
    """Half the size is blurred and sampled at the middle of 2x2 pixels, which is their mean; landmarks do not change.

    Its pixels are as blurred by 0.4 of their side as those of the large picture are by 0.4 of theirs.
    """
    pair = make_pair(config(), faces, SIZE // 2, SIZE // 2)
    sigma = 0.4 * np.sqrt(2**2 - 1)
    blurred = [
        cv2.GaussianBlur(x / 127.5 - 1, (7, 7), sigma, borderType=cv2.BORDER_REFLECT_101) for x in faces['image']
    ]
    truth = np.stack(blurred).reshape(4, 16, 2, 16, 2, 3).mean((2, 4))
    np.testing.assert_allclose(pair['input'], truth, atol=1e-5)
    np.testing.assert_allclose(pair['target'], truth, atol=1e-5)
    np.testing.assert_allclose(pair['landmarks'], faces['landmarks'], atol=1e-5)


def test_flip_mirrors_pictures_and_names_of_landmarks(faces):
    pair = make_pair(config(flip=1.0), faces)
    np.testing.assert_allclose(pair['target'], faces['image'][:, :, ::-1] / 127.5 - 1, atol=1e-5)
    np.testing.assert_allclose(pair['mask'][..., 0], faces['mask'][:, :, ::-1] / 255, atol=1e-5)
    mirrored = faces['landmarks'] * [-1, 1] + [1, 0]
    for a, b in ((0, 16), (8, 8), (17, 26), (36, 45), (39, 42), (48, 54), (60, 64), (33, 33), (31, 35)):
        np.testing.assert_allclose(pair['landmarks'][:, a], mirrored[:, b], atol=1e-5)


def test_mirroring_landmarks_twice_changes_nothing(faces):
    twice = augment.flip_landmarks(augment.flip_landmarks(jnp.asarray(faces['landmarks'])))
    np.testing.assert_allclose(twice, faces['landmarks'], atol=1e-4)


def test_about_as_many_are_flipped_as_asked():
    many = make_faces(400, 16)
    pair = make_pair(config(flip=0.3), many, 16, 16)
    flipped = pair['target'][:, 4, 0, 0] > 0  # the x channel falls where it rose
    assert 0.2 < flipped.mean() < 0.4


def test_target_follows_the_similarity_nearest_to_the_warp(faces):
    """The warp of the input, read off its coordinate channels, has the target's map as its least-squares similarity."""
    cfg = config(warp=0.05)
    pair = make_pair(cfg, faces, 64, 64, seed=3)
    shown = coordinates(pair['input'])  # [B, 64, 64, 2] of the source
    aimed = coordinates(pair['target'])
    line = np.linspace(0, 63, augment.GRID)
    ys, xs = (np.round(g).astype(int).ravel() for g in np.meshgrid(line, line, indexing='ij'))
    inside = lambda p: ((p > 0.5) & (p < SIZE - 1.5)).all(-1)  # coordinates beyond the edge are clipped
    for warped, straight in zip(shown, aimed):
        # The target is a similarity, exactly: fit one to the pixels that are inside and compare them all.
        gy, gx = np.mgrid[:64, :64]
        pixels, good = np.stack([gx, gy], -1).astype(np.float32), inside(straight)
        m = np.asarray(umeyama(pixels[good], straight[good].astype(np.float32)))
        np.testing.assert_allclose(straight[good], pixels[good] @ m[:, :2].T + m[:, 2], atol=0.15)  # bytes
        # And it is the warp's nearest one, up to control points whose place cannot be seen.
        control = warped[ys, xs]
        seen = inside(control)
        nearest = pixels[ys, xs] @ m[:, :2].T + m[:, 2]
        assert np.abs((control - nearest)[seen].mean(0)).max() < 1.5
    assert np.abs(shown - aimed)[:, 16:48, 16:48].max() > 0.5  # it did warp


@pytest.mark.parametrize('changes', [{'rotate': 20.0}, {'scale': 0.2}, {'shift': 0.2}])
def test_each_strength_stays_in_its_range_and_uses_it(changes):
    (name, strength), n = *changes.items(), 300
    cfg = config(**changes)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(n))
    m = np.asarray(jax.jit(lambda keys: augment.random_similarity(cfg, keys, SIZE))(keys))
    middle = np.full(2, (SIZE - 1) / 2)
    drawn = {
        'rotate': np.degrees(np.arctan2(m[:, 1, 0], m[:, 0, 0])),
        'scale': np.sqrt(np.linalg.det(m[:, :, :2])) - 1,
        'shift': (m[:, :, :2] @ middle + m[:, :, 2] - middle) / SIZE,
    }
    for figure, values in drawn.items():
        if figure == name:
            assert np.abs(values).max() <= strength + 1e-4
            assert values.min() < -0.9 * strength and values.max() > 0.9 * strength
            assert abs(values.mean()) < 0.15 * strength
        else:
            np.testing.assert_allclose(values, 0, atol=1e-4)


def test_turned_picture_equals_opencv(faces):
    cfg = config(rotate=30.0, scale=0.1, shift=0.1)
    pair = make_pair(cfg, faces, seed=1)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(1), i))(jnp.arange(4))
    draws = jax.vmap(lambda key: jax.random.split(key, 5))(keys)[:, 2]
    maps = np.asarray(augment.random_similarity(cfg, draws, SIZE))
    how = {'flags': cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, 'borderMode': cv2.BORDER_REPLICATE}
    for i, m in enumerate(maps):
        picture = faces['image'][i].astype(np.float32) / 127.5 - 1
        truth = cv2.warpAffine(picture, m, (SIZE, SIZE), **how)
        np.testing.assert_allclose(pair['input'][i], truth, atol=0.01)
        np.testing.assert_allclose(pair['target'][i], truth, atol=0.01)
        points = cv2.transform(faces['landmarks'][i][None] * SIZE - 0.5, cv2.invertAffineTransform(m))[0]
        np.testing.assert_allclose(pair['landmarks'][i], (points + 0.5) / SIZE, atol=1e-4)


def test_landmarks_stay_on_what_they_marked(faces):
    """The pixel of the target under a landmark shows the source coordinates of that landmark."""
    pair = make_pair(config(warp=0.02, rotate=15.0, scale=0.05, shift=0.05), faces, 32, 128, seed=2)
    for target, points, truth in zip(pair['target'], pair['landmarks'], faces['landmarks']):
        x, y = np.round(points * 128 - 0.5).astype(int).T
        good = (x >= 0) & (x < 128) & (y >= 0) & (y < 128)
        assert good.sum() > 40
        np.testing.assert_allclose(coordinates(target)[y[good], x[good]], truth[good] * SIZE - 0.5, atol=0.4)


def test_an_example_does_not_depend_on_the_rest_of_its_batch(faces):
    cfg = config(warp=0.02, rotate=15.0, flip=0.5, brightness=0.2, hue=0.1)
    whole = make_pair(cfg, faces)
    half = make_pair(cfg, {k: v[2:] for k, v in faces.items()}, first=2)
    for name, value in whole.items():
        np.testing.assert_allclose(value[2:], half[name], atol=1e-5)
    assert np.abs(whole['input'][0] - whole['input'][1]).max() > 0.1  # and examples differ


def test_pictures_stay_in_range(faces):
    cfg = config(warp=0.1, rotate=40.0, brightness=0.5, contrast=0.5, saturation=0.5, hue=0.3)
    pair = make_pair(cfg, faces)
    for name, low in (('input', -1), ('target', -1), ('mask', 0)):
        assert np.isfinite(pair[name]).all() and pair[name].min() >= low - 1e-6 and pair[name].max() <= 1 + 1e-6


def test_colour_changes_the_input_alone(faces):
    plain = make_pair(config(), faces)
    pair = make_pair(config(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.2), faces)
    assert np.abs(pair['input'] - plain['input']).mean() > 0.02
    np.testing.assert_array_equal(pair['target'], plain['target'])


def test_brightness_adds_what_was_drawn():
    cfg = config(brightness=0.25)
    grey = jnp.full((64, 2, 2, 3), 0.5)
    keys = jax.random.split(jax.random.key(0), 64)
    drawn = np.asarray(jax.jit(lambda k: augment.jitter_colour(cfg, k, grey))(keys))
    np.testing.assert_allclose(drawn, np.broadcast_to(drawn[:, :1, :1, :1], drawn.shape), atol=1e-6)
    change = drawn[:, 0, 0, 0] - 0.5
    assert np.abs(change).max() <= 0.25 + 1e-6 and change.min() < -0.2 and change.max() > 0.2


def test_grey_stays_grey_under_saturation_and_hue():
    cfg = config(saturation=0.5, hue=0.5)
    grey = jnp.broadcast_to(jnp.linspace(0.05, 0.95, 9).reshape(1, 3, 3, 1), (2, 3, 3, 3))
    drawn = augment.jitter_colour(cfg, jax.random.split(jax.random.key(0), 2), grey)
    np.testing.assert_allclose(drawn, grey, atol=1e-3)


def test_a_canonical_pair_bends_the_input_alone(faces):
    """The target is the face itself, where the mask is deep enough; the input is near all of it, and bent."""
    cfg = augment.default_config()
    cfg.flip = 0.0
    keys = jax.random.split(jax.random.key(5), len(faces['image']))
    pair = jax.jit(lambda keys, faces: augment.canonical_pair(cfg, keys, faces, SIZE))(keys, faces)
    whole = faces['image'].astype(np.float32) / 127.5 - 1
    deep = np.stack([cv2.erode(mask, np.ones((SIZE // 4, SIZE // 4))) for mask in faces['mask']]) == 255
    assert deep.mean() > 0.03
    np.testing.assert_allclose(pair['target'][deep], whole[deep], atol=0.02)
    np.testing.assert_allclose(pair['mask'][..., 0], faces['mask'] / 255, atol=1e-5)
    np.testing.assert_allclose(pair['landmarks'], faces['landmarks'], atol=1e-5)
    moved = np.abs(pair['input'] - whole).mean()
    assert 0.001 < moved < 0.3 * np.abs(whole - whole[::-1]).mean() + 0.1
    cfg.warp = 0.0
    still = jax.jit(lambda keys, faces: augment.canonical_pair(cfg, keys, faces, SIZE))(keys, faces)
    np.testing.assert_allclose(still['input'], whole, atol=1e-4)


def test_skin_goes_on_past_the_outline():
    """As plain skin, shaded from side to side; brows and what is behind the face leave no trace in it."""
    at = np.arange(64) / 64
    plain = np.stack(np.broadcast_arrays(0.5 + 0.2 * at[None], 0.4 + 0 * at[:, None], 0.3 + 0.1 * at[:, None]), -1)
    face = plain.copy()
    face[20:24, 20:44] = 0.05
    y, x = np.mgrid[:64, :64]
    mask = (np.hypot(x - 31.5, y - 31.5) < 22).astype(np.float32)[..., None]
    rng = np.random.default_rng(0)
    behind = [np.where(mask > 0, face, rng.uniform(size=face.shape)) for _ in range(2)]
    one, two = extended(jnp.asarray(np.stack(behind), jnp.float32), jnp.asarray(np.stack([mask, mask])))
    np.testing.assert_allclose(one, two, atol=1e-6)
    np.testing.assert_allclose(one[26:38, 20:44], face[26:38, 20:44], atol=1e-3)
    np.testing.assert_allclose(one[20:24, 28:36], face[20:24, 28:36], atol=1e-3)  # a brow is part of the face
    ring = (np.hypot(x - 31.5, y - 31.5) > 22) & (np.hypot(x - 31.5, y - 31.5) < 28)
    np.testing.assert_allclose(one[ring], plain[ring], atol=0.06)
    assert np.isfinite(extended(jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 8, 8, 1)))).all()


def test_what_is_dark_at_the_outline_is_hair_unless_features_are_said_to_be_there():
    face, keep = np.full((1, 256, 256, 3), 0.5, np.float32), np.zeros((256, 256), np.float32)
    y, x = np.mgrid[:256, :256]
    mask = (np.hypot(x - 127.5, y - 127.5) < 88).astype(np.float32)[None, ..., None]
    face[:, 112:144, 40:54] = 0.05
    keep[104:152, 32:80] = 1
    hair, brow = (extended(*map(jnp.asarray, (face, mask)), where) for where in (None, jnp.asarray(keep)))
    rim = np.s_[0, 120:136, 44:50]
    assert hair[rim].mean() > 0.3 and brow[rim].mean() < 0.25

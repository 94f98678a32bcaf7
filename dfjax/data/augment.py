"""Augmentation on the device, inside a step: warped pairs and colour. Pure, batched, one random key an example.

One key an example (not a batch) makes the draw of an example independent of how a batch is split over devices.
"""

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.ops.exact import einsum, matmul
from dfjax.ops.geometry import compose_affine, invert_affine, to_pixels, to_unit, transform_points, umeyama
from dfjax.ops.image import affine_grid, sample_smaller
from dfjax.ops.skin import extended

GRID = 5  # control points a side of the warp, as in the first face swapper


def default_config() -> ConfigDict:
    """Strengths of the augmentation of a warped pair; 0 switches one off."""
    return ConfigDict(
        dict(
            warp=5 / 256,  # standard deviation of the control points, in sides of the picture
            rotate=10.0,  # degrees, uniform in plus or minus
            scale=0.05,  # relative, uniform in plus or minus
            shift=0.05,  # in sides of the picture, uniform in plus or minus
            flip=r.share(0.5),  # probability
            brightness=0.0,  # greatest change, of [0, 1]
            contrast=0.0,  # relative, uniform in plus or minus
            saturation=0.0,  # likewise
            hue=r.share(0.0),  # greatest turn, of a full circle
        )
    )


def training_pair(
    cfg: ConfigDict, keys: jax.Array, faces: dict, side_in: int, side_out: int, features: np.ndarray | None = None
) -> dict:
    """One side's pair of pictures: `canonical_pair` where `features` are given, else `warped_pair`."""
    if features is None:
        return warped_pair(cfg, keys, faces, side_in, side_out)
    return canonical_pair(cfg, keys, faces, side_in, jnp.asarray(features))


def warped_pair(cfg: ConfigDict, keys: jax.Array, faces: dict, side_in: int, side_out: int) -> dict:
    """The autoencoder's training pair: a face warped by a random 5x5 grid, and the same face without the warp.

    The target is moved by the similarity that is nearest to the warp, so that what is left to undo is only the
    distortion; both share a random rotation, scale, shift and flip.

    Args:
        cfg: see `default_config`.
        keys: [B] typed random keys.
        faces: 'image' uint8 [B, S, S, 3], 'mask' uint8 [B, S, S], 'landmarks' [B, 68, 2] in unit coordinates.
        side_in: side of the warped picture.
        side_out: side of the target.

    Returns:
        'input' [B, side_in, side_in, 3] and 'target' [B, side_out, side_out, 3] in [-1, 1], 'mask' [B, side_out,
        side_out, 1] in [0, 1] and 'landmarks' [B, 68, 2] in unit coordinates, both of the target.
    """
    size = faces['image'].shape[1]
    draws, picture, landmarks = flipped(cfg, keys, faces)
    shift, bend = random_bend(cfg, draws[:, 1], side_in, size)
    line = jnp.linspace(0.0, size - 1, GRID)
    regular = jnp.stack(jnp.meshgrid(line, line), -1).reshape(GRID * GRID, 2)
    nearest = umeyama(regular, regular + shift.reshape(-1, GRID * GRID, 2))  # [B, 2, 3]
    shared = random_similarity(cfg, draws[:, 2], size)  # [B, 2, 3], output pixels to source pixels
    to_source = compose_affine(shared, nearest)

    dense = affine_grid(rescale(shared, size, side_in), side_in)  # [B, s, s, 2]
    dense = dense + einsum('bij,bstj->bsti', shared[..., :2], bend)
    warped = sample_smaller(picture[..., :3], dense)
    target = sample_smaller(picture, affine_grid(rescale(to_source, size, side_out), side_out))
    points = transform_points(invert_affine(to_source), to_pixels(landmarks, size))  # source to target pixels
    return _pair(cfg, draws[:, 3], warped, target, to_unit(points, size))


def canonical_pair(
    cfg: ConfigDict, keys: jax.Array, faces: dict, side_in: int, features: jax.Array | None = None
) -> dict:
    """`warped_pair` for canonical faces (`data.faces.canonical`), where nothing is to be learnt of rotation, scale and
    shift: the target is the face itself. Its skin goes on past the outline (`ops.skin.extended`), so that a decoder
    paints no hair, and what it paints need not be cut back where its mask is a little off; `features` [S, S] are not
    painted over. 'landmarks' are those that the face had."""
    size = faces['image'].shape[1]
    draws, picture, landmarks = flipped(cfg, keys, faces)
    _, bend = random_bend(cfg, draws[:, 1], side_in, size)
    still = jnp.tile(jnp.eye(2, 3), (len(keys), 1, 1))
    warped = sample_smaller(picture[..., :3], affine_grid(rescale(still, size, side_in), side_in) + bend)
    target = jnp.concatenate([extended(picture[..., :3], picture[..., 3:], features), picture[..., 3:]], -1)
    return _pair(cfg, draws[:, 3], warped, target, landmarks)


def flipped(cfg: ConfigDict, keys: jax.Array, faces: dict) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Five more keys an example [B, 5]; picture and mask as [B, S, S, 4] in [0, 1] and landmarks, some mirrored."""
    draws = jax.vmap(lambda key: jax.random.split(key, 5))(keys)
    picture = faces['image'].astype(jnp.float32) / 255
    picture = jnp.concatenate([picture, faces['mask'][..., None].astype(jnp.float32) / 255], -1)  # [B, S, S, 4]
    landmarks = faces['landmarks']
    if cfg.flip:
        chosen = jax.vmap(lambda key: jax.random.bernoulli(key, cfg.flip))(draws[:, 0])
        picture = jnp.where(chosen[:, None, None, None], dm_pix.flip_left_right(picture), picture)
        mirrored = flip_landmarks(landmarks)
        landmarks = jnp.where(chosen[:, None, None], mirrored, landmarks)
    return draws, picture, landmarks


def random_bend(cfg: ConfigDict, keys: jax.Array, side: int, size: int) -> tuple[jax.Array, jax.Array]:
    """How far a 5x5 grid moves in pixels of `size` [B, 5, 5, 2], and with it each of `side` pixels [B, s, s, 2]."""
    shift = jax.vmap(lambda key: jax.random.normal(key, (GRID, GRID, 2)))(keys) * cfg.warp * size
    hat = hat_basis(side)
    return shift, einsum('si,tj,bijc->bstc', hat, hat, shift)


def _pair(cfg: ConfigDict, keys: jax.Array, warped: jax.Array, target: jax.Array, landmarks: jax.Array) -> dict:
    return {
        'input': 2 * jitter_colour(cfg, keys, warped) - 1,
        'target': 2 * target[..., :3] - 1,
        'mask': target[..., 3:],
        'landmarks': landmarks,
    }


def random_similarity(cfg: ConfigDict, keys: jax.Array, size: int) -> jax.Array:
    """Random rotation, scale and shift about the middle of a picture of `size` pixels: [B, 2, 3]."""
    draw = jax.vmap(lambda key: jax.random.uniform(key, (4,), minval=-1.0))(keys)  # [B, 4]
    angle = jnp.deg2rad(cfg.rotate) * draw[:, 0]
    scale = 1 + cfg.scale * draw[:, 1]
    shift = cfg.shift * size * draw[:, 2:]
    cos, sin = scale * jnp.cos(angle), scale * jnp.sin(angle)
    linear = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)  # [B, 2, 2]
    middle = jnp.full((2,), (size - 1) / 2)
    return jnp.concatenate([linear, (middle + shift - matmul(linear, middle))[..., None]], -1)


def rescale(m: jax.Array, size: int, side: int) -> jax.Array:
    """The map m [B, 2, 3] between pictures of `size` pixels, for an output of `side` pixels instead."""
    ratio = size / side
    to_size = jnp.array([[ratio, 0, (ratio - 1) / 2], [0, ratio, (ratio - 1) / 2]])
    return compose_affine(m, to_size)


def hat_basis(side: int) -> np.ndarray:
    """[side, GRID] weights that interpolate GRID control points linearly over `side` pixels."""
    position = (np.arange(side) + 0.5) / side * (GRID - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(GRID))).astype(np.float32)


# Where each of the 68 landmarks goes when a face is mirrored.
_MIRROR = np.concatenate(
    [
        np.arange(16, -1, -1),
        np.arange(26, 16, -1),
        [27, 28, 29, 30, 35, 34, 33, 32, 31],
        [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40],
        [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65],
    ]
)


def flip_landmarks(landmarks: jax.Array) -> jax.Array:
    """68 landmarks [B, 68, 2] of mirrored pictures, in unit coordinates: points move and change their names."""
    mirrored = landmarks[:, _MIRROR]
    return mirrored.at[..., 0].set(1 - mirrored[..., 0])


def jitter_colour(cfg: ConfigDict, keys: jax.Array, pictures: jax.Array) -> jax.Array:
    """Random brightness, contrast, saturation and hue of [B, H, W, 3] in [0, 1], one draw a picture."""

    def one(key: jax.Array, picture: jax.Array) -> jax.Array:
        a, b, c, d = jax.random.split(key, 4)
        if cfg.brightness:
            picture = dm_pix.random_brightness(a, picture, cfg.brightness)
        if cfg.contrast:
            picture = dm_pix.random_contrast(b, picture, 1 - cfg.contrast, 1 + cfg.contrast)
        if cfg.saturation:
            picture = dm_pix.random_saturation(c, picture, 1 - cfg.saturation, 1 + cfg.saturation)
        if cfg.hue:
            picture = dm_pix.random_hue(d, picture, cfg.hue)
        return picture

    if not (cfg.brightness or cfg.contrast or cfg.saturation or cfg.hue):
        return pictures
    return jnp.clip(jax.vmap(one)(keys, pictures), 0, 1)

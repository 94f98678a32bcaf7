"""Random crops and flips; the same keys give the same ones, so that pairs stay aligned."""

import jax
import jax.numpy as jnp

from dfjax.ops.image import resize


def jitter(keys: jax.Array, pictures: jax.Array, enlarge: float, flip: float) -> jax.Array:
    """Each picture enlarged, cropped at random to its former size, and flipped at random, by its own key.

    Args:
        keys: [B] typed.
        pictures: [B, S, S, C].
        enlarge: 286 / 256 is pix2pix's and CycleGAN's; 1 moves nothing.
        flip: probability of the mirror image.
    """
    size = pictures.shape[1]
    large = round(size * enlarge)
    if large > size:
        pictures = resize(pictures, large)

    def one(key: jax.Array, picture: jax.Array) -> jax.Array:
        place, mirror = jax.random.split(key)
        top, left = jax.random.randint(place, (2,), 0, large - size + 1)
        picture = jax.lax.dynamic_slice(picture, (top, left, 0), (size, size, picture.shape[-1]))
        return jnp.where(jax.random.bernoulli(mirror, flip), picture[:, ::-1], picture)

    return jax.vmap(one)(keys, pictures)


def flipped(pictures: jax.Array, keys: jax.Array, probability: float) -> jax.Array:
    """Pictures [B, H, W, C], each mirrored with that probability by its own key."""
    chosen = jax.vmap(lambda key: jax.random.bernoulli(key, probability))(keys)
    return jnp.where(chosen[:, None, None, None], pictures[:, :, ::-1], pictures)

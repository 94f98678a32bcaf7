"""Differentiable augmentation of a discriminator's input, real and fake alike (Zhao et al. 2020)."""

import jax
import jax.numpy as jnp

from dfjax.ops.exact import einsum


def diffaugment(
    x: jax.Array, keys: jax.Array, *, colour: float = 0.0, translate: float = 0.0, cutout: float = 0.0
) -> jax.Array:
    """Pictures [B, S, S, C] in [-1, 1] changed at random, each by its own key.

    Args:
        colour: strength of random brightness, saturation and contrast; 1 is the paper's.
        translate: greatest shift, in sides; grey moves in.
        cutout: length of a grey square's edge, in sides.
    """
    size = x.shape[1]
    draw = jax.vmap(lambda key: jax.random.uniform(key, (7,), minval=-1.0))(keys)  # [B, 7]
    if colour:
        brightness, saturation, contrast = (colour * draw[:, i, None, None, None] for i in range(3))
        x = x + brightness
        grey = x.mean(-1, keepdims=True)
        x = grey + (1 + saturation) * (x - grey)
        level = x.mean((1, 2, 3), keepdims=True)
        x = level + (1 + contrast / 2) * (x - level)
    at = jnp.arange(size)
    if translate:
        shift = jnp.round(translate * size * draw[:, 3:5]).astype(jnp.int32)  # [B, 2]
        rows, columns = (at[:, None] + shift[:, i, None, None] == at for i in range(2))  # [B, S, S], one-hot
        # Products of matrices instead of a gather: its gradient, a scatter, is slow on a CPU and a TPU.
        x = einsum('bih,bjw,bhwc->bijc', rows.astype(x.dtype), columns.astype(x.dtype), x)
    if cutout:
        middle = (draw[:, 5:7] + 1) / 2 * size
        row, column = (jnp.abs(at + 0.5 - middle[:, i, None]) < cutout * size / 2 for i in range(2))  # [B, S]
        x = x * ~(row[:, :, None] & column[:, None, :])[..., None]
    return x

"""SAEHD's losses, as DeepFaceLab weighs them. Pictures [B, S, S, 3] and masks [B, S, S, 1] are in [0, 1].

`w` has the keys of the system's `loss`.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from dfjax.losses.image import colour_distance, dssim, face_weight
from dfjax.ops.image import gaussian_blur

FINE = 256  # pixels from which on structure is compared at two scales
WINDOW = 11.6  # windows of structure in a side; twice as many at the finer scale
STYLE = 1e4  # of colours' moments, at a power of 1


def softened(mask: jax.Array) -> jax.Array:
    """A mask whose blurred edge is 0.5 where the mask's was."""
    sigma = max(1, mask.shape[1] // 32)  # pixels
    return _blurred(mask, sigma)


def inside(soft: jax.Array) -> jax.Array:
    """1 in the whole mask and falling outside of it; `soft` is of `softened`."""
    return 2 * jnp.clip(soft, 0, 0.5)


def structure(x: jax.Array, y: jax.Array) -> jax.Array:
    """Dissimilarity of structure: a scalar, at two scales for large pictures."""
    size = x.shape[1]
    scales = (WINDOW, 2 * WINDOW) if size >= FINE else (WINDOW,)
    return sum(dssim(x, y, size=int(size / scale), span=1.0).mean() for scale in scales) / len(scales)


def reconstruction(w: Mapping, made: jax.Array, mask: jax.Array, pair: dict) -> dict[str, jax.Array]:
    """One person's terms.

    Args:
        made, mask: the decoder's.
        pair: 'target', 'mask' and 'landmarks' [B, 68, 2] in units of the side.
    """
    target, shown = pair['target'], inside(softened(pair['mask']))
    x, y = (made * shown, target * shown) if w['masked'] else (made, target)
    terms = {'dssim': w['dssim'] * structure(x, y), 'mse': w['mse'] * jnp.square(x - y).mean()}
    if w['features']:
        where = jnp.minimum(face_weight(jnp.zeros_like(mask), pair['landmarks'], 0.0, 1.0), 1)
        terms['features'] = w['features'] * (jnp.abs(made - target) * where).mean()
    return terms | {'mask': w['mask'] * jnp.square(mask - pair['mask']).mean()}


def face_style(power: float, face: jax.Array, like: jax.Array) -> jax.Array:
    """How unlike the colours of two masked faces are: a scalar."""
    sigma = face.shape[1] // 8  # pixels
    return STYLE * power * colour_distance(_blurred(face, sigma), _blurred(like, sigma)).mean()


def background_style(w: Mapping, power: float, made: jax.Array, target: jax.Array, soft: jax.Array) -> jax.Array:
    """How unlike a swap and the picture that it is put into are off the face: a scalar; `soft` is of the picture."""
    x, y = made * (1 - soft), target * (1 - soft)
    one = int(made.shape[1] / WINDOW)
    return power * (w['dssim'] * dssim(x, y, size=one, span=1.0).mean() + w['mse'] * jnp.square(x - y).mean())


def off_the_face(made: jax.Array, pair: dict) -> jax.Array:
    """Mean squared error there, a scalar."""
    return jnp.square((made - pair['target']) * (1 - inside(softened(pair['mask'])))).mean()


def _blurred(x: jax.Array, sigma: int) -> jax.Array:
    return gaussian_blur(x, sigma, max(3, 4 * sigma // 2 * 2 + 1), pad='constant')

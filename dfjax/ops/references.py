"""Reference pictures: a face as a blend of pictures of the person, place by place.

Of each person some canonical pictures are kept. A place of a new face takes most from those whose landmarks about that
place lie as the new face's do: the mouth from one with such a mouth, the eyes from one with such eyes. References, here
and in a state, are a tree: 'landmarks' [R, 68, 2] in units of the side, 'used' [R], 1 for those that count, 'pictures'
uint8 [R, S, S, 3], and 'large' [R, T, T, 3], the same as fine as their source, where T is above S.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.exact import einsum
from dfjax.ops.image import resize, to_float

NEAR = 0.008  # offset of landmarks, in sides, at which a reference has fallen to 0.61 of a perfect one's weight
ABOUT = 0.12  # standard deviation, in sides, of the weight of landmarks about a place
EVERYWHERE = 0.02  # weight of all landmarks at all places: nothing lies near the edges
JAW = 0.2  # weight of the jaw's landmarks, the least certain, against 1


def landmark_shares(shape: np.ndarray, side: int) -> np.ndarray:
    """How much each landmark says of each place of a face: float32 [side, side, K], of sum 1 at a place.

    Args:
        shape: [K, 2] where the landmarks lie in a canonical picture, in units of its side; the first 17 are the jaw.
    """
    at = (np.arange(side) + 0.5) / side
    places = np.stack(np.meshgrid(at, at), -1)  # [side, side, 2]
    squared = ((places[:, :, None] - shape) ** 2).sum(-1)  # [side, side, K]
    weight = (np.exp(-squared / (2 * ABOUT**2)) + EVERYWHERE) * np.where(np.arange(len(shape)) < 17, JAW, 1)
    return (weight / weight.sum(-1, keepdims=True)).astype(np.float32)


def nearness(shares: jax.Array, landmarks: jax.Array, references: dict) -> jax.Array:
    """Logits of the references by how near their landmarks are: -d^2 / (2 NEAR^2), d the weighted offset at a place.

    Args:
        shares: of `landmark_shares`, [h, w, K].
        landmarks: [B, K, 2] of the faces that are to be painted, in units of the side.

    Returns:
        [B, h, w, R]; what is not used has the least there are.
    """
    squared = ((landmarks[:, None] - references['landmarks']) ** 2).sum(-1)  # [B, R, K]
    logits = -einsum('hwk,brk->bhwr', shares, squared) / (2 * NEAR**2)
    return jnp.where(references['used'] > 0, logits, -1e9)


def blend(logits: jax.Array, pictures: jax.Array) -> jax.Array:
    """Pictures uint8 [R, S, S, 3], mixed by the softmax of logits [B, h, w, R]: [B, S, S, 3] in [-1, 1]."""
    weights = resize(jax.nn.softmax(logits), pictures.shape[1])  # [B, S, S, R]
    return (weights[..., None] * to_float(pictures).transpose(1, 2, 0, 3)).sum(-2)


def paint(
    references: dict, shares: jax.Array, landmarks: jax.Array, rest: jax.Array, mixture: jax.Array, large: bool = False
) -> jax.Array:
    """What a decoder makes of the references: their mixture, and the rest, which is in none of them.

    Args:
        landmarks: [B, K, 2] of the faces, in the shape of the references' person.
        rest: [B, S, S, 3].
        mixture: [B, h, w, R] logits, added to those of `nearness`.
        large: as fine as the references are.

    Returns:
        [B, S, S, 3], with `large` [B, T, T, 3]; may leave [-1, 1] a little.
    """
    pictures = references.get('large', references['pictures']) if large else references['pictures']
    logits = mixture + nearness(shares, landmarks, references)
    return blend(logits, pictures) + resize(rest, pictures.shape[1])


def blank(count: int, size: int, large: int) -> dict:
    """References before any are chosen, `size` and `large` pixels a side."""
    sides = {'pictures': size} | ({'large': large} if large > size else {})
    pictures = {name: jnp.zeros((count, side, side, 3), jnp.uint8) for name, side in sides.items()}
    return pictures | {'landmarks': jnp.zeros((count, 68, 2)), 'used': jnp.ones(count)}

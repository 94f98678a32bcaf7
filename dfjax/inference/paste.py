"""From a swapped face to a finished frame: its colours, its mask, and the way back into the picture.

Colours and masks are batched jnp and run inside the jitted apply; `paste` and `clone` work on one frame, on the CPU,
where the frame is.
"""

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.exact import einsum, matmul
from dfjax.ops.image import gaussian_blur, lab_to_rgb, rgb_to_lab
from dfjax.ops.skin import moments

COLOURS = ('none', 'reinhard', 'mkl')
EDGE = 0.006  # of the side: the mask is pulled in and softened by this much
FADE = 0.06  # of the side: the mask fades out within so much of the picture's edge
MOST_CONTRAST = 1.4  # by which Reinhard's transfer may raise it: more makes skin shine, and noise of it blotches
ROOT_STEPS = 30  # enough for colours that spread a thousand times more one way than another


def match_colour(
    kind: str, face: jax.Array, like: jax.Array, weight: jax.Array, like_weight: jax.Array, tone: float = 1.0
) -> jax.Array:
    """Gives faces the colours of other pictures, each seen through a mask.

    Args:
        kind: 'none', 'reinhard' (mean and spread of each channel of L*a*b*; Reinhard et al. 2001;
            contrast is raised by MOST_CONTRAST at most) or 'mkl' (mean and
            covariance of RGB by the linear map that moves colours least; Pitié & Kokaram 2007).
        face: [B, S, S, 3] in [0, 1].
        like: [B, S, S, 3] in [0, 1].
        weight: [B, S, S, 1], where the face's colours count; where it is 0 throughout, the face is returned as it is.
        like_weight: [B, S, S, 1], likewise for `like`.
        tone: how much of the mean colour is taken over, 0 to 1; spreads always are.

    Returns:
        [B, S, S, 3] in [0, 1].
    """
    if kind == 'none':
        return face
    matched = {'reinhard': _reinhard, 'mkl': _monge_kantorovich}[kind](face, like, weight, like_weight, tone)
    seen = jnp.minimum(*(w.sum((1, 2, 3), keepdims=True) for w in (weight, like_weight)))
    return jnp.where(seen > 0, jnp.clip(matched, 0, 1), face)


def _reinhard(face: jax.Array, like: jax.Array, weight: jax.Array, like_weight: jax.Array, tone: float) -> jax.Array:
    face, like = rgb_to_lab(face), rgb_to_lab(like)
    mean, spread, _ = moments(face, weight)  # [B, 1, 1, 3]
    wanted, wanted_spread, _ = moments(like, like_weight)
    gain = jnp.minimum(wanted_spread / jnp.maximum(spread, 1e-3), MOST_CONTRAST)
    return lab_to_rgb((face - mean) * gain + mean + tone * (wanted - mean))


def _monge_kantorovich(
    face: jax.Array, like: jax.Array, weight: jax.Array, like_weight: jax.Array, tone: float
) -> jax.Array:
    mean, _, share = moments(face, weight)
    wanted, _, like_share = moments(like, like_weight)

    def covariance(x: jax.Array, share: jax.Array) -> jax.Array:
        return einsum('bhwi,bhwj,bhw->bij', x, x, share[..., 0]) + 1e-6 * jnp.eye(3)

    root, inverse_root = _roots(covariance(face - mean, share))
    middle, _ = _roots(matmul(matmul(root, covariance(like - wanted, like_share)), root))
    linear = matmul(matmul(inverse_root, middle), inverse_root)  # [B, 3, 3], symmetric
    return einsum('bij,bhwj->bhwi', linear, face - mean) + mean + tone * (wanted - mean)


def _roots(m: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The square root of symmetric positive matrices [B, 3, 3], and its inverse.

    By the coupled Newton-Schulz iteration (Higham 2008, 6.7): products alone, so that several programs run at once.
    jaxlib's decompositions share XLA's threads on a CPU, and two at once on two cores wait for each other forever.
    """
    scale = jnp.trace(m, axis1=1, axis2=2)[:, None, None]
    one = jnp.eye(3)

    def improve(_: int, pair: tuple) -> tuple:
        root, inverse = pair
        better = 1.5 * one - matmul(0.5 * inverse, root)
        return matmul(root, better), matmul(better, inverse)

    start = m / scale, jnp.broadcast_to(one, m.shape)
    root, inverse = jax.lax.fori_loop(0, ROOT_STEPS, improve, start)
    return root * jnp.sqrt(scale), inverse / jnp.sqrt(scale)


def soft_mask(where: jax.Array) -> jax.Array:
    """Where the face is pasted: the mask [B, S, S, 1] in [0, 1] pulled in from its edge and softened. It fades out
    towards the picture's edge, where the crop of a face ends and the face does not."""
    size = where.shape[1]
    reach = max(1, round(EDGE * size))
    inside = jnp.pad(where, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    for window in ((1, 2 * reach + 1, 1, 1), (1, 1, 2 * reach + 1, 1)):
        inside = jax.lax.reduce_window(inside, jnp.inf, jax.lax.min, window, (1, 1, 1, 1), 'VALID')
    at = (np.arange(size) + 0.5) / size
    fade = np.minimum(np.minimum(at, 1 - at) / FADE, 1)
    fade = (fade * fade * (3 - 2 * fade)).astype(np.float32)
    return gaussian_blur(inside, reach, pad='constant') * fade[:, None, None] * fade[:, None]


def paste(frame: np.ndarray, face: np.ndarray, mask: np.ndarray, matrix: np.ndarray, seamless: bool = False) -> None:
    """Lays a face over a frame, in place, by one sub-pixel warp at the frame's resolution.

    Pixels where the warped mask is 0 keep their bits.

    Args:
        frame: uint8 [H, W, 3], changed.
        face: float32 [S, S, 3], 0..255.
        mask: float32 [S, S] in [0, 1].
        matrix: [2, 3], frame pixels to face pixels.
        seamless: adapt the face's gradients to the frame's colours round it (Pérez et al. 2003) before blending.
    """
    face, mask, matrix = _shrunk(face, mask, np.asarray(matrix, np.float64))
    window = _window(mask, matrix, frame.shape)
    if window is None:
        return
    x0, y0, x1, y1 = window
    to_face = matrix.copy()
    to_face[:, 2] += matrix[:, :2] @ (x0, y0)
    size, back = (x1 - x0, y1 - y0), cv2.WARP_INVERSE_MAP
    face = cv2.warpAffine(face, to_face, size, flags=cv2.INTER_CUBIC | back, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(mask, to_face, size, flags=cv2.INTER_LINEAR | back)[..., None]  # 0 outside the face
    under = frame[y0:y1, x0:x1]
    if seamless:
        face = clone(under, face, mask[..., 0])
    under[...] = np.clip(np.rint(under + mask * (face - under)), 0, 255).astype(np.uint8)


def clone(under: np.ndarray, face: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The face [h, w, 3] in 0..255, its gradients kept, in the colours of `under` (uint8) round the mask [h, w]."""
    inside = (mask > 0.05).astype(np.uint8) * 255
    inside[[0, 1, -2, -1]] = 0  # OpenCV solves inside the mask and needs pixels round it
    inside[:, [0, 1, -2, -1]] = 0
    x, y, w, h = cv2.boundingRect(inside)
    if w < 3 or h < 3:
        return face
    face = np.clip(np.rint(face), 0, 255).astype(np.uint8)
    under = np.ascontiguousarray(under)
    cloned = cv2.seamlessClone(face, under, inside, (x + w // 2, y + h // 2), cv2.NORMAL_CLONE)
    return cloned.astype(np.float32)


def _shrunk(face: np.ndarray, mask: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Face and mask averaged down where the frame shows them at less than half their size, so that nothing aliases."""
    factor = int(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))  # face pixels per frame pixel, rounded down
    if factor < 2:
        return face, mask, matrix
    size = max(2, face.shape[0] // factor)
    scale = size / face.shape[0]
    matrix = matrix * scale
    matrix[:, 2] += (scale - 1) / 2  # pixel centres at integers
    face = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
    return face, cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA), matrix


def _window(mask: np.ndarray, matrix: np.ndarray, shape: tuple) -> tuple[int, int, int, int] | None:
    """The part (x0, y0, x1, y1) of the frame that the mask can reach, or None."""
    x, y, w, h = cv2.boundingRect((mask > 0).astype(np.uint8))
    if not w:
        return None
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[x - 1, y - 1], [x + w, y - 1], [x - 1, y + h], [x + w, y + h]])
    corners = corners @ inverse[:, :2].T + inverse[:, 2]
    x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, (shape[1], shape[0]))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None

"""From a face to a finished frame: its mask, and the way back into the picture.

`soft_mask` is batched jnp and runs inside the jitted apply; `paste` and `clone` work on one frame, on the CPU, where
the frame is.
"""

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.image import gaussian_blur

EDGE = 0.006  # erosion and blur of the mask, share of the crop's side
FADE = 0.06  # width, share of the side, of the rim of a crop within which the mask fades out


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
        face: float32 [T, T, 3], 0..255.
        mask: float32 [S, S] in [0, 1], of the same square.
        matrix: [2, 3], frame pixels to the mask's pixels.
        seamless: adapt the face's gradients to the frame's colours round it (Pérez et al. 2003) before blending.
    """
    matrix = np.asarray(matrix, np.float64)
    face, to_face = _shrunk(face, _scaled(matrix, len(face) / len(mask)))
    mask, to_mask = _shrunk(mask, matrix)
    window = _window(mask, to_mask, frame.shape)
    if window is None:
        return
    x0, y0, x1, y1 = window
    for to in (to_face, to_mask):
        to[:, 2] += to[:, :2] @ (x0, y0)
    size, back = (x1 - x0, y1 - y0), cv2.WARP_INVERSE_MAP
    face = cv2.warpAffine(face, to_face, size, flags=cv2.INTER_CUBIC | back, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(mask, to_mask, size, flags=cv2.INTER_LINEAR | back)[..., None]  # 0 outside the face
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


def _scaled(matrix: np.ndarray, scale: float) -> np.ndarray:
    """The matrix [2, 3] to a picture, to the same picture at another size; pixel centres at integers."""
    matrix = matrix * scale
    matrix[:, 2] += (scale - 1) / 2
    return matrix


def _shrunk(picture: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture averaged down where the frame shows it at less than half its size, so that nothing aliases."""
    factor = int(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))  # picture pixels per frame pixel, rounded down
    if factor < 2:
        return picture, matrix.copy()
    size = max(2, len(picture) // factor)
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return small, _scaled(matrix, size / len(picture))


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

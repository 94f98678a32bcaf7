"""From a face to a finished frame: its mask, and the way back into the picture.

`soft_mask` is batched jnp and runs inside the jitted apply; what works on one frame, at its own resolution, does so on
the CPU, where the frame is.
"""

from dataclasses import dataclass, replace

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.image import gaussian_blur

EDGE = 0.006  # erosion and blur of the mask, share of the crop's side
FADE = 0.06  # width, share of the side, of the rim of a crop within which the mask fades out
LAPLACE = np.float32([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])  # is 0 for what is smooth, and 6 sigma for noise


def soft_mask(where: jax.Array, erode: float = 0.0, blur: float = 0.0) -> jax.Array:
    """Where the face is pasted: the mask [B, S, S, 1] in [0, 1] pulled in from its edge and softened. It fades out
    towards the picture's edge, where the crop of a face ends and the face does not.

    Args:
        erode: share of the side by which it is pulled in further, or pushed out below 0.
        blur: share of the side, standard deviation of a further blur.
    """
    size = where.shape[1]
    reach = round((EDGE + erode) * size) if erode else max(1, round(EDGE * size))
    inside = jnp.pad(where, ((0, 0), (abs(reach),) * 2, (abs(reach),) * 2, (0, 0)))
    start, pick = (jnp.inf, jax.lax.min) if reach > 0 else (-jnp.inf, jax.lax.max)
    for window in ((1, 2 * abs(reach) + 1, 1, 1), (1, 1, 2 * abs(reach) + 1, 1)):
        inside = jax.lax.reduce_window(inside, start, pick, window, (1, 1, 1, 1), 'VALID')
    at = (np.arange(size) + 0.5) / size
    fade = np.minimum(np.minimum(at, 1 - at) / FADE, 1)
    fade = (fade * fade * (3 - 2 * fade)).astype(np.float32)
    sigma = np.hypot(max(1, round(EDGE * size)), blur * size)  # variances add up
    return gaussian_blur(inside, sigma, pad='constant') * fade[:, None, None] * fade[:, None]


@dataclass(frozen=True, eq=False)
class Placed:
    """A face where it lies in a frame.

    Attributes:
        rows, columns: the part of the frame that the mask can reach, of h and w pixels.
        face: float32 [h, w, 3], 0..255.
        mask: float32 [h, w, 1] in [0, 1].
    """

    rows: slice
    columns: slice
    face: np.ndarray
    mask: np.ndarray


def placed(shape: tuple, face: np.ndarray, mask: np.ndarray, matrix: np.ndarray) -> Placed | None:
    """A face in the pixels of a frame of `shape`, by one sub-pixel warp; None where it is outside.

    Args:
        face: float32 [T, T, 3], 0..255.
        mask: float32 [S, S] in [0, 1], of the same square.
        matrix: [2, 3], frame pixels to the mask's pixels.
    """
    matrix = np.asarray(matrix, np.float64)
    face, to_face = _shrunk(face, _scaled(matrix, len(face) / len(mask)))
    mask, to_mask = _shrunk(mask, matrix)
    window = _window(mask, to_mask, shape)
    if window is None:
        return None
    x0, y0, x1, y1 = window
    for to in (to_face, to_mask):
        to[:, 2] += to[:, :2] @ (x0, y0)
    size, back = (x1 - x0, y1 - y0), cv2.WARP_INVERSE_MAP
    face = cv2.warpAffine(face, to_face, size, flags=cv2.INTER_CUBIC | back, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(mask, to_mask, size, flags=cv2.INTER_LINEAR | back)[..., None]  # 0 outside the face
    return Placed(slice(y0, y1), slice(x0, x1), face, mask)


def paste(frame: np.ndarray, face: np.ndarray, mask: np.ndarray, matrix: np.ndarray, seamless: bool = False) -> None:
    """Lays a face over a frame, in place. Pixels where the warped mask is 0 keep their bits.

    Args:
        frame: uint8 [H, W, 3], changed.
        face, mask, matrix: as `placed` takes them.
        seamless: adapt the face's gradients to the frame's colours round it (Pérez et al. 2003) before blending.
    """
    part = placed(frame.shape, face, mask, matrix)
    if part is not None:
        lay(frame, adapted(frame, part) if seamless else part)


def lay(frame: np.ndarray, part: Placed) -> None:
    """`paste` of a face that is placed already."""
    under = frame[part.rows, part.columns]
    under[...] = np.clip(np.rint(under + part.mask * (part.face - under)), 0, 255).astype(np.uint8)


def adapted(frame: np.ndarray, part: Placed) -> Placed:
    """A placed face whose gradients are kept, in the colours of the frame round it, see `paste`."""
    return replace(part, face=clone(frame[part.rows, part.columns], part.face, part.mask[..., 0]))


def grainy(frame: np.ndarray, part: Placed, share: float, seed: tuple[int, ...]) -> Placed:
    """A placed face with the noise that the frame has there and it lacks: grain of the frame's own pixels.

    Args:
        share: of the missing noise that is given.
        seed: the noise is always the same for it.
    """
    sure = part.mask[..., 0] > 0.5
    have, wanted = (noise_level(x, sure) for x in (part.face, frame[part.rows, part.columns]))
    missing = share * np.sqrt(np.maximum(wanted**2 - have**2, 0))
    noise = np.random.default_rng(seed).standard_normal(part.face.shape, np.float32)
    return replace(part, face=part.face + missing.astype(np.float32) * noise)


def noise_level(picture: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Standard deviation [3] of the noise in a picture [h, w, 3] where a mask bool [h, w] is set.

    From the median of what a Laplacian lets through (Immerkaer 1996, Donoho & Johnstone 1994), so that edges count for
    little.
    """
    where = cv2.erode(where.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
    if not where.any():
        return np.zeros(3)
    passed = cv2.filter2D(np.asarray(picture, np.float32), -1, LAPLACE, borderType=cv2.BORDER_REFLECT)[where]  # [N, 3]
    return np.median(np.abs(passed), 0) / 0.6745 / 6


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


def enlarged(matrix: np.ndarray, scale: float, size: int) -> np.ndarray:
    """The matrix [2, 3] to the pixels of a square of `size`, such that the square is laid in `scale` times as large,
    about its middle."""
    made = np.asarray(matrix, np.float64) / scale
    made[:, 2] += (size - 1) / 2 * (1 - 1 / scale)
    return made


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

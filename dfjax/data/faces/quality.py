"""What can be said of aligned faces without a net: sharpness, brightness, pose, whose they are, which look alike."""

import cv2
import numpy as np

from dfjax.data.faces.identity import CLUSTER

# A rigid face in millimetres, x to the right of the picture, y down, z out of the face: rounded adult averages of the
# points that expression hardly moves. By landmark: eye corners, nose bridge, nose tip and base, corners of the mouth.
_RIGID = {
    36: (-45, 0, 0),
    39: (-17, 1, 6),
    42: (17, 1, 6),
    45: (45, 0, 0),
    27: (0, -2, 17),
    28: (0, 9, 24),
    29: (0, 20, 32),
    30: (0, 31, 40),
    31: (-13, 40, 20),
    33: (0, 42, 28),
    35: (13, 40, 20),
    48: (-25, 66, 16),
    54: (25, 66, 16),
}

YAW_BINS = 128  # bins of yaw; all are drawn equally often
YAW_RANGE = 1.2  # radians to either side; faces beyond are in the last bins


def pose(landmarks: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll of faces, from the rigid face whose weak perspective picture fits them best.

    Args:
        landmarks: [N, 68, 2] in pixels.

    Returns:
        float64 [N, 3] degrees: yaw positive towards the right of the picture, pitch positive upwards, roll positive
        clockwise. Good to some ten degrees, and in order: it knows no person's own proportions.
    """
    model = np.array(list(_RIGID.values()), np.float64)
    model -= model.mean(0)  # [K, 3]
    points = np.asarray(landmarks, np.float64)[:, list(_RIGID)]  # [N, K, 2]
    points = points - points.mean(1, keepdims=True)
    affine = np.swapaxes(points, 1, 2) @ np.linalg.pinv(model).T  # [N, 2, 3]
    u, _, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt  # [N, 2, 3], the first two rows of the rotation
    normal = np.concatenate([rows[:, :, 2], np.cross(rows[:, 0], rows[:, 1])[:, 2:]], 1)  # [N, 3], out of the face
    yaw = np.arctan2(normal[:, 0], normal[:, 2])
    pitch = -np.arctan2(normal[:, 1], np.hypot(normal[:, 0], normal[:, 2]))
    roll = np.arctan2(rows[:, 1, 0], rows[:, 0, 0])
    return np.rad2deg(np.stack([yaw, pitch, roll], 1))


def uniform_yaw(landmarks: np.ndarray) -> np.ndarray:
    """Weights [N] by which faces [N, 68, 2] that look to any side are drawn equally often, as in DeepFaceLab."""
    yaw = np.deg2rad(pose(landmarks)[:, 0])
    bins = np.digitize(yaw, np.linspace(-YAW_RANGE, YAW_RANGE, YAW_BINS + 1)[1:-1])
    return 1 / np.bincount(bins, minlength=YAW_BINS)[bins]


def sharpness(picture: np.ndarray, mask: np.ndarray) -> float:
    """Standard deviation of the Laplacian over the face, in grey levels, of a face scaled to 128 pixels.

    Args:
        picture: uint8 [S, S, 3].
        mask: uint8 [S, S], 255 on the face.
    """
    grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (128, 128), interpolation=cv2.INTER_AREA)
    inside = cv2.resize(mask, (128, 128), interpolation=cv2.INTER_AREA) > 127
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    return float(edges[inside].std()) if inside.any() else 0.0


def brightness(picture: np.ndarray, mask: np.ndarray) -> float:
    """Mean grey level 0..255 over the face; arguments as for `sharpness`."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return float(grey[mask > 127].mean()) if (mask > 127).any() else 0.0


def identity_distance(descriptors: np.ndarray) -> np.ndarray:
    """How far each face is from the person that most of them show.

    That person is the mean of the faces within `CLUSTER` of the one that has most such neighbours, so a second
    person among them does not pull it.

    Args:
        descriptors: [N, 128]; NaN where a face has none.

    Returns:
        [N] distances, NaN where a face has no descriptor.
    """
    known = descriptors[np.isfinite(descriptors).all(1)]
    if len(known) == 0:
        return np.full(len(descriptors), np.nan)
    candidates = known[np.linspace(0, len(known) - 1, min(len(known), 1000)).astype(int)]
    squared = (known**2).sum(1)[:, None] + (candidates**2).sum(1) - 2 * known @ candidates.T  # [known, candidates]
    near = squared < CLUSTER**2
    centre = known[near[:, near.sum(0).argmax()]].mean(0)
    return np.linalg.norm(descriptors - centre, axis=1)


def similarity_order(pictures: np.ndarray) -> np.ndarray:
    """An order in which neighbours look alike: from the most unusual face, always on to the nearest one left.

    Args:
        pictures: uint8 [N, s, s, 3], thumbnails.

    Returns:
        int [N] indices.
    """
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    flat -= flat.mean(0)
    _, vectors = np.linalg.eigh(flat.T @ flat)  # eigenvectors of the covariance, by rising eigenvalue
    points = flat @ vectors[:, -32:]  # [N, 32], the main components
    left = np.ones(len(points), bool)
    here, order = int((points**2).sum(1).argmax()), []
    for _ in range(len(points)):
        order.append(here)
        left[here] = False
        distance = ((points - points[here]) ** 2).sum(1)
        here = int(np.where(left, distance, np.inf).argmin())
    return np.array(order)

"""Which pictures of a person to keep as references, and what is kept of them; see `dfjax.ops.references`."""

from collections.abc import Callable

import cv2
import jax
import numpy as np

from dfjax.data.faces.canonical import mean_features, to_canonical
from dfjax.data.faces.quality import pose, sharpness
from dfjax.ops.skin import extended

YAW_WEIGHT = 0.002  # sides that a degree of yaw counts for
JAW = 0.3  # weight of the jaw's landmarks against 1: outlines are uncertain
SOFT = 0.6  # share of the median sharpness below which a picture is blurred
STRANGE, NOISE = 5.0, 4.0  # median deviations, and grey levels added to each, beyond which a place looks strange
COVERED = 0.04  # share of strange places above which something is in front of the face
STILL = 32  # side at which looks are compared


def references_of(faces: dict, again: Callable[[int], dict], face_type: str, large: int, count: int) -> dict:
    """The references of a person, as `dfjax.ops.references` says what they are; their skin goes on past the outline.

    Args:
        faces: of `choose_references`.
        again: the n-th of these faces as it was aligned, not bent, `large` pixels a side.
        face_type: as which they are aligned.
        large: T.
        count: R; where there are fewer faces, the others are copies that are not used.
    """
    size = faces['image'].shape[1]
    chosen = choose_references(faces, count)
    bent = [to_canonical(again(int(n)), face_type, large) for n in chosen]
    pictures = np.stack([face['image'] for face in bent]).astype(np.float32) / 255
    masks = np.stack([face['mask'] for face in bent])[..., None].astype(np.float32) / 255
    whole = np.asarray(jax.jit(extended)(pictures, masks, mean_features(face_type, large)))
    whole = np.clip(whole * 255, 0, 255).round().astype(np.uint8)  # [R or less, T, T, 3]
    fill = lambda x: np.concatenate([x, np.repeat(x[:1], count - len(x), 0)])
    made = {'landmarks': fill(np.float32(faces['landmarks'][chosen]))}
    made['used'] = (np.arange(count) < len(chosen)).astype(np.float32)
    if large == size:
        return made | {'pictures': fill(whole)}
    return made | {'pictures': fill(resized(whole, size)), 'large': fill(whole)}


def resized(pictures: np.ndarray, size: int) -> np.ndarray:
    """Pictures [N, S, S, C] averaged to `size` pixels a side."""
    return np.stack([cv2.resize(x, (size, size), interpolation=cv2.INTER_AREA) for x in pictures])


def choose_references(faces: dict, count: int) -> np.ndarray:
    """The nearest to the mean, then always the one that is farthest from all that are chosen.

    Distances are of landmark offsets, the jaw's less, and of yaw. Blurred pictures, and those that look unlike
    the others in many places, are left out, as long as some are left.

    Args:
        faces: canonical: 'image' uint8 [N, S, S, 3], 'mask' uint8 [N, S, S], 'landmarks' [N, 68, 2] in units of the
            side.
        count: R.

    Returns:
        Indices [R or less].
    """
    landmarks = np.asarray(faces['landmarks'], np.float64)
    weights = np.where(np.arange(landmarks.shape[1]) < 17, JAW, 1.0)
    offsets = (landmarks - landmarks.mean(0)) * np.sqrt(weights / weights.sum())[:, None]
    yaw = YAW_WEIGHT * pose(landmarks)[:, :1]
    places = np.concatenate([offsets.reshape(len(offsets), -1), yaw - yaw.mean()], 1)  # [N, 137]
    good = np.flatnonzero(clear(faces['image'], faces['mask']))
    return good[farthest_first(places[good], count)]


def clear(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """[N] bool: which canonical pictures are sharp, and have nothing in front of the face; all, if none are."""
    sharp = np.array([sharpness(image, mask) for image, mask in zip(images, masks)])
    small = lambda x: cv2.resize(x, (STILL, STILL), interpolation=cv2.INTER_AREA).astype(np.float64)
    greys = np.stack([small(image).mean(-1) for image in images])  # [N, s, s]
    face = small(masks.min(0)) > 200  # of all
    kept = sharp >= SOFT * np.median(sharp)
    if face.any():
        looks = greys[:, face] - np.median(greys[:, face], 0)  # [N, P]
        plane = np.stack([np.ones(face.sum()), *np.nonzero(face)], 1)  # light from another side is nothing in front
        looks = np.abs(looks - looks @ np.linalg.pinv(plane).T @ plane.T)
        strange = looks > STRANGE * (np.median(looks, 0) + NOISE)
        kept &= strange.mean(1) < COVERED
    return kept if kept.any() else np.ones(len(images), bool)


def farthest_first(places: np.ndarray, count: int) -> np.ndarray:
    """Indices of up to `count` of places [N, D]: the nearest to their mean, then the farthest from all before."""
    chosen = [int(np.linalg.norm(places - places.mean(0), axis=1).argmin())]
    away = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < count and away.max() > 0:
        chosen.append(int(away.argmax()))
        away = np.minimum(away, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return np.array(chosen)

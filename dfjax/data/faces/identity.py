"""Who a face is: dlib's 128 numbers (King 2017), their distance, and the choice of one person among many faces."""

from collections.abc import Callable, Iterable

import numpy as np

from dfjax.data.faces.dlib_models import DESCRIPTOR, dlib_model
from dfjax.data.faces.face import Face
from dfjax.data.faces.table import Faces, as_faces

SAME_PERSON = 0.6  # dlib's own limit: 99.4 % right on Labeled Faces in the Wild
CLUSTER = 0.5  # stricter: a track that joins the wrong person spoils the whole set


def load_descriptor() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function describe(rgb uint8 [H, W, 3], landmarks [68, 2]) -> float32 [128]."""
    import dlib

    net = dlib.face_recognition_model_v1(dlib_model(DESCRIPTOR))

    def describe(rgb: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        return np.array(net.compute_face_descriptor(face_chip(rgb, landmarks)), np.float32)

    return describe


def face_chip(rgb: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """What the descriptor sees of a picture uint8 [H, W, 3] with landmarks [68, 2]: uint8 [150, 150, 3]."""
    import dlib

    points = np.round(landmarks).astype(int).tolist()
    rect = dlib.rectangle(*np.min(points, 0).tolist(), *np.max(points, 0).tolist())
    shape = dlib.full_object_detection(rect, [dlib.point(x, y) for x, y in points])
    return dlib.get_face_chip(np.ascontiguousarray(rgb), shape, size=150, padding=0.25)


def descriptor_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distance of descriptors [..., 128]; under 0.6 dlib calls it the same person."""
    return np.linalg.norm(np.asarray(a, np.float64) - np.asarray(b, np.float64), axis=-1)


def track_descriptors(faces: Iterable[Face]) -> dict[int, np.ndarray]:
    """The mean descriptor [128] of each track's faces."""
    faces = as_faces(faces)
    described = faces.rows['descriptor'] >= 0
    keys = (faces.rows['track'].astype(np.int64) << 32) + faces.rows['descriptor']
    pairs, counts = np.unique(keys[described], return_counts=True)
    means: dict[int, np.ndarray] = {}
    for track in np.unique(pairs >> 32).tolist():
        own = pairs >> 32 == track
        descriptors = np.stack([faces.descriptors[n] for n in (pairs[own] & 0xFFFFFFFF).tolist()])
        means[track] = np.average(descriptors, 0, counts[own]).astype(np.float32)
    return means


def clusters(faces: Iterable[Face]) -> list[set[int]]:
    """Tracks grouped by person, the person who takes most room (frames times size of the face) first.

    Tracks that have a frame in common are of different people, however alike.
    """
    faces = as_faces(faces)
    means = track_descriptors(faces)
    tracks, index = np.unique(faces.rows['track'], return_inverse=True)
    wide = faces.rows['box'][:, 2] - faces.rows['box'][:, 0]
    room = dict(zip(tracks.tolist(), np.bincount(index, wide, len(tracks)).tolist()))
    order = np.argsort(index, kind='stable')
    parts = np.split(faces.frame_keys()[order], np.flatnonzero(np.diff(index[order])) + 1)
    frames = {track: set(keys.tolist()) for track, keys in zip(tracks.tolist(), parts)}
    groups = []  # [tracks, sum of room, mean descriptor, keys of frames]
    for track in sorted(means, key=lambda t: -room[t]):
        apart = (group for group in groups if frames[track].isdisjoint(group[3]))
        near = min(apart, key=lambda g: descriptor_distance(g[2], means[track]), default=None)
        if near is None or descriptor_distance(near[2], means[track]) > CLUSTER:
            groups.append([{track}, room[track], means[track], frames[track]])
        else:
            near[0].add(track)
            near[2] = (near[2] * near[1] + means[track] * room[track]) / (near[1] + room[track])
            near[1] += room[track]
            near[3] |= frames[track]
    return [group[0] for group in sorted(groups, key=lambda g: -g[1])]


def choose_person(faces: Iterable[Face], person: np.ndarray | None = None, place: int = 1) -> Faces:
    """The faces of one person, at most one a frame: whoever `person` [128] describes, else the `place`-th cluster.

    Empty where no track is nearer than 0.6 to `person`, and where there are fewer people.
    """
    faces = as_faces(faces)
    rows, means = faces.rows, track_descriptors(faces)
    if person is None:
        groups = clusters(faces)
        tracks = groups[place - 1] if 0 < place <= len(groups) else set()
        counts = [np.count_nonzero(rows['track'] == track) for track in tracks]
        person = np.average([means[track] for track in tracks], 0, counts) if tracks else None
    else:
        tracks = {t for t, mean in means.items() if descriptor_distance(mean, person) < SAME_PERSON}
    where = np.flatnonzero(np.isin(rows['track'], list(tracks)))
    away = {track: float(descriptor_distance(means[track], person)) for track in tracks}
    distance = np.array([away[track] for track in rows['track'][where].tolist()])
    keys = faces.frame_keys()[where]
    nearest = np.lexsort((distance, keys))  # the nearest of a frame comes first
    first = nearest[np.unique(keys[nearest], return_index=True)[1]]
    return faces if len(first) == len(faces) else faces.take(rows[np.sort(where[first])])

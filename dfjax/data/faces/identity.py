"""Who a face is: dlib's 128 numbers (King 2017), their distance, and the choice of one person among many faces."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from dfjax.data.faces.dlib_models import DESCRIPTOR, dlib_model
from dfjax.data.faces.face import Face

SAME_PERSON = 0.6  # dlib's own limit: 99.4 % right on Labeled Faces in the Wild
CLUSTER = 0.5  # stricter: a track that joins the wrong person spoils the whole set


def load_descriptor() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function describe(rgb uint8 [H, W, 3], landmarks [68, 2]) -> float32 [128]."""
    import dlib

    net = dlib.face_recognition_model_v1(dlib_model(DESCRIPTOR))

    def describe(rgb: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        points = np.round(landmarks).astype(int).tolist()
        rect = dlib.rectangle(*np.min(points, 0).tolist(), *np.max(points, 0).tolist())
        shape = dlib.full_object_detection(rect, [dlib.point(x, y) for x, y in points])
        return np.array(net.compute_face_descriptor(np.ascontiguousarray(rgb), shape), np.float32)

    return describe


def descriptor_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distance of descriptors [..., 128]; under 0.6 dlib calls it the same person."""
    return np.linalg.norm(np.asarray(a, np.float64) - np.asarray(b, np.float64), axis=-1)


def track_descriptors(faces: list[Face]) -> dict[int, np.ndarray]:
    """The mean descriptor of each track's detected faces."""
    rows = defaultdict(list)
    for face in faces:
        if face.descriptor is not None:
            rows[face.track].append(face.descriptor)
    return {track: np.mean(row, 0) for track, row in rows.items()}


def clusters(faces: list[Face]) -> list[set[int]]:
    """Tracks grouped by person, the person who takes most room (frames times size of the face) first."""
    means, room = track_descriptors(faces), defaultdict(float)
    for face in faces:
        room[face.track] += face.box[2] - face.box[0]
    groups = []  # [tracks, sum of room, mean descriptor]
    for track in sorted(means, key=lambda t: -room[t]):
        near = min(groups, key=lambda g: descriptor_distance(g[2], means[track]), default=None)
        if near is None or descriptor_distance(near[2], means[track]) > CLUSTER:
            groups.append([{track}, room[track], means[track]])
        else:
            near[0].add(track)
            near[2] = (near[2] * near[1] + means[track] * room[track]) / (near[1] + room[track])
            near[1] += room[track]
    return [group[0] for group in sorted(groups, key=lambda g: -g[1])]


def choose_person(faces: list[Face], person: np.ndarray | None = None) -> list[Face]:
    """The faces of one person, at most one a frame: whoever `person` [128] describes, else the largest cluster.

    Empty where no track is nearer than 0.6 to `person`.
    """
    means = track_descriptors(faces)
    if person is None:
        groups = clusters(faces)
        tracks = groups[0] if groups else set()
        person = np.mean([f.descriptor for f in faces if f.track in tracks], 0) if tracks else None
    else:
        tracks = {t for t, mean in means.items() if descriptor_distance(mean, person) < SAME_PERSON}
    nearest: dict[tuple[str, int], Face] = {}
    for face in faces:
        key = face.source, face.frame
        rank = descriptor_distance(means[face.track], person) if face.track in tracks else None
        if rank is not None and (key not in nearest or rank < descriptor_distance(means[nearest[key].track], person)):
            nearest[key] = face
    return list(nearest.values())

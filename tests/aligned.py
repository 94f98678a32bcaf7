"""Faces as DeepFaceLab writes them into pictures, and the frames that they are from. It is not a test."""

import os
import pickle

import cv2
import numpy as np
from fake_faces import FACE

from dfjax.data.faces.align import template
from dfjax.data.faces.faceset import load_faceset
from dfjax.data.media.image import read_image

SIDE = 128  # of the pictures of DeepFaceLab's


def frame_of(seed, height=240, width=320):
    """Something smooth in colours, so that a place is known by what it looks like."""
    noise = np.random.default_rng(seed).uniform(0, 255, (6, 8, 3)).astype(np.float32)
    return np.clip(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def landmarks_of(n):
    """A face that is turned and moved a little."""
    turn = np.deg2rad(7 * n)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (FACE - 0.5) @ spin * 110 + (160 + 5 * n, 120 - 3 * n)


def crop_matrix(points, room):
    """Any similarity that shows a face: its middle in the middle, `room` times as wide as it is."""
    low, high = points.min(0), points.max(0)
    scale = SIDE / (room * (high - low).max())
    return np.array(
        [[scale, 0, SIDE / 2 - scale * (low + high)[0] / 2], [0, scale, SIDE / 2 - scale * (low + high)[1] / 2]]
    )


def moved(points, matrix):
    return points @ matrix[:, :2].T + matrix[:, 2]


def with_segment(path, picture, facts, marker=0xEF):
    """A JPEG with bytes in a segment of their own, right after the first."""
    data = cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    end = 4 + int.from_bytes(data[4:6]) if data[3] == 0xE0 else 2
    path.write_bytes(data[:end] + bytes([0xFF, marker]) + (len(facts) + 2).to_bytes(2) + facts + data[end:])
    return path


def write_dfl(folder, count=3, room=2.2, protocol=4, **more):
    folder.mkdir()
    for n in range(count):
        points = landmarks_of(n)
        matrix = crop_matrix(points, room)
        picture = cv2.warpAffine(frame_of(n), matrix, (SIDE, SIDE), flags=cv2.INTER_LANCZOS4)
        facts = {
            'face_type': 'full_face',
            'landmarks': moved(points, matrix).tolist(),
            'source_filename': f'{n:05d}.png',
            'source_rect': np.array([100, 60, 220, 190]),
            'source_landmarks': points.tolist(),
            'image_to_face_mat': matrix,
        } | {key: value(n) for key, value in more.items()}
        with_segment(folder / f'{n:05d}_0.jpg', picture, pickle.dumps(facts, protocol))
    return folder


class Evil:
    def __reduce__(self):
        return os.system, ('touch evil',)


def check_pictures(faces, count):
    """Pictures show what the frames have there, by the matrix, and landmarks lie where the type says."""
    loaded = load_faceset(faces)
    assert len(loaded) == count
    for n, row in enumerate(loaded.rows):
        np.testing.assert_allclose(row.face.landmarks, landmarks_of(n), atol=0.01)
        np.testing.assert_allclose(row.landmarks, moved(landmarks_of(n), row.matrix), atol=0.05)
        own = row.landmarks[[*range(17, 49), 54]]
        assert np.abs(own - template(loaded.face_type, loaded.size)).mean() < 0.05 * loaded.size
        np.testing.assert_allclose(own.mean(0), template(loaded.face_type, loaded.size).mean(0), atol=0.1)
        truth = cv2.warpAffine(frame_of(n), row.matrix, (loaded.size, loaded.size), flags=cv2.INTER_CUBIC)
        inside = (slice(loaded.size // 4, -loaded.size // 4),) * 2
        assert np.abs(read_image(row.path)[inside].astype(float) - truth[inside]).mean() < 3
        assert row.face.descriptor.shape == (128,) and row.face.sharpness > 0
    return loaded

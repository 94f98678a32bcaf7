"""What is in front of a face stays in front of it: by a mask that knows where it is, nothing outside the face changes.

The mask net here is one that cannot be wrong (what is in front is green); how far a trained one is right is its own
figure, see `evaluation.segment`.
"""

import itertools
from pathlib import Path
from types import SimpleNamespace

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.random import default_rng

from configs.faceswap import get_config
from dfjax.data.faces.detect import load_detector
from dfjax.data.faces.face import Face
from dfjax.data.faces.landmarks import load_landmarker
from dfjax.data.media.video import read_frames
from dfjax.data.render import animate, random_identity, render
from dfjax.data.render.things import thing
from dfjax.inference.run import Run
from dfjax.inference.settings import Settings
from dfjax.inference.swap import Swapper

pytestmark = pytest.mark.whole

SIDE, FRAMES = 128, 4


def run(**functions) -> Run:
    cfg = get_config('smoke')
    with cfg.unlocked():
        cfg.data.update(size=SIDE, face_type='whole_face')
    return Run(Path('none'), cfg, SimpleNamespace(**functions), {}, 0)


def repainted(cfg, params, frozen, x, points, side):
    """Another face: as unlike as a swap may be, in brightness and in pattern."""
    stripes = 0.25 * jnp.sign(jnp.sin(jnp.arange(SIDE) / 3))[:, None]
    return jnp.clip(0.7 * x + 0.2 + stripes, -1, 1), jnp.ones_like(x[..., :1])


def ungreen(cfg, params, x):
    """A mask net that knows: what is in front is green."""
    return 1.0 * (x[..., 1:2] < jnp.maximum(x[..., :1], x[..., 2:]) + 0.4)


def swapped(frames, landmarks, **more):
    faces = [[Face('in.mp4', n, n / 25, (0, 0, 1, 1), 1.0, points)] for n, points in enumerate(landmarks)]
    settings = Settings(mask='segment', mask_net='none', detail=False, **more)
    swapper = Swapper(run(swap=repainted), settings, batch_size=4, mask_net=run(mask=ungreen))
    return [out for n in range(0, len(frames), 4) for out in swapper(frames[n : n + 4], faces[n : n + 4])]


def green(alpha):
    """The colour of a thing, with some grain."""
    grain = default_rng(0).normal(0, 6, (*alpha.shape, 3))
    return np.clip(np.array([20, 210, 30]) + grain, 0, 255)


def covered(frame, alpha):
    return np.rint(frame * (1 - alpha[..., None]) + green(alpha) * alpha[..., None]).astype(np.uint8)


def check(frame, made, face, alpha):
    """Outside what is seen of a face [H, W] the mean change is below one level of 255, and so is that of the thing."""
    change = np.abs(made.astype(float) - frame).mean(-1)
    seen, solid = face & (alpha < 0.5), face & (alpha > 0.99)
    assert solid.sum() > 0.02 * face.sum()  # it is in front
    assert change[~seen].mean() < 1 and change[solid].mean() < 1
    assert change[seen].mean() > 15  # and the face is another's


@pytest.mark.parametrize('kind', ['hand', 'microphone', 'cup'])
@pytest.mark.parametrize('mode', ['overlay', 'seamless'])
def test_a_rendered_thing_moves_over_a_rendered_face(kind, mode):
    drawn = render(random_identity(12), animate(12, FRAMES), 256)
    alphas = [np.roll(thing(kind, 3, 256)[..., 3] / 255.0, (4 * n, 6 * n), (0, 1)) for n in range(FRAMES)]
    frames = [covered(image, alpha) for image, alpha in zip(drawn.image, alphas)]
    made = swapped(frames, drawn.landmarks.astype(np.float32), mode=mode)
    for row in zip(frames, made, drawn.mask > 127, alphas):
        check(*row)


def face_of(landmarks, shape):
    """Where a face is: its landmarks' hull, the brows raised over a forehead as high as from them to the nose."""
    forehead = landmarks[17:27] + 0.7 * (landmarks[17:27].mean(0) - landmarks[31:36].mean(0))
    mask = np.zeros(shape, np.uint8)
    hull = cv2.convexHull(np.concatenate([landmarks, forehead]).round().astype(np.int32))
    return cv2.fillConvexPoly(mask, hull, 1) > 0


def test_a_thing_drawn_over_a_real_video(shared_data):
    """A disc and a bar move over the face of a person who was filmed."""
    film = (rgb for *_, rgb in read_frames(shared_data / 'faces' / 'a.mp4'))
    frames, alphas, places = [], [], []
    find, landmarks = load_detector('dlib'), load_landmarker()
    for n, rgb in enumerate(itertools.islice(film, 4)):
        box, _ = max(find(rgb), key=lambda hit: hit[1])
        places.append(landmarks(rgb, box))
        (x, y), wide = places[-1][30] + (6 * n, 3 * n), np.ptp(places[-1][:, 0])
        alpha = np.zeros(rgb.shape[:2], np.float32)
        cv2.circle(alpha, (int(x), int(y + 0.3 * wide)), int(0.2 * wide), 1, -1)
        cv2.line(alpha, (int(x - wide), int(y - 0.5 * wide)), (int(x), int(y)), 1, int(0.1 * wide))
        alphas.append(cv2.GaussianBlur(alpha, (0, 0), 1))
        frames.append(covered(rgb, alphas[-1]))
    made = swapped(frames, places)
    for frame, done, points, alpha in zip(frames, made, places, alphas):
        check(frame, done, face_of(points, alpha.shape), alpha)

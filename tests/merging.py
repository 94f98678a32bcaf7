"""A stub that paints by a function, and faces to lay it in. It is not a test."""

from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
from fake_faces import FACE

from configs.faceswap import get_config
from dfjax.data.faces.face import Face
from dfjax.inference import follow as following
from dfjax.inference.merge import STATS, merge
from dfjax.inference.run import Run
from dfjax.inference.settings import Settings

SIDE = 64
PLAIN = {'colour': 'none', 'detail': False}
HALF = (np.arange(SIDE) < SIDE // 2).astype(np.float32)  # learned by b, as a mask; a's is the upper half
FRAME = np.full((200, 240, 3), 60, np.uint8)


def stub(paint=lambda x, points: -x, half=True, canonical=False) -> Run:
    """A run that paints by a function, and whose masks are known: halves, or everywhere."""

    def swap(cfg, params, frozen, x, points, side):
        mask = jnp.asarray(HALF if side == 'b' else HALF[:, None]) if half else jnp.ones(())
        return paint(x, points), jnp.broadcast_to(jnp.broadcast_to(mask, (SIDE, SIDE))[..., None], (*x.shape[:3], 1))

    cfg = get_config('smoke')
    with cfg.unlocked():
        cfg.data.update(size=SIDE, face_type='full', canonical=canonical)
    return Run(Path('none'), cfg, SimpleNamespace(swap=swap), {}, 0)


def face_at(frame=0, x=60.0, y=40.0, side=110.0, track=0) -> Face:
    landmarks = (FACE * side + (x, y)).astype(np.float32)
    return Face('in.mp4', frame, frame / 25, (x, y, x + side, y + side), 1.0, landmarks, track=track)


def made(settings) -> Settings:
    """The net's picture as it is, but for what is asked for."""
    return Settings(**({} if settings.get('mode') in ('raw', 'original') else PLAIN) | settings)


def merged(settings, crops, paint=lambda x, points: x, moves=0.0, points=None, state=None):
    """Faces in [0, 1] that a run with a hull everywhere makes of crops [B, S, S, 3] in [0, 1], and the state."""
    count = len(crops)
    x = {
        'crops': np.rint(255 * np.asarray(crops)).astype(np.uint8),
        'hulls': np.full((count, SIDE, SIDE, 1), 255, np.uint8),
        'points': np.zeros((count, 68, 2), np.float32) if points is None else points,
        'slots': np.zeros(count, np.int32),
        'fresh': np.full(count, state is None) & (np.arange(count) == 0),
        'moves': np.full((count, 2), moves, np.float32),
    }
    state = following.fresh_state(SIDE, STATS) if state is None else state
    state, faces, _ = merge(stub(paint, half=False), 'b', settings, None, None, ({}, {}, {}), state, x)
    return np.asarray(faces) / 255, state

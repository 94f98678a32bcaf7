"""A stub of a run, and faces to convert. It is not a test."""

from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
from fake_faces import FACE

from configs.faceswap import get_config
from dfjax.data.faces.face import Face
from dfjax.inference.run import Run
from dfjax.inference.settings import Settings

PLAIN = Settings(colour='none', detail=False)
IDENTITY = SimpleNamespace(swap=lambda cfg, params, frozen, x, points, side: (x, jnp.ones_like(x[..., :1])))
INVERTED = SimpleNamespace(swap=lambda cfg, params, frozen, x, points, side: (-x, jnp.ones_like(x[..., :1])))


def stub(system=IDENTITY, path='none') -> Run:
    cfg = get_config('smoke')
    with cfg.unlocked():
        cfg.data.update(size=64, face_type='full')
    return Run(Path(path), cfg, system, {}, 0)


def face_at(frame, x=60.0, y=40.0, side=110.0, source='in.mp4') -> Face:
    landmarks = (FACE * side + (x, y)).astype(np.float32)
    return Face(source, frame, frame / 25, (x, y, x + side, y + side), 1.0, landmarks)

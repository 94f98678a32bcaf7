"""Codes: pictures to codes and back for a loaded run, and the paths between codes.

latents = Latents(load_run('runs/vae'))
pictures = latents.decode(slerp(*latents.encode(pair), 0.5)[None])
"""

import functools
from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.inference.run import Run
from dfjax.losses.latent import texture
from dfjax.ops import backend
from dfjax.ops.image import resize, to_float, to_uint8

FINE = 32  # steps by which the length of a path is measured
EASINGS = {
    'none': lambda t: t,
    'smooth': lambda t: t * t * (3 - 2 * t),  # slow at both ends
    'in': lambda t: t * t,
    'out': lambda t: t * (2 - t),
}


class Latents:
    """A run's encoder and decoder, compiled.

    Args:
        run: of a system with `encode(cfg, params, pictures)` and `decode(cfg, params, codes)`.
    """

    def __init__(self, run: Run):
        self.run, self.size = run, run.cfg.data.size
        self._params = jax.device_put(run.params)
        self._encode = jax.jit(functools.partial(run.system.encode, run.cfg))
        self._decode = jax.jit(functools.partial(run.system.decode, run.cfg))

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Codes float32 [N, L] of uint8 pictures [N, S, S, 3]."""
        return in_groups(lambda x: self._encode(self._params, x), to_float(np.asarray(pictures)), self.size)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """uint8 pictures [N, S, S, 3] of codes [N, L]."""
        codes = np.asarray(codes, np.float32)
        return to_uint8(in_groups(lambda z: self._decode(self._params, z), codes, self.size))


def in_groups(function: Callable, x: np.ndarray, side: int) -> np.ndarray:
    """function(x) of [N, ...], whose rows are pictures of that side or stand for them: some rows at a time."""
    out, size = [], backend.group_size(side**2)
    for start in range(0, len(x), size):
        part = x[start : start + size]
        padded = np.concatenate([part, np.zeros((size - len(part), *x.shape[1:]), x.dtype)])
        out.append(np.asarray(function(padded))[: len(part)])
    return np.concatenate(out)


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """From a (t = 0) to b (t = 1) round the origin, arrays of one shape (Shoemake 1985; White 2016).

    Codes of N(0, I) lie near a sphere, so this stays where the decoder has been trained. Codes on one line through the
    origin are joined by that line.
    """
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    cos = float((a * b).sum() / max(lengths[0] * lengths[1], 1e-12))
    angle = np.arccos(np.clip(cos, -1, 1))
    if np.sin(angle) < 1e-4:
        return (1 - t) * a + t * b
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


def linear(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """From a (t = 0) to b (t = 1) straight."""
    return (1 - t) * a + t * b


PATHS = {'linear': linear, 'spherical': slerp}


def path(stops: Sequence[np.ndarray], frames: int, kind: str = 'spherical', easing: str = 'none') -> np.ndarray:
    """The codes of a walk through two or more stops: [(len(stops) - 1) * frames + 1, ...], the stops themselves in it.

    Args:
        stops: codes of one shape.
        frames: of each leg.
        kind: one of PATHS.
        easing: one of EASINGS, of each leg.
    """
    between, ease = PATHS[kind], EASINGS[easing]
    legs = [between(a, b, ease(k / frames)) for a, b in pairwise(stops) for k in range(frames)]
    return np.stack([*legs, np.asarray(stops[-1])])


def path_length(latents: Latents, stops: Sequence[np.ndarray], kind: str) -> float:
    """The perceptual length of a path: how much the picture changes along it, a leg on average.

    The sum over FINE steps a leg of the distance of neighbours in `perceptual` features; a path that does not hurry,
    and does not leave the pictures there are, is shorter (Karras et al. 2019, section 4.1, with fixed features).
    """
    pictures = latents.decode(path(stops, FINE, kind))
    features = in_groups(jax.jit(perceptual), to_float(pictures), latents.size)
    return float(np.linalg.norm(np.diff(features, axis=0), axis=1).sum() / (len(stops) - 1))


def perceptual(pictures: jax.Array) -> jax.Array:
    """Features [B, F] of pictures [B, S, S, 3] in [-1, 1]: colours at an eighth of the side, and `losses.texture`."""
    parts = [resize(pictures, max(pictures.shape[1] // 8, 4)), *texture(pictures)]
    return jnp.concatenate([x.reshape(len(x), -1) / np.sqrt(x[0].size) for x in parts], -1)

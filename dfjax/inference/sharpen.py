"""Gives a swapped face the crispness of the person's real pictures.

Nets trained by a pixel loss come out soft: the finer a band of detail, the more of it is missing. How much is missing
can be measured, since faces of both people are at hand: for each band of a Laplacian pyramid (Burt & Adelson 1983), the
energy in the person's real faces over that in the swaps. The roots of these ratios are the gains.
"""

import contextlib
import json

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.data.media.output import atomic_path
from dfjax.data.sets.open import open_dataset
from dfjax.errors import InputError
from dfjax.foreign import numbers, read_json
from dfjax.inference.run import Run
from dfjax.ops.image import gaussian_blur, pooled, to_float
from dfjax.ops.skin import extended

SIGMAS = (0.8, 1.6, 3.2)  # pixels; a band lies between two of the blurs
FACES = 64  # enough for the mean energy of a band
SHARE = 0.6  # gain, share of the missing sharpness that is given: with all of it the net's errors flicker
MOST = 4.0  # a greater gain shows more of the net's errors than of the face


def bands(x: jax.Array, scale: float = 1.0) -> list[jax.Array]:
    """[B, S, S, C] -> its bands, finest first, and what remains; their sum is x. `scale`: of a picture so many times as
    large, the same bands, the first with what is finer."""
    parts = []
    for sigma in SIGMAS:
        smooth = gaussian_blur(x, scale * sigma)
        parts.append(x - smooth)
        x = smooth
    return [*parts, x]


def amplify(x: jax.Array, gains: tuple, scale: float = 1.0) -> jax.Array:
    """[B, S, S, C] with the bands of its brightness times their gains, numbers or [B, 1, 1, 1]; colours have little
    detail, and noise."""
    *fine, _ = bands(x.mean(-1, keepdims=True), scale)
    return x + sum((g - 1) * band for g, band in zip(gains, fine, strict=True))


def band_energies(x: jax.Array, weight: jax.Array) -> jax.Array:
    """Mean squares [B, len(SIGMAS)] of the bands of the brightness of [B, S, S, C], by weights [B, S, S, 1]."""
    share = weight / jnp.maximum(weight.sum((1, 2, 3), keepdims=True), 1e-6)
    *fine, _ = bands(x.mean(-1, keepdims=True))
    return jnp.stack([(band**2 * share).sum((1, 2, 3)) for band in fine], -1)


def measure_gains(made: jax.Array, where: jax.Array, real: jax.Array, real_where: jax.Array) -> tuple[float, ...]:
    """The gains, each in 1..MOST, that give the brightness of `made` the band energies of that of `real`.

    Args:
        made: [B, S, S, 3] swapped faces.
        where: [B, S, S, 1] weights, where they count.
        real: [N, S, S, 3] real faces of the person put in, in the same range.
        real_where: [N, S, S, 1] likewise.
    """

    def energy(x: jax.Array, weight: jax.Array) -> np.ndarray:
        x = jnp.asarray(x)
        return np.array(
            [float((band**2 * weight).sum() / weight.sum()) for band in bands(x.mean(-1, keepdims=True))[:-1]]
        )

    gains = np.sqrt(energy(real, real_where) / np.maximum(energy(made, where), 1e-9))
    return tuple(float(g) for g in np.clip(gains, 1.0, MOST).round(3))


def run_gains(run: Run, side: str = 'b') -> tuple[float, ...] | None:
    """The gains of a face swap, measured on the faces that it was trained on and kept in the run's folder.

    Returns:
        None where the gains are not known yet and the faces are no longer where the run's config says.
    """
    kept = run.path / f'detail_{side}_{run.step}.json'
    if kept.is_file():
        with contextlib.suppress(InputError, ValueError, KeyError):  # a damaged file is measured again
            return tuple(numbers(read_json(kept, 'delete it')['gains'], len(SIGMAS)).tolist())
    other = 'a' if side == 'b' else 'b'
    try:
        real, real_where, _ = _some_faces(run, side)
        seen, where, points = _some_faces(run, other)
    except InputError:
        return None
    if run.cfg.data.canonical:  # the decoder has learnt faces without the hard edge of hair
        real = 2 * np.asarray(jax.jit(extended)((real + 1) / 2, real_where)) - 1
    swap = jax.jit(lambda *arrays: run.system.swap(run.cfg, *arrays, side))
    made, _ = swap(run.params, run.frozen, seen, points)
    made = pooled(made, run.cfg.data.size)
    gains = tuple(round(1 + SHARE * (g - 1), 3) for g in measure_gains(made, where, real, real_where))
    with contextlib.suppress(InputError), atomic_path(kept, force=True) as part:  # a run that cannot be written serves
        part.write_text(json.dumps({'gains': gains}))
    return gains


def _some_faces(run: Run, side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training faces spread over a side's set: pictures in [-1, 1], masks in [0, 1], landmarks in unit coordinates."""
    source = open_dataset(run.cfg.data[side], run.cfg.data.size, run.cfg.data.face_type)
    some = np.unique(np.linspace(0, len(source) - 1, FACES).round().astype(int))
    faces = [source[int(i)] for i in some]
    pictures = to_float(np.stack([face['image'] for face in faces]))  # [N, S, S, 3]
    masks = np.stack([face['mask'] for face in faces])[..., None].astype(np.float32) / 255  # [N, S, S, 1]
    return pictures, masks, np.stack([face['landmarks'] for face in faces])

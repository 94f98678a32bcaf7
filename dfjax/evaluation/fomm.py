"""Figures of First Order Motion Model: how near a picture that moves comes to the true one, and what keypoints know."""

import functools

import jax
import numpy as np

from dfjax.data.names import parse
from dfjax.data.sets.clip import Clip, open_clips
from dfjax.evaluation.held_out import held_out_name
from dfjax.evaluation.metrics import psnr
from dfjax.inference.moving import drive
from dfjax.inference.run import Run
from dfjax.ops.image import to_float, to_uint8

CLIPS, FRAMES = 32, 16  # clips, and frames of each, evenly apart
RIDGE = 1e-3  # share of the keypoints' mean square


def figures(run: Run, *, data: str | None = None) -> dict:
    """'psnr' of frames made of the first of their clip, in dB, and 'psnr_still' of that taken for them; of figures
    whose joints are known 'joints', how far joints read out of keypoints by a linear map are off, in sides of the
    picture, and 'joints_still' where that map knows their means alone; 'clips'.

    The map is fitted to every other clip, and measured on the rest.

    Args:
        run: of system fomm.
        data: clips, as `config.data.source` names them; by default rendered ones of another seed.

    Raises:
        InputError: as `held_out_name` and `open_clips`.
    """
    name = data or held_out_name(run.cfg, CLIPS)
    clips = [clip for clip in open_clips(parse(name), run.cfg.data.size, run.cfg.data.crop) if clip.count > 1][:CLIPS]
    animate = jax.jit(lambda params, *x: to_uint8(run.system.animate(run.cfg, params, to_float(x[0]), *x[1:])))
    made, real, still, rows = [], [], [], []
    for clip in clips:
        at = places(clip)
        pictures = np.stack([clip.frame(int(n)) for n in at])
        points = drive(run, pictures)
        first = np.broadcast_to(pictures[:1], pictures.shape)
        source = tuple(np.broadcast_to(x[:1], x.shape) for x in points)
        made.append(jax.device_get(animate(run.params, first, source, points))[1:])
        real.append(pictures[1:])
        still.append(first[1:])
        rows.append(np.concatenate([x.reshape(len(at), -1) for x in points], 1))
    made, real, still = map(np.concatenate, (made, real, still))
    found = {'psnr': psnr(made, real), 'psnr_still': psnr(still, real), 'clips': len(clips)}
    if all(clip.joints is not None for clip in clips) and len(clips) > 3:
        found |= read_out(rows, [clip.joints[places(clip)].reshape(len(r), -1) for clip, r in zip(clips, rows)])
    return found


def places(clip: Clip) -> np.ndarray:
    """The frames of a clip that are looked at: FRAMES, evenly apart, some of them twice where it has fewer."""
    return np.linspace(0, clip.count - 1, FRAMES).round().astype(int)


def read_out(rows: list[np.ndarray], joints: list[np.ndarray]) -> dict:
    """How well a linear map from rows [T, N] of every other clip gives the joints [T, 2 J] of the rest."""
    stack = functools.partial(np.concatenate, axis=0)
    known, asked = (stack(rows[i::2]) for i in range(2))
    truth, wanted = (stack(joints[i::2]) for i in range(2))
    middle, mean = known.mean(0), truth.mean(0)
    x = known - middle
    lengths = np.square(x).mean() * len(x) * RIDGE * np.eye(x.shape[1])
    found = (asked - middle) @ np.linalg.solve(x.T @ x + lengths, x.T @ (truth - mean)) + mean
    off = lambda guess: float(np.linalg.norm((guess - wanted).reshape(-1, 2), axis=1).mean())
    return {'joints': round(off(found), 4), 'joints_still': round(off(np.broadcast_to(mean, wanted.shape)), 4)}

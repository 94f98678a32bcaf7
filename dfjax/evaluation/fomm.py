"""Figures of First Order Motion Model: how near a picture that moves comes to the true one, and what keypoints know."""

import functools
from collections.abc import Callable

import jax
import numpy as np

from dfjax.data.names import Rendered, parse
from dfjax.data.sets.clip import Clip, open_clips, rendered_clips
from dfjax.evaluation.held_out import held_out_name
from dfjax.evaluation.metrics import psnr, psnr_of_faces
from dfjax.inference.moving import drive
from dfjax.inference.run import Run
from dfjax.ops.geometry import to_pixels
from dfjax.ops.image import to_float, to_uint8
from dfjax.ops.motion import movement_scale, relative_motion

CLIPS, FRAMES = 32, 16  # clips, and frames of each, evenly apart
RIDGE = 1e-3  # share of the keypoints' mean square


def figures(run: Run, *, data: str | None = None) -> dict:
    """'psnr' of frames made of the first of their clip, in dB, and 'psnr_still' of that taken for them; of figures
    whose joints are known 'joints', how far joints read out of keypoints by a linear map are off, in sides of the
    picture, and 'joints_still' where that map knows their means alone; of rendered people what `by_others` finds;
    'clips'.

    The map is fitted to every other clip, and measured on the rest.

    Args:
        run: of system fomm.
        data: clips, as `config.data.source` names them; by default rendered ones of another seed.

    Raises:
        InputError: as `held_out_name` and `open_clips`.
    """
    name = parse(data or held_out_name(run.cfg, CLIPS))
    opened = [clip for clip in open_clips(name, run.cfg.data.size, run.cfg.data.crop) if clip.count > 1]
    clips = opened[:CLIPS]
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
    if isinstance(name, Rendered) and name.form == 'talk':
        found |= by_others(run, animate, name, opened)
    return found


def by_others(run: Run, animate: Callable, name: Rendered, clips: list[Clip]) -> dict:
    """Of people who are moved as the next one moves, against the same person rendered with that one's motion:
    'psnr_other', mean PSNR inside the landmarks of their faces, in dB, and 'psnr_other_still' of the frame taken."""
    made, real, still, points = [], [], [], []
    for n, truth in enumerate(rendered_clips(name, run.cfg.data.size, by=1)[:CLIPS]):
        at = places(truth)
        driver = drive(run, [clips[(n + 1) % len(clips)].frame(int(k)) for k in at])
        pictures = np.stack([truth.frame(int(k)) for k in at])
        source, initial = drive(run, pictures[:1]), tuple(x[:1] for x in driver)
        moves = relative_motion(source, driver, initial, movement_scale(source[0][0], initial[0][0]))
        first = np.broadcast_to(pictures[:1], pictures.shape)
        own = tuple(np.broadcast_to(x, y.shape) for x, y in zip(source, driver))
        made.append(jax.device_get(animate(run.params, first, own, moves))[1:])
        real.append(pictures[1:])
        still.append(first[1:])
        points.append(to_pixels(truth.landmarks[at[1:]], run.cfg.data.size))
    made, real, still, points = map(np.concatenate, (made, real, still, points))
    return {'psnr_other': psnr_of_faces(made, real, points), 'psnr_other_still': psnr_of_faces(still, real, points)}


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

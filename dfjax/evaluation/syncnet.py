"""Figures of SyncNet: whether it finds when the speech of a mouth is heard, in clips that it has not learnt from."""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np

from dfjax.data.names import parse
from dfjax.data.sets.clip import Clip, open_clips
from dfjax.data.sets.clips import MARGIN, SAMPLES
from dfjax.errors import InputError
from dfjax.evaluation.held_out import held_out_name
from dfjax.inference.run import Run
from dfjax.ops.speech import window_mels
from dfjax.systems.syncnet import embed, loudness

CLIPS = 24
REACH = 15  # frames either way that speech is looked for, as LSE does (Prajwal et al. 2020)
GROUP = 16  # windows at once


def figures(run: Run, *, data: str | None = None) -> dict:
    """'right', the share of windows whose speech is found within a frame, of the 31 places up to 15 frames away;
    'right_clips', the same by the mean over a clip's windows; 'likeness' of mouths with their own speech, and
    'likeness_wrong' with that from 15 frames away, (1 + cosine) / 2; 'clips'.

    Windows without speech are left out.

    Args:
        run: of system syncnet.
        data: clips with sound, as `config.data.source` names them; by default rendered ones of another seed.

    Raises:
        InputError: as `held_out_name` and `open_clips`; clips that are too short.
    """
    clips = speaking_clips(run, data)
    found = jax.jit(functools.partial(embed, run.cfg))
    right, whole, own, wrong = [], [], [], []
    for clip in clips:
        cosines = cosines_around(*embeddings(clip, run.cfg.data.frames, lambda *x: found(run.params, *x)))
        if not len(cosines):
            continue
        right.append(abs(cosines.argmax(1) - REACH) <= 1)
        whole.append(abs(cosines.mean(0).argmax() - REACH) <= 1)
        own.append((1 + cosines[:, REACH]) / 2)
        wrong.append((1 + cosines[:, [0, -1]]) / 2)
    if not right:
        raise InputError(f'{data or run.cfg.data.source}: none of {len(clips)} clips has speech in its middle')
    mean = lambda x: round(float(np.mean(np.concatenate(x))), 4)
    named = {'right': mean(right), 'right_clips': round(float(np.mean(whole)), 4), 'likeness': mean(own)}
    return named | {'likeness_wrong': mean([x.ravel() for x in wrong]), 'clips': len(whole)}


def cosines_around(heard: np.ndarray, shown: np.ndarray, loud: np.ndarray) -> np.ndarray:
    """Cosines of windows with the speech from 15 frames before them to 15 after: [N, 31], of those with speech.

    Args:
        heard, shown: embeddings of speech and mouths [M, C], a frame apart.
        loud: [M].
    """
    starts = np.arange(REACH, len(heard) - REACH)
    starts = starts[loud[starts] > 0.5]
    return (shown[starts, None] * heard[starts[:, None] + np.arange(-REACH, REACH + 1)]).sum(-1)


def speaking_clips(run: Run, data: str | None) -> list[Clip]:
    """Up to CLIPS clips with sound, long enough to look for speech; of rendered ones those the run has not seen."""
    name = data or held_out_name(run.cfg, CLIPS)
    clips = open_clips(parse(name), run.cfg.data.size, run.cfg.data.crop)
    least = run.cfg.data.frames + 2 * REACH
    kept = [clip for clip in clips if clip.sound is not None and clip.count >= least][:CLIPS]
    if not kept:
        raise InputError(f'{name}: no clip with sound and {least} frames or more')
    return kept


def embeddings(clip: Clip, frames: int, embed: Callable) -> Sequence[np.ndarray]:
    """Embeddings of the speech and of the mouths [N, C] of all N windows of a clip, and how loud they are [N]."""
    pictures = np.stack([clip.frame(n) for n in range(clip.count)]) / np.float32(127.5) - 1
    points = np.full((clip.count, 68, 2), np.nan, np.float32) if clip.landmarks is None else clip.landmarks
    sound = np.pad(clip.sound, (MARGIN, MARGIN + SAMPLES * frames))
    starts = np.arange(clip.count - frames + 1)
    parts = []
    for rows in np.array_split(starts, -(-len(starts) // GROUP)):
        full = np.pad(rows, (0, GROUP - len(rows)), 'edge')
        heard = np.stack([sound[n * SAMPLES :][: frames * SAMPLES + 2 * MARGIN] for n in full])
        shown = (np.stack([x[n : n + frames] for n in full]) for x in (pictures, points))
        out = (*embed(heard, *shown), loudness(window_mels(heard, frames)))
        parts.append([np.asarray(x)[: len(rows)] for x in out])
    return [np.concatenate(x) for x in zip(*parts)]

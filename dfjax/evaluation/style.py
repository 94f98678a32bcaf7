"""Figures of a run of system 'style' on pictures that it has not learnt from.

gram_before         distance of the pictures' Gram matrices from those of the style, `losses.style.style_distance`
gram_after          the same of what the net makes of them
gram_ratio          the one over the other
content_distance    of what is seen in what it makes from what is seen in the picture in the style's colours,
                    `losses.style.content_distance`
change_ratio        from frame to frame of a rendered video, 25 a second: how much what it makes of them changes, over
                    how much they change themselves; means of absolute differences. 1 is as calm as the video
"""

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.data.render import animate, random_identity, render
from dfjax.evaluation.held_out import held_out_name, load_pictures
from dfjax.inference.run import Run
from dfjax.inference.style import Stylist
from dfjax.losses.style import content_distance, gram, style_distance
from dfjax.models.features import extract, octaves, recoloured
from dfjax.ops.image import to_float, to_uint8
from dfjax.systems.style import paint

PICTURES = 32  # held out
FRAMES, RATE = 12, 25  # length and frames a second of the rendered video
BATCH = 8


def figures(run: Run, *, data: str | None = None) -> dict[str, float]:
    """The figures of the module.

    Args:
        run: of system style.
        data: pictures that it has not learnt from; by default rendered people of other seeds.

    Raises:
        InputError: as `held_out_name`, and `systems.style.frozen` where the style is no longer there.
    """
    pictures = load_pictures(run.cfg, data or held_out_name(run.cfg, PICTURES))['image'][:PICTURES]
    frozen, count = run.frozen, octaves(run.cfg.data.size)

    @jax.jit
    def measured(params: dict, frozen: dict, x: jax.Array) -> jax.Array:
        x = to_float(x)
        made = to_float(to_uint8(paint(run.cfg, params, x)))  # as it is written
        matched = recoloured(x, frozen['colours'])
        (was, _), (_, kept), (now, shown) = (extract(frozen['vgg'], p, count) for p in (x, matched, made))
        before, after = (style_distance([gram(f) for f in maps], frozen['gram']) for maps in (was, now))
        return jnp.stack([before, after, content_distance(shown, kept)])  # [3, B]

    groups = [measured(run.params, frozen, pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)]
    before, after, content = np.concatenate(groups, 1).mean(1, dtype=np.float64).tolist()
    report = {'gram_before': before, 'gram_after': after, 'gram_ratio': before / after, 'content_distance': content}
    frames = render(random_identity(1), animate(1, FRAMES, fps=RATE), max(64, 2 * run.cfg.data.size)).image
    return {k: round(v, 4) for k, v in report.items()} | {'change_ratio': change_ratio(run, list(frames))}


def change_ratio(run: Run, frames: list[np.ndarray]) -> float:
    """Of consecutive frames uint8 [H, W, 3]; see the module."""
    stylist = Stylist(run)
    made = [stylist([frame])[0] for frame in frames]
    change = lambda video: np.abs(np.diff(np.stack(video).astype(np.float32), axis=0)).mean()
    return round(float(change(made) / change(frames)), 4)

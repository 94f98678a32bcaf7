"""A picture in the style of another, by optimisation (Gatys et al. 2016).

    made, report = stylise(read_image('anna.jpg'), read_style('night.jpg', 256), size=256)

The picture itself is what is optimised: its Gram matrices towards those of the style, its features towards what they
were once it had the style's colours. Coarse first, so that large forms settle while they are cheap, by L-BFGS, which
needs a tenth of the steps that Adam does.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.data.media.image import read_image
from dfjax.data.render.patterns import PREFIX, pattern
from dfjax.errors import InputError
from dfjax.inference.frames import Job
from dfjax.losses.style import content_distance, gram, out_of_range, style_distance, style_loss, total_variation
from dfjax.models import vgg
from dfjax.models.features import LEAST, colours, extract, octaves, recoloured
from dfjax.ops.image import to_float, to_uint8

CONTENT, SMOOTH, RANGE = 0.06, 0.002, 10.0  # weights of content, total variation and colours out of range; style has 1
COARSEST = 64  # pixels of the longer side: the optimisation begins at this size, or below it
MEMORY = 12  # steps that L-BFGS remembers
ENOUGH = 1e-4  # sufficient decrease (Armijo): a step is taken if the loss falls by this share of what the slope says


def read_style(name: Path | str, size: int) -> np.ndarray:
    """A style picture uint8 [H, W, 3], its longer side `size`: of a file, or `pattern:...` of `data.patterns`.

    Raises:
        InputError: no such picture or pattern.
    """
    return pattern(str(name), size) if str(name).startswith(PREFIX) else resized(read_image(name), size)


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """uint8 [H, W, 3] with its longer side `size`."""
    h, w = picture.shape[:2]
    if max(h, w) == size:
        return picture
    to = tuple(max(1, round(n * size / max(h, w))) for n in (w, h))
    return cv2.resize(picture, to, interpolation=cv2.INTER_AREA if max(h, w) > size else cv2.INTER_CUBIC)


def stylise(
    picture: np.ndarray,
    style: np.ndarray,
    *,
    size: int = 256,
    steps: int = 60,
    strength: float = 1.0,
    weights: Mapping | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[np.ndarray, dict[str, float]]:
    """`picture` in the style of `style`, and how near it came.

    Args:
        picture, style: uint8 [H, W, 3], of any sizes.
        size: longer side of the result.
        steps: of the optimisation, at each of the sizes size / 4 (from COARSEST on), size / 2 and size.
        strength: of the style; half keeps twice as much of the content.
        weights: of VGG-19, see `models.vgg`; without, the features of the filter bank.
        progress: called with the steps done and their number.

    Returns:
        uint8 [h, w, 3], and {'gram_before', 'gram_after': see `figures`, 'gram_ratio': the one over the other,
        'content_distance'}.

    Raises:
        InputError: a size, number of steps or strength that is none.
    """
    least = vgg.LEAST if weights else LEAST
    if steps < 1 or not 0 < strength < math.inf:
        raise InputError(f'{steps} steps at strength {strength}: both have to be above 0')
    for what, shape in (('picture', picture.shape), ('style', style.shape)):
        if size * min(shape[:2]) / max(shape[:2]) < least:
            raise InputError(
                f'a {what} of {shape[1]}x{shape[0]} has sides below {least} pixels at size {size}; enlarge'
            )
    sizes = [size >> n for n in (2, 1, 0)]
    sizes = [s for s in sizes if s >= COARSEST and s * min(picture.shape[:2]) / max(picture.shape[:2]) >= least] or [
        size
    ]
    matched = in_colours(picture, style, size)
    x = as_input(resized(matched, sizes[0]))
    for n, side in enumerate(sizes):
        content, wanted = (as_input(resized(p, side)) for p in (matched, style))
        count = octaves(min(content.shape[1:3] + wanted.shape[1:3]))
        (grams, _), (_, kept) = (described(weights, p, count) for p in (wanted, content))
        x = jnp.clip(jax.image.resize(x, content.shape, 'cubic'), -1, 1)
        tick = lambda done, n=n: progress(n * steps + done, len(sizes) * steps)
        x = minimise(partial(cost, count), x, steps, tick, weights, grams, kept, CONTENT / strength)
    made = np.asarray(to_uint8(x[0]))
    return made, figures(resized(picture, size), matched, resized(style, size), made, weights)


def in_colours(picture: np.ndarray, style: np.ndarray, size: int) -> np.ndarray:
    """uint8 [H, W, 3] with its longer side `size`, in the colours of another."""
    return np.asarray(to_uint8(recoloured(as_input(resized(picture, size)), colours(as_input(style)))[0]))


def as_input(picture: np.ndarray) -> jax.Array:
    """uint8 [H, W, 3] as float32 [1, H, W, 3] in [-1, 1]."""
    return to_float(jnp.asarray(picture))[None]


@partial(jax.jit, static_argnums=2)
def described(weights: Mapping | None, x: jax.Array, count: int) -> tuple[list[jax.Array], list[jax.Array]]:
    """Gram matrices of the style of pictures [1, H, W, 3], and the maps that say what they show; see `extract`."""
    style, content = extract(weights, x, count)
    return [gram(f) for f in style], content


def cost(count: int, x: jax.Array, weights: Mapping | None, grams: list, kept: list, content: float) -> jax.Array:
    """What is to be least: of a picture [1, H, W, 3], with the style and the content wanted as in `described`."""
    made, shown = described(weights, x, count)
    terms = {
        'style': style_loss(made, grams),
        'content': content * content_distance(shown, kept),
        'smooth': SMOOTH * total_variation(x),
        'range': RANGE * out_of_range(x),
    }
    return sum(terms.values())[0]


def minimise(
    function: Callable, x: jax.Array, steps: int, progress: Callable[[int], None], *arguments: Any
) -> jax.Array:
    """Where function(x, *arguments) is less than at x, by L-BFGS with backtracking (Nocedal & Wright 2006, 7.2).

    Steps are dispatched one by one: a convolution inside a compiled loop is many times slower on a CPU.
    """
    memory = optax.scale_by_lbfgs(memory_size=MEMORY)

    @jax.jit
    def towards(slope: jax.Array, state: optax.OptState, x: jax.Array) -> tuple:
        step, state = memory.update(slope, state, x)
        return step, jnp.vdot(step, slope), state

    evaluate = jax.jit(jax.value_and_grad(function))
    state, (value, slope) = memory.init(x), evaluate(x, *arguments)
    first = True
    for n in range(steps):
        step, gain, state = towards(slope, state, x)
        if gain <= 0:  # what it remembers is of no use here
            state, first = memory.init(x), True
            step, gain, state = towards(slope, state, x)
        if gain == 0:
            break  # the bottom
        rate = 0.1 / float(jnp.abs(step).max()) if first else 1.0
        for _ in range(12):
            there = x - rate * step
            reached, steeper = evaluate(there, *arguments)
            if reached <= value - ENOUGH * rate * gain:
                break
            rate *= 0.4
        else:
            break  # float32 has no more digits for what is left
        x, value, slope, first = there, reached, steeper, False
        progress(n + 1)
    return x


def figures(
    picture: np.ndarray, matched: np.ndarray, style: np.ndarray, made: np.ndarray, weights: Mapping | None
) -> dict[str, float]:
    """How far a picture uint8 [H, W, 3] was from a style, how far what was made of it is, and what it lost.

    'gram_before' and 'gram_after' are `losses.style.style_distance`, 'gram_ratio' the one over the other, and
    'content_distance' is that of the content's layers from those of the picture in the style's colours, `matched`.
    """
    count = octaves(min(picture.shape[:2] + style.shape[:2]))
    maps = [described(weights, as_input(p), count) for p in (picture, matched, style, made)]
    (was, _), (_, kept), (wanted, _), (now, shown) = maps
    before, after = (float(style_distance(g, wanted)[0]) for g in (was, now))
    ratio = round(before / max(after, 1e-9), 2)
    lost = float(content_distance(shown, kept)[0])
    return {'gram_before': before, 'gram_after': after, 'gram_ratio': ratio, 'content_distance': lost}


class PictureJob(Job):
    """Pictures of files in the style of another, by optimisation.

    Args:
        style: uint8 [H, W, 3].
        size, weights, how: of `stylise`.
        tick: called with the steps done and their number.

    Attributes:
        figures: of the last picture.
    """

    def __init__(self, style: np.ndarray, size: int, weights: Mapping | None, how: Mapping, tick: Callable):
        super().__init__('repainted in the style of another picture', 'style')
        self.style, self.figures = style, {}
        self.how = {'size': size, 'weights': weights, 'progress': tick, **how}

    def process(self, info: MediaInfo, group: list[Frame]) -> list[np.ndarray]:
        picture, self.figures = stylise(group[0].rgb, self.style, **self.how)
        return [picture]

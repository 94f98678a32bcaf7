"""The device's part of a merge: from aligned crops to faces and masks that are ready to be laid into frames."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dfjax.inference.follow import colour_change, follow, with_change
from dfjax.inference.paste import soft_mask
from dfjax.inference.run import Run
from dfjax.inference.settings import SEGMENT, Settings
from dfjax.inference.sharpen import amplify, band_energies
from dfjax.ops.colour import match_colour
from dfjax.ops.image import gaussian_blur, pooled, resize
from dfjax.ops.skin import moments, skin

# How much of the frame's skin tone a face takes over. The rest is the person's own: all of it makes a pale person
# tanned, at the cost of 0.01 of identity transfer and 0.05 of detail.
TONE = 0.8

SHARP = 0.008  # standard deviation of the blur that `sharpen` is about, share of the side
SOFTEST = 0.05  # least gain of a band where a face is made as soft as the frame
STATS = 15  # followed over a shot: 12 of `colour_change`, 3 gains of bands


def merge(
    run: Run,
    side: str,
    look: Settings,
    gains: tuple | None,
    masked: Callable | None,
    nets: tuple,
    state: dict,
    x: dict,
) -> tuple[dict, jax.Array, jax.Array]:
    """Faces and masks of a batch.

    Args:
        run, side: whose face, by which system.
        look: what holds for all of the batch, see `Settings.look`.
        gains: of detail bands, or None.
        masked: (params, pictures [B, S, S, 3] in [-1, 1]) -> masks [B, S, S, 1], for the mask of a net of its own.
        nets: parameters of the run, its `frozen`, and the parameters of `masked`.
        state: of `follow`.
        x: 'crops' uint8 [B, S, S, 3], 'hulls' uint8 [B, S, S, 1], 'points' [B, 68, 2] in units of the side, 'slots'
            and 'fresh' [B] as `follow` takes them, 'moves' [B, 2], from the last frame, in units of the side.

    Returns:
        The state, faces [B, T, T, 3] in 0..255, as large as the system makes them, and soft masks [B, S, S].
    """
    params, frozen, masker = nets
    pictures, hulls = x['crops'].astype(jnp.float32) / 255, x['hulls'].astype(jnp.float32) / 255
    swapped = lambda side: run.system.swap(run.cfg, params, frozen, 2 * pictures - 1, x['points'], side)
    faces, learned = swapped(side)
    faces = (faces + 1) / 2
    if look.mode == 'raw':
        return state, jnp.clip(faces, 0, 1) * 255, jnp.ones_like(hulls[..., 0])
    destination = lambda: swapped('a' if side == 'b' else 'b')[1]
    shown = {
        'hull': lambda: hulls,
        'learned-source': lambda: learned,
        'learned-destination': destination,
        'product': lambda: learned * destination(),
        'union': lambda: jnp.maximum(learned, destination()),
        'auto': lambda: jnp.minimum(hulls, learned),
        SEGMENT: lambda: jnp.minimum(jnp.minimum(hulls, learned), masked(masker, 2 * pictures - 1)),
    }[look.mask]()

    small = pooled(faces, pictures.shape[1])
    before = small if gains is None or not look.detail else jnp.clip(amplify(small, gains), 0, 1)
    own, like = skin(before, shown), skin(pictures, shown)
    made = match_colour(look.colour, before, pictures, own, like, TONE)
    if look.mode == 'hist-match':
        made = match_colour('hist', made, pictures, shown, shown)
    change = colour_change(before, made, pictures, own, like)
    soft = _softness(made, pictures, shown) if look.degrade else jnp.ones((len(made), 3))
    stats = jnp.concatenate([change, soft], -1)  # [B, STATS]
    if look.steady:
        light = moments(pictures, like)[0][:, 0, 0]
        state, shown, followed = follow(state, x['slots'], x['fresh'], shown, stats, light)
        if look.colour != 'none' or look.mode == 'hist-match':
            made = jnp.clip(with_change(made, before, own, change, followed[:, :12]), 0, 1)
        soft = followed[:, 12:]
    if small is not faces:  # what colours and gains change is no finer than a crop
        made = jnp.clip(faces + resize(made - small, faces.shape[1]), 0, 1)
    made = _lens(look, made, soft, x['moves'], pictures.shape[1])
    return state, made * 255, soft_mask(shown, look.erode, look.blur)[..., 0]


def _softness(made: jax.Array, like: jax.Array, where: jax.Array) -> jax.Array:
    """Gains [B, 3] of the detail bands, 1 or less, that make faces as soft as the frames are."""
    have, wanted = (band_energies(x, where) for x in (made, like))
    return jnp.clip(jnp.sqrt((wanted + 1e-8) / (have + 1e-8)), SOFTEST, 1)


def _lens(look: Settings, made: jax.Array, soft: jax.Array, moves: jax.Array, size: int) -> jax.Array:
    """Sharpness, focus and motion blur of faces [B, T, T, 3] in [0, 1] whose crops have `size` pixels a side."""
    side = made.shape[1]
    if look.sharpen:
        made = made + look.sharpen * (made - gaussian_blur(made, max(SHARP * side, 0.5)))
    if look.degrade:
        made = amplify(made, tuple((1 + look.degrade * (soft - 1)).T[:, :, None, None, None]), side / size)
    if look.motion_blur:
        rim = side // 8  # what the blur takes from beyond an edge is its mirror image
        padded = jnp.pad(made, ((0, 0), (rim, rim), (rim, rim), (0, 0)), mode='symmetric')
        made = motion_blurred(padded, look.motion_blur * moves * side)[:, rim:-rim, rim:-rim]
    return jnp.clip(made, 0, 1)


def motion_blurred(x: jax.Array, along: jax.Array) -> jax.Array:
    """Pictures [B, H, W, C] averaged along straight lines [B, 2] of pixels (x, y), centred: exact for any length and
    direction, by the line's transform, which is a sinc; the picture goes on at the opposite edge."""
    h, w = x.shape[1:3]
    rows, columns = jnp.fft.fftfreq(h), jnp.fft.rfftfreq(w)  # cycles a pixel
    phase = along[:, 1, None, None] * rows[:, None] + along[:, 0, None, None] * columns  # [B, H, W / 2 + 1]
    seen = jnp.fft.rfft2(x, axes=(1, 2)) * jnp.sinc(phase)[..., None]
    return jnp.fft.irfft2(seen, (h, w), axes=(1, 2)).astype(x.dtype)

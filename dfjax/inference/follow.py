"""Masks and colours followed over a shot: what a net and an outline do from frame to frame is averaged, what happens in
the video is not. Pure functions of a state and a batch, one face after the other, so that a batch's size changes
nothing."""

import jax
import jax.numpy as jnp

from dfjax.ops.exact import einsum
from dfjax.ops.skin import moments

SLOTS = 8  # faces that are followed at once, of several people
FRAMES = 12  # that a statistic is averaged over
KEPT = 0.35  # share of a small change of a mask that a frame takes over; of a change of SUDDEN or more all
SUDDEN = 0.3
CUT = 0.1  # change of the skin's mean from one frame to the next, of 1: another light, or another shot
FLAT = 1e-5  # variance of colours below which there is nothing to be learnt of their change


def fresh_state(size: int, count: int) -> dict[str, jax.Array]:
    """Nothing followed yet: masks of `size` and so many statistics; the last slot is for rows that are no faces."""
    room = SLOTS + 1
    return {
        'mask': jnp.zeros((room, size, size, 1)),
        'stats': jnp.zeros((room, count)),
        'light': jnp.zeros((room, 3)),
        'seen': jnp.zeros(room),
    }


def follow(
    state: dict, slots: jax.Array, fresh: jax.Array, masks: jax.Array, stats: jax.Array, light: jax.Array
) -> tuple[dict, jax.Array, jax.Array]:
    """Masks and statistics as they are over time.

    Args:
        state: as `fresh_state` or this function gave it.
        slots: int32 [B], where each face's past is kept.
        fresh: bool [B], whether it has none.
        masks: [B, S, S, 1] in [0, 1]. Small changes are averaged over some frames, large ones are there at once.
        stats: [B, N], averaged over FRAMES.
        light: [B, 3], mean colours of the frames; where they jump, a new shot begins.

    Returns:
        The state after the last face, and masks and statistics like those given.
    """

    def one(state: dict, x: tuple) -> tuple[dict, tuple]:
        slot, fresh, mask, now, light = x
        before = {name: value[slot] for name, value in state.items()}
        cut = fresh | (jnp.abs(light - before['light']).max() > CUT)
        seen = jnp.where(cut, 0.0, before['seen'])
        off = mask - before['mask']
        part = KEPT + (1 - KEPT) * jnp.clip(jnp.abs(off) / SUDDEN, 0, 1)
        mask = jnp.where(seen == 0, mask, before['mask'] + part * off)
        now = before['stats'] + (now - before['stats']) / jnp.minimum(seen + 1, FRAMES)
        after = {'mask': mask, 'stats': now, 'light': light, 'seen': seen + 1}
        return {name: state[name].at[slot].set(value) for name, value in after.items()}, (mask, now)

    state, (masks, stats) = jax.lax.scan(one, state, (slots, fresh, masks, stats, light))
    return state, masks, stats


def colour_change(
    before: jax.Array, after: jax.Array, like: jax.Array, weight: jax.Array, like_weight: jax.Array
) -> jax.Array:
    """What a change of colours is, so that it can be followed: [B, 12].

    The linear map [3, 3] that is nearest to it in the least squares, and how far the mean is from the frame's: the
    frame's own light may come and go, and a face with it, while the rest of the mean should be steady.

    Args:
        before, after: [B, S, S, 3], a face.
        like: [B, S, S, 3], the frame.
        weight, like_weight: [B, S, S, 1], where each counts.
    """
    mean, _, share = moments(before, weight)
    made = (after * share).sum((1, 2), keepdims=True)
    wanted, _, _ = moments(like, like_weight)
    own, other = before - mean, after - made
    one = FLAT * jnp.eye(3)
    spread = einsum('bhwi,bhwj,bhw->bij', own, own, share[..., 0]) + one
    both = einsum('bhwi,bhwj,bhw->bij', other, own, share[..., 0]) + one
    linear = einsum('bij,bjk->bik', both, _inverse(spread))
    return jnp.concatenate([linear.reshape(-1, 9), (made - wanted)[:, 0, 0]], -1)


def with_change(after: jax.Array, before: jax.Array, weight: jax.Array, own: jax.Array, wanted: jax.Array) -> jax.Array:
    """`after`, whose change of colours is `own` as `colour_change` gives it, with the change `wanted`: [B, S, S, 3]."""
    off = wanted - own
    linear, shift = off[:, :9].reshape(-1, 3, 3), off[:, None, None, 9:]
    mean, _, share = moments(before, weight)
    made = after + einsum('bij,bhwj->bhwi', linear, before - mean) + shift
    return jnp.where(share.sum((1, 2, 3), keepdims=True) > 0.5, made, after)


def _inverse(m: jax.Array) -> jax.Array:
    """Of symmetric matrices [B, 3, 3], by cofactors: products alone, see `ops.colour`."""
    a, b, c = m[:, 0], m[:, 1], m[:, 2]  # [B, 3]
    cofactors = jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)], 1)  # [B, 3, 3]
    return cofactors.swapaxes(1, 2) / (a * cofactors[:, 0]).sum(-1)[:, None, None]

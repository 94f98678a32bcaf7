"""Heads to pictures: colour, face mask and landmarks; and the exact truth of a face swap."""

from dataclasses import dataclass
from functools import lru_cache, partial

import cv2
import numpy as np

from dfjax.data.processes import Workers, cores
from dfjax.data.render import features, scene
from dfjax.data.render.hair import hair_colour
from dfjax.data.render.head import Head, Moment, face_region, head, moment
from dfjax.data.render.paint import Paint, paint_brow, paint_eye, paint_mouth
from dfjax.data.render.parameters import IDENTITY, MOTION, Params, attributes, check, swapped
from dfjax.data.render.skin import MAP_SKIN
from dfjax.data.render.surface import Array, look_up, smoothstep
from dfjax.data.render.trace import Camera, camera, lit, meet
from dfjax.errors import InputError

SHARE = 32  # pictures that a process draws at least: fewer are drawn before it is there


@dataclass(frozen=True)
class Rendered:
    """N pictures.

    image: uint8 RGB [N, S, S, 3]. mask: uint8 [N, S, S], 255 where the skin of the face shows: from the jaw line to
    the middle of the forehead, not under hair. landmarks: float32 [N, 68, 2], (x, y) in pixels, iBUG order, pixel
    centres at integers. attributes: name -> bool [N]. parts: uint8 [N, S, S, 3], how much of each pixel is skin of the
    head, hair, and neck, ears or clothes; what is left is background.
    """

    image: np.ndarray
    mask: np.ndarray
    landmarks: np.ndarray
    attributes: dict[str, np.ndarray]
    parts: np.ndarray


def render(identity: Params, motion: Params, size: int = 256, skin: int = MAP_SKIN) -> Rendered:
    """Pictures of people.

    Args:
        identity: every key of `parameters.IDENTITY`, scalars or [N].
        motion: every key of `parameters.MOTION` (pose, expression, light), scalars or [N].
        size: pixels a side, 64 or more.
        skin: pixels a side of the map of a person's skin. A smaller one is prepared sooner: 25 ms for half the side.
    """
    if size < 64:
        raise InputError(f'size {size}: a head needs 64 pixels or more')
    who, how = check(identity, IDENTITY, 'identity'), check(motion, MOTION, 'motion')
    count = max(len(v) for v in (*who.values(), *how.values()))
    who = {k: np.broadcast_to(v, count) for k, v in who.items()}
    how = {k: np.broadcast_to(v, count) for k, v in how.items()}
    out = Rendered(
        np.empty((count, size, size, 3), np.uint8),
        np.empty((count, size, size), np.uint8),
        np.empty((count, 68, 2), np.float32),
        attributes(who, how),
        np.empty((count, size, size, 3), np.uint8),
    )

    workers = min(cores(), count // SHARE)
    if workers > 1:
        _by_processes(workers, who, how, size, skin, out)
    else:
        for n in range(count):
            out.image[n], out.mask[n], out.landmarks[n], out.parts[n] = draw(who, how, n, size, skin)
    return out


def draw(who: Params, how: Params, n: int, size: int, skin: int) -> tuple[Array, Array, Array, Array]:
    """The n-th picture, its mask, landmarks and parts, see `Rendered`; who and how are [N]."""
    i, m = ({k: float(v[n]) for k, v in p.items()} for p in (who, how))
    return _picture(i, m, size, skin)


def _by_processes(workers: int, who: Params, how: Params, size: int, skin: int, out: Rendered) -> None:
    """Fills `out`, picture by picture. Threads would wait for Python's lock most of the time."""
    with Workers('dfjax.data.render.worker', count=workers) as pool:
        waiting = []
        for n in range(len(out.image)):
            job = {name: {k: float(v[n]) for k, v in part.items()} for name, part in (('who', who), ('how', how))}
            waiting.append(pool.ask(job | {'size': size, 'skin': skin}, (), partial(_put, out, n)))
        for future in waiting:
            future.result()


def _put(out: Rendered, n: int, _: None, arrays: list[Array]) -> None:
    out.image[n], out.mask[n], out.landmarks[n], out.parts[n] = arrays


def truth(
    identity_a: Params, identity_b: Params, motion: Params, size: int = 256, match_tone: bool = False
) -> Rendered:
    """What a perfect swap makes of pictures of A: the same pictures, but the face, inside A's mask, is B's.

    Skull, hair, ears, neck, clothes, light, motion, background and framing stay A's; skin, eyes, brows, nose, mouth,
    beard, glasses and age are B's. Outside of the mask the pixels equal those of `render(identity_a, motion)`.
    The mask is A's; the landmarks are those of the swapped face.

    Args:
        identity_a, identity_b, motion, size: as in `render`.
        match_tone: B's face takes A's tone of skin, as a swap with colour transfer makes it; else it keeps its own.
    """
    face = identity_b | {k: identity_a[k] for k in ('skin', 'skin_warm')} if match_tone else identity_b
    a, b = render(identity_a, motion, size), render(swapped(identity_a, face), motion, size)
    alpha = a.mask[..., None].astype(np.float32) / 255
    mixed = np.round(a.image + alpha * (b.image.astype(np.float32) - a.image)).astype(np.uint8)
    return Rendered(mixed, a.mask, b.landmarks, b.attributes, a.parts)


def _picture(i: Params, m: Params, size: int, skin: int) -> tuple[Array, Array, Array, Array]:
    """RGB [S, S, 3], mask [S, S], landmarks [68, 2], parts [S, S, 3] of one picture; scalars in."""
    h, cam = head(i, skin), camera(m, size)
    now = moment(i, m, h)
    light = (cam.turn.T @ scene.light_direction(m)).astype(np.float32)
    picture, depth = scene.background(m, size), np.full((size, size), 50.0, np.float32)
    scene.body(i, m, cam, now.outside, picture, depth)
    box, gap, p, d, t = meet(now.outside, cam)
    origin = cam.turn.T[:, 2] * 9.0
    rows, cols = slice(box[1], box[3]), slice(box[0], box[2])
    up = cam.turn.T[:, 1]
    for window, far, alpha, normal, colour in scene.ears(i, cam, box, origin, d):
        target, z = picture[rows, cols][window], depth[rows, cols][window]
        plain = np.ones(alpha.shape, np.float32)
        ear = scene.shade(
            colour.astype(np.float32), normal, d[:, window[0], window[1]], light, plain, plain * 0.8, plain * 0.5, up, m
        )
        target += (ear - target) * (alpha * (far < z))[..., None]
        z[:] = np.where(alpha > 0.5, np.minimum(z, far), z)
    colour, region, covered, reach = _head_colour(i, m, h, now, cam, p, d, light, up)
    cover = np.clip(1.25 - gap / reach, 0, 1)
    front = cover * np.clip((depth[rows, cols] - t) / 0.03 + 0.5, 0, 1)
    parts = np.zeros((size, size, 3), np.float32)
    parts[..., 2] = depth < 50  # body and ears, so far
    parts[rows, cols] *= 1 - front[..., None]
    parts[rows, cols, 0], parts[rows, cols, 1] = front * (1 - covered), front * covered
    picture[rows, cols] += (colour - picture[rows, cols]) * front[..., None]
    depth[rows, cols] = np.where(front > 0.5, t, depth[rows, cols])
    scene.glasses(picture, i, features.eyes(i, m), cam, depth, m)
    mask = np.zeros((size, size), np.uint8)
    mask[rows, cols] = np.round(255 * front * region)
    points = features.landmarks(i, m, now.skin, h.rest)
    return _develop(picture), mask, cam.project(points), np.round(255 * parts).astype(np.uint8)


@lru_cache(1)
def _film() -> Array:
    """A table from linear light, 0 to 2 in 4096 steps, to 8 bits: soft highlights and the gamma of sRGB."""
    x = np.linspace(0, 2, 4096)
    x = np.where(x < 0.6, x, 0.6 + 0.4 * np.tanh((x - 0.6) / 0.4))
    srgb = np.where(x < 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)
    return np.round(255 * np.clip(srgb, 0, 1)).astype(np.uint8)


def _develop(picture: Array) -> Array:
    return _film()[np.clip(picture * 2047.5, 0, 4095).astype(np.uint16)]


def _head_colour(
    i: Params, m: Params, h: Head, now: Moment, cam: Camera, p: Array, d: Array, light: Array, up: Array
) -> tuple[Array, Array, Array, Array]:
    """Linear RGB [h, w, 3] of the head at the points p [3, h, w], how much each belongs to the bare face and to the
    hair, and how far its outline fades, in pixels: one for skin, more for loose hair.
    """
    unit = p / np.sqrt((p * p).sum(0))
    at = unit if now.rest is None else look_up(now.rest, unit).transpose(2, 0, 1)
    skin, normal = look_up(h.skin, at), look_up(now.normal, unit)
    covered = smoothstep(-0.004, 0.022, look_up(now.cover, unit))
    paint = Paint(skin[..., :3].copy(), skin[..., 3].copy(), np.zeros_like(covered))
    _paint_face(paint, i, m, cam, p, d, light)
    paint.gloss *= 0.5 + 0.8 * i['skin_gloss']
    region, reach = look_up(face_region(), at) * (1 - covered), np.ones_like(covered)
    if covered.max() > 0:
        strands = look_up(h.strands, unit)
        paint.over(hair_colour(i).astype(np.float32) * strands[..., None], covered, 0.14 + 0.24 * strands)
        paint.sparkle *= 1 - covered
        reach += covered * np.clip((strands - 0.9) * 0.08 * cam.scale, 0, 0.05 * cam.scale)
    half = np.ascontiguousarray(p[:, ::2, ::2])
    seen = cv2.resize(
        lit(now.outside, half, light, 0.35 + 0.8 * covered[::2, ::2]),
        covered.shape[::-1],
        interpolation=cv2.INTER_LINEAR,
    )
    colour = scene.shade(paint.colour, normal, d, light, seen, normal[..., 3], paint.gloss, up, m)
    colour += (paint.sparkle * (0.3 + 0.7 * seen))[..., None]
    return colour, region, covered, reach


def _paint_face(paint: Paint, i: Params, m: Params, cam: Camera, p: Array, d: Array, light: Array) -> None:
    """Eyes, brows and mouth, each in the window of pixels that it can reach."""
    pixel, shape = 1 / cam.scale, p.shape[1:]
    first = cam.project((p[:, 0, 0])[None])[0]  # the pixel of the window's corner

    def window(corners: list[tuple[float, float]], z: float) -> tuple[slice, slice]:
        px = cam.project(np.array([(x, y, z) for x, y in corners], np.float32)) - first
        low, high = np.floor(px.min(0)).astype(int), np.ceil(px.max(0)).astype(int) + 1
        return tuple(
            slice(int(np.clip(a, 0, n)), int(np.clip(b, 0, n))) for a, b, n in zip(low[::-1], high[::-1], shape)
        )

    lips, brow = features.mouth(i, m), features.brow(i, m)
    for eye, side in zip(features.eyes(i, m), (-1, 1)):
        ends = [(side * (eye.x + dx), y) for dx in (-0.3, 0.3) for y in (eye.y - 0.2, 0.55)]
        w = window(ends, 0.85)
        x, y = p[0][w], p[1][w]
        view = paint.window(*w)
        paint_eye(view, eye, i, m, side, x, y, light, pixel)
        paint_brow(view, brow, i, side, x, y, pixel)
    reach = lips.half + 0.12
    w = window([(x, y) for x in (-reach, reach) for y in (lips.y - lips.down - 0.25, lips.y + lips.up + 0.2)], 0.95)
    paint_mouth(paint.window(*w), lips, i, m, p[0][w], p[1][w], d[:, w[0], w[1]], pixel)

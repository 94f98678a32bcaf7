"""Who a made face is: how far it is from a person by dlib's descriptor (King 2017), as a loss.

What it is given is a face alone, grey off it: a net is not to paint the person's hair where nobody sees it. A swap that
is judged by the same descriptor proves nothing: measure it by something else.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.data.faces.dlib_models import DESCRIPTOR, dlib_model
from dfjax.models.descriptor import SIDE, Descriptor
from dfjax.ops.devices import whole_batch
from dfjax.ops.geometry import to_pixels, umeyama
from dfjax.ops.image import affine_grid, sample_smaller
from dfjax.weights.dlib import read_descriptor

PADDING = 0.25  # room round the template's unit square, in units, on each side of a chip
USED = [*range(27, 55), *range(60, 65)]  # nose, eyes, mouth but its lower lip: the points that dlib aligns by
TEMPLATE = np.array(  # where dlib puts them in the unit square (dlib/image_transforms/interpolation.h)
    [
        *[(0.490127, 0.203352), (0.490127, 0.307009), (0.490127, 0.409805), (0.490127, 0.515625)],
        *[(0.36688, 0.587326), (0.426036, 0.609345), (0.490127, 0.628106), (0.554217, 0.609345), (0.613373, 0.587326)],
        *[(0.121737, 0.216423), (0.187122, 0.178758), (0.265825, 0.179852)],
        *[(0.334606, 0.231733), (0.260918, 0.245099), (0.182743, 0.244077)],
        *[(0.645647, 0.231733), (0.714428, 0.179852), (0.793132, 0.178758)],
        *[(0.858516, 0.216423), (0.79751, 0.244077), (0.719335, 0.245099)],
        *[(0.254149, 0.780233), (0.340985, 0.745405), (0.428858, 0.727388), (0.490127, 0.742578)],
        *[(0.551395, 0.727388), (0.639268, 0.745405), (0.726104, 0.780233)],
        *[(0.290379, 0.784792), (0.428096, 0.778746), (0.490127, 0.785343), (0.552157, 0.778746), (0.689874, 0.784792)],
    ],
    np.float32,
)


def chips(pictures: jax.Array, landmarks: jax.Array) -> jax.Array:
    """What the descriptor sees of faces: `data.faces.identity.face_chip`, differentiable.

    Args:
        pictures: [B, S, S, C]; what a chip shows beyond their edges is the edge's.
        landmarks: [B, 68, 2] in units of the side, or [1, 68, 2] of all.

    Returns:
        [B, 150, 150, C].
    """
    points = jnp.broadcast_to(to_pixels(landmarks[:, USED], pictures.shape[1]), (len(pictures), len(USED), 2))
    there = (TEMPLATE + PADDING) / (1 + 2 * PADDING) * SIDE
    return sample_smaller(pictures, affine_grid(umeyama(jnp.broadcast_to(there, points.shape), points), SIDE))


def described(params: dict, pictures: jax.Array, masks: jax.Array, landmarks: jax.Array) -> jax.Array:
    """Descriptors [B, 128] of faces [B, S, S, 3] in [-1, 1] inside masks [B, S, S, 1]; see `chips`."""
    return Descriptor().apply({'params': params}, chips(pictures * masks, landmarks))


def identity_net(weight: float) -> dict:
    """What a system's `frozen` has for `identity`: the descriptor's parameters; nothing without a weight."""
    return {'descriptor': read_descriptor(dlib_model(DESCRIPTOR))} if weight else {}


def identity(
    weight: float, frozen: dict, made: Callable[[], jax.Array], real: jax.Array, pair: dict, shape: Any = None
) -> dict[str, jax.Array]:
    """The term 'g/identity' of a swap system's loss: `weight` times `identity_distance`; none where that is 0.

    Args:
        frozen: with what `identity_net` gives.
        made: gives a's faces as b; not asked without a weight.
    """
    if not weight:
        return {}
    return {'g/identity': weight * identity_distance(frozen['descriptor'], made(), real, pair, shape)}


def identity_distance(
    params: dict, made: jax.Array, real: jax.Array, pair: dict, shape: jax.Array | None = None
) -> jax.Array:
    """How much further swaps are from person b than b's own faces are, a scalar: the mean of the squared distances from
    the mean descriptor of b's faces, above the mean of those faces' own.

    Args:
        params: of `models.descriptor.Descriptor`.
        made: [B, S, S, 3] in [-1, 1], faces of a as b.
        real: [B, S, S, 3] of b; they get no gradient.
        pair: of sides 'a' and 'b', 'mask' and 'landmarks' of these pictures.
        shape: [1, 68, 2], where the landmarks of all of them lie instead.
    """
    at = {side: pair[side]['landmarks'] if shape is None else shape for side in ('a', 'b')}
    own = jax.lax.stop_gradient(whole_batch(described(params, real, pair['b']['mask'], at['b'])))
    far = lambda codes: jnp.square(codes - own.mean(0)).sum(-1)  # [B]
    return jax.nn.relu(far(described(params, made, pair['a']['mask'], at['a'])) - far(own).mean()).mean()

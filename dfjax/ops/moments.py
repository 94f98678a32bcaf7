"""Running means of what was seen of a person, by name: 'mean' and 'square', that of the squares.

The face swap keeps 'landmarks' [68, 2] in unit coordinates, 'lids' [4], how far they are apart, 'picture' [s, s, 3],
what the encoder sees, and 'code' [h, w, C], what it makes of it.
"""

import jax
import jax.numpy as jnp

from dfjax.ops.devices import mean_over_devices
from dfjax.ops.expression import lid_gaps


def of_faces(landmarks: jax.Array, pictures: jax.Array) -> dict:
    """What is kept of faces with landmarks [B, 68, 2], seen as pictures [B, s, s, 3]."""
    return {'landmarks': landmarks, 'lids': lid_gaps(landmarks), 'picture': pictures}


def init(means: dict) -> dict:
    """The moments before any picture: these means, and a standard deviation of 1."""
    return {key: {'mean': mean, 'square': mean**2 + 1} for key, mean in means.items()}


def blank(seen: tuple, code: tuple) -> dict:
    """The moments of nobody yet, whose pictures and codes have these shapes."""
    faces = of_faces(jnp.full((1, 68, 2), 0.5), jnp.zeros((1, *seen)))
    return init({key: x[0] for key, x in faces.items()} | {'code': jnp.zeros(code)})


def measured(batch: dict) -> dict:
    """Of some arrays [N, ...], by name; in float32, whatever they are, for a variance is a small difference of two."""
    whole = {key: x.astype(jnp.float32) for key, x in batch.items()}
    return {key: {'mean': x.mean(0), 'square': (x**2).mean(0)} for key, x in whole.items()}


def update(moments: dict, batch: dict, rate: jax.Array) -> dict:
    """The moments, `rate` nearer to those of a batch on all devices: it has some of the names, [B, ...] each."""
    own = mean_over_devices(measured(batch))
    nearer = lambda old, new: old + rate * (new - old)
    return moments | {key: jax.tree.map(nearer, moments[key], new) for key, new in own.items()}


def spread(moments: dict) -> jax.Array:
    """The standard deviation, of 'mean' and 'square'."""
    return jnp.sqrt(jnp.maximum(moments['square'] - moments['mean'] ** 2, 1e-8))


def differences(moments: dict, pictures: jax.Array) -> jax.Array:
    """How pictures [B, s, s, 3] differ from a person's mean picture, in two of its standard deviations."""
    mean = moments['picture']['mean']
    variance = jnp.maximum((moments['picture']['square'] - mean**2).mean(), 1e-4)
    return (pictures - mean) / (2 * jnp.sqrt(variance))

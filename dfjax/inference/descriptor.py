"""dlib's face descriptor of many faces, on the device that there is: a tenth of dlib's own time on a CPU."""

import functools
from collections.abc import Sequence

import jax
import numpy as np

from dfjax.data.faces.dlib_models import DESCRIPTOR, dlib_model
from dfjax.models.descriptor import Descriptor
from dfjax.weights.dlib import read_descriptor

AT_ONCE = 16  # chips


def describe(chips: Sequence[np.ndarray]) -> np.ndarray:
    """Descriptors float32 [N, 128] of chips uint8 [150, 150, 3], which `data.faces.identity.face_chip` cuts out."""
    found = [np.zeros((0, 128), np.float32)]
    for start in range(0, len(chips), AT_ONCE):
        some = np.stack(chips[start : start + AT_ONCE]).astype(np.float32)
        full = np.pad(some, ((0, AT_ONCE - len(some)), (0, 0), (0, 0), (0, 0)))  # so that one program does
        found.append(np.asarray(_described(_params(), full))[: len(some)])
    return np.concatenate(found)


@functools.cache
def _params() -> dict:
    return jax.device_put(read_descriptor(dlib_model(DESCRIPTOR)))


@jax.jit
def _described(params: dict, chips: jax.Array) -> jax.Array:
    return Descriptor().apply({'params': params}, chips / 127.5 - 1)

"""Normalisation between convolutions, by the name that a config gives it."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.ops.devices import device_axis, first_example

WHOLE = 'whole'  # Flax collection with the statistics of a whole picture, for its tiles
NORMS = ('instance', 'affine', 'batch', 'none')
EPSILON = 1e-5  # PyTorch's; with Linen's 1e-6 imported nets differ on flat pictures


class InstanceNorm(nn.Module):
    """[B, H, W, C] -> the same, each picture's channels to mean 0 and variance 1 (Ulyanov et al. 2016).

    Always by the picture's own statistics, computed in float32: those of x, or of a whole picture that x is a tile of.
    With the collection WHOLE mutable it stores the statistics of x there; given that collection, it normalises by it.

    Attributes:
        affine: whether a learnt 'scale' [C] and 'bias' [C] follow.
    """

    affine: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.astype(jnp.float32)
        # The mean first, so that a large one costs the variance no digits.
        x = x - self._of_whole('mean', lambda: x.mean((1, 2), keepdims=True))
        x = x * jax.lax.rsqrt(self._of_whole('variance', lambda: (x * x).mean((1, 2), keepdims=True)) + EPSILON)
        if self.affine:
            scale = self.param('scale', nn.initializers.ones_init(), (x.shape[-1],))
            x = x * scale + self.param('bias', nn.initializers.zeros_init(), (x.shape[-1],))
        return x.astype(self.dtype)

    def _of_whole(self, name: str, own: Callable[[], jax.Array]) -> jax.Array:
        if self.has_variable(WHOLE, name):
            return self.get_variable(WHOLE, name)
        value = own()
        if self.is_mutable_collection(WHOLE) and not self.is_initializing():
            self.put_variable(WHOLE, name, value)
        return value


class Dropout(nn.Module):
    """x [B, H, W, C] -> the same, with a share of its values 0 and the rest larger, by the 'dropout' key.

    What is dropped of a picture follows from its place in the whole batch, however that is split over devices.

    Attributes:
        rate: the share.
    """

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        if not train or not self.rate:
            return x
        places = first_example(len(x)) + jnp.arange(len(x))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(self.make_rng('dropout'), places)
        kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - self.rate, x.shape[1:]))(keys)
        return jnp.where(kept, x / (1 - self.rate), 0)


def normalise(x: jax.Array, kind: str, name: str, train: bool = False, dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """Inside a module's `__call__`: x [B, H, W, C] normalised by a new submodule called `name`.

    Args:
        kind: 'instance', 'affine' (instance with scale and bias), 'batch' or 'none'.
        train: batch normalisation only: by the batch's statistics (of all devices), updating the averages in
            'batch_stats'; else by those averages.

    Raises:
        InputError: if there is no such kind.
    """
    if kind not in NORMS:
        raise InputError(f'norm {kind!r} does not exist; there are: {", ".join(NORMS)}')
    if kind == 'none':
        return x
    if kind == 'batch':
        norm = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            epsilon=EPSILON,
            use_fast_variance=False,
            dtype=dtype,
            axis_name=device_axis(),
            name=name,
        )
        return norm(x)
    return InstanceNorm(affine=kind == 'affine', dtype=dtype, name=name)(x)

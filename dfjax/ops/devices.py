"""What a step needs to know of the devices that its batch is split over.

Under `jax.jit` a step sees the whole batch, and everything here is the identity. Inside `jax.shard_map` it sees the
part of one device: means are taken over devices, and what needs the whole batch gathers it.
"""

from typing import Any

import jax

DEVICE_AXIS = 'data'


def device_axis() -> str | None:
    """The mesh axis that the batch is split over, inside `jax.shard_map`; else None. Known while tracing."""
    return DEVICE_AXIS if DEVICE_AXIS in jax.sharding.get_abstract_mesh().manual_axes else None


def mean_over_devices(tree: Any) -> Any:
    """The mean over devices of gradients, metrics and running moments, each the mean over a device's examples."""
    axis = device_axis()
    return jax.lax.pmean(tree, axis) if axis else tree


def whole_batch(part: Any) -> Any:
    """The whole batch [B, ...] of a tree of this device's parts [B / devices, ...]."""
    axis = device_axis()
    return jax.tree.map(lambda x: jax.lax.all_gather(x, axis, tiled=True), part) if axis else part


def own_part(whole: jax.Array, count: int) -> jax.Array:
    """This device's part [count, ...] of the whole batch [B, ...]: the inverse of `whole_batch`."""
    return jax.lax.dynamic_slice_in_dim(whole, first_example(count), count)


def first_example(count: int) -> jax.Array | int:
    """The place in the whole batch of the first of this device's `count` examples."""
    axis = device_axis()
    return jax.lax.axis_index(axis) * count if axis else 0

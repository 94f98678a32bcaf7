"""One net of a run as a function of named arrays: what `dfjax apply` and `dfjax export` share.

    net = open_net(load_run('runs/celeba'), 'g')
    y = apply_net(net, {'x': pictures, 'c': labels})['y']

Everything is computed in float32, at full precision on accelerators too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.config import build
from dfjax.errors import InputError
from dfjax.inference.run import Run

BATCH = 8  # pictures at once
SIDE = 256  # of a net that takes any, where one is needed


@dataclass(frozen=True)
class OpenNet:
    """A net and its parameters.

    Attributes:
        name: of the net, with its run.
        inputs: shape of each array that it takes, for one picture of a side that it takes.
        any_side: whether other sides are taken too.
        variables: its parameters.
        function: (variables, arrays by name) -> arrays by name.
    """

    name: str
    inputs: dict[str, tuple[int, ...]]
    any_side: bool
    variables: Any
    function: Callable[[Any, Mapping[str, jax.Array]], dict[str, jax.Array]]


def open_net(run: Run, net: str | None) -> OpenNet:
    """The net of a run by name; None is the only one there is.

    Nets of pix2pix and CycleGAN take 'x' and give 'y'; StarGAN's generator takes labels 'c' [B, K] too, and its
    discriminator gives 'out_src' and 'out_cls'.

    Raises:
        InputError: if there is no such net (names those there are), or none was named and there are several.
    """
    nets = run.system.nets(build(run.cfg, {'dtype': 'float32'}))
    there = [name for name in nets if name in run.params]
    if net is None and len(there) > 1:
        raise InputError(f'{run.path}: has several nets; name one with --net: {", ".join(there)}')
    net = there[0] if net is None and there else net
    if net not in there:
        raise InputError(f'{run.path}: has no net {net!r}; it has: {", ".join(there) or "none"}')
    found = nets[net]
    inputs = {name: x.shape for name, x in found.inputs.items()}

    def function(variables: Any, arrays: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        out = found.module.apply(variables, *(arrays[name] for name in inputs))
        return dict(zip(found.outputs, out if isinstance(out, tuple) else (out,)))

    return OpenNet(f'net {net!r} of {run.path}', inputs, found.multiple > 0, run.variables(net), function)


def apply_net(net: OpenNet, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the net gives for its inputs among `arrays`: float32, pictures [B, H, W, C], in batches.

    Raises:
        InputError: if an input is missing or of another type or shape, or pictures are too small for the net.
    """
    arrays = check_arrays(net, arrays)
    function = jax.jit(net.function)
    done = []
    with jax.default_matmul_precision('highest'):
        for start in range(0, len(arrays['x']), BATCH):
            part = {name: array[start : start + BATCH] for name, array in arrays.items()}
            done.append(jax.device_get(function(net.variables, part)))
    return {name: np.concatenate([part[name] for part in done]) for name in done[0]}


def check_arrays(net: OpenNet, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those that the net takes, found to be what it takes."""
    for name, shape in net.inputs.items():
        if name not in arrays:
            there = ', '.join(arrays) or 'nothing'
            raise InputError(f'{net.name} takes {", ".join(net.inputs)}; there is no array {name!r}, but {there}')
        array = arrays[name]
        if array.dtype != np.float32:
            raise InputError(f'{name} is {array.dtype}; {net.name} takes float32')
        fixed = [None, *shape[1:]]
        if net.any_side and name == 'x':
            fixed[1] = fixed[2] = None
        if array.ndim != len(fixed) or any(n not in (None, m) for n, m in zip(fixed, array.shape)) or not array.size:
            free = iter('BHW')
            text = ', '.join(str(n or next(free)) for n in fixed)
            raise InputError(f'{name} has shape {list(array.shape)}; {net.name} takes [{text}]')
        if len(array) != len(arrays['x']):
            raise InputError(f'{name} has {len(array)} rows for {len(arrays["x"])} pictures; give one each')
    return {name: arrays[name] for name in net.inputs}


def export_shapes(net: OpenNet, side: int | None) -> dict[str, jax.ShapeDtypeStruct]:
    """The inputs with the number of pictures left open, and pictures of `side` pixels.

    Raises:
        InputError: if the net takes pictures of one other side only.
    """
    (batch,) = jax.export.symbolic_shape('b')
    shapes = {name: [batch, *shape[1:]] for name, shape in net.inputs.items()}
    if net.any_side:
        shapes['x'][1:3] = [side or max(SIDE, shapes['x'][1])] * 2
    elif side not in (None, shapes['x'][1]):
        raise InputError(f'{net.name} takes pictures of {shapes["x"][1]} pixels only, not {side}')
    return {name: jax.ShapeDtypeStruct(tuple(shape), jnp.float32) for name, shape in shapes.items()}

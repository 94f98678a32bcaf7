"""One net of a run as a function of named arrays: what `dfjax apply` and `dfjax export` share.

    net = open_net(load_run('runs/celeba'), 'g')
    y = apply_net(net, {'x': pictures, 'c': labels})['y']

Everything is computed in float32, at full precision on accelerators too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from dfjax.config import build
from dfjax.errors import InputError
from dfjax.inference.run import Run
from dfjax.inference.whole import whole_nets
from dfjax.ops import backend
from dfjax.systems.state import Net


@dataclass(frozen=True)
class OpenNet:
    """A net and its parameters.

    Attributes:
        name: of the net, with its run.
        net: its module, inputs and outputs, see `systems.state.Net`.
        variables: its parameters.
    """

    name: str
    net: Net
    variables: Any

    def __call__(self, variables: Any, arrays: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """The outputs by name, of inputs by name."""
        out = self.net.module.apply(variables, *(arrays[name] for name in self.net.inputs))
        if isinstance(out, Mapping):
            return {name: out[name] for name in self.net.outputs}
        return dict(zip(self.net.outputs, out if isinstance(out, tuple) else (out,)))

    def sides(self, name: str) -> list[int | None]:
        """The shape that an input must have, None where any will do: the number of examples, and the sides of pictures
        of a net that takes others than its own, or the number of frames."""
        shape = [None, *self.net.inputs[name].shape[1:]]
        if name in self.net.pictures():
            shape[1] = shape[2] = None
        if self.net.series:
            shape[1] = None
        return shape

    def shape(self, name: str) -> str:
        """The same for a person: '[B, H, W, 3]'."""
        free = iter('BT' if self.net.series else 'BHW')
        return '[' + ', '.join(str(n or next(free)) for n in self.sides(name)) + ']'

    def signature(self) -> str:
        """What it takes and gives: 'x float32 [B, H, W, 3] -> y'."""
        taken = ', '.join(f'{name} {array.dtype} {self.shape(name)}' for name, array in self.net.inputs.items())
        return f'{taken} -> {", ".join(self.net.outputs)}'


def open_net(run: Run, net: str | None) -> OpenNet:
    """The net of a run by name; None is the only one there is.

    Raises:
        InputError: if there is no such net (names those there are), or none was named and there are several.
    """
    there = open_nets(run)
    if net is None and len(there) > 1 and list(there)[1] in run.params:
        raise InputError(f'{run.path}: has several nets; name one with --net: {", ".join(there)}')
    net = next(iter(there), None) if net is None else net
    if net not in there:
        raise InputError(f'{run.path}: has no net {net!r}; it has: {", ".join(there) or "none"}')
    return there[net]


def open_nets(run: Run) -> dict[str, OpenNet]:
    """All nets of a run, by name; after them what they do together, see `inference.whole`."""
    cfg = build(run.cfg, {'dtype': 'float32'})
    there = {name: net for name, net in run.system.nets(cfg).items() if name in run.params}
    found = {name: OpenNet(f'net {name!r} of {run.path}', net, run.variables(name)) for name, net in there.items()}
    whole = whole_nets(run, cfg)
    return found | {name: OpenNet(f'{name!r} of {run.path}', net, run.params) for name, net in whole.items()}


def apply_net(net: OpenNet, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the net gives for its inputs among `arrays`, float32, in batches.

    Raises:
        InputError: if an input is missing or of another type or shape, or pictures are too small for the net.
    """
    arrays = check_arrays(net, arrays)
    function = jax.jit(net.__call__)
    group = backend.group_size(max(int(np.prod(array.shape[1:3])) for array in arrays.values()))
    done = []
    with jax.default_matmul_precision('highest'):
        for start in range(0, len(next(iter(arrays.values()))), group):
            part = {name: array[start : start + group] for name, array in arrays.items()}
            done.append(jax.device_get(function(net.variables, part)))
    if net.net.series:  # [T * B, ...], the examples of each moment together
        frames = next(iter(arrays.values())).shape[1]
        done = [{name: x.reshape(frames, -1, *x.shape[1:]) for name, x in part.items()} for part in done]
        joined = {name: np.concatenate([part[name] for part in done], 1) for name in done[0]}
        return {name: x.reshape(-1, *x.shape[2:]) for name, x in joined.items()}
    return {name: np.concatenate([part[name] for part in done]) for name in done[0]}


def check_arrays(net: OpenNet, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those that the net takes, found to be what it takes; floating point of another precision becomes its own."""
    arrays = dict(arrays)
    first = next(iter(net.net.inputs))
    for name, wanted in net.net.inputs.items():
        if name not in arrays:
            there, taken = ', '.join(arrays) or 'nothing', ', '.join(net.net.inputs)
            raise InputError(f'{net.name} takes {taken}; there is no array {name!r}, but {there}')
        array, shape = arrays[name], net.sides(name)
        if array.dtype != wanted.dtype and array.dtype.kind in 'fV' and wanted.dtype.kind == 'f':
            array = arrays[name] = _as(array, wanted.dtype, name)
        if array.dtype != wanted.dtype:
            pictures = array.ndim == 4 and array.dtype.kind in 'ui'
            how = '; divide pictures of 0..255 by 127.5 and take 1 off: they are in [-1, 1]' if pictures else ''
            raise InputError(f'{name} is {array.dtype}; {net.name} takes {wanted.dtype}{how}')
        if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape)) or not array.size:
            raise InputError(f'{name} has shape {list(array.shape)}; {net.name} takes {net.shape(name)}')
        if len(array) != len(arrays[first]):
            raise InputError(f'{name} has {len(array)} rows for the {len(arrays[first])} of {first}; give one each')
    return {name: arrays[name] for name in net.net.inputs}


def _as(array: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Floating point in another precision; InputError where it had more than that holds."""
    with np.errstate(over='ignore'):
        made = array.astype(dtype)
    if not np.isfinite(made).all():
        raise InputError(f'{name} holds numbers that are not finite, or too large for {dtype}')
    return made


def export_shapes(net: OpenNet, size: int | None) -> dict[str, jax.ShapeDtypeStruct]:
    """The inputs with the number of examples left open, and pictures of `size` pixels; by default the net's own.

    Raises:
        InputError: if the net takes pictures of one other size only.
    """
    (batch,) = jax.export.symbolic_shape('b')
    free, shapes = net.net.pictures(), {}
    sides = {h for _, h, w, _ in (x.shape for x in net.net.inputs.values() if len(x.shape) == 4) if h == w}
    if size is not None and not free and sides != {size}:
        taken = f'pictures of {min(sides)} pixels only, not {size}' if sides else 'no pictures, and no --size'
        raise InputError(f'{net.name} takes {taken}')
    for name, array in net.net.inputs.items():
        shape = [batch, *array.shape[1:]]
        if size is not None and name in free:
            shape[1:3] = [size, size]
        shapes[name] = jax.ShapeDtypeStruct(tuple(shape), array.dtype)
    return shapes

"""A net as one file that runs without its code: StableHLO by `jax.export`, parameters inside, any number of pictures.

    export_net(open_net(load_run('runs/celeba'), 'g'), 'g.jaxexport', side=128)
    g = load_exported('g.jaxexport')
    y = g(x=pictures, c=labels)['y']

The file runs on CPU, CUDA and TPU, with JAX alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from dfjax.data.media.output import atomic_path
from dfjax.errors import InputError
from dfjax.inference.nets import OpenNet, export_shapes

PLATFORMS = ('cpu', 'cuda', 'tpu')


def export_net(net: OpenNet, out: Path | str, side: int | None = None, force: bool = False) -> dict[str, Any]:
    """Writes a net to `out`.

    Args:
        side: of the pictures, in pixels; by default the side that the net was made for, or 256.

    Returns:
        {'out', 'bytes', 'inputs' and 'outputs' (shapes by name, `b` for the number of pictures), 'platforms'}.

    Raises:
        InputError: if the net does not take pictures of that side, or `out` cannot be written.
    """
    shapes = export_shapes(net, side)
    with atomic_path(out, force) as part:
        with jax.default_matmul_precision('highest'):
            function = jax.jit(lambda arrays: net(net.variables, arrays))
            exported = jax.export.export(function, platforms=PLATFORMS)(shapes)
        part.write_bytes(exported.serialize())
        size = part.stat().st_size
    made = ExportedNet(exported)
    return {'out': str(out), 'bytes': size, 'inputs': made.inputs, 'outputs': made.outputs, 'platforms': PLATFORMS}


@dataclass(frozen=True)
class ExportedNet:
    """A net read from its file: a function of arrays by name, jitted by whoever calls it."""

    exported: jax.export.Exported

    @property
    def inputs(self) -> dict[str, str]:
        """Shape of each array that it takes, such as 'b,128,128,3'."""
        ((arrays,), _) = jax.tree.unflatten(self.exported.in_tree, self.exported.in_avals)
        return {name: _text(aval) for name, aval in arrays.items()}

    @property
    def outputs(self) -> dict[str, str]:
        """Shape of each array that it gives."""
        arrays = jax.tree.unflatten(self.exported.out_tree, self.exported.out_avals)
        return {name: _text(aval) for name, aval in arrays.items()}

    def __call__(self, **arrays: np.ndarray | jax.Array) -> Mapping[str, jax.Array]:
        """What the net gives; raises InputError if the arrays are not those that it takes."""
        if set(arrays) != set(self.inputs):
            raise InputError(f'the net takes {", ".join(self.inputs)}; given were {", ".join(arrays) or "none"}')
        try:
            return self.exported.call({name: jnp.asarray(array) for name, array in arrays.items()})
        except ValueError as error:
            wanted = ', '.join(f'{name} float32 [{shape}]' for name, shape in self.inputs.items())
            given = ', '.join(f'{name} {x.dtype} {list(x.shape)}' for name, x in arrays.items())
            raise InputError(f'the net takes {wanted}; given were {given}') from error


def load_exported(path: Path | str) -> ExportedNet:
    """Reads what `export_net` wrote.

    Raises:
        InputError: if it is not there, or is something else.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: no such file; `dfjax export` writes one')
    try:
        return ExportedNet(jax.export.deserialize(bytearray(path.read_bytes())))
    except Exception as error:  # flatbuffers and MLIR have a dozen kinds between them
        raise InputError(f'{path}: not a net that `dfjax export` wrote, or damaged') from error


def _text(aval: Any) -> str:
    return ','.join(map(str, aval.shape))

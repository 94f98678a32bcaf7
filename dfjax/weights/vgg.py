"""VGG-19's weights in the files that others write: torchvision's, and Keras's in HDF5.

    weights = read_features('vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5')

Nothing in a file is run, and none leads to another file.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.errors import InputError, ReadError
from dfjax.foreign import read_npz
from dfjax.models import vgg
from dfjax.weights.layers import compare, conv, convert
from dfjax.weights.limits import DEPTH, NAME, OBJECTS
from dfjax.weights.torch_files import read_checkpoint

HDF5 = b'\x89HDF\r\n\x1a\n'
SUFFIXES = ('.h5', '.hdf5')
BLOCKS = (2, 2, 4, 4, 4)  # Keras's convolutions, block1_conv1 to block5_conv4
KERAS = [f'block{b}_conv{n + 1}' for b, count in enumerate(BLOCKS, 1) for n in range(count)]
KERAS_MEAN = np.float32([123.68, 116.779, 103.939]) / 255  # mean of RGB in [0, 1]


def read_features(path: Path | str) -> dict[str, dict[str, np.ndarray]]:
    """VGG-19's weights as `models.vgg` has them: of torchvision's file, Keras's, or what `save` wrote (.npz).

    Raises:
        InputError: a file that cannot be read, or of another net; all names and shapes that differ are listed.
    """
    path = Path(path)
    if path.suffix == '.npz':
        return load(path)
    if path.is_file() and (path.suffix in SUFFIXES or _begins(path, HDF5)):
        return read_keras(path)
    return read_torchvision(path)


def read_torchvision(path: Path | str) -> dict[str, dict[str, np.ndarray]]:
    """See `read_features`."""
    weights = max(read_checkpoint(path).values(), key=lambda w: sum(name.startswith('features.') for name in w))
    table = {name: conv(f'features.{n}') for name, n in zip(vgg.LAYERS, vgg.TORCHVISION)}
    weights = {k: v for k, v in weights.items() if k.rpartition('.')[0] in {layer.name for layer in table.values()}}
    empty = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
    shapes = {name: {'kernel': empty(3, 3, i, o), 'bias': empty(o)} for name, (i, o) in vgg.LAYERS.items()}
    if lines := compare(weights, table, {'params': shapes}):
        raise InputError(f'{path}: not VGG-19 as torchvision writes it:\n' + '\n'.join(lines))
    try:
        return convert(weights, table, {'params': shapes})['params']
    except InputError as error:
        raise InputError(f'{path}: {error}') from None


def read_keras(path: Path | str) -> dict[str, dict[str, np.ndarray]]:
    """See `read_features`. Of whole models and of weights alone, in the older layouts and in Keras 3's.

    Keras's VGG-19 is Caffe's: it sees BGR up to 255, less its own means. Its first kernel is turned to what
    `vgg.features` gives, and the means go with it, so that what is beyond the rim, zero, is the same grey there too.
    """
    import h5py

    try:
        with h5py.File(path, 'r') as file:
            found = _arrays(file)
            if faults := _faults(found):
                raise InputError(f'{path}: not VGG-19 as Keras writes it:\n' + '\n'.join(faults))
            weights = {ours: {} for ours in vgg.LAYERS}
            for (theirs, leaf), ours in ((key, _ours(key[0])) for key in _wanted()):
                weights[ours][leaf] = np.asarray(found[theirs, leaf][()], np.float32)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as fault:
        reason = str(fault).splitlines()[0][:150] if str(fault) else type(fault).__name__
        raise InputError(f'{path}: damaged, or not HDF5 ({reason}); copy it again') from None
    for ours, leaves in weights.items():
        if not all(np.isfinite(x).all() for x in leaves.values()):
            raise InputError(f'{path}: layer {ours} holds numbers that are not finite; give a file of sound weights')
    first = weights['conv1_1']
    first['kernel'] = np.ascontiguousarray(first['kernel'][:, :, ::-1] * (255 * vgg.DEVIATION[:, None]))
    first['mean'] = KERAS_MEAN
    return weights


def load(path: Path | str) -> dict[str, dict[str, np.ndarray]]:
    """The weights in a file that `save` wrote.

    Raises:
        InputError: if there is no such file, or it is another.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give VGG-19's weights, torchvision's .pth or Keras's .h5")
    try:
        file = read_npz(path)
        weights = {name: {leaf: file[f'{name}/{leaf}'] for leaf in ('kernel', 'bias')} for name in vgg.LAYERS}
        if 'conv1_1/mean' in file:
            weights['conv1_1']['mean'] = file['conv1_1/mean']
    except (KeyError, ReadError):
        raise InputError(
            f'{path}: not the features of VGG-19; write them with `dfjax stylize --features FILE.pth -o FILE.npz`'
        ) from None
    for name, (inputs, outputs) in vgg.LAYERS.items():
        if weights[name]['kernel'].shape != (3, 3, inputs, outputs) or weights[name]['bias'].shape != (outputs,):
            raise InputError(f'{path}: layer {name} has another shape than in VGG-19')
    if weights['conv1_1'].get('mean', vgg.MEAN).shape != vgg.MEAN.shape:
        raise InputError(f'{path}: the mean has another shape than in VGG-19')
    return weights


def save(path: Path | str, weights: vgg.Weights) -> None:
    """Writes weights for `load`."""
    with open(path, 'wb') as file:
        np.savez(file, **{f'{name}/{leaf}': np.asarray(x) for name in vgg.LAYERS for leaf, x in weights[name].items()})


def _begins(path: Path, head: bytes) -> bool:
    with path.open('rb') as file:
        return file.read(len(head)) == head


def _ours(name: str) -> str:
    """'block1_conv2' -> 'conv1_2'."""
    return f'conv{name[5]}_{name[-1]}'


def _wanted() -> dict[tuple[str, str], tuple[int, ...]]:
    """The shapes of Keras's arrays, those that `vgg` uses, by layer and leaf."""
    wanted = {}
    for name in KERAS[: len(vgg.LAYERS)]:
        inputs, outputs = vgg.LAYERS[_ours(name)]
        wanted |= {(name, 'kernel'): (3, 3, inputs, outputs), (name, 'bias'): (outputs,)}
    return wanted


def _arrays(file: Any) -> dict[tuple[str, str], Any]:
    """The data sets of an HDF5 file that are a convolution's, by Keras's name of the layer and leaf; none is read."""
    import h5py

    found, waiting, count = {}, [('', file, 0)], 0
    while waiting:
        where, group, depth = waiting.pop()
        if depth > DEPTH:
            raise ValueError(f'more than {DEPTH} groups inside each other')
        for name in group:
            count += 1
            if count > OBJECTS or len(name) > NAME:
                raise ValueError('more names, or longer ones, than weights have')
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue  # to another file, perhaps
            path, item = f'{where}{name}', group[name]
            if isinstance(item, h5py.Group) and path != 'optimizer':
                waiting.append((f'{path}/', item, depth + 1))
            elif isinstance(item, h5py.Dataset) and not (item.external or item.is_virtual or item.dtype.kind != 'f'):
                leaf = {4: 'kernel', 1: 'bias'}.get(item.ndim)  # what lies in this file, and is numbers
                if leaf and (layer := _layer(path)):
                    found[layer, leaf] = item
    return found


def _layer(path: str) -> str | None:
    """Keras's name of the layer that a data set is of: block1_conv1/block1_conv1_W_1:0, or layers/conv2d_1/vars/0,
    where Keras 3 counts layers instead."""
    if named := re.search(r'(?:^|/)(block[1-5]_conv[1-4])/', path):
        return named[1]
    counted = re.fullmatch(r'(?:.*/)?conv2d(?:_(\d+))?/vars/[01]', path)
    n = int(counted[1] or 0) if counted else len(KERAS)
    return KERAS[n] if n < len(KERAS) else None


def _faults(found: Mapping[tuple[str, str], Any]) -> list[str]:
    """What differs from VGG-19, a line each."""
    lines = []
    for key, shape in _wanted().items():
        there = found[key].shape if key in found else None
        if there != shape:
            lines.append(f'{"/".join(key)}: {"missing" if there is None else there}, in the net {shape}')
    return lines

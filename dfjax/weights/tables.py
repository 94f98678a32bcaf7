"""The originals' nets, as their checkpoints name them, and what the shapes in a checkpoint say about sizes.

A net is a pair of functions:

    sizes(weights) -> {key of cfg.model: value}     only what names and shapes tell; where they are unlike any, defaults
    layers(model) -> {path of our layer: Layer}     for `layers.py`

Sources: yunjey/stargan model.py; junyanz/pytorch-CycleGAN-and-pix2pix models/networks.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import numpy as np

from dfjax.weights.layers import Layer, conv, norm, up

Weights = Mapping[str, np.ndarray]
DEEPEST = 12  # halvings that are believed: a picture of 4096 pixels


@dataclass(frozen=True)
class Net:
    """How one net is read."""

    sizes: Callable[[Weights], dict[str, Any]]
    layers: Callable[[Mapping], dict[str, Layer]]


def _axis(weights: Weights, name: str, axis: int, default: int) -> int:
    """A side of an array of four axes; `default` if it is not one, which the comparison then shows."""
    array = weights.get(name)
    return array.shape[axis] if array is not None and array.ndim == 4 and array.size else default


def _consecutive(weights: Weights, name: str, start: int, step: int, default: int) -> int:
    """How many arrays there are with the names that `name` makes of start, start + step and so on."""
    return sum(1 for _ in takewhile(lambda i: name.format(i) in weights, count(start, step))) or default


# StarGAN


def _stargan_generator_sizes(weights: Weights) -> dict[str, Any]:
    return {
        'g.labels': max(_axis(weights, 'main.0.weight', 1, 8) - 3, 1),
        'g.width': _axis(weights, 'main.0.weight', 0, 64),
        'g.blocks': _consecutive(weights, 'main.{}.main.0.weight', 9, 1, 6),
    }


def _stargan_generator(model: Mapping) -> dict[str, Layer]:
    blocks = model['g']['blocks']
    table = {'net/first': conv('main.0'), 'net/first_norm': norm('main.1')}
    for i in range(2):
        table |= {f'net/down_{i}': conv(f'main.{3 + 3 * i}'), f'net/down_{i}_norm': norm(f'main.{4 + 3 * i}')}
    for i in range(blocks):
        for j in range(2):
            table[f'net/block_{i}/conv_{j}'] = conv(f'main.{9 + i}.main.{3 * j}')
            table[f'net/block_{i}/norm_{j}'] = norm(f'main.{9 + i}.main.{3 * j + 1}')
    at = 9 + blocks
    for i in range(2):
        table |= {f'net/up_{i}': up(f'main.{at + 3 * i}'), f'net/up_{i}_norm': norm(f'main.{at + 1 + 3 * i}')}
    return table | {'net/last': conv(f'main.{at + 6}')}


def _stargan_discriminator_sizes(weights: Weights) -> dict[str, Any]:
    layers = min(_consecutive(weights, 'main.{}.weight', 0, 2, 6), DEEPEST)
    return {
        'size': _axis(weights, 'conv2.weight', 2, 2) * 2**layers,
        'd.labels': _axis(weights, 'conv2.weight', 0, 5),
        'd.width': _axis(weights, 'main.0.weight', 0, 64),
        'd.layers': layers,
    }


def _stargan_discriminator(model: Mapping) -> dict[str, Layer]:
    table = {f'down_{i}': conv(f'main.{2 * i}') for i in range(model['d']['layers'])}
    return table | {'source': conv('conv1'), 'classes': conv('conv2')}


# CycleGAN and pix2pix


def _norm_kind(weights: Weights, scale: str) -> str:
    return 'batch' if scale in weights else 'instance'


def _generator_sizes(inputs: str, outputs: str) -> Callable[[Weights], dict[str, Any]]:
    """Of a generator whose channels in and out are those keys of the config."""

    def sizes(weights: Weights) -> dict[str, Any]:
        if 'model.model.0.weight' in weights:
            depth, inner = 1, 'model.model.1.model.1.weight'
            while inner in weights and depth < DEEPEST:
                depth, inner = depth + 1, inner.replace('model.1.weight', 'model.3.model.1.weight')
            last = 'model.model.3.weight'
            found = {'kind': 'unet', 'depth': depth, 'norm': _norm_kind(weights, 'model.model.1.model.6.weight')}
            first, out = 'model.model.0.weight', _axis(weights, last, 1, 3)
        else:
            blocks = _consecutive(weights, 'model.{}.conv_block.1.weight', 10, 1, 9)
            found = {'kind': 'resnet', 'blocks': blocks, 'norm': _norm_kind(weights, 'model.2.weight')}
            dropped = _axis(weights, 'model.10.conv_block.6.weight', 0, 0)  # else the second convolution is number 5
            found['dropout'] = 0.5 if dropped else 0.0
            first, out = 'model.1.weight', _axis(weights, f'model.{17 + blocks}.weight', 0, 3)
        found['width'] = _axis(weights, first, 0, 64)
        return {f'g.{k}': v for k, v in found.items()} | {inputs: _axis(weights, first, 1, 3), outputs: out}

    return sizes


def _generator(model: Mapping) -> dict[str, Layer]:
    return _unet(model['g']['depth']) if model['g']['kind'] == 'unet' else _resnet(model['g'])


def _resnet(g: Mapping) -> dict[str, Layer]:
    table = {'first': conv('model.1'), 'first_norm': norm('model.2')}
    for i in range(2):
        table |= {f'down_{i}': conv(f'model.{4 + 3 * i}'), f'down_{i}_norm': norm(f'model.{5 + 3 * i}')}
    second = 6 if g['dropout'] else 5
    for i in range(g['blocks']):
        for j, at in enumerate((1, second)):
            table[f'block_{i}/conv_{j}'] = conv(f'model.{10 + i}.conv_block.{at}')
            table[f'block_{i}/norm_{j}'] = norm(f'model.{10 + i}.conv_block.{at + 1}')
    at = 10 + g['blocks']
    for i in range(2):
        table |= {f'up_{i}': up(f'model.{at + 3 * i}'), f'up_{i}_norm': norm(f'model.{at + 1 + 3 * i}')}
    return table | {'last': conv(f'model.{at + 7}')}


def _unet(depth: int) -> dict[str, Layer]:
    """Each size is a block inside the next larger one's: leaky ReLU, down, norm, the smaller ones, ReLU, up, norm."""
    table = {'down_0': conv('model.model.0'), 'up_0': up('model.model.3')}
    at = 'model.model.1'
    for i in range(1, depth):
        table[f'down_{i}'] = conv(f'{at}.model.1')
        if i < depth - 1:
            table |= {f'down_{i}_norm': norm(f'{at}.model.2'), f'up_{i}': up(f'{at}.model.5')}
            table[f'up_{i}_norm'] = norm(f'{at}.model.6')
        else:  # the innermost has nothing inside, and no norm on the way down
            table |= {f'up_{i}': up(f'{at}.model.3'), f'up_{i}_norm': norm(f'{at}.model.4')}
        at = f'{at}.model.3'
    return table


def _critic_sizes(*channels: str) -> Callable[[Weights], dict[str, Any]]:
    """Of a patch discriminator whose channels in are that key of the config, if they are one key."""

    def sizes(weights: Weights) -> dict[str, Any]:
        convs = _consecutive(weights, 'model.{}.weight', 2, 3, 4)  # those with a norm, and the last
        found = {
            'd.width': _axis(weights, 'model.0.weight', 0, 64),
            'd.layers': min(max(convs - 1, 1), DEEPEST),
            'd.norm': _norm_kind(weights, 'model.3.weight'),
        }
        return found | {key: _axis(weights, 'model.0.weight', 1, 3) for key in channels}

    return sizes


def _critic(model: Mapping) -> dict[str, Layer]:
    layers = model['d']['layers']
    table = {'Conv_0': conv('model.0')}
    for i in range(1, layers + 1):
        table |= {f'Conv_{i}': conv(f'model.{3 * i - 1}'), f'norm_{i}': norm(f'model.{3 * i}')}
    return table | {f'Conv_{layers + 1}': conv(f'model.{3 * layers + 2}')}


NETS = {
    'stargan': {
        'g': Net(_stargan_generator_sizes, _stargan_generator),
        'd': Net(_stargan_discriminator_sizes, _stargan_discriminator),
    },
    'pix2pix': {
        'g': Net(_generator_sizes('inputs', 'outputs'), _generator),
        'd': Net(_critic_sizes('pair'), _critic),
    },
    'cyclegan': {
        'g_ab': Net(_generator_sizes('inputs', 'outputs'), _generator),
        'g_ba': Net(_generator_sizes('outputs', 'inputs'), _generator),
        'd_a': Net(_critic_sizes('inputs'), _critic),
        'd_b': Net(_critic_sizes('outputs'), _critic),
    },
}

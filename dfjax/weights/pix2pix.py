"""Nets of pix2pix and CycleGAN, as their checkpoints name them (junyanz/pytorch-CycleGAN-and-pix2pix, networks.py)."""

from collections.abc import Callable, Mapping
from typing import Any

from dfjax.errors import InputError
from dfjax.weights.layers import Layer, conv, norm, up
from dfjax.weights.reader import DEEPEST, Reader, Weights, consecutive, side


def _norm_kind(weights: Weights, scale: str) -> str:
    return 'batch' if scale in weights else 'instance'


def generator_sizes(inputs: str, outputs: str) -> Callable[[Weights], dict[str, Any]]:
    """Of a generator whose channels in and out are those keys of the config."""

    def sizes(weights: Weights) -> dict[str, Any]:
        if 'model.model.0.weight' in weights:
            depth, inner = 1, 'model.model.1.model.1.weight'
            while inner in weights and depth < DEEPEST:
                depth, inner = depth + 1, inner.replace('model.1.weight', 'model.3.model.1.weight')
            last = 'model.model.3.weight'
            found = {'kind': 'unet', 'depth': depth, 'norm': _norm_kind(weights, 'model.model.1.model.6.weight')}
            first, out = 'model.model.0.weight', side(weights, last, 1, 3)
        else:
            blocks = consecutive(weights, 'model.{}.conv_block.1.weight', 10, 1, 9)
            found = {'kind': 'resnet', 'blocks': blocks, 'norm': _norm_kind(weights, 'model.2.weight')}
            dropped = side(weights, 'model.10.conv_block.6.weight', 0, 0)  # else the second convolution is number 5
            found['dropout'] = 0.5 if dropped else 0.0
            first, out = 'model.1.weight', side(weights, f'model.{17 + blocks}.weight', 0, 3)
        found['width'] = side(weights, first, 0, 64)
        return {f'g.{k}': v for k, v in found.items()} | {inputs: side(weights, first, 1, 3), outputs: out}

    return sizes


def generator(model: Mapping) -> dict[str, Layer]:
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


def discriminator_sizes(*channels: str) -> Callable[[Weights], dict[str, Any]]:
    """Of a patch discriminator whose channels in are that key of the config, if they are one key."""

    def sizes(weights: Weights) -> dict[str, Any]:
        convs = consecutive(weights, 'model.{}.weight', 2, 3, 4)  # those with a norm, and the last
        found = {
            'd.width': side(weights, 'model.0.weight', 0, 64),
            'd.layers': min(max(convs - 1, 1), DEEPEST),
            'd.norm': _norm_kind(weights, 'model.3.weight'),
        }
        return found | {key: side(weights, 'model.0.weight', 1, 3) for key in channels}

    return sizes


def discriminator(model: Mapping) -> dict[str, Layer]:
    layers = model['d']['layers']
    table = {'Conv_0': conv('model.0')}
    for i in range(1, layers + 1):
        table |= {f'Conv_{i}': conv(f'model.{3 * i - 1}'), f'norm_{i}': norm(f'model.{3 * i}')}
    return table | {f'Conv_{layers + 1}': conv(f'model.{3 * layers + 2}')}


def config(found: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The config of the nets found; the discriminator sees both pictures of a pair, and does not say how many channels
    each has: three are made where the generator does not tell.

    Raises:
        InputError: if the discriminator sees other channels than the generator's in and out.
    """
    sizes = dict(found)
    if pair := sizes.pop('pair', None):
        inputs, outputs = sizes.get('inputs'), sizes.get('outputs')
        if inputs is None:
            sizes['outputs'] = outputs = min(3, max(pair - 1, 1))
            sizes['inputs'] = inputs = max(pair - outputs, 1)
        if inputs + outputs != pair:
            raise InputError(
                f'{what}: d sees {pair} channels, and g makes {outputs} of {inputs}; a conditional discriminator sees '
                f'{inputs + outputs}'
            )
    least = (2 ** sizes.get('g.depth', 0), 4 * 2 ** sizes.get('d.layers', 0))  # pixels that the nets take
    return {'model': sizes, 'data': {'size': max(256, *least)}}


NETS = {
    'g': Reader(generator_sizes('inputs', 'outputs'), generator),
    'd': Reader(discriminator_sizes('pair'), discriminator),
}

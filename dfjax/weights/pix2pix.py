"""Nets of pix2pix and CycleGAN, as their checkpoints name them (junyanz/pytorch-CycleGAN-and-pix2pix, networks.py)."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dfjax.errors import InputError
from dfjax.weights.layers import Layer, conv, norm, up
from dfjax.weights.reader import DEEPEST, Reader, Weights, consecutive, side
from dfjax.weights.variants import OWN, RUNNING, STATISTICS, fold_spectral, norm_kind, with_statistics

PADDINGS = ('reflect', 'replicate')  # kinds that a file does not tell apart
ENLARGING = ('bilinear', 'nearest')  # likewise


def generator_sizes(inputs: str, outputs: str) -> Callable[[Weights], dict[str, Any]]:
    """Of a generator whose channels in and out are those keys of the config."""

    def sizes(weights: Weights) -> dict[str, Any]:
        if 'model.model.0.weight' in weights:
            depth, inner = 1, 'model.model.1.model.1.weight'
            while inner in weights and depth < DEEPEST:
                depth, inner = depth + 1, inner.replace('model.1.weight', 'model.3.model.1.weight')
            up = 'model.model.5' if 'model.model.5.weight' in weights else 'model.model.3'
            norm = norm_kind(weights, 'model.model.1.model.1', f'model.model.1.model.{6 if up[-1] == "3" else 8}')
            found = {'kind': 'unet', 'depth': depth, 'norm': norm, 'upsample': _upsample(up[-1] == '5')}
            first, out = 'model.model.0.weight', side(weights, f'{up}.weight', up[-1] == '3', 3)
        else:
            pad = 'zeros' if 'model.10.conv_block.0.weight' in weights else 'reflect'
            start = int(pad != 'zeros')
            blocks = consecutive(weights, f'model.{{}}.conv_block.{start}.weight', 10, 1, 9)
            found = {'kind': 'resnet', 'blocks': blocks, 'norm': norm_kind(weights, 'model.1', 'model.2'), 'pad': pad}
            dropped = side(weights, f'model.10.conv_block.{4 + 2 * start}.weight', 0, 0)  # else the layer before it
            found['dropout'] = 0.5 if dropped else 0.0
            enlarged = f'model.{21 + blocks}.weight' in weights
            found['upsample'] = _upsample(enlarged)
            first, out = 'model.1.weight', side(weights, f'model.{(21 if enlarged else 17) + blocks}.weight', 0, 3)
        found['width'] = side(weights, first, 0, 64)
        return {f'g.{k}': v for k, v in found.items()} | {inputs: side(weights, first, 1, 3), outputs: out}

    return sizes


def _upsample(enlarged: bool) -> str:
    """How sides are doubled: where it is by enlarging, the file does not say how; see `config`."""
    return 'bilinear' if enlarged else 'transposed'


def prepare(weights: Weights, options: Mapping[str, Any]) -> tuple[Weights, list[str]]:
    """See `Reader`; of generators."""
    if options.get('statistics') == RUNNING and 'model.model.0.bias' in weights:
        raise InputError('--statistics running: not for U-Nets with instance normalisation; leave it out')
    weights, said = fold_spectral(weights)
    weights, more = with_statistics(weights, options.get('statistics', OWN))
    return weights, said + more


def generator(model: Mapping) -> dict[str, Layer]:
    return _unet(model['g']) if model['g']['kind'] == 'unet' else _resnet(model['g'])


def _resnet(g: Mapping) -> dict[str, Layer]:
    table = {'first': conv('model.1'), 'first_norm': norm('model.2')}
    for i in range(2):
        table |= {f'down_{i}': conv(f'model.{4 + 3 * i}'), f'down_{i}_norm': norm(f'model.{5 + 3 * i}')}
    first = int(g['pad'] != 'zeros')  # padding of another kind is a layer of its own
    second = first + 3 + first + bool(g['dropout'])
    for i in range(g['blocks']):
        for j, at in enumerate((first, second)):
            table[f'block_{i}/conv_{j}'] = conv(f'model.{10 + i}.conv_block.{at}')
            table[f'block_{i}/norm_{j}'] = norm(f'model.{10 + i}.conv_block.{at + 1}')
    at, more, kind = 10 + g['blocks'], 0, up
    if g['upsample'] != 'transposed':  # enlarging, padding, convolution
        more, kind = 2, conv
    for i in range(2):
        place = at + (3 + more) * i + more
        table |= {f'up_{i}': kind(f'model.{place}'), f'up_{i}_norm': norm(f'model.{place + 1}')}
    return table | {'last': conv(f'model.{at + 7 + 2 * more}')}


def _unet(g: Mapping) -> dict[str, Layer]:
    """Each size is a block inside the next larger one's: leaky ReLU, down, norm, the smaller ones, ReLU, up, norm."""
    more, kind = (0, up) if g['upsample'] == 'transposed' else (2, conv)
    table = {'down_0': conv('model.model.0'), 'up_0': kind(f'model.model.{3 + more}')}
    at = 'model.model.1'
    for i in range(1, g['depth']):
        table[f'down_{i}'] = conv(f'{at}.model.1')
        if i < g['depth'] - 1:
            table |= {f'down_{i}_norm': norm(f'{at}.model.2'), f'up_{i}': kind(f'{at}.model.{5 + more}')}
            table[f'up_{i}_norm'] = norm(f'{at}.model.{6 + more}')
        else:  # the innermost has nothing inside, and no norm on the way down
            table |= {f'up_{i}': kind(f'{at}.model.{3 + more}'), f'up_{i}_norm': norm(f'{at}.model.{4 + more}')}
        at = f'{at}.model.3'
    return table


def discriminator_sizes(*channels: str) -> Callable[[Weights], dict[str, Any]]:
    """Of a patch discriminator whose channels in are that key of the config, if they are one key."""

    def sizes(weights: Weights) -> dict[str, Any]:
        if 'net.0.weight' in weights:
            first, kind, found = 'net.0.weight', norm_kind(weights, 'net.2', 'net.3'), {'d.kind': 'pixel'}
        else:
            first, plain = 'model.0.weight', side(weights, 'model.4.weight', 0, 0) > 0
            kind = 'none' if plain else norm_kind(weights, 'model.2', 'model.3')
            convs = consecutive(weights, 'model.{}.weight', 2, 2 if plain else 3, 4)  # all but the first
            found = {'d.layers': min(max(convs - 1, 1), DEEPEST), 'd.kind': 'patch'}
        found = {'d.width': side(weights, first, 0, 64)} | found | {'d.norm': kind}
        return found | {key: side(weights, first, 1, 3) for key in channels}

    return sizes


def prepare_discriminator(weights: Weights, options: Mapping[str, Any]) -> tuple[Weights, list[str]]:
    """See `Reader`. Where nothing normalises, convolutions get the places that they have if nothing is between; and all
    but those before batch normalisation a bias, which patch discriminators here have."""
    weights, said = prepare(weights, options)
    names = [name for name in weights if re.fullmatch(r'model\.\d{1,3}\.weight', name) and weights[name].ndim == 4]
    places = sorted(int(name.split('.')[1]) for name in names)
    kind = norm_kind(weights, 'model.2', 'model.3')
    if kind == 'none' and places == [0, *range(2, 3 * len(places) - 3, 3)]:
        new = {f'model.{at}.': f'model.{2 * n}.' for n, at in enumerate(places)}
        moved = lambda name: next(
            (there + name[len(here) :] for here, there in new.items() if name.startswith(here)), name
        )
        weights = {moved(name): array for name, array in weights.items()}
        places = [2 * n for n in range(len(places))]
    if kind == 'affine' or places == [2 * n for n in range(len(places))]:
        empty = {f'model.{n}.bias': np.zeros(len(weights[f'model.{n}.weight']), np.float32) for n in places}
        weights = empty | weights
    return weights, said


def discriminator(model: Mapping) -> dict[str, Layer]:
    if model['d']['kind'] == 'pixel':
        return {'Conv_0': conv('net.0'), 'Conv_1': conv('net.2'), 'norm_1': norm('net.3'), 'Conv_2': conv('net.5')}
    layers = model['d']['layers']
    if model['d']['norm'] == 'none':
        return {f'Conv_{i}': conv(f'model.{2 * i}') for i in range(layers + 2)}
    table = {'Conv_0': conv('model.0')}
    for i in range(1, layers + 1):
        table |= {f'Conv_{i}': conv(f'model.{3 * i - 1}'), f'norm_{i}': norm(f'model.{3 * i}')}
    return table | {f'Conv_{layers + 1}': conv(f'model.{3 * layers + 2}')}


def config(
    found: Mapping[str, Any], what: str, *, padding: str = '', upsample: str = '', statistics: str = OWN
) -> dict[str, Any]:
    """The config of the nets found; the discriminator sees both pictures of a pair, and does not say how many channels
    each has: three are made where the generator does not tell.

    Args:
        found: sizes by dotted key of `cfg.model`.
        what: the files, for messages.
        padding: of a residual generator's blocks, reflect or replicate, which the file does not say; default reflect,
            the original's.
        upsample: how a generator enlarges that does not by transposed convolutions, bilinear or nearest, which the file
            does not say; default bilinear.
        statistics: of instance normalisation, where the file has running ones: own, of each picture, or running.

    Raises:
        InputError: if the discriminator sees other channels than the generator's in and out; another word, or one that
            the file contradicts.
    """
    sizes = dict(found)
    chosen('statistics', statistics, STATISTICS)
    for key, word, words in (('g.pad', padding, PADDINGS), ('g.upsample', upsample, ENLARGING)):
        if word and word != sizes.get(key):
            chosen(key.replace('g.pad', 'padding').replace('g.', ''), word, words)
            if sizes.get(key) not in words:
                raise InputError(f'{what}: {word} was asked for, and the file is of a net with {sizes.get(key)}')
            sizes[key] = word
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


def chosen(option: str, word: str, words: Sequence[str]) -> None:
    """Raises InputError if a word is none of those that an option takes."""
    if word not in words:
        raise InputError(f'--{option} {word}: give {" or ".join(words)}')


def assumed(found: Mapping[str, Any], options: Mapping[str, Any]) -> list[str]:
    """What was assumed, for the files (sizes `found`) do not say it and the user did not, a line each."""
    lines = []
    if found.get('g.pad') in PADDINGS and not options.get('padding'):
        lines.append("padding by reflection is assumed, the original's; if it was another: --padding replicate")
    if found.get('g.upsample') in ENLARGING and not options.get('upsample'):
        lines.append('bilinear enlarging is assumed; if it was another: --upsample nearest')
    return lines


NETS = {
    'g': Reader(generator_sizes('inputs', 'outputs'), generator, prepare),
    'd': Reader(discriminator_sizes('pair'), discriminator, prepare_discriminator),
}

"""SAEHD as DeepFaceLab saves it: NAME_SAEHD_encoder.npy, NAME_SAEHD_inter_AB.npy and so on, and Quick96 likewise.

    dfjax import saehd workspace/model -o runs/imported

Its dst is our side a, and its src side b. Pictures there are BGR.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfjax.errors import InputError
from dfjax.models.saehd import LARGEST, SMALLEST
from dfjax.weights.arrays import read_arrays
from dfjax.weights.layers import Layer
from dfjax.weights.reader import Reader, Weights, side

FILES = {  # net: how its file's name ends
    'encoder': 'encoder',
    **{'inter': 'inter', 'decoder_a': 'decoder_dst', 'decoder_b': 'decoder_src'},
    **{'inter_ab': 'inter_AB', 'inter_a': 'inter_B', 'decoder': 'decoder'},
}
read = read_arrays
FIRST = ('down1/downs_0/conv1/weight', 'down1/conv1/weight')  # what sees the picture


def prepare(weights: Weights, options: Mapping[str, Any]) -> tuple[Weights, list[str]]:
    """Layers that see or make colours see and make RGB."""
    found = dict(weights)
    for name, array in weights.items():
        if name in FIRST and array.ndim == 4:
            found[name] = array[:, :, ::-1]
        if name.startswith('out_conv') and not name.startswith('out_convm') and array.ndim:
            found[name] = array[..., ::-1]
    return found, []


def assumed(found: Mapping[str, Any], options: Mapping[str, Any]) -> list[str]:
    """What was assumed of the architecture's name, for no file says it and the user did not, a line each."""
    if 'normalised' in options and 'cosine' in options:
        return []
    return ['a u and no c in the name of the architecture are assumed, as in liae-ud; else: --no-normalised, --cosine']


def files(folder: Path | str) -> dict[str, Path]:
    """The nets in a model's folder.

    Raises:
        InputError: if there are none, or those of several models.
    """
    folder, found = Path(folder), {}
    for net, end in FILES.items():
        there = sorted(path for path in folder.glob(f'*_{end}.npy') if '_AMP_' not in path.name)
        if len(there) > 1:
            raise InputError(f'{folder}: {there[0].name} and {there[1].name} are of two models; give NET=FILE of one')
        found |= {net: there[0]} if there else {}
    if not found:
        raise InputError(f'{folder}: there is no *_encoder.npy in it; give a folder of DeepFaceLab (workspace/model)')
    return found


def config(found: Mapping[str, Any], what: str, *, normalised: bool = True, cosine: bool = False) -> dict[str, Any]:
    """The config of what was found.

    Args:
        found: of the readers below.
        what: the files, for messages.
        normalised: whether there is a u in the name of the architecture, as in liae-ud, which no file says.
        cosine: whether there is a c in it, likewise.
    """
    tall, (half, shape) = found.get('tall', False), _shape_of(found)
    options = 'u' * normalised + 'd' * half + 't' * tall + 'c' * cosine
    names = ('kind', 'code', 'width', 'decoder_width', 'mask_width')
    model = {'options': options} | {name: found[name] for name in names if name in found}
    if not shape:
        return {'model': model}
    return {'model': model | {'width': shape[1]}, 'data': {'size': shape[0]}}


def _shape_of(found: Mapping[str, Any]) -> tuple[bool, tuple[int, int] | None]:
    """Whether there is a d in the architecture's name, and the side of its pictures and the encoder's width; only the
    decoder shows the first, and only the inters the second."""
    for half in [found['half']] if 'half' in found else [False, True]:
        size = found.get('side', 0) * (32 if half else 16)
        last = size // (32 if found.get('tall') else 16)  # side of the encoder's last map
        if SMALLEST <= size <= LARGEST and found['row'] % (8 * last**2) == 0:
            width = found['row'] // (8 * last**2)
            if found.get('width', width) == width:
                return half, (size, width)
    return found.get('half', False), None


def _layer(name: str) -> Layer:
    return Layer(name, {'kernel': ('/weight', (0, 1, 2, 3)), 'bias': ('/bias', (0,))})


def _dense(name: str) -> Layer:
    return Layer(name, {'kernel': ('/weight', (0, 1)), 'bias': ('/bias', (0,))})


def _residual(ours: str, theirs: str) -> dict[str, Layer]:
    return {f'{ours}/Conv_{i}': _layer(f'{theirs}/conv{i + 1}') for i in range(2)}


def _encoder_sizes(weights: Weights) -> dict[str, Any]:
    tall = FIRST[1] in weights
    return {'width': side(weights, FIRST[tall], 3, 64), 'tall': tall}


def _encoder_layers(model: Mapping) -> dict[str, Layer]:
    if 't' not in model['options']:
        return {f'down_{i}': _layer(f'down1/downs_{i}/conv1') for i in range(4)}
    found = {f'down_{i}': _layer(f'down{i + 1}/conv1') for i in range(5)}
    return found | _residual('res_0', 'res1') | _residual('res_4', 'res5')


def _inter_sizes(times: int) -> dict[str, Any]:
    def sizes(weights: Weights) -> dict[str, Any]:
        row, code = _shape(weights, 'dense1/weight')
        _, flat = _shape(weights, 'dense2/weight')
        tall = 'upscale1/conv1/weight' not in weights
        found = {'kind': 'df' if times == 1 else 'liae', 'code': code, 'row': row, 'tall': tall}
        return found | {'side': math.isqrt(flat // (times * code))}

    return sizes


def _shape(weights: Weights, name: str) -> tuple[int, int]:
    """The shape of a matrix; one that is not there is found by the comparison."""
    array = weights.get(name)
    return array.shape if array is not None and array.ndim == 2 and array.size else (1, 1)


def _inter_layers(model: Mapping) -> dict[str, Layer]:
    up = {} if 't' in model['options'] else {'up/Conv_0': _layer('upscale1/conv1')}
    return {'dense_0': _dense('dense1'), 'dense_1': _dense('dense2')} | up


def _decoder_sizes(times: int) -> dict[str, Any]:
    def sizes(weights: Weights) -> dict[str, Any]:
        found = {'kind': 'df' if times == 1 else 'liae', 'half': 'out_conv1/weight' in weights}
        found['tall'] = 'upscale3/conv1/weight' in weights
        found['code'] = max(side(weights, 'upscale0/conv1/weight', 2, 256 * times) // times, 1)
        for key, name in (('decoder_width', 'upscale0'), ('mask_width', 'upscalem0')):
            found[key] = max(side(weights, f'{name}/conv1/weight', 3, 2048) // 32, 1)
        return found

    return sizes


def _decoder_layers(model: Mapping) -> dict[str, Layer]:
    half, ups = 'd' in model['options'], 4 if 't' in model['options'] else 3
    found = {}
    for i in range(ups):
        found |= {f'up_{i}/Conv_0': _layer(f'upscale{i}/conv1')} | _residual(f'res_{i}', f'res{i}')
    found |= {f'mask_up_{i}/Conv_0': _layer(f'upscalem{i}/conv1') for i in range(ups + half)}
    found |= {f'out_{i}': _layer(f'out_conv{i or ""}') for i in range(4 if half else 1)}
    return found | {'mask_out': _layer('out_convm')}


NETS = {'encoder': Reader(_encoder_sizes, _encoder_layers, prepare)}
NETS |= {name: Reader(_inter_sizes(n), _inter_layers) for name, n in (('inter', 1), ('inter_ab', 2), ('inter_a', 2))}
NETS |= {
    name: Reader(_decoder_sizes(n), _decoder_layers, prepare)
    for name, n in (('decoder', 4), ('decoder_a', 1), ('decoder_b', 1))
}

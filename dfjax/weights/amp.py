"""AMP as DeepFaceLab saves it: NAME_AMP_encoder.npy, NAME_AMP_inter_src.npy, NAME_AMP_inter_dst.npy and so on.

    dfjax import amp workspace/model -o runs/imported

Its dst is our side a, and its src side b. Pictures there are BGR.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfjax.errors import InputError
from dfjax.models.amp import STEP
from dfjax.models.saehd import LARGEST
from dfjax.weights.arrays import read_arrays
from dfjax.weights.layers import Layer
from dfjax.weights.reader import Reader, Weights, side
from dfjax.weights.saehd import NETS as SAEHD

FILES = {'encoder': 'encoder', 'inter_a': 'inter_dst', 'inter_b': 'inter_src', 'decoder': 'decoder'}  # net: file's end
USUAL = 1024  # channels of an inter's map
read = read_arrays


def files(folder: Path | str) -> dict[str, Path]:
    """The nets in a model's folder, which may have those of SAEHD beside them.

    Raises:
        InputError: if there are none, or those of several models.
    """
    folder, found = Path(folder), {}
    for net, end in FILES.items():
        there = sorted(folder.glob(f'*_AMP_{end}.npy'))
        if len(there) > 1:
            raise InputError(f'{folder}: {there[0].name} and {there[1].name} are of two models; give NET=FILE of one')
        found |= {net: there[0]} if there else {}
    if not found:
        raise InputError(
            f'{folder}: there is no *_AMP_encoder.npy in it; give a folder of DeepFaceLab (workspace/model)'
        )
    return found


def config(found: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The config of what was found.

    Args:
        found: of the readers below.
        what: the files, for messages.

    Raises:
        InputError: if nets are of several trainings.
    """
    names = ('code', 'inter', 'width', 'decoder_width', 'mask_width')
    model = {name: found[name] for name in names if name in found}
    places = found.get('places')  # those of an inter's map, one for each STEP pixels of a side
    if 'flat' in found:  # places times channels, of which the inters alone do not say how many are which
        squares = [n * n for n in range(2, LARGEST // STEP + 1) if found['flat'] % (n * n) == 0]
        near = min(squares or [4], key=lambda n: abs(found['flat'] // n - USUAL))
        places = places or (found['flat'] // found['inter'] if 'inter' in found else near)
        model.setdefault('inter', max(found['flat'] // places, 1))
        if places * model['inter'] != found['flat'] and squares:
            raise InputError(
                f'{what}: inters of {found["flat"]} numbers, and nets beside them of others; give one model'
            )
    return {'model': model} | ({'data': {'size': STEP * math.isqrt(places)}} if places else {})


def _dense(name: str) -> Layer:
    return Layer(name, {'kernel': ('/weight', (0, 1)), 'bias': ('/bias', (0,))})


def _matrix(weights: Weights, name: str) -> tuple[int, int]:
    """The shape of a matrix; one that is not there is found by the comparison."""
    array = weights.get(name)
    return array.shape if array is not None and array.ndim == 2 and array.size else (1, 1)


def _encoder_sizes(weights: Weights) -> dict[str, Any]:
    width = side(weights, 'down1/conv1/weight', 3, 64)
    row, code = _matrix(weights, 'dense1/weight')
    last = min(max(math.isqrt(row // (8 * width)), 2), LARGEST // STEP)  # side of the encoder's last map
    return {'width': width, 'code': code, 'places': last**2}


def _encoder_layers(model: Mapping) -> dict[str, Layer]:
    found = SAEHD['encoder'].layers({'options': 't'})
    return {f'seen/{name}': layer for name, layer in found.items()} | {'dense': _dense('dense1')}


def _inter_sizes(weights: Weights) -> dict[str, Any]:
    code, flat = _matrix(weights, 'dense2/weight')
    return {'code': code, 'flat': flat}


def _decoder_sizes(weights: Weights) -> dict[str, Any]:
    widths = {'decoder_width': 'upscale0', 'mask_width': 'upscalem0'}
    found = {key: max(side(weights, f'{name}/conv1/weight', 3, 2048) // 32, 1) for key, name in widths.items()}
    return {'inter': side(weights, 'upscale0/conv1/weight', 2, USUAL), **found}


NETS = {
    'encoder': Reader(_encoder_sizes, _encoder_layers, SAEHD['encoder'].prepare),
    'inter_a': Reader(_inter_sizes, lambda model: {'dense': _dense('dense2')}),
    'inter_b': Reader(_inter_sizes, lambda model: {'dense': _dense('dense2')}),
    'decoder': Reader(
        _decoder_sizes, lambda model: SAEHD['decoder'].layers({'options': 'dt'}), SAEHD['decoder'].prepare
    ),
}

"""First Order Motion Model's nets, as its checkpoints name them (AliaksandrSiarohin/first-order-model, modules/)."""

import re
from collections.abc import Mapping
from typing import Any

from dfjax.weights.layers import Layer, conv, norm, spectral, window
from dfjax.weights.reader import Reader, Weights, consecutive, side

MOTION = 'dense_motion_network.'


def _hourglass_sizes(weights: Weights, at: str, width: int) -> dict[str, Any]:
    blocks = consecutive(weights, f'{at}encoder.down_blocks.{{}}.conv.weight', 0, 1, 5)
    return {
        'width': side(weights, f'{at}decoder.up_blocks.{blocks - 1}.conv.weight', 0, width),
        'max_width': side(weights, f'{at}encoder.down_blocks.{blocks - 1}.conv.weight', 0, 1024),
        'blocks': blocks,
    }


def _hourglass(blocks: int, ours: str, theirs: str) -> dict[str, Layer]:
    table = {}
    for i in range(blocks):
        table |= _block(f'{ours}/down_{i}', f'{theirs}encoder.down_blocks.{i}')
    for i in range(blocks):
        table |= _block(f'{ours}/up_{i}', f'{theirs}decoder.up_blocks.{i}')
    return table


def _block(ours: str, theirs: str) -> dict[str, Layer]:
    return {f'{ours}/conv': conv(f'{theirs}.conv'), f'{ours}/norm': norm(f'{theirs}.norm')}


def _scale(weights: Weights, name: str) -> float:
    """Of the picture, by the side of the blur's window: 8 standard deviations and one pixel."""
    return 4 / (side(weights, name, 2, 1) + 3)


def _detector_sizes(weights: Weights) -> dict[str, Any]:
    maps = side(weights, 'jacobian.weight', 0, 0)
    keypoints = side(weights, 'kp.weight', 0, 10)
    sizes = _hourglass_sizes(weights, 'predictor.', 32) | {
        'scale': _scale(weights, 'down.weight'),
        'jacobian': maps > 0,
        'single_jacobian_map': maps == 4 < 4 * keypoints,
    }
    channels = side(weights, 'predictor.encoder.down_blocks.0.conv.weight', 1, 3)
    return {f'kp.{k}': v for k, v in sizes.items()} | {'keypoints': keypoints, 'channels': channels}


def _detector(model: Mapping) -> dict[str, Layer]:
    table = _hourglass(model['kp']['blocks'], 'hourglass', 'predictor.') | {'value': conv('kp')}
    if model['kp']['jacobian']:
        table['jacobian'] = conv('jacobian')
    return table | {'down': window('down')}


def _generator_sizes(weights: Weights) -> dict[str, Any]:
    downs = consecutive(weights, 'down_blocks.{}.conv.weight', 0, 1, 2)
    motion = _hourglass_sizes(weights, f'{MOTION}hourglass.', 64) | {
        'scale': _scale(weights, f'{MOTION}down.weight'),
        'occlusion': f'{MOTION}occlusion.weight' in weights,
    }
    return {
        'keypoints': side(weights, f'{MOTION}mask.weight', 0, 11) - 1,
        'channels': side(weights, 'first.conv.weight', 1, 3),
        'g.width': side(weights, 'first.conv.weight', 0, 64),
        'g.max_width': side(weights, f'down_blocks.{downs - 1}.conv.weight', 0, 512),
        'g.downs': downs,
        'g.blocks': consecutive(weights, 'bottleneck.r{}.conv1.weight', 0, 1, 6),
        **{f'g.motion.{k}': v for k, v in motion.items()},
    }


def _generator(model: Mapping) -> dict[str, Layer]:
    g = model['g']
    table = _hourglass(g['motion']['blocks'], 'motion/hourglass', f'{MOTION}hourglass.')
    table['motion/mask'] = conv(f'{MOTION}mask')
    if g['motion']['occlusion']:
        table['motion/occlusion'] = conv(f'{MOTION}occlusion')
    table |= {'motion/down': window(f'{MOTION}down')} | _block('first', 'first')
    for way in ('down', 'up'):
        for i in range(g['downs']):
            table |= _block(f'{way}_{i}', f'{way}_blocks.{i}')
    for i in range(g['blocks']):
        for layer, kind in (('conv', conv), ('norm', norm)):
            table |= {f'block_{i}/{layer}_{j}': kind(f'bottleneck.r{i}.{layer}{j + 1}') for j in range(2)}
    return table | {'last': conv('final')}


def _discriminator_sizes(weights: Weights) -> dict[str, Any]:
    names = sorted({m[1] for name in weights if (m := re.match(r'discs\.([\d-]+)\.', name))}) or ['1']
    scales = sorted((float(name.replace('-', '.')) for name in names), reverse=True)
    at = f'discs.{names[0]}.'
    leaf = 'weight_orig' if f'{at}down_blocks.0.conv.weight_orig' in weights else 'weight'
    blocks = consecutive(weights, f'{at}down_blocks.{{}}.conv.{leaf}', 0, 1, 4)
    seen = side(weights, f'{at}down_blocks.0.conv.{leaf}', 1, 3)  # channels, of the picture and one a keypoint
    found = {
        'd.scales': scales,
        'd.width': side(weights, f'{at}down_blocks.0.conv.{leaf}', 0, 64) // 2,
        'd.max_width': side(weights, f'{at}down_blocks.{blocks - 1}.conv.{leaf}', 0, 512),
        'd.blocks': blocks,
        'd.points': seen > 3,
        'd.spectral': leaf == 'weight_orig',
        'channels': min(seen, 3),
    }
    return found | ({'keypoints': seen - 3} if seen > 3 else {})


def _discriminator(model: Mapping) -> dict[str, Layer]:
    d, table = model['d'], {}
    kind = spectral if d['spectral'] else conv
    for scale in d['scales']:
        name = f'{scale:g}'.replace('.', '-')
        for i in range(d['blocks']):
            table[f'scale_{name}/conv_{i}'] = kind(f'discs.{name}.down_blocks.{i}.conv')
            if i:
                table[f'scale_{name}/norm_{i}'] = norm(f'discs.{name}.down_blocks.{i}.norm')
        table[f'scale_{name}/last'] = kind(f'discs.{name}.conv')
    return table


def config(found: Mapping[str, Any], what: str, *, align_corners: bool = True) -> dict[str, Any]:
    """The config of the nets found.

    Args:
        found: sizes by dotted key of `cfg.model`.
        what: the files, for messages.
        align_corners: which grid they were trained on, which the files do not say: the one of PyTorch before 1.3, as
            published weights, or today's.
    """
    return {'model': {**found, 'align_corners': align_corners}}


NETS = {
    'kp': Reader(_detector_sizes, _detector),
    'g': Reader(_generator_sizes, _generator),
    'd': Reader(_discriminator_sizes, _discriminator),
}

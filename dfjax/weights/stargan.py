"""StarGAN's nets, as its checkpoints name them (yunjey/stargan, model.py)."""

from collections.abc import Mapping, Sequence
from typing import Any

from dfjax.errors import InputError
from dfjax.ops.label_groups import check_exclusive
from dfjax.weights.layers import Layer, conv, norm, up
from dfjax.weights.reader import DEEPEST, Reader, Weights, consecutive, side


def _generator_sizes(weights: Weights) -> dict[str, Any]:
    return {
        'g.labels': max(side(weights, 'main.0.weight', 1, 8) - 3, 1),
        'g.width': side(weights, 'main.0.weight', 0, 64),
        'g.blocks': consecutive(weights, 'main.{}.main.0.weight', 9, 1, 6),
    }


def _generator(model: Mapping) -> dict[str, Layer]:
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


def _discriminator_sizes(weights: Weights) -> dict[str, Any]:
    layers = min(consecutive(weights, 'main.{}.weight', 0, 2, 6), DEEPEST)
    return {
        'size': side(weights, 'conv2.weight', 2, 2) * 2**layers,
        'd.labels': side(weights, 'conv2.weight', 0, 5),
        'd.width': side(weights, 'main.0.weight', 0, 64),
        'd.layers': layers,
    }


def _discriminator(model: Mapping) -> dict[str, Layer]:
    table = {f'down_{i}': conv(f'main.{2 * i}') for i in range(model['d']['layers'])}
    return table | {'source': conv('conv1'), 'classes': conv('conv2')}


def config(
    found: Mapping[str, Any], what: str, *, groups: Sequence[int] = (), exclusive: Sequence[int] = ()
) -> dict[str, Any]:
    """The config of the nets found. The generator takes a number more for each group, which tells whether it is meant.

    Args:
        found: sizes by dotted key of `cfg.model`, of one net or of both.
        what: the files, for messages.
        groups: of nets trained on several data sets: how many labels each has, which the shapes do not say.
        exclusive: numbers from 0 of the groups whose labels exclude each other (trained by softmax).

    Raises:
        InputError: groups that are not the nets', nets that disagree.
    """
    g, d, groups, exclusive = found.get('g.labels'), found.get('d.labels'), list(groups), list(exclusive)
    labels = g - len(groups) if d is None else d
    if groups and (min(groups) < 1 or sum(groups) != labels):
        raise InputError(f'{what}: --groups {",".join(map(str, groups))} does not add up to the {labels} labels there')
    if None not in (g, d):
        more = g - d
        # One group would need no mask, and none is without a label.
        if more != len(groups) if groups else more not in (0, *range(2, d + 1)):
            mask = f' and --groups has {len(groups)}' if groups else ''
            raise InputError(f'{what}: g takes {g} labels, and d tells {d}{mask}; give nets of one training')
        groups = groups or [1] * d * (more == d)
        if more and not groups:
            raise InputError(
                f'{what}: trained on {more} data sets, with {d} labels together; how many each has is not in the '
                f'shapes: say it, as --groups {",".join(map(str, [d - more + 1] + [1] * (more - 1)))}'
            )
    check_exclusive(exclusive, groups or [labels], f'{what}: --exclusive')
    model = {**found, 'g.labels': g or labels + len(groups), 'd.labels': labels}
    size = {'data': {'size': found['size']}} if 'size' in found else {}
    return {'model': model, 'groups': groups, 'loss': {'exclusive': exclusive or None}} | size


NETS = {
    'g': Reader(_generator_sizes, _generator),
    'd': Reader(_discriminator_sizes, _discriminator),
}

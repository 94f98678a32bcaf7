"""Files of the originals' nets -> a run: its config, with the sizes that the files have, and its nets."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax
import jax
import numpy as np
from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.data.media.output import atomic_folder
from dfjax.errors import InputError
from dfjax.ops.label_groups import check_exclusive
from dfjax.systems import load_system
from dfjax.weights.layers import compare, convert
from dfjax.weights.tables import NETS
from dfjax.weights.torch_files import read_checkpoint


def read_net(system: str, net: str, weights: Mapping[str, np.ndarray], what: str = 'weights') -> tuple[dict, dict]:
    """A state dict as ours.

        sizes, variables = read_net('stargan', 'g', read_checkpoint('200000-G.ckpt')[''])

    Args:
        system, net: keys of `NETS`.
        what: the file, for the message.

    Returns:
        What the shapes say of `cfg.model`, by dotted key, and the variables {'params': ..., 'batch_stats': ...}.

    Raises:
        InputError: if names or shapes are not those of such a net; all that differ are listed.
    """
    reader = NETS[system][net]
    sizes = reader.sizes(weights)
    model = model_of(system, sizes, what)
    found = load_system(system).nets(config_of(system, model))[net]
    shapes = jax.eval_shape(found.module.init, jax.random.key(0), *found.inputs.values())
    table = reader.layers(model)
    if lines := compare(weights, table, shapes):
        raise InputError(
            f'{what}: does not fit net {net!r} of {system}; {len(lines) - 1} names or shapes differ from one with '
            f'{", ".join(f"{k}={v}" for k, v in sizes.items())}:\n' + '\n'.join(lines)
        )
    try:
        return sizes, convert(weights, table, shapes)
    except InputError as error:
        raise InputError(f'{what}: {error}') from None


def import_run(
    system: str,
    files: Mapping[str, Path | str],
    out: Path | str,
    force: bool = False,
    *,
    groups: Sequence[int] = (),
    exclusive: Sequence[int] = (),
) -> dict[str, Any]:
    """Writes the run folder `out`, which `load_run` reads, from files of some or all nets of a system.

        import_run('stargan', {'g': '200000-G.ckpt', 'd': '200000-D.ckpt'}, 'runs/celeba')
        import_run('stargan', {'g': '200000-G.ckpt', 'd': '200000-D.ckpt'}, 'runs/both', groups=(5, 8), exclusive=(1,))

    Args:
        groups: StarGAN's, trained on several data sets: how many labels each has, which the shapes do not say.
        exclusive: StarGAN's: numbers from 0 of the groups whose labels exclude each other (trained by softmax).

    Returns:
        {'out', 'system', 'nets': {name: parameters}, 'model': the sizes found}, and of StarGAN 'groups' and 'loss'.

    Raises:
        InputError: an unknown system or net, a file that cannot be read or does not fit, nets that disagree, groups
            that are not theirs.
    """
    check_names(system, files)
    if system != 'stargan' and (groups or exclusive):
        raise InputError(f'--groups and --exclusive are for stargan, not {system}')
    found: dict[str, Any] = {}
    variables, owner = {}, {}
    for net, path in files.items():
        weights = _section(read_checkpoint(path), system, net, str(path))
        sizes, variables[net] = read_net(system, net, weights, str(path))
        for key, value in sizes.items():
            if found.setdefault(key, value) != value:
                raise InputError(
                    f'{path}: {net} has {key} {value}, and {owner[key]} has {found[key]}; give nets of one training'
                )
            owner.setdefault(key, net)
    where = ' and '.join(map(str, files.values()))
    config: dict[str, Any] = {'system': system}
    if system == 'stargan':
        config |= _label_groups(found, list(groups), list(exclusive), where)
    config['model'] = model_of(system, found, where)
    with atomic_folder(out, force, marker='config.json') as folder:
        (folder / 'config.json').write_text(json.dumps(config, indent=1, sort_keys=True))
        (folder / 'nets').mkdir()
        for net, tree in variables.items():
            np.savez(folder / 'nets' / f'{net}.npz', **flax.traverse_util.flatten_dict(tree, sep='/'))
    counts = {net: sum(x.size for x in jax.tree.leaves(tree['params'])) for net, tree in variables.items()}
    return {'out': str(out), 'system': system, 'nets': counts, **config}


def _label_groups(found: dict[str, Any], groups: list[int], exclusive: list[int], where: str) -> dict[str, Any]:
    """What a StarGAN's config says of groups of labels; completes the numbers of labels in `found`.

    The generator takes a number more for each group, which tells whether it is meant.
    """
    g, d = found.get('g.labels'), found.get('d.labels')
    labels = g - len(groups) if d is None else d
    if groups and (min(groups) < 1 or sum(groups) != labels):
        raise InputError(f'{where}: --groups {",".join(map(str, groups))} does not add up to the {labels} labels there')
    if None not in (g, d):
        more = g - d
        # One group would need no mask, and none is without a label.
        if more != len(groups) if groups else more not in (0, *range(2, d + 1)):
            mask = f' and --groups has {len(groups)}' if groups else ''
            raise InputError(f'{where}: g takes {g} labels, and d tells {d}{mask}; give nets of one training')
        groups = groups or [1] * d * (more == d)
    found.update({'g.labels': g or labels + len(groups), 'd.labels': labels})
    check_exclusive(exclusive, groups or [labels], f'{where}: --exclusive')
    return {'groups': groups, 'loss': {'exclusive': exclusive or None}}


def check_names(system: str, files: Mapping[str, Any]) -> None:
    """Refuses a system or nets that cannot be imported."""
    if system not in NETS:
        raise InputError(f'system {system!r} cannot be imported; those that can: {", ".join(NETS)}')
    for net in files:
        if net not in NETS[system]:
            raise InputError(f'{system} has no net {net!r}; it has: {", ".join(NETS[system])}')
    if not files:
        raise InputError(f'no file is given; give NET=FILE, NET being one of {", ".join(NETS[system])}')


def config_of(system: str, model: Mapping) -> ConfigDict:
    """The config with that `model` section, and pictures of a size that its nets take."""
    size = model.get('size') or max(256, 2 ** model['g']['depth'], 4 * 2 ** model['d']['layers'])
    return build(load_system(system).default_config(), {'model': model, 'data.size': size})


def model_of(system: str, sizes: Mapping[str, Any], what: str = 'weights') -> dict[str, Any]:
    """The `model` section with these sizes, and the original's where nothing is known; `what` is for the message.

    Raises:
        InputError: if a pix2pix discriminator sees other channels than the generator's in and out.
    """
    sizes, section = dict(sizes), load_system(system).default_config().model
    if pair := sizes.pop('pair', None):
        inputs, outputs = sizes.get('inputs'), sizes.get('outputs')
        if inputs is None:
            sizes['outputs'] = outputs = min(section.outputs, max(pair - 1, 1))
            sizes['inputs'] = inputs = max(pair - outputs, 1)
        if inputs + outputs != pair:
            raise InputError(
                f'{what}: d sees {pair} channels, and g makes {outputs} of {inputs}; a conditional discriminator sees '
                f'{inputs + outputs}'
            )
    return build(section, sizes).to_dict()


def read_nets(folder: Path) -> dict[str, dict]:
    """The variables of the nets that `import_run` wrote, by name.

    Raises:
        InputError: if a file is damaged.
    """
    found = {}
    for path in sorted(folder.glob('*.npz')):
        try:
            with np.load(path, allow_pickle=False) as file:
                found[path.stem] = flax.traverse_util.unflatten_dict(dict(file), sep='/')
        except Exception as error:  # zipfile, zlib and NumPy have a dozen kinds between them
            raise InputError(f'{path}: damaged ({error}); import it again') from None
    return found


def _section(sections: Mapping[str, Mapping], system: str, net: str, what: str) -> Mapping[str, np.ndarray]:
    """Of the state dicts in a file `what`, the one with the most names of this net: others may be an optimiser's."""
    reader = NETS[system][net]

    def known(weights: Mapping[str, np.ndarray]) -> int:
        table = reader.layers(model_of(system, reader.sizes(weights), what))
        return sum(f'{layer.name}.weight' in weights for layer in table.values())

    return max(sections.values(), key=known)

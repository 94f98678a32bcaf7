"""Files of the originals' nets -> a run: its config, with the sizes that the files have, and its nets."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax.configs.common import build
from dfjax.data.media.output import atomic_folder
from dfjax.errors import InputError
from dfjax.inference.foreign.layers import compare, convert
from dfjax.inference.foreign.tables import NETS
from dfjax.inference.foreign.tensors import read_checkpoint
from dfjax.models.translation import MODELS, example, nets


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
    model = model_of(system, sizes)
    module = nets(system, model)[net]
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in example(system, model, net)]
    shapes = jax.eval_shape(module.init, jax.random.key(0), *arguments)
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


def import_run(system: str, files: Mapping[str, Path | str], out: Path | str, force: bool = False) -> dict[str, Any]:
    """Writes the run folder `out`, which `load_run` reads, from files of some or all nets of a system.

        import_run('stargan', {'g': '200000-G.ckpt', 'd': '200000-D.ckpt'}, 'runs/celeba')

    Returns:
        {'out', 'system', 'nets': {name: parameters}, 'model': the sizes found}.

    Raises:
        InputError: an unknown system or net, a file that cannot be read or does not fit, nets that disagree.
    """
    check_names(system, files)
    found: dict[str, Any] = {}
    variables, owner = {}, {}
    for net, path in files.items():
        weights = _section(read_checkpoint(path), system, net)
        sizes, variables[net] = read_net(system, net, weights, str(path))
        for key, value in sizes.items():
            if found.setdefault(key, value) != value:
                raise InputError(
                    f'{path}: {net} has {key} {value}, and {owner[key]} has {found[key]}; give nets of one training'
                )
            owner.setdefault(key, net)
    model = model_of(system, found)
    with atomic_folder(out, force, marker='config.json') as folder:
        (folder / 'config.json').write_text(json.dumps({'system': system, 'model': model}, indent=1, sort_keys=True))
        (folder / 'nets').mkdir()
        for net, tree in variables.items():
            np.savez(folder / 'nets' / f'{net}.npz', **flax.traverse_util.flatten_dict(tree, sep='/'))
    counts = {net: sum(x.size for x in jax.tree.leaves(tree['params'])) for net, tree in variables.items()}
    return {'out': str(out), 'system': system, 'nets': counts, 'model': model}


def check_names(system: str, files: Mapping[str, Any]) -> None:
    """Refuses a system or nets that cannot be imported."""
    if system not in NETS:
        raise InputError(f'system {system!r} cannot be imported; those that can: {", ".join(NETS)}')
    for net in files:
        if net not in NETS[system]:
            raise InputError(f'{system} has no net {net!r}; it has: {", ".join(NETS[system])}')
    if not files:
        raise InputError(f'no file is given; give NET=FILE, NET being one of {", ".join(NETS[system])}')


def model_of(system: str, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """The `model` section with these sizes, and the original's where nothing is known.

    Raises:
        InputError: if a pix2pix discriminator sees other channels than the generator's in and out.
    """
    sizes = dict(sizes)
    if pair := sizes.pop('pair', None):
        inputs, outputs = sizes.get('inputs'), sizes.get('outputs')
        if inputs is None:
            sizes['outputs'] = outputs = min(MODELS[system]['outputs'], max(pair - 1, 1))
            sizes['inputs'] = inputs = max(pair - outputs, 1)
        if inputs + outputs != pair:
            raise InputError(
                f'd sees {pair} channels, and g makes {outputs} of {inputs}; a conditional discriminator sees '
                f'{inputs + outputs}'
            )
    return build(ConfigDict(MODELS[system]), sizes).to_dict()


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


def _section(sections: Mapping[str, Mapping[str, np.ndarray]], system: str, net: str) -> Mapping[str, np.ndarray]:
    """Of the state dicts in a file, the one with the most names of this net: others may be an optimiser's."""
    reader = NETS[system][net]

    def known(weights: Mapping[str, np.ndarray]) -> int:
        table = reader.layers(model_of(system, reader.sizes(weights)))
        return sum(f'{layer.name}.weight' in weights for layer in table.values())

    return max(sections.values(), key=known)

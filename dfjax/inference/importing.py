"""Files of the originals' nets -> a run: its config, with the sizes that the files have, and its nets."""

import importlib
import importlib.util
import inspect
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import flax
import jax
import numpy as np
from ml_collections import ConfigDict

from dfjax import systems
from dfjax.config import build
from dfjax.data.media.output import atomic_folder
from dfjax.errors import InputError
from dfjax.inference.sections import choose, split_name
from dfjax.systems import load_system
from dfjax.weights.layers import compare, convert
from dfjax.weights.torch_files import read_checkpoint

SHOWN = 20  # lines of a comparison, of its beginning and of its end


def import_run(
    system: str, files: Mapping[str, Path | str], out: Path | str, force: bool = False, **options: Any
) -> dict[str, Any]:
    """Writes the run folder `out`, which `load_run` reads, from files of some or all nets of a system.

        import_run('stargan', {'g': '200000-G.ckpt', 'd': '200000-D.ckpt'}, 'runs/celeba')
        import_run('stargan', {'g': '200000-G.ckpt', 'd': '200000-D.ckpt'}, 'runs/both', groups=(5, 8), exclusive=(1,))

    Args:
        files: by net; one file may hold several, of which FILE:SECTION names one.
        options: what `config` of the system's module in `dfjax.weights` takes besides the sizes that the files have.

    Returns:
        {'out', 'system', 'nets': {name: parameters}, 'model': the sizes found}, whatever else the files say of the
        config, and 'notes', a list, of what was chosen or assumed, and of what whoever uses the files has to know.

    Raises:
        InputError: an unknown system, net or option, a file that cannot be read or does not fit, nets that disagree.
    """
    names = check_names(system, files, options)
    places = {net: split_name(str(path)) for net, path in files.items()}
    read = getattr(weights_of(system), 'read', read_checkpoint)
    sections = {path: read(path) for path in dict.fromkeys(path for path, _ in places.values())}
    found: dict[str, Any] = {}
    module = weights_of(system)
    variables, owner, notes = {}, {}, [module.NOTICE] if hasattr(module, 'NOTICE') else []
    for net, (path, section) in places.items():
        known = partial(_known, system, net, path, options)
        weights, said = choose(sections[path], section, known, net, path)
        sizes, variables[net], more = read_net(system, net, weights, path, options)
        notes += [line for line in said + more if line not in notes]
        for key, value in sizes.items():
            if found.setdefault(key, value) != value:
                raise InputError(
                    f'{path}: {net} has {key} {value}, and {owner[key]} has {found[key]}; give nets of one training'
                )
            owner.setdefault(key, net)
    changes = _changes(system, found, ' and '.join(sections), **options)
    notes += getattr(module, 'assumed', lambda found, options: [])(found, options)
    cfg = build(load_system(system).default_config(), changes)
    stored = {'system': system, **changes, 'model': cfg.model.to_dict()}
    with atomic_folder(out, force, marker='config.json') as folder:
        (folder / 'config.json').write_text(json.dumps(stored, indent=1, sort_keys=True))
        (folder / 'nets').mkdir()
        for net, tree in variables.items():
            np.savez(folder / 'nets' / f'{net}.npz', **flax.traverse_util.flatten_dict(tree, sep='/'))
    counts = {net: sum(x.size for x in jax.tree.leaves(variables[net]['params'])) for net in names if net in variables}
    return {'out': str(out), 'nets': counts, **stored} | ({'notes': notes} if notes else {})


def read_net(
    system: str,
    net: str,
    weights: Mapping[str, np.ndarray],
    what: str = 'weights',
    options: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[dict, dict, list[str]]:
    """A state dict as ours.

        sizes, variables, _ = read_net('stargan', 'g', read_checkpoint('200000-G.ckpt')[''])

    Args:
        system, net: that can be imported.
        what: the file, for the message.
        options: as `import_run` takes them.

    Returns:
        What the shapes say of `cfg.model`, by dotted key, the variables {'params': ..., 'batch_stats': ...}, and what
        is to be said of how they were read.

    Raises:
        InputError: if names or shapes are not those of such a net; all that differ are listed.
    """
    reader = weights_of(system).NETS[net]
    weights, notes = reader.prepare(weights, options)
    sizes = reader.sizes(weights)
    cfg = config_of(system, sizes, what)
    ours = load_system(system).nets(cfg)[net]
    shapes = jax.eval_shape(ours.module.init, jax.random.key(0), *ours.inputs.values())
    table = reader.layers(cfg.model)
    if lines := compare(weights, table, shapes):
        raise InputError(
            f'{what}: does not fit net {net!r} of {system}; {len(lines) - 1} names or shapes differ from one with '
            f'{", ".join(f"{k}={v}" for k, v in sizes.items())}:\n' + '\n'.join(_shortened(lines))
        )
    try:
        return sizes, convert(weights, table, shapes), notes
    except InputError as error:
        raise InputError(f'{what}: {error}') from None


def nets_in(system: str, folder: Path | str) -> Mapping[str, Path]:
    """The files of a system's nets in a folder as its original leaves it; InputError where that is not known."""
    module = weights_of(system)
    if not hasattr(module, 'files'):
        raise InputError(f'{folder}: is a folder; give NET=FILE, NET being one of {", ".join(module.NETS)}')
    return module.files(folder)


def importable(system: str) -> bool:
    """Whether checkpoints of a system's original can be read: whether `dfjax.weights` has a module of its name."""
    return system in systems.SYSTEMS and importlib.util.find_spec(f'dfjax.weights.{system}') is not None


def weights_of(system: str) -> ModuleType:
    """The module of `dfjax.weights` that reads a system's checkpoints; see `weights.reader`.

    Raises:
        InputError: if there is none; names the systems that have one.
    """
    if not importable(system):
        raise InputError(
            f'system {system!r} cannot be imported; those that can: {", ".join(filter(importable, systems.SYSTEMS))}'
        )
    return importlib.import_module(f'dfjax.weights.{system}')


def check_names(system: str, files: Mapping[str, Any], options: Mapping[str, Any]) -> list[str]:
    """The nets of a system that can be imported; InputError for a system, nets or options that there are not."""
    module = weights_of(system)
    for net in files:
        if net not in module.NETS:
            raise InputError(f'{system} has no net {net!r}; it has: {", ".join(module.NETS)}')
    if not files:
        raise InputError(f'no file is given; give NET=FILE, NET being one of {", ".join(module.NETS)}')
    for name in options:
        if name not in options_of(system):
            others = [other for other in filter(importable, systems.SYSTEMS) if name in options_of(other)]
            option, elsewhere = f'--{name.replace("_", "-")}', f', but of {" and ".join(others)}' if others else ''
            raise InputError(f'{option}: not an option of {system}{elsewhere}')
    return list(module.NETS)


def options_of(system: str) -> dict[str, inspect.Parameter]:
    """What the user may say of a system's checkpoints: the keyword-only arguments of its reader's `config`."""
    module = weights_of(system)
    parameters = inspect.signature(module.config).parameters if hasattr(module, 'config') else {}
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def _changes(system: str, sizes: Mapping[str, Any], what: str, **options: Any) -> dict[str, Any]:
    """The changes of a system's config that the sizes of files `what` say."""
    module = weights_of(system)
    return module.config(sizes, what, **options) if hasattr(module, 'config') else {'model': dict(sizes)}


def config_of(system: str, sizes: Mapping[str, Any], what: str = 'weights') -> ConfigDict:
    """The config of a system whose nets have these sizes, by dotted key of `cfg.model`; `what` is for messages."""
    return build(load_system(system).default_config(), _changes(system, sizes, what))


def _known(system: str, net: str, what: str, options: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> int:
    """How many arrays of a net a state dict of the file `what` has, by their names; 0 where no net has its sizes."""
    reader = weights_of(system).NETS[net]
    weights, _ = reader.prepare(weights, options)
    try:
        table = reader.layers(config_of(system, reader.sizes(weights), what).model)
    except InputError:  # another net's, or a part of one
        return 0
    return sum(layer.name + end in weights for layer in table.values() for end, _ in layer.leaves.values())


def _shortened(lines: list[str]) -> list[str]:
    """Lines with their middle left out, where they are many."""
    left = len(lines) - 2 * SHOWN
    return lines if left <= 1 else [*lines[:SHOWN], f'... and {left} more ...', *lines[-SHOWN:]]

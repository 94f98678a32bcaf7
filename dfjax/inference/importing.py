"""Files of the originals' nets -> a run: its config, with the sizes that the files have, and its nets."""

import importlib
import importlib.util
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import flax
import jax
import numpy as np
from ml_collections import ConfigDict

from dfjax import systems
from dfjax.config import build
from dfjax.data.media.output import atomic_folder
from dfjax.errors import InputError
from dfjax.systems import load_system
from dfjax.weights.layers import compare, convert
from dfjax.weights.torch_files import read_checkpoint


def import_run(
    system: str, files: Mapping[str, Path | str], out: Path | str, force: bool = False, **options: Any
) -> dict[str, Any]:
    """Writes the run folder `out`, which `load_run` reads, from files of some or all nets of a system.

        import_run('stargan', {'g': '200000-G.ckpt', 'd': '200000-D.ckpt'}, 'runs/celeba')
        import_run('stargan', {'g': '200000-G.ckpt', 'd': '200000-D.ckpt'}, 'runs/both', groups=(5, 8), exclusive=(1,))

    Args:
        files: by net; one file may hold several.
        options: what `config` of the system's module in `dfjax.weights` takes besides the sizes that the files have.

    Returns:
        {'out', 'system', 'nets': {name: parameters}, 'model': the sizes found}, whatever else the files say of the
        config, and a 'hint' where something is left for the user to say.

    Raises:
        InputError: an unknown system, net or option, a file that cannot be read or does not fit, nets that disagree.
    """
    names = check_names(system, files, options)
    sections = {path: read_checkpoint(path) for path in dict.fromkeys(map(str, files.values()))}
    found: dict[str, Any] = {}
    variables, owner = {}, {}
    for net, path in files.items():
        weights = _section(sections[str(path)], system, net, str(path))
        sizes, variables[net] = read_net(system, net, weights, str(path))
        for key, value in sizes.items():
            if found.setdefault(key, value) != value:
                raise InputError(
                    f'{path}: {net} has {key} {value}, and {owner[key]} has {found[key]}; give nets of one training'
                )
            owner.setdefault(key, net)
    changes = _changes(system, found, ' and '.join(sections), **options)
    cfg = build(load_system(system).default_config(), changes)
    stored = {'system': system, **changes, 'model': cfg.model.to_dict()}
    with atomic_folder(out, force, marker='config.json') as folder:
        (folder / 'config.json').write_text(json.dumps(stored, indent=1, sort_keys=True))
        (folder / 'nets').mkdir()
        for net, tree in variables.items():
            np.savez(folder / 'nets' / f'{net}.npz', **flax.traverse_util.flatten_dict(tree, sep='/'))
    counts = {net: sum(x.size for x in jax.tree.leaves(variables[net]['params'])) for net in names if net in variables}
    hint = getattr(weights_of(system), 'hint', lambda cfg: '')(cfg)
    return {'out': str(out), 'nets': counts, **stored} | ({'hint': hint} if hint else {})


def read_net(system: str, net: str, weights: Mapping[str, np.ndarray], what: str = 'weights') -> tuple[dict, dict]:
    """A state dict as ours.

        sizes, variables = read_net('stargan', 'g', read_checkpoint('200000-G.ckpt')[''])

    Args:
        system, net: that can be imported.
        what: the file, for the message.

    Returns:
        What the shapes say of `cfg.model`, by dotted key, and the variables {'params': ..., 'batch_stats': ...}.

    Raises:
        InputError: if names or shapes are not those of such a net; all that differ are listed.
    """
    reader = weights_of(system).NETS[net]
    sizes = reader.sizes(weights)
    cfg = config_of(system, sizes, what)
    ours = load_system(system).nets(cfg)[net]
    shapes = jax.eval_shape(ours.module.init, jax.random.key(0), *ours.inputs.values())
    table = reader.layers(cfg.model)
    if lines := compare(weights, table, shapes):
        raise InputError(
            f'{what}: does not fit net {net!r} of {system}; {len(lines) - 1} names or shapes differ from one with '
            f'{", ".join(f"{k}={v}" for k, v in sizes.items())}:\n' + '\n'.join(lines)
        )
    try:
        return sizes, convert(weights, table, shapes)
    except InputError as error:
        raise InputError(f'{what}: {error}') from None


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
    if strange := [name for name in options if name not in options_of(system)]:
        raise InputError(f'--{strange[0]}: not an option for {system}')
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


def _section(sections: Mapping[str, Mapping], system: str, net: str, what: str) -> Mapping[str, np.ndarray]:
    """The state dict in a file `what` with most of a net's names: others may be another net's, or an optimiser's."""
    reader = weights_of(system).NETS[net]

    def known(weights: Mapping[str, np.ndarray]) -> int:
        table = reader.layers(config_of(system, reader.sizes(weights), what).model)
        return sum(layer.name + end in weights for layer in table.values() for end, _ in layer.leaves.values())

    return max(sections.values(), key=known)

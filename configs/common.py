"""How a run's config is made: a system's defaults, a variant's changes, and the changes of a command line.

    cfg = build(faceswap.default_config(), {'batch_size': 32, 'optimizer.lr': 5e-4})
    cfg = load_config('configs/faceswap.py:gpu', ['--config.data.a=faces_a'])

Keys are dotted paths. A key that does not exist, or a value of another type than its default, is refused in one line.
"""

import contextlib
import difflib
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from dfjax.errors import InputError

FLAG = '--config.'


def flatten(cfg: Mapping | ConfigDict, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf."""
    for key, value in cfg.items():
        if isinstance(value, Mapping | ConfigDict):
            yield from flatten(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


def build(default: ConfigDict, overrides: Mapping[str, Any]) -> ConfigDict:
    """A copy of `default` with some keys changed, locked against new ones.

    Args:
        default: a system's `default_config()`.
        overrides: values by dotted key; a value that is itself a mapping changes the keys under it.

    Raises:
        InputError: if a key does not exist (names the nearest one), or a value has the wrong type.
    """
    cfg = default.copy_and_resolve_references()
    known = dict(flatten(default))
    with cfg.ignore_type():
        for key, value in flatten(overrides):
            if key not in known:
                raise InputError(_unknown(key, known))
            *path, name = key.split('.')
            section = cfg
            for part in path:
                section = section[part]
            section[name] = _typed(key, value, known[key])
    return cfg.lock()


def parse_overrides(arguments: Iterable[str], default: ConfigDict) -> dict[str, Any]:
    """Turns `--config.key=value` words into what `build` takes.

    Raises:
        InputError: if a word is not of that form, its key does not exist, or its value cannot be read.
    """
    known = dict(flatten(default))
    overrides = {}
    for word in arguments:
        key, equals, text = word.removeprefix(FLAG).partition('=')
        if not word.startswith(FLAG) or not equals:
            raise InputError(f'{word!r} is not understood; config keys are set as {FLAG}batch_size=32')
        if key not in known:
            raise InputError(_unknown(key, known))
        overrides[key] = _read(text, known[key])
    return overrides


def load_config(name: str, words: Iterable[str] = ()) -> ConfigDict:
    """The config that a command line asks for.

    Args:
        name: `path/of/config.py:variant`; without `:variant`, the file's default.
        words: `--config.key=value` words.

    Raises:
        InputError: if there is no such file or variant, or as `parse_overrides` and `build`.
    """
    path, _, variant = name.partition(':')
    module = _load_module(path)
    variants = getattr(module, 'VARIANTS', {})
    if variant and variants and variant not in variants:
        raise InputError(f'{path}: there is no variant {variant!r}; there are: {", ".join(variants)}')
    cfg = module.get_config(variant) if variant else module.get_config()
    return build(cfg, parse_overrides(words, cfg))


def _load_module(path: str) -> ModuleType:
    if not Path(path).is_file():
        raise InputError(f'{path}: no such config file; give one as configs/faceswap.py:laptop')
    spec = importlib.util.spec_from_file_location(f'dfjax_config_{Path(path).stem}', path)
    if spec is None:
        raise InputError(f'{path}: not a Python file')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, 'get_config'):
        raise InputError(f'{path}: not a config file; it has no get_config()')
    return module


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    """The line for a key that does not exist, with the one that was probably meant."""
    inside = [k for k in known if k.startswith(f'{key}.')]
    if inside:
        return f'config key {key!r} is a section; set one of its keys: {", ".join(inside)}'
    by_name = {k.rpartition('.')[2]: k for k in known}
    name = key.rpartition('.')[2]
    near = [by_name[name]] if name in by_name else difflib.get_close_matches(key, known, 1, 0.5)
    near = near or [by_name[n] for n in difflib.get_close_matches(name, by_name, 1, 0.5)]
    hint = f'did you mean {near[0]!r}?' if near else f'the keys are: {", ".join(known)}'
    return f'config key {key!r} does not exist; {hint}'


def _typed(key: str, value: Any, default: Any) -> Any:
    """`value` as the type of `default`; whole numbers may stand for floats, lists for tuples."""
    if default is None or type(value) is type(default):
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, tuple | list) and isinstance(value, tuple | list):
        return type(default)(value)
    kind = type(default).__name__
    raise InputError(f'config key {key!r} is {kind} (default {default!r}), and cannot be {value!r}')


def _read(text: str, default: Any) -> Any:
    """The value that a word of the command line stands for; text that cannot be read is left for `build` to refuse."""
    if isinstance(default, str):
        return text
    if isinstance(default, tuple | list) and not text.startswith('['):
        text = f'[{text}]'
    for reading in (text, text.lower(), text.replace('_', '')):  # JSON, True, 10_000
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(reading)
    return text

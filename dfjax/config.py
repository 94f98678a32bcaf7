"""How a run's config is made: a system's defaults, a variant's changes, and the changes of a command line.

    cfg = build(faceswap.default_config(), {'batch_size': 32, 'optimizer.lr': 5e-4})
    cfg = load_config('faceswap:gpu', ['--config.data.a=faces_a'])

Keys are dotted paths. A key that does not exist, a value of another type than its default, and one that no system takes
are refused in one line; what a system asks of its own keys besides is in its `init`.
"""

import contextlib
import difflib
import importlib.util
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

import dfjax
from dfjax.errors import InputError
from dfjax.foreign import SAID, parse, shown
from dfjax.ops.backend import accelerated
from dfjax.ranges import Ranged, check
from dfjax.systems import SYSTEMS, load_system

FLAG = '--config.'
PACKAGE = Path(dfjax.__file__).parent


def flatten(cfg: Mapping | ConfigDict, prefix: str = '', ranges: bool = False) -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf; with `ranges`, what was given a range comes as `dfjax.ranges.Ranged`."""
    items = cfg.items(preserve_field_references=True) if ranges and isinstance(cfg, ConfigDict) else cfg.items()
    for key, value in items:
        if isinstance(value, Mapping | ConfigDict):
            yield from flatten(value, f'{prefix}{key}.', ranges)
        else:
            yield f'{prefix}{key}', value


def build(default: ConfigDict, overrides: Mapping[str, Any]) -> ConfigDict:
    """A copy of `default` with some keys changed, locked against new ones.

    Args:
        default: a system's `default_config()`.
        overrides: values by dotted key; a value that is itself a mapping changes the keys under it.

    Raises:
        InputError: if a key does not exist (names the nearest one), or a value has the wrong type or is out of range.
    """
    cfg = _copy(default)
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
    values = dict(flatten(cfg))
    for key, kept in flatten(default, ranges=True):
        check(key, values[key], kept)
    return cfg.lock()


def _copy(section: ConfigDict) -> ConfigDict:
    """Values and ranges, each apart from the original's."""
    copy = ConfigDict()
    for key, value in section.items(preserve_field_references=True):
        if isinstance(value, ConfigDict):
            value = _copy(value)
        elif isinstance(value, Ranged | list):
            value = value.copy()
        copy[key] = value
    return copy


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
        name: see `full_name`; of a file without `:variant`, the file's default.
        words: `--config.key=value` words.

    Raises:
        InputError: if there is no such file or variant, if something is wrong in the file (names it, and the line), or
            as `parse_overrides` and `build`.
    """
    path, _, variant = full_name(name).partition(':')
    with _faults_of(path):
        module = load_module(path)
        variants = getattr(module, 'VARIANTS', {})
        if variant and variants and variant not in variants:
            raise InputError(f'there is no variant {variant!r}; there are: {", ".join(variants)}')
        made = module.get_config(variant) if variant else module.get_config()
        if not isinstance(made, ConfigDict) or 'system' not in made:
            raise InputError('get_config() gives no ConfigDict with a system')
        cfg = build(load_system(made.system).default_config(), made)  # the file may have made it without `build`
    return build(cfg, parse_overrides(words, cfg))


def config_file(system: str) -> Path:
    """Where the named runs of a system are: in `configs/` of a checkout, or beside the package where that is installed.

    Raises:
        InputError: if there are none.
    """
    for folder in (PACKAGE / 'configs', PACKAGE.parent / 'configs'):
        if (path := folder / f'{system}.py').is_file():
            return path
    raise InputError(f'there are no named runs of {system!r}; give a config file as configs/faceswap.py:laptop')


def full_name(name: str) -> str:
    """FILE:VARIANT of a run that is named so already, or by SYSTEM:VARIANT, or by SYSTEM alone.

    A system alone is its `laptop` on a CPU, and its `gpu` on an accelerator.
    """
    system, _, variant = name.partition(':')
    if system not in SYSTEMS or Path(system).is_file():
        return name
    return f'{config_file(system)}:{variant or ("gpu" if accelerated() else "laptop")}'


def load_module(path: str) -> ModuleType:
    """A config file as a module; InputError where it is none."""
    if not Path(path).is_file():
        near = difflib.get_close_matches(path, SYSTEMS, 1, 0.5)
        meant = f'did you mean {near[0]!r}?' if near else 'give one as configs/faceswap.py:laptop, or a system'
        raise InputError(f'no such config file, and no system; {meant}')
    spec = importlib.util.spec_from_file_location(f'dfjax_config_{Path(path).stem}', path)
    if spec is None or spec.loader is None:
        raise InputError('not a Python file')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, 'get_config'):
        raise InputError('not a config file; it has no get_config()')
    return module


@contextlib.contextmanager
def _faults_of(path: str) -> Iterator[None]:
    """Turns whatever goes wrong in a config file, which is the user's own program, into a line that says where."""
    try:
        yield
    except Exception as error:
        own = Path(path).absolute()
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == own]
        if isinstance(error, SyntaxError) and Path(error.filename or '') == own:
            lines = [error.lineno]
        # A locked ConfigDict says all the keys there are: the key and the one that was meant are enough.
        said = re.sub(r'Other fields present.*?(?=Did you mean|\Z)', '', str(error), flags=re.DOTALL)
        said = ' '.join(said.replace(r'\n', ' ').split())
        kind = '' if isinstance(error, InputError) else f'{type(error).__name__}: '
        raise InputError(f'{path}{f":{lines[-1]}" if lines else ""}: {kind}{said}') from error


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    """The line for a key that does not exist, with the one that was probably meant."""
    inside = [k for k in known if k.startswith(f'{key}.')]
    if inside:
        return f'config key {key!r} is a section; set one of its keys: {", ".join(inside)}'
    by_name = {k.rpartition('.')[2]: k for k in known}
    name = key.rpartition('.')[2][:SAID]
    near = [by_name[name]] if name in by_name else difflib.get_close_matches(key[:SAID], known, 1, 0.5)
    near = near or [by_name[n] for n in difflib.get_close_matches(name, by_name, 1, 0.5)]
    names = [*dict.fromkeys(k.partition('.')[0] + ('.*' if '.' in k else '') for k in known)]
    hint = f'did you mean {near[0]!r}?' if near else f'the keys are: {", ".join(names)}'
    return f'config key {shown(key)} does not exist; {hint}'


def _typed(key: str, value: Any, default: Any) -> Any:
    """`value` as the type of `default`; whole numbers may stand for floats, lists for tuples; likewise in lists."""
    if isinstance(default, tuple | list) and isinstance(value, tuple | list):
        return type(default)(_typed(f'{key}[{i}]', v, default[0]) if default else v for i, v in enumerate(value))
    if default is None or type(value) is type(default):
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # a number of hundreds of digits
            return float(value)
    kind = type(default).__name__
    raise InputError(f'config key {key!r} is {kind} (default {default!r}), and cannot be {shown(value)}')


def _read(text: str, default: Any) -> Any:
    """The value that a word of the command line stands for; text that cannot be read is left for `build` to refuse."""
    if isinstance(default, str):
        return text
    if isinstance(default, tuple | list) and not text.startswith('['):
        text = f'[{text}]'
    for reading in (text, text.lower(), text.replace('_', '')):  # JSON, True, 10_000
        with contextlib.suppress(ValueError):
            return parse(reading)
    return text

"""How a run's config is made: a system's defaults, a variant's changes, and the changes of a command line.

    cfg = build(faceswap.default_config(), {'batch_size': 32, 'optimizer.lr': 5e-4})
    cfg = load_config('configs/faceswap.py:gpu', ['--config.data.a=faces_a'])

Keys are dotted paths. A key that does not exist, a value of another type than its default, and one that no system takes
are refused in one line; what a system asks of its own keys besides is in its `init`.
"""

import contextlib
import difflib
import importlib.util
import json
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

import dfjax
from dfjax.errors import InputError
from dfjax.ops.optimize import KINDS, SCHEDULES
from dfjax.systems import load_system
from dfjax.systems.state import DTYPES

FLAG = '--config.'
PACKAGE = Path(dfjax.__file__).parent

# What a key may be, by its last word. No number is below 0, unless its default is.
FROM_ONE = {'steps', 'batch_size', 'size', 'input_size'}
FROM_ONE |= {'patch', 'width', 'widths', 'max_width', 'latent', 'code', 'bottleneck_grid', 'kernel', 'shuffle', 'times'}
BELOW_ONE = {'ema', 'b1', 'b2'}
SHARES = {'flip', 'all', 'each', 'constant', 'dropout', 'milestones'}
SEEDS = 2**31
CHOICES = {'dtype': DTYPES, 'optimizer.schedule': SCHEDULES, 'optimizer.kind': KINDS}  # by the whole key
CHOICES |= {f'optimizer.{net}.{key}': CHOICES[f'optimizer.{key}'] for net in 'gd' for key in ('kind', 'schedule')}


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
        InputError: if a key does not exist (names the nearest one), or a value has the wrong type or is out of range.
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
            section[name] = _in_range(key, _typed(key, value, known[key]), known[key])
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
        InputError: if there is no such file or variant, if something is wrong in the file (names it, and the line), or
            as `parse_overrides` and `build`.
    """
    path, _, variant = name.partition(':')
    with _faults_of(path):
        module = _load_module(path)
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


def load_named(name: str) -> ConfigDict:
    """The config of a named run that comes with this package, as `faceswap:laptop`; raises as `load_config`."""
    system, _, variant = name.partition(':')
    return load_config(f'{config_file(system)}:{variant}')


def _load_module(path: str) -> ModuleType:
    if not Path(path).is_file():
        raise InputError('no such config file; give one as configs/faceswap.py:laptop')
    spec = importlib.util.spec_from_file_location(f'dfjax_config_{Path(path).stem}', path)
    if spec is None:
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
    name = key.rpartition('.')[2]
    near = [by_name[name]] if name in by_name else difflib.get_close_matches(key, known, 1, 0.5)
    near = near or [by_name[n] for n in difflib.get_close_matches(name, by_name, 1, 0.5)]
    hint = f'did you mean {near[0]!r}?' if near else f'the keys are: {", ".join(known)}'
    return f'config key {key!r} does not exist; {hint}'


def _in_range(key: str, value: Any, default: Any) -> Any:
    """`value`, a number, a name or a list of them; InputError if it is out of the range of its key."""
    if isinstance(value, tuple | list):
        return type(value)(_in_range(key, v, default[0] if default else v) for v in value)
    if isinstance(value, int | float) and (default is None or default >= 0):
        name = key.rpartition('.')[2]
        least = 1 if name in FROM_ONE else 0
        if not value >= least or (name in BELOW_ONE and value >= 1):
            end = ' and below 1' if name in BELOW_ONE else ''
            raise InputError(f'config key {key!r} is {least} or more{end}, not {value}')
        if (name in SHARES and value > 1) or (name == 'seed' and value >= SEEDS):
            raise InputError(f'config key {key!r} is from 0 to {1 if name in SHARES else SEEDS - 1}, not {value}')
    if value not in CHOICES.get(key, (value,)):
        raise InputError(f'config key {key!r} is one of {", ".join(CHOICES[key])}, not {value!r}')
    return value


def _typed(key: str, value: Any, default: Any) -> Any:
    """`value` as the type of `default`; whole numbers may stand for floats, lists for tuples; likewise in lists."""
    if isinstance(default, tuple | list) and isinstance(value, tuple | list):
        return type(default)(_typed(f'{key}[{i}]', v, default[0]) if default else v for i, v in enumerate(value))
    if default is None or type(value) is type(default):
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
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

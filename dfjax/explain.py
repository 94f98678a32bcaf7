"""What every key of a config means: its default, its type, its range, and the comment that stands beside it.

    for key in explain(load_config('faceswap:laptop')):
        print(key.name, key.value, key.range, key.comment)

Comments are those of the source: of `default_config` and of the functions whose sections it takes over. A comment on
a line of several keys is of the last of them; one above a line is of the first key below it.
"""

import ast
import fnmatch
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from dfjax import ranges
from dfjax.config import flatten, load_module
from dfjax.systems import load_system

KEYWORDS = {'dict', 'ConfigDict'}
NETS = ('model', 'discriminator')  # sections that are arguments of nets
SHARED = {  # keys that mean the same wherever they are
    'data.source': 'what is learnt from: a folder, a video, a face set, a dataset, or render:KIND:SEED:COUNT',
    'data.a': 'one side: a face set, a folder or a video, as faces/anna, or render:SEED:COUNT',
    'data.b': 'the other side, of the same forms',
    'data.labels': 'names of the labels that are used; none: the pictures alone',
    'data.size': 'side of the pictures, in pixels',
    'data.crop': 'side of the square that is cut from the middle of a picture first; 0 takes all of it',
    'data.face_type': 'how much of the head a face shows',
    'data.frames': 'pictures in a window, at 25 a second',
    'data.windows': 'windows of each clip in a batch',
    'data.seconds': 'length of a window of sound',
    'data.resident_bytes': 'data up to this size stay on the device; larger ones are streamed',
    'batch_size': 'examples in a step, over all devices',
    'ema': 'decay of the averaged parameters, which inference uses',
    'flip': 'probability that a picture is mirrored',
    'augment.flip': 'probability that pictures are mirrored',
    'augment.brightness': 'greatest change, of [0, 1]',
    'augment.contrast': 'greatest relative change',
    'augment.saturation': 'greatest relative change',
    'augment.hue': 'greatest turn, of a full circle',
    'augment.enlarge': 'how much frames are enlarged before the former size is cut out of them',
    'model.d.scales': 'sides of the pictures that are judged, shares of the whole side',
    'model.g.motion.occlusion': 'whether places that come into view are said, to be painted anew',
}


@dataclass(frozen=True)
class Key:
    """A key of a config.

    Attributes:
        name: dotted.
        value: of this config.
        default: of its system.
        kind: its type in a word.
        range: in words.
        comment: what it means; '' where nothing is said.
    """

    name: str
    value: Any
    default: Any
    kind: str
    range: str
    comment: str


def explain(cfg: ConfigDict) -> list[Key]:
    """All keys of a config, in the order of its system's defaults."""
    module = load_system(cfg.system)
    default = module.default_config()
    values, comments, nets = dict(flatten(cfg)), comments_of(module.default_config), list(_of_nets(module.nets(cfg)))
    keys = []
    for name, kept in flatten(default, ranges=True):
        plain = kept.get() if isinstance(kept, ranges.Ranged) else kept
        said = next((text for pattern, text in comments.items() if fnmatch.fnmatchcase(name, pattern)), '')
        said = said or SHARED.get(name) or next((text for at, text in nets if at(name)), '')
        keys.append(Key(name, values[name], plain, kind_of(plain), ranges.says(kept), said))
    return keys


def kind_of(value: Any) -> str:
    """The type of a value, as a person would call it."""
    if isinstance(value, list | tuple):
        return f'list of {kind_of(value[0])}' if value else 'list'
    return {bool: 'true or false', int: 'whole number', float: 'number', str: 'text'}.get(type(value), 'any')


def variants_of(path: str) -> dict[str, str]:
    """The named runs of a config file, and what the comment above each says."""
    module = load_module(path)
    source = inspect.getsource(module)
    comments = _comments(source)
    said = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'VARIANTS':
            for key in node.value.keys:
                said[key.value] = _above(comments, key.lineno)
    return {name: said.get(name, '') for name in module.VARIANTS}


def _of_nets(nets: dict) -> Iterator[tuple[Callable[[str], bool], str]]:
    """What the nets' docstrings say of their attributes: of the net that a key names, then of any."""
    said = []
    for name, net in nets.items():
        text = inspect.cleandoc(type(net.module).__doc__ or '').partition('Attributes:\n')[2]
        for names, meaning in re.findall(r'^    ([a-z_, ]+): (.*(?:\n {8,}.*)*)', text.partition('\n\n')[0], re.M):
            said += [(name, word.strip(), ' '.join(meaning.split())) for word in names.split(',')]
    inside = lambda key: key.split('.')[0] in NETS
    for net, word, text in said:
        own = lambda part, net=net: part in (net, net.partition('_')[0])
        yield (
            lambda key, own=own, word=word: inside(key) and key.endswith(f'.{word}') and any(map(own, key.split('.'))),
            text,
        )
    for _, word, text in said:
        yield lambda key, word=word: inside(key) and key.endswith(f'.{word}'), text


# The source


def comments_of(function: Callable) -> dict[str, str]:
    """Comments by dotted key of what a function returns; `*` for a part of a key that is computed."""
    found = {}
    for name, text in _of_function(function):
        found[name] = text or found.get(name, '')
    return {name: text for name, text in found.items() if text}


def _of_function(function: Callable, prefix: str = '') -> Iterator[tuple[str, str]]:
    source = textwrap.dedent(inspect.getsource(function))
    comments, names = _comments(source), inspect.getmodule(function)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign):
            target = ast.unparse(node.targets[0])
            name = target.partition('.')[2]
            yield from _of_value(node.value, (prefix + name).rstrip('.'), comments, names)
            if name:
                yield prefix + name, _beside(comments, node)
        elif isinstance(node, ast.Return) and node.value is not None:
            yield from _of_value(node.value, prefix.rstrip('.'), comments, names)
        elif isinstance(node, ast.Expr) and ast.unparse(node).partition('(')[0].endswith('.update'):
            section = ast.unparse(node.value.func).removesuffix('.update').partition('.')[2]
            yield from _of_keywords(node.value, prefix + section, comments, names)


def _of_value(node: ast.AST, name: str, comments: dict, names: ModuleType) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.BinOp):
        for side in (node.left, node.right):
            yield from _of_value(side, name, comments, names)
    elif isinstance(node, ast.DictComp):
        yield from _of_value(node.value, f'{name}.*', comments, names)
    elif isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called in KEYWORDS:
            for inner in node.args:
                yield from _of_value(inner, name, comments, names)
            yield from _of_keywords(node, name, comments, names)
        elif inspect.isfunction(function := _named(called, names)) and function.__module__ != ranges.__name__:
            yield from _of_function(function, f'{name}.' if name else '')


def _of_keywords(call: ast.Call, name: str, comments: dict, names: ModuleType) -> Iterator[tuple[str, str]]:
    for word in call.keywords:
        own = f'{name}.{word.arg}' if name else word.arg
        yield from _of_value(word.value, own, comments, names)
        yield own, _beside(comments, word)


def _named(called: str, module: ModuleType) -> Any:
    value = module
    for part in called.split('.'):
        value = getattr(value, part, None)
    return value


def _comments(source: str) -> dict[int, tuple[bool, str]]:
    """By line: whether a comment has the line for itself, and its text."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            found[token.start[0]] = not token.line[: token.start[1]].strip(), token.string.lstrip('# ')
    return found


def _beside(comments: dict, node: ast.AST) -> str:
    """The comment at the end of a node's lines, or above its first."""
    for line in (node.end_lineno, node.lineno):
        alone, text = comments.get(line, (True, ''))
        if not alone:
            return text
    return _above(comments, node.lineno)


def _above(comments: dict, line: int) -> str:
    lines = []
    while comments.get(line - 1, (False,))[0]:
        line -= 1
        lines.insert(0, comments[line][1])
    return ' '.join(lines)

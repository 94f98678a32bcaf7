"""Pickles without their power: an interpreter of the data in them, which calls and imports nothing.

A pickle is a program for a stack machine. Here a global is only its name, and a call is looked up in a table that the
caller gives; whatever is not in the table ends the reading with that name. So a hostile file can do no more than be
refused; and what it may ask for is bounded by its size, see `limits`.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from dfjax.weights.limits import ARGUMENTS, COPIED, NAME, OPERATIONS, Refused

MARK = object()

# Opcodes that push what `genops` has decoded already.
CONSTANTS = {
    *('INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4', 'FLOAT', 'BINFLOAT'),
    *('STRING', 'BINSTRING', 'SHORT_BINSTRING', 'UNICODE', 'BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8'),
    *('BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8', 'BYTEARRAY8'),
}
FRESH = {
    'EMPTY_LIST': list,
    'EMPTY_TUPLE': tuple,
    'EMPTY_DICT': dict,
    'EMPTY_SET': set,
    'NONE': lambda: None,
    'NEWTRUE': lambda: True,
    'NEWFALSE': lambda: False,
}
IGNORED = {'PROTO', 'FRAME'}
KEYS = str | bytes | int | float | None  # what can be hashed at once; items under other keys have no use here


class Global(str):
    """The name of something that a pickle wants imported."""


class Built:
    """What a call may give that is filled afterwards, by `build`."""

    def build(self, state: Any) -> None:
        """Takes what the pickle has of it."""
        raise NotImplementedError


class Machine:
    """The stack machine; `run` reads one pickle.

    Args:
        calls: by the full name of a global, what its call with a tuple of arguments gives. A name that is missing is
            refused where it is named, so that nothing of it can be hidden in what is not looked at.
        constants: by full name, values that are never called.
        persistent: what an id that points outside the pickle stands for.
        most: operations that it may have; by default OPERATIONS.
    """

    def __init__(
        self,
        calls: Mapping[str, Callable[..., Any]],
        constants: Mapping[str, Any],
        persistent: Callable[[Any], Any],
        most: int | None = None,
    ):
        self.calls, self.constants, self.persistent, self.most = calls, constants, persistent, most or OPERATIONS

    def run(self, file: BinaryIO) -> Any:
        """The value of the pickle at the file's position, which is left behind it.

        Raises:
            Refused: if it names a global or an operation that is not known, or is too much work.
            ValueError, IndexError, KeyError, TypeError: if it is damaged.
        """
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.done, self.copied = 0, 0  # operations, and items that calls have copied
        for op, argument, _ in pickletools.genops(file):
            name = op.name
            self.done += 1
            if self.done > self.most:
                raise Refused(f'more than {self.most} operations')
            if name in CONSTANTS:
                self.stack.append(argument)
            elif name in FRESH:
                self.stack.append(FRESH[name]())
            elif name == 'STOP':
                return self.stack.pop()
            elif name not in IGNORED:
                operation = getattr(self, f'_{name.lower()}', None)
                if operation is None:
                    raise Refused(f'the operation {name}')
                operation(argument)
        raise ValueError('no end')

    # Globals and calls

    def _global(self, argument: str) -> None:
        self._name('.'.join(argument.split(' ', 1)))  # genops gives 'module name'

    def _stack_global(self, _: None) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise Refused('a global whose name is no text')
        self._name(f'{module[:NAME]}.{name[:NAME]}')

    def _name(self, name: str) -> None:
        if name in self.constants:
            self.stack.append(self.constants[name])
        elif name in self.calls:
            self.stack.append(Global(name))
        else:
            raise Refused(f'the global {name[:200]!r}')

    def _reduce(self, _: None) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise Refused(f'a call of {type(function).__name__}')
        if len(arguments) > ARGUMENTS:
            raise Refused(f'a call with {len(arguments)} arguments')
        self.copied += sum(len(a) for a in arguments if isinstance(a, list | tuple | dict))
        if self.copied > COPIED * (self.done + 100):
            raise Refused('the same things copied over and over')
        self.stack.append(self.calls[function](*arguments))

    _newobj = _reduce

    def _build(self, _: None) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Built):
            self.stack[-1].build(state)  # else attributes, of what has none here

    def _binpersid(self, _: None) -> None:
        self.stack.append(self.persistent(self.stack.pop()))

    # Containers

    def _mark(self, _: None) -> None:
        self.stack.append(MARK)

    def _since_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:
            at -= 1
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def _tuple(self, _: None) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _tuple1(self, _: None) -> None:
        self._tuple_of(1)

    def _tuple2(self, _: None) -> None:
        self._tuple_of(2)

    def _tuple3(self, _: None) -> None:
        self._tuple_of(3)

    def _tuple_of(self, count: int) -> None:
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def _list(self, _: None) -> None:
        self.stack.append(self._since_mark())

    def _dict(self, _: None) -> None:
        self.stack.append(pairs(self._since_mark()))

    def _append(self, _: None) -> None:
        item = self.stack.pop()
        self._put_in([item], list, list.append)

    def _appends(self, _: None) -> None:
        self._put_in(self._since_mark(), list, list.append)

    def _additems(self, _: None) -> None:
        self._put_in([item for item in self._since_mark() if isinstance(item, KEYS)], set, set.add)

    def _put_in(self, items: list, kind: type, put: Callable) -> None:
        if isinstance(self.stack[-1], kind):  # else an inert thing, whose content is of no use
            for item in items:
                put(self.stack[-1], item)

    def _setitem(self, _: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _setitems(self, _: None) -> None:
        self._set(self._since_mark())

    def _set(self, items: list) -> None:
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(pairs(items))

    def _pop(self, _: None) -> None:
        self.stack.pop()

    def _pop_mark(self, _: None) -> None:
        self._since_mark()

    def _dup(self, _: None) -> None:
        self.stack.append(self.stack[-1])

    # The memo

    def _put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _binget = _long_binget = _get


def pairs(items: list) -> dict:
    """A dict of keys and values in turns.

    Of tuples as keys nothing comes, for to hash those that are deep or wide takes any stack and any time.
    """
    return {key: value for key, value in zip(items[::2], items[1::2], strict=True) if isinstance(key, KEYS)}


def pair_of(pair: Any) -> Any:
    """What an item of an OrderedDict's list is, if it is a pair."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError('no pair of a name and a value')
    return pair

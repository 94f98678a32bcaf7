"""What a file of weights may cost: one table for pickles, safetensors and HDF5.

Nothing in such a file is run, but it can still ask for work: names that double at each step, a dict that is copied over
and over, shapes of a million axes. What real checkpoints hold is far below these limits.
"""

from typing import Any

OPERATIONS = 2_000_000  # operations of a pickle, some 35 a tensor
COPIED = 10  # items that calls may copy, for each operation
ARGUMENTS = 16  # arguments of a call
DEPTH = 16  # dicts or groups inside each other
NAME = 500  # characters of a name
AXES = 8  # axes of an array
NUMBERS = 2**48  # numbers of a storage
HEADER = 100_000_000  # bytes of a safetensors header, as its own reader has it
OBJECTS = 10_000  # groups and arrays of an HDF5 file


class Refused(Exception):
    """A file that is not read; the text says what is in it."""


def check_name(name: str) -> None:
    """Refused for a name that is too long."""
    if len(name) > NAME:
        raise Refused(f'a name of {len(name)} characters')


def check_sizes(name: str, *sizes: Any) -> None:
    """Refused if there are too many axes, ValueError if they are not whole numbers from 0 to NUMBERS.

    Args:
        name: of an array, for messages.
        sizes: its shape, and whatever else says how many numbers: tuples or lists of them.
    """
    for some in sizes:
        if not isinstance(some, tuple | list):
            raise ValueError(f'{name} has an impossible shape')
        if len(some) > AXES:
            raise Refused(f'{name} of {len(some)} axes')
        if not all(type(n) is int and 0 <= n <= NUMBERS for n in some):
            raise ValueError(f'{name} has an impossible shape')

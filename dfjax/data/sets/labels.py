"""Labels of a folder's pictures from a CSV file in it, as CelebA's list_attr_celeba.csv.

The first line names the columns. One column names the pictures, with or without folders and suffixes; each other column
that holds -1 and 1, 0 and 1, or true and false is a label; what else there is (boxes, splits) is left alone.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dfjax.errors import InputError

CELEBA = 'list_attr_celeba.csv'
VALUES = {'-1': False, '0': False, 'false': False, '1': True, 'true': True}
NAMED = 5  # rows or pictures that an error names


def find_csv(folder: Path | str) -> Path | None:
    """The CSV file of a folder; where there are several, CelebA's; None where there is none.

    Raises:
        InputError: if there are several and it cannot be told which is meant.
    """
    found = sorted(Path(folder).glob('*.csv'))
    celeba = [path for path in found if path.name == CELEBA]
    if len(found) > 1 and not celeba:
        names = ', '.join(path.name for path in found)
        raise InputError(f'{folder}: several CSV files ({names}); keep one, that of the labels')
    return (celeba or found or [None])[0]


def read_labels(path: Path, pictures: Sequence[str]) -> dict[str, np.ndarray]:
    """The labels of pictures, by name: bool [N].

    Args:
        path: the CSV file.
        pictures: their paths in the folder, with forward slashes.

    Raises:
        InputError: if rows and pictures do not match, or a label's value is none; says which rows.
    """
    try:
        with open(path, newline='', encoding='utf-8-sig') as file:
            head, *rows = [row for row in csv.reader(file, skipinitialspace=True) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f'{path}: not a CSV file that can be read ({error})') from error
    uneven = [n for n, row in enumerate(rows, 2) if len(row) != len(head)]
    if uneven or not rows:
        raise InputError(
            f'{path}: {_some("row", uneven)} not as long as the first line' if rows else f'{path}: no rows'
        )
    columns = [[value.strip() for value in column] for column in zip(*rows)]
    place, names = _name_column(path, columns, pictures)
    rows_of = {name: n for n, name in enumerate(columns[place])}
    index = np.array([rows_of[name] for name in names])
    labels = {}
    for k, (label, column) in enumerate(zip(head, columns)):
        known = [VALUES.get(value.lower()) for value in column]
        if k == place or known.count(None) > len(known) / 2:
            continue
        if None in known:
            wrong = [n for n, value in enumerate(known, 2) if value is None]
            raise InputError(f'{path}: {_some("row", wrong)} with another {label!r} than -1 and 1, or 0 and 1')
        labels[label.strip()] = np.array(known)[index]
    if not labels:
        raise InputError(f'{path}: no column of labels (-1 and 1, or 0 and 1)')
    return labels


def _name_column(path: Path, columns: list[list[str]], pictures: Sequence[str]) -> tuple[int, list[str]]:
    """Which column names the pictures, and what it calls each of them."""
    spellings = [str, lambda p: Path(p).name, lambda p: Path(p).with_suffix('').as_posix(), lambda p: Path(p).stem]
    best, place, names = 0, 0, []
    for spelling in spellings:
        called = [spelling(picture) for picture in pictures]
        there = set(called)
        for k, column in enumerate(columns):
            hits = len(there.intersection(column)) if len(there) == len(called) else 0
            if hits > best:
                best, place, names = hits, k, called
    if best <= len(columns[0]) / 2:
        raise InputError(f'{path}: no column has the names of the pictures beside it, as {pictures[0]}')
    column, there = columns[place], set(names)
    if lost := [n for n, value in enumerate(column, 2) if value not in there]:
        raise InputError(f'{path}: {_some("row", lost)} without a picture, as {column[lost[0] - 2]}')
    if len(set(column)) < len(column):
        first = {value: n for n, value in reversed(list(enumerate(column, 2)))}
        twice = [n for n, value in enumerate(column, 2) if first[value] != n]
        raise InputError(f'{path}: {_some("row", twice)} for a picture that has one already')
    if alone := sorted(there - set(column)):
        raise InputError(f'{path}: {_some("picture", alone)} without a row')
    return place, names


def _some(what: str, which: Sequence) -> str:
    """'3 rows (2, 5, 9)'."""
    more = ', ...' if len(which) > NAMED else ''
    return f'{len(which)} {what}{"s" * (len(which) > 1)} ({", ".join(map(str, which[:NAMED]))}{more})'

"""Labels of a folder's pictures from a CSV file in it, or CelebA's own list_attr_celeba.txt in it or beside it.

The first line names the columns, which commas, semicolons or tabs part. One column names the pictures, with or without
folders and suffixes; each other column that holds -1 and 1, 0 and 1, or true and false is a label; what else there is
(boxes, splits) is left alone. CelebA's list may have more rows than there are pictures.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dfjax.errors import InputError
from dfjax.foreign import SAID, shown

CELEBA = ('list_attr_celeba.csv', 'list_attr_celeba.txt')
SPLIT_BY = ',;\t'
VALUES = dict.fromkeys(('-1', '0', 'false', '-1.0', '0.0', 'no'), False)
VALUES |= dict.fromkeys(('1', 'true', '1.0', 'yes'), True)
NAMED = 5  # rows or pictures that an error names


def find_csv(folder: Path | str) -> Path | None:
    """The CSV file of a folder; where there are several, or one beside it, CelebA's; None where there is none.

    Raises:
        InputError: if there are several and it cannot be told which is meant.
    """
    folder = Path(folder).absolute()
    beside = [folder.parent, folder.parent / 'Anno'] * folder.name.startswith('img_')  # as CelebA's archives unpack
    for path in (place / name for place in (folder, *beside) for name in CELEBA):
        if path.is_file():
            return path
    inside = folder.iterdir() if folder.is_dir() else ()  # a video has none
    found = [path for path in inside if path.suffix.lower() == '.csv' and path.name[0] != '.']
    if len(found) > 1:
        names = ', '.join(sorted(path.name for path in found))
        raise InputError(f'{folder}: several CSV files ({names}); keep one, that of the labels')
    return found[0] if found else None


def read_labels(path: Path, pictures: Sequence[str]) -> dict[str, np.ndarray]:
    """The labels of pictures, by name: bool [N].

    Args:
        path: the CSV file.
        pictures: their paths in the folder, with forward slashes.

    Raises:
        InputError: if rows and pictures do not match, or a label's value is none; says which rows.
    """
    head, rows = _read(path)
    uneven = [n for n, row in enumerate(rows, 2) if len(row) != len(head)]
    if uneven or not rows:
        raise InputError(
            f'{path}: {_some("row", uneven)} not as long as the first line' if rows else f'{path}: no rows'
        )
    columns = [[value.strip() for value in column] for column in zip(*rows)]
    place, names = _name_column(path, columns, pictures)
    rows_of = {name: n for n, name in enumerate(columns[place])}
    index = np.array([rows_of[name] for name in names])
    labels, head = {}, [label.strip() for label in head]
    if twice := sorted({label for label in head if head.count(label) > 1}):
        raise InputError(f'{path}: several columns are called {shown(twice[0])}; keep one')
    for k, (label, column) in enumerate(zip(head, columns)):
        known = [VALUES.get(value.lower()) for value in column]
        if k == place or known.count(None) > len(known) / 2:
            continue
        if None in known:
            wrong = [n for n, value in enumerate(known, 2) if value is None]
            raise InputError(f'{path}: {_some("row", wrong)} with another {shown(label)} than -1 and 1, or 0 and 1')
        labels[label] = np.array(known)[index]
    if not labels:
        raise InputError(f'{path}: no column of labels (-1 and 1, or 0 and 1)')
    return labels


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """The first line, and the rows, of a table in any usual encoding; cells that are empty at all ends are left off."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror})') from error
    wide = data.startswith((b'\xff\xfe', b'\xfe\xff'))
    try:
        text = data.decode('utf-16' if wide else 'utf-8-sig')
    except UnicodeDecodeError:
        text = data.decode('cp1252', errors='replace')  # a spreadsheet's
    if path.suffix == '.txt':  # the number of pictures, the labels without a word for the names, and the rows
        _, head, *rows = [line.split() for line in text.splitlines() if line.strip()] + [[], []]
        return ['image_id', *head], [row for row in rows if row]
    first = text.partition('\n')[0]
    try:
        table = csv.reader(io.StringIO(text, ''), delimiter=max(SPLIT_BY, key=first.count), skipinitialspace=True)
        head, *rows = [row for row in table if any(row)] or [[]]
    except csv.Error as error:
        raise InputError(f'{path}: not a CSV file that can be read ({error})') from error
    while head and not head[-1].strip():
        head.pop()
    return head, [row[: len(head)] if not any(row[len(head) :]) else row for row in rows]


def _name_column(path: Path, columns: list[list[str]], pictures: Sequence[str]) -> tuple[int, list[str]]:
    """Which column names the pictures, and what it calls each of them; its values as they are in a folder."""
    columns[:] = [[value.replace('\\', '/').removeprefix('./') for value in column] for column in columns]
    subset = path.name in CELEBA
    spellings = [str, lambda p: Path(p).name, lambda p: Path(p).with_suffix('').as_posix(), lambda p: Path(p).stem]
    best, place, names = 0, 0, []
    for spelling in spellings:
        called = [spelling(picture) for picture in pictures]
        there = set(called)
        for k, column in enumerate(columns):
            hits = len(there.intersection(column)) if len(there) == len(called) else 0
            if hits > best:
                best, place, names = hits, k, called
    if best <= (0 if subset else len(columns[0]) / 2):
        raise InputError(f'{path}: no column has the names of the pictures beside it, as {pictures[0]}')
    column, there = columns[place], set(names)
    if lost := [n for n, value in enumerate(column, 2) if value not in there and not subset]:
        raise InputError(f'{path}: {_some("row", lost)} without a picture, as {_word(column[lost[0] - 2])}')
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
    return f'{len(which)} {what}{"s" * (len(which) > 1)} ({", ".join(map(_word, which[:NAMED]))}{more})'


def _word(value: object) -> str:
    """A cell or a number for a line: a quoted cell may have lines of its own."""
    return ' '.join(str(value).split())[:SAID]

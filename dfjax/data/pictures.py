"""Where pictures come from, faces or not: a name becomes random access to square pictures, with labels where known.

A name is
    a folder of pictures                with all folders in it. Labels: those of a CSV file in it (`labels.py`); or,
                                        if it holds only folders, their names
    a face set, packed or not           as `sources.py` takes them; the aligned faces
    a tfds dataset, prepared            its folder, or FOLDER:SPLIT, with labels: see `packed.py`
    render:...                          as `rendered.py` draws them, as `render:people:1:2000`: random people, labels
    render:...:DOMAIN                   the same in a domain of `domains.py`, as `render:people:1:2000:cartoon`

Pictures of a folder become squares by cutting: the largest square in the middle, or the middle `crop` pixels where that
is less; then they are resized by averaging (cubic where they have to grow).
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from dfjax.data.domains import check_domain, domain_picture
from dfjax.data.faceset import ROWS
from dfjax.data.labels import find_csv, read_labels
from dfjax.data.media.image import IMAGE_SUFFIXES, read_image, squared
from dfjax.data.packed import PackedPictures, holds_faces, split_name
from dfjax.data.rendered import RenderedFaces
from dfjax.data.sources import INFO, FolderFaces, PackedFaces
from dfjax.errors import InputError

KEPT_BYTES = 2**30  # pictures of a folder stay in memory, once decoded, up to this
FACE_TYPE = 'whole_face'  # of rendered people: hair and chin show


class Pictures(Protocol):
    """Random access to pictures; safe to read from several threads.

    An item holds 'image' uint8 [S, S, 3], and for faces 'mask' uint8 [S, S], 'landmarks' float32 [68, 2] in pixels, and
    'parts' if they are rendered.
    `labels` are those that are known: name to bool [N].
    """

    name: str
    labels: dict[str, np.ndarray]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, np.ndarray]: ...


class View:
    """A source whose items are `function` of another's."""

    def __init__(self, source: Pictures, function: Callable[[dict], dict]):
        self.name, self.source, self.function = source.name, source, function

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """Those of the other source."""
        return self.source.labels

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict:
        return self.function(self.source[index])


def open_pictures(name: str, size: int, face_type: str = FACE_TYPE, crop: int = 0) -> Pictures:
    """The pictures that a name stands for, at side `size`.

    Args:
        name: see the module.
        size: side of the pictures.
        face_type: how rendered faces are cut; the others are as they are.
        crop: of a folder's pictures, this many pixels in the middle; 0 is as many as there are.

    Raises:
        InputError: if the name is none of these, or holds no picture that can be read.
    """
    if not name:
        raise InputError('the name of the pictures is empty')
    if name.startswith('render:'):
        plain, _, domain = name.rpartition(':')
        if plain[-1:].isdecimal() and not domain.isdecimal():
            check_domain(domain)
            return in_domain(domain, RenderedFaces(plain, size, face_type))
        return RenderedFaces(name, size, face_type)
    path, split = split_name(name)
    if not path.is_dir():
        raise InputError(f'{name}: no such folder')
    if (path / ROWS).is_file():
        return FolderFaces(name, size)
    if (path / INFO).is_file():
        return PackedFaces(name, size) if not split and holds_faces(path) else PackedPictures(name, size, crop)
    return PictureFolder(name, lambda picture: {'image': squared(picture, size, crop)})


def in_domain(domain: str, source: Pictures) -> Pictures:
    """The pictures of a source as they look in a domain."""
    check_domain(domain, source[0])
    return View(source, lambda item: {'image': domain_picture(domain, item)})


def picture_paths(folder: Path | str) -> list[Path]:
    """The picture files in a folder and all folders in it, by name; hidden ones are none."""
    folder = Path(folder)
    found = (p for p in folder.rglob('*') if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    return sorted(p for p in found if not any(part[0] == '.' for part in p.relative_to(folder).parts))


class PictureFolder:
    """A folder of pictures. Each is read once on opening; those that cannot be are left out, and named on stderr.

    Args:
        name: the folder.
        convert: from a picture uint8 [H, W, 3] to an item; InputError leaves the picture out.

    Attributes:
        all_paths: of the pictures, by name.
        paths: of those that are left.

    Raises:
        InputError: if there is no picture, or none that can be read.
    """

    def __init__(self, name: str, convert: Callable[[np.ndarray], dict]):
        self.name, self.convert = name, convert
        self.all_paths, self.paths, self._items = picture_paths(name), [], []
        if not self.all_paths:
            raise InputError(f'{name}: no picture in this folder')
        bad, room = [], KEPT_BYTES
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for path, item in zip(self.all_paths, pool.map(self._try, self.all_paths)):
                if isinstance(item, InputError):
                    bad.append(item)
                    continue
                room -= sum(v.nbytes for v in item.values())
                self.paths.append(path)
                self._items.append(item if room >= 0 else None)
        if not self.paths:
            raise InputError(f'{name}: none of the {len(self.all_paths)} pictures can be read; {bad[0]}')
        if bad:
            print(f'{name}: {len(bad)} of {len(self.all_paths)} pictures are left out:', file=sys.stderr)
            print('\n'.join(f'  {error}' for error in bad), file=sys.stderr, flush=True)

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """From the CSV file of the folder, or from its folders; read when asked for.

        Raises:
            InputError: as `labels.read_labels`.
        """
        if table := find_csv(self.name):
            there = set(self.paths)
            left = np.array([path in there for path in self.all_paths])
            columns = read_labels(table, [path.relative_to(self.name).as_posix() for path in self.all_paths])
            return {label: column[left] for label, column in columns.items()}
        folders = [path.relative_to(self.name).parts[:-1] for path in self.paths]
        if not all(folders):  # one lies in the folder itself
            return {}
        first = np.array([parts[0] for parts in folders])
        return {label: first == label for label in sorted(set(first.tolist()))}

    def stems(self, paths: list[Path]) -> list[str]:
        """What names of files are without the folder and the suffix."""
        return [path.relative_to(self.name).with_suffix('').as_posix() for path in paths]

    def _try(self, path: Path) -> dict | InputError:
        try:
            picture = read_image(path)
        except InputError as error:
            return error
        try:
            return self.convert(picture)
        except InputError as error:
            return InputError(f'{path}: {error}')

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        item = self._items[index]
        return self.convert(read_image(self.paths[index])) if item is None else item

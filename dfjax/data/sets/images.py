"""Where pictures come from, faces or not: a name becomes random access to square pictures, with labels where known.

A name is
    a folder of pictures and videos     with all folders in it. Labels: those of a CSV file in it (`labels.py`); or,
                                        if it holds only folders, their names
    a video                             its frames, no more than `FRAMES` of them and evenly spread
    a face set, packed or not           as `sources.py` takes them; the aligned faces
    a tfds dataset, prepared            its folder or its data folder, or FOLDER:SPLIT, with labels: see `packed.py`
    render:...                          as `rendered.py` draws them, as `render:people:1:2000`: random people, labels
    render:...:DOMAIN                   the same in a domain of `domains.py`, as `render:people:1:2000:cartoon`

Pictures of a folder, and frames, become squares by cutting: the largest square in the middle, or the middle `crop`
pixels where that is less; then they are resized by averaging (cubic where they have to grow).
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

import numpy as np

from dfjax.data.faces.faceset import ROWS
from dfjax.data.media.image import IMAGE_SUFFIXES, read_image, squared
from dfjax.data.media.video import VIDEO_SUFFIXES, read_frames
from dfjax.data.sets.conditions import check_domain, domain_picture
from dfjax.data.sets.faces import INFO, FolderFaces, PackedFaces
from dfjax.data.sets.labels import find_csv, read_labels
from dfjax.data.sets.rendered import RenderedFaces
from dfjax.data.sets.tfds import PackedPictures, holds_faces, split_name
from dfjax.errors import InputError

KEPT_BYTES = 2**30  # pictures of a folder stay in memory, once decoded, up to this
FRAMES = 4096  # of the videos of a name; twice as many minutes give no more, but others
FACE_TYPE = 'whole_face'  # of rendered people: hair and chin show


class Pictures(Protocol):
    """Random access to pictures; safe to read from several threads.

    An item holds 'image' uint8 [S, S, 3], and for faces 'mask' uint8 [S, S], 'landmarks' float32 [68, 2] in unit
    coordinates, and 'parts' if they are rendered.
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


def open_pictures(name: str, size: int, face_type: str | None = None, crop: int = 0) -> Pictures:
    """The pictures that a name stands for, at side `size`.

    Args:
        name: see the module.
        size: side of the pictures.
        face_type: how faces must be cut; None takes sets as they are, and cuts rendered faces as FACE_TYPE.
        crop: of a folder's pictures and of frames, this many pixels in the middle; 0 is as many as there are.

    Raises:
        InputError: if the name is none of these, or holds no picture that can be read; a set of another face type.
    """
    if not name:
        raise InputError('the name of the pictures is empty')
    if name.startswith('render:'):
        plain, _, domain = name.rpartition(':')
        if plain[-1:].isdecimal() and not domain.isdecimal():
            check_domain(domain)
            source = in_domain(domain, RenderedFaces(plain, size, face_type or FACE_TYPE))
            source.name = name
            return source
        return RenderedFaces(name, size, face_type or FACE_TYPE)
    path, split = split_name(name)
    if path.is_file() and not is_video(path):
        raise InputError(f'{name}: neither a folder of pictures nor a video')
    if not path.exists():
        raise InputError(f'{name}: no such folder or video')
    packed = (path / INFO).is_file()
    if (path / ROWS).is_file() or (packed and not split and holds_faces(path)):
        source = PackedFaces(str(path), size) if packed else FolderFaces(name, size)
        if face_type not in (None, source.face_type):
            raise InputError(f'{name}: faces of type {source.face_type}, where {face_type} is needed')
        return source
    if packed:
        return PackedPictures(name, size, crop)
    return PictureFolder(name, lambda picture: {'image': squared(picture, size, crop)})


def in_domain(domain: str, source: Pictures) -> Pictures:
    """The pictures of a source as they look in a domain."""
    check_domain(domain, source[0])
    return View(source, lambda item: {'image': domain_picture(domain, item)})


def media_paths(name: Path | str) -> list[Path]:
    """A video itself; of a folder and all folders in it the pictures and videos, by name; hidden ones are none."""
    folder = Path(name)
    if folder.is_file():
        return [folder]
    found = (p for p in folder.rglob('*') if p.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES) and p.is_file())
    return sorted(p for p in found if not any(part[0] == '.' for part in p.relative_to(folder).parts))


def is_video(path: Path | str) -> bool:
    """By name alone."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def spread_frames(video: Path, convert: Callable[[np.ndarray], dict], most: int, room: int) -> dict[int, dict]:
    """Items of a video's frames by their numbers, evenly apart from the first on.

    Whenever there are more than `most`, or than go into `room` bytes, every other one is dropped, so that the length
    need not be known: of a long video half as many as may be are left, or more.

    Raises:
        InputError: as `read_frames` and `convert`.
    """
    kept, apart = {}, 1
    for number, _, picture in read_frames(video):
        if number % apart:
            continue
        kept[number] = item = convert(picture)
        if len(kept) > max(min(most, room // sum(v.nbytes for v in item.values())), 1):
            apart *= 2
            kept = {n: item for n, item in kept.items() if n % apart == 0}
    return kept


class PictureFolder:
    """The pictures of a folder and frames of the videos in it, or frames of one video.

    Every file is read once on opening; those that cannot be are left out, and named on stderr. Frames stay in memory:
    `FRAMES` at most, evenly spread over each video, to which all videos have the same share.

    Args:
        name: the folder, or the video.
        convert: from a picture uint8 [H, W, 3] to an item; InputError leaves the file out.

    Attributes:
        all_paths: of the files, by name.
        paths: of the items that are left; a frame's is as if its video were a folder: clip.mp4/000012.png.

    Raises:
        InputError: if there is no picture, or none that can be read.
    """

    def __init__(self, name: str, convert: Callable[[np.ndarray], dict]):
        self.name, self.convert = name, convert
        self.all_paths, self.paths, self._files, self._items = media_paths(name), [], [], []
        if not self.all_paths:
            raise InputError(f'{name}: no picture and no video in this folder')
        videos = sum(map(is_video, self.all_paths))
        what, bad, room = 'files' if videos else 'pictures', [], KEPT_BYTES
        read = partial(self._read, share=max(videos, 1))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for number, found in enumerate(pool.map(read, self.all_paths)):
                if isinstance(found, InputError):
                    bad.append(found)
                    continue
                for path, item in found.items():
                    room -= sum(v.nbytes for v in item.values())
                    self.paths.append(path)
                    self._files.append(number)
                    self._items.append(item if room >= 0 or is_video(self.all_paths[number]) else None)
        if not self.paths:
            raise InputError(f'{name}: none of the {len(self.all_paths)} {what} can be read; {bad[0]}')
        if bad:
            print(f'{name}: {len(bad)} of {len(self.all_paths)} {what} are left out:', file=sys.stderr)
            print('\n'.join(f'  {error}' for error in bad), file=sys.stderr, flush=True)

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """From the CSV file of the folder, or from its folders; read when asked for. All frames have their video's.

        Raises:
            InputError: as `labels.read_labels`.
        """
        inside = [path.relative_to(self.name) for path in self.all_paths]
        if table := find_csv(self.name):
            columns = read_labels(table, [path.as_posix() for path in inside])
            return {label: column[self._files] for label, column in columns.items()}
        folders = [inside[number].parts[:-1] for number in self._files]
        if not all(folders):  # one lies in the folder itself
            return {}
        first = np.array([parts[0] for parts in folders])
        return {label: first == label for label in sorted(set(first.tolist()))}

    def stems(self, paths: list[Path]) -> list[str]:
        """What names of files, and of videos that frames are of, are without the folder and the suffix."""
        parts = [path.relative_to(self.name).parts for path in paths]
        plain = lambda part: Path(part).stem if is_video(part) else part
        return ['/'.join([*map(plain, some[:-1]), *(Path(last).stem for last in some[-1:])]) for some in parts]

    def _read(self, path: Path, share: int) -> dict[Path, dict] | InputError:
        """The items of a file by their paths, or why there are none; of a video its part of as many as are shared."""
        try:
            if is_video(path):
                frames = spread_frames(path, self.convert, FRAMES // share, KEPT_BYTES // share)
                return {path / f'{number:06d}.png': item for number, item in frames.items()}
            return {path: self.convert(read_image(path))}
        except InputError as error:
            return error if str(error).startswith(f'{path}: ') else InputError(f'{path}: {error}')

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        item = self._items[index]
        return self.convert(read_image(self.paths[index])) if item is None else item

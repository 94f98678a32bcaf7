"""Folders of pictures and videos, and videos, as sets of pictures.

Pictures are opened by their headers alone and decoded when they are read: a folder of any size takes no memory. Frames
of videos stay in memory, a bounded number of them, for they cannot be reached one by one.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from dfjax.data.media.image import check_header, read_image
from dfjax.data.media.inputs import file_kind
from dfjax.data.media.video import read_frames
from dfjax.data.sets.dataset import Dataset
from dfjax.data.sets.labels import find_csv, read_labels
from dfjax.errors import InputError

KEPT_BYTES = 2**30  # bytes of decoded frames that a name may keep in memory
FRAMES = 4096  # frames, at most, that are taken of a name's videos, evenly spread over them


def media_paths(name: Path | str) -> list[Path]:
    """A video itself; of a folder and all folders in it the pictures and videos, by name; hidden ones are none."""
    folder = Path(name)
    if folder.is_file():
        return [folder]
    shown = [p for p in folder.rglob('*') if not any(part[0] == '.' for part in p.relative_to(folder).parts)]
    with ThreadPoolExecutor() as pool:
        return sorted(p for p, kind in zip(shown, pool.map(_kind, shown)) if kind)


def _kind(path: Path) -> str | None:
    return file_kind(path) if path.is_file() else None


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


class ImageFolder(Dataset):
    """The pictures of a folder and frames of the videos in it, or frames of one video.

    On opening, pictures whose headers cannot be read, and videos that cannot be decoded, are left out and named on
    stderr. A picture that turns out to be damaged further on is an InputError, which names it, when it is read. Of
    frames there are `FRAMES` at most, evenly spread over each video, to which all videos have the same share.

    Args:
        name: the folder, or the video.
        convert: from a picture uint8 [H, W, 3] to an item; may raise InputError.

    Attributes:
        all_paths: of the files, by name.
        paths: of the items that are left; a frame's is as if its video were a folder: clip.mp4/000012.png.

    Raises:
        InputError: if there is no picture, or none that can be read.
    """

    def __init__(self, name: str, convert: Callable[[np.ndarray], dict]):
        self.name, self.convert = name, convert
        self.all_paths, self.paths, self._files, self._frames = media_paths(name), [], [], {}
        if not self.all_paths:
            raise InputError(f'{name}: no picture and no video in this folder')
        self._videos = {path for path in self.all_paths if file_kind(path) == 'video'}
        videos = len(self._videos)
        what, bad = 'files' if videos else 'pictures', []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for number, found in enumerate(pool.map(partial(self._open, share=max(videos, 1)), self.all_paths)):
                if isinstance(found, InputError):
                    bad.append(found)
                    continue
                self.paths += found
                self._files += [number] * len(found)
                if isinstance(found, dict):
                    self._frames |= found
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

        def stem(path: Path) -> str:
            inside = path.relative_to(self.name)
            folder = inside.parent
            if path.parent in self._videos and folder.parts:
                folder = folder.parent / folder.stem
            return (folder / inside.stem).as_posix()

        return list(map(stem, paths))

    def _open(self, path: Path, share: int) -> list[Path] | dict[Path, dict] | InputError:
        """A picture's path; the items of a video by their paths, its part of what is shared; or why there is none."""
        try:
            if path in self._videos:
                frames = spread_frames(path, self.convert, FRAMES // share, KEPT_BYTES // share)
                return {path / f'{number:06d}.png': item for number, item in frames.items()}
            check_header(path)
            return [path]
        except InputError as error:
            return _named(path, error)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int, seed: int) -> dict[str, np.ndarray]:
        """The picture of a file, decoded now, or a frame."""
        path = self.paths[index]
        if (item := self._frames.get(path)) is not None:
            return item
        try:
            return self.convert(read_image(path))
        except InputError as error:
            raise _named(path, error) from error


def _named(path: Path, error: InputError) -> InputError:
    """An error that says the path."""
    return error if str(error).startswith(f'{path}: ') else InputError(f'{path}: {error}')

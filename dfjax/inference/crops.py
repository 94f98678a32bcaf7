"""What a run sees of the pictures that a person names: faces cut out as it has learnt them, or squares."""

from pathlib import Path

import cv2
import numpy as np

from dfjax.data.faces.align import align_matrices, crop
from dfjax.data.faces.analyse import analyse
from dfjax.data.media.image import read_image, squared
from dfjax.data.media.inputs import iter_frames, kind
from dfjax.data.sets.open import open_dataset
from dfjax.errors import InputError
from dfjax.inference.edit import feathered, middle, shrunk
from dfjax.inference.paste import paste

EDGE = 2.0  # pixels of the run: standard deviation of the blur by which colours are matched at the edge of a mask


def read_pictures(name: Path | str, size: int, face_type: str | None) -> np.ndarray:
    """The pictures of a file, of a folder of pictures or of a `render:` name, as a run takes them.

    Args:
        name: a rendered or aligned set gives its pictures as they are.
        size: of the run's pictures.
        face_type: how faces are cut out (the largest of each picture); None takes the middle square.

    Returns:
        uint8 [N, size, size, 3].

    Raises:
        InputError: no such picture, a video, no face in a picture, or a set of another face type.
    """
    if str(name).startswith('render:') or kind(name) == 'faceset':
        source = open_dataset(str(name), size, face_type)
        return np.stack([source[n]['image'] for n in range(len(source))])
    if kind(name) == 'video':
        raise InputError(f'{name}: is a video; give a picture')
    if face_type is None:
        return np.stack([squared(rgb, size) for _, _, rgb, _ in iter_frames(name)])
    return np.stack([face_of(path, size, face_type) for path in _files(Path(name))])


def face_of(path: Path, size: int, face_type: str) -> np.ndarray:
    """The aligned face uint8 [size, size, 3] of a picture that shows one person most.

    Raises:
        InputError: if no face is found.
    """
    return crop(read_image(path), face_matrix(path, size, face_type), size)


def face_matrix(path: Path, size: int, face_type: str) -> np.ndarray:
    """From a picture's pixels to those of the aligned face: [2, 3]; else as `face_of`."""
    try:
        faces = analyse(path).faces
    except InputError as error:
        raise InputError(f'{error}; for a picture that is an aligned face itself, pass --whole') from error
    return align_matrices(faces[0].landmarks[None], face_type, size)[0]


def _files(path: Path) -> list[Path]:
    from dfjax.data.media.inputs import media_files

    return media_files(path) if path.is_dir() else [path]


class Part:
    """The part of a picture that a run sees, to be made anew under a mask and put back.

    Args:
        name: a picture's file, or a `render:` name of one picture.
        size: of the run's pictures.
        face_type: as in `read_pictures`.

    Attributes:
        whole: the picture, uint8 [H, W, 3].
        seen: what the run sees of it, uint8 [size, size, 3].
        matrix: from pixels of `whole` to those of `seen`, [2, 3].

    Raises:
        InputError: as `read_pictures`; a folder, or a name of several pictures.
    """

    def __init__(self, name: Path | str, size: int, face_type: str | None):
        rendered = str(name).startswith('render:')
        if not rendered and kind(name) != 'image':
            raise InputError(f'{name}: give one picture')
        self._face = face_type is not None and not rendered
        pictures = read_pictures(name, size, face_type) if rendered else read_image(name)[None]
        if len(pictures) > 1:
            raise InputError(f'{name}: {len(pictures)} pictures; give one')
        self.whole = pictures[0]
        rows, columns = middle(self.whole.shape)
        scale = size / (rows.stop - rows.start)
        corner = np.array([[columns.start], [rows.start]])
        self.matrix = np.hstack([scale * np.eye(2), scale * (0.5 - corner) - 0.5])  # pixel centres at integers
        self.seen = squared(self.whole, size)
        if self._face:
            self.matrix = face_matrix(Path(name), size, face_type)
            self.seen = crop(self.whole, self.matrix, size)

    def masked(self, name: Path | str) -> tuple[np.ndarray, np.ndarray]:
        """A mask, a picture white where this one is to be made anew: bool [H, W], and as the run sees it [size, size],
        where a pixel counts that is white in any part.

        Raises:
            InputError: if it has another shape than the picture, or nothing that the run sees is white.
        """
        white = read_image(name).mean(-1) > 127
        if white.shape != self.whole.shape[:2]:
            (h, w), (height, width) = white.shape, self.whole.shape[:2]
            raise InputError(f'{name}: a mask of {w} x {h} pixels, where the picture has {width} x {height}')
        # How far half a pixel of `seen` reaches, in pixels of the whole picture
        reach = int(0.5 / np.sqrt(np.linalg.det(self.matrix[:, :2])))
        wide = cv2.dilate(white.astype(np.uint8) * 255, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
        seen = cv2.warpAffine(wide, self.matrix, self.seen.shape[1::-1], borderMode=cv2.BORDER_REPLICATE) > 0
        if not seen.any():
            what = 'face that the run works on' if self._face else 'middle square'
            raise InputError(f'{name}: nothing is white in the {what}')
        return white, seen

    def restored(self, made: np.ndarray, white: np.ndarray) -> np.ndarray:
        """The whole picture with `made`, uint8 [size, size, 3], in it where `white` [H, W]; the rest keeps its bits.

        Along the edge of `white` it takes the colours of the picture beside it, fading out in some pixels of the run.
        """
        done = self.whole.copy()
        if self._face:
            paste(done, made.astype(np.float32), feathered(len(made)), self.matrix)
        else:
            square = middle(done.shape)
            done[square] = shrunk(made, square[0].stop - square[0].start)
        changed = white[..., None] & (done != self.whole).any(-1, keepdims=True)  # not what the run does not see
        blur = lambda x: cv2.GaussianBlur(x, (0, 0), EDGE / np.sqrt(np.linalg.det(self.matrix[:, :2])))
        known = 1 - white.astype(np.float32)[..., None]
        error = blur(known * (self.whole.astype(np.float32) - done))
        done = done + error / np.maximum(blur(known)[..., None], 0.5)  # the mean error on the edge itself, less inside
        return np.where(changed, np.clip(np.rint(done), 0, 255).astype(np.uint8), self.whole)

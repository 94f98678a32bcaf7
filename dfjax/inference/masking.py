"""A mask net at work: on the pictures of a face set, and on frames."""

import functools

import cv2
import jax
import numpy as np

from dfjax.data.faces.align import align_matrices, crop
from dfjax.data.faces.face import Face
from dfjax.inference.paste import placed
from dfjax.inference.run import Run
from dfjax.inference.views import masked
from dfjax.ops import backend


class Masker:
    """masker(pictures) -> masks, for a loaded run of a system that can mask.

    Attributes:
        size, face_type: of the aligned faces that it takes.
        batch: how many it takes at once.
    """

    def __init__(self, run: Run):
        self.size, self.face_type = run.cfg.data.size, run.cfg.data.face_type
        self.batch = backend.group_size(self.size**2)
        self._params = jax.device_put(run.params)
        self._apply = jax.jit(functools.partial(run.system.mask, run.cfg))

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Masks float32 [N, S, S] in [0, 1] of aligned faces uint8 [N, S, S, 3]; N is any."""
        made = []
        for start in range(0, len(pictures), self.batch):
            group = pictures[start : start + self.batch]
            filled = np.zeros((self.batch, *pictures.shape[1:]), np.float32)  # one program for any number
            filled[: len(group)] = group / 127.5 - 1
            made.append(np.asarray(self._apply(self._params, filled))[: len(group), ..., 0])
        return np.concatenate(made) if made else np.zeros((0, self.size, self.size), np.float32)

    def of_picture(self, picture: np.ndarray) -> np.ndarray:
        """The mask uint8 [T, T] of an aligned face uint8 [T, T, 3]."""
        side = picture.shape[0]
        small = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
        mask = cv2.resize(self(small[None])[0], (side, side), interpolation=cv2.INTER_LINEAR)
        return np.rint(255 * mask).astype(np.uint8)

    def tint(self, frames: list[np.ndarray], faces: list[list[Face]]) -> list[np.ndarray]:
        """Frames uint8 [H, W, 3] with what is seen of their faces tinted."""
        where = [(i, face) for i, found in enumerate(faces) for face in found]
        if not where:
            return frames
        matrices = align_matrices(np.stack([face.landmarks for _, face in where]), self.face_type, self.size)
        masks = self(np.stack([crop(frames[i], matrix, self.size) for (i, _), matrix in zip(where, matrices)]))
        parts = [[] for _ in frames]
        for (i, _), matrix, mask in zip(where, matrices, masks):
            part = placed(frames[i].shape, np.zeros((self.size, self.size, 3), np.float32), mask, matrix)
            parts[i] += [part] if part is not None else []
        return [masked(frame, own) if own else frame for frame, own in zip(frames, parts)]

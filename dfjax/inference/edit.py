"""Edits pictures and frames: codes moved by one vector, decoded, and put back where they came from."""

from collections.abc import Sequence

import cv2
import numpy as np

from dfjax.data.faces.align import align_matrices, crop
from dfjax.data.faces.face import Face
from dfjax.inference.latents import Latents
from dfjax.inference.paste import paste

MARGIN = 0.08  # share of a crop's side, at its edge, over which an edited face fades out


class Editor:
    """editor(frames, faces) -> frames: every face (or every whole picture) with its code moved by the same vector.

    Args:
        latents: of the run.
        shift: [L]; the same for every frame, so that a person stays who they are.
        face_type: how the run's faces are aligned; None edits the middle square of the whole picture, which is what a
            run on plain pictures has learnt.
        detail: keep what the decoder does not say of a picture: x + (psi(z + shift) - psi(z)) at the frame's resolution
            instead of psi(z + shift).
    """

    def __init__(self, latents: Latents, shift: np.ndarray, face_type: str | None, detail: bool = False):
        self.latents, self.shift, self.face_type, self.detail = latents, shift, face_type, detail

    def __call__(self, frames: list[np.ndarray], faces: list[list[Face]]) -> list[np.ndarray]:
        """Frames uint8 [H, W, 3], edited; one without faces is returned itself, where faces are edited."""
        if self.face_type is None:
            return self._whole(frames)
        where = [(i, face) for i, found in enumerate(faces) for face in found]
        if not where:
            return frames
        size = self.latents.size
        matrices = align_matrices(np.stack([face.landmarks for _, face in where]), self.face_type, size)
        crops = np.stack([crop(frames[i], m, size) for (i, _), m in zip(where, matrices)])
        done, mask = list(frames), feathered(size)
        for (i, _), matrix, made in zip(where, matrices, self._edit(crops)):
            if done[i] is frames[i]:
                done[i] = frames[i].copy()
            if not self.detail:
                paste(done[i], made, mask, matrix)
                continue
            added = cv2.warpAffine(made, matrix, frames[i].shape[1::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
            fade = cv2.warpAffine(mask, matrix, frames[i].shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            done[i] = added_to(done[i], fade[..., None] * added)
        return done

    def _whole(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        squares = [middle(frame.shape) for frame in frames]
        size = self.latents.size
        small = np.stack([shrunk(frame[square], size) for frame, square in zip(frames, squares)])
        done = []
        for frame, square, made in zip(frames, squares, self._edit(small)):
            side, result = square[0].stop - square[0].start, frame.copy()
            made = made if side == size else cv2.resize(made, (side, side), interpolation=cv2.INTER_CUBIC)
            result[square] = added_to(result[square] if self.detail else np.zeros_like(result[square]), made)
            done.append(result)
        return done

    def _edit(self, pictures: np.ndarray) -> np.ndarray:
        """uint8 [N, S, S, 3] -> float32 in 0..255: the edited pictures, or with `detail` what the edit adds."""
        codes = self.latents.encode(pictures)
        made = self.latents.decode(codes + self.shift).astype(np.float32)
        return made - self.latents.decode(codes) if self.detail else made


def added_to(picture: np.ndarray, change: np.ndarray) -> np.ndarray:
    """uint8 picture + change, rounded and kept in range."""
    return np.clip(np.rint(picture + change), 0, 255).astype(np.uint8)


def feathered(size: int) -> np.ndarray:
    """[size, size] float32: 1 in the middle, falling smoothly to 0 at the edge over MARGIN of the side."""
    at = np.arange(size) + 0.5
    line = np.clip(np.minimum(at, size - at) / (MARGIN * size) - 0.5, 0, 1)
    line = line * line * (3 - 2 * line)
    return np.outer(line, line).astype(np.float32)


def middle(shape: tuple) -> tuple[slice, slice]:
    """The largest square in the middle of a picture [H, W, ...], as slices."""
    height, width = shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return slice(top, top + side), slice(left, left + side)


def shrunk(square: np.ndarray, size: int) -> np.ndarray:
    """A square picture at the side that the nets read."""
    if len(square) == size:
        return square
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if len(square) > size else cv2.INTER_CUBIC)

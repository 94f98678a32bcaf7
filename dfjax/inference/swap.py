"""Puts a trained face into frames: crops in, a jitted apply for groups of faces, pastes out."""

import contextlib
import functools
from collections import deque
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.data.faces.align import align_matrices, crop
from dfjax.data.faces.face import Face
from dfjax.data.faces.mask import face_outline, rasterise
from dfjax.data.faces.warp import apply
from dfjax.errors import InputError
from dfjax.inference.paste import paste, soft_mask
from dfjax.inference.run import Run
from dfjax.inference.sharpen import amplify
from dfjax.ops import backend
from dfjax.ops.colour import COLOURS, match_colour
from dfjax.ops.geometry import to_unit
from dfjax.ops.image import pooled, resize
from dfjax.ops.skin import skin

# How much of the frame's skin tone a face takes over. The rest is the person's own: all of it makes a pale person
# tanned, at the cost of 0.01 of identity transfer and 0.05 of detail.
TONE = 0.8

# How far the mask reaches past the brows' outer ends, share of a brow: without it the frame's own brow shows as a
# second one; with more, hair beside it is painted over.
ENDS = 0.1

LEAST = 8  # faces at hand at once, at least: work for the device while frames are pasted


class Swapper:
    """swapper(frames, faces) -> frames, for a loaded run.

    Args:
        run: of a system that can swap.
        side: whose decoder: 'b', the person put in, or 'a'.
        batch_size: faces at hand at once; None: as many as suit the device. Results depend on it by the last bit of a
            sum at most.
        colour: one of colour.COLOURS: what the face takes over from the frame.
        gains: of detail bands, see `detail.measure_gains`; None leaves the net's picture as it is.
        seamless: see `paste.clone`.
    """

    def __init__(
        self,
        run: Run,
        side: str = 'b',
        batch_size: int | None = None,
        colour: str = 'reinhard',
        gains: Sequence[float] | None = None,
        seamless: bool = False,
    ):
        check_colour(colour)
        if batch_size is not None and batch_size < 1:
            raise InputError(f'batch size {batch_size}: give 1 or more')
        self.size, self.face_type = run.cfg.data.size, run.cfg.data.face_type
        group = backend.group_size(self.size**2)
        self.batch_size, self.seamless = batch_size or max(LEAST, group), seamless
        self.group = min(group, 1 << (self.batch_size - 1).bit_length())  # faces that the nets see at once
        gains = None if gains is None else tuple(gains)
        self._params, self._frozen = jax.device_put((run.params, run.frozen))
        self._apply = jax.jit(functools.partial(apply_swap, run, side, colour, gains))

    def __call__(self, frames: list[np.ndarray], faces: list[list[Face]]) -> list[np.ndarray]:
        """Frames uint8 [H, W, 3] with each of their faces swapped; one without faces is returned itself."""
        return list(self.begin(frames, faces))

    def begin(self, frames: list[np.ndarray], faces: list[list[Face]]) -> Iterator[np.ndarray]:
        """The same: the device is at work when this returns, and faces are pasted as the frames are asked for."""
        where = [(i, face) for i, found in enumerate(faces) for face in found]
        if not where:
            return iter(frames)
        matrices = align_matrices(np.stack([face.landmarks for _, face in where]), self.face_type, self.size)
        parts = []
        for start in range(0, len(where), self.batch_size):
            part = slice(start, start + self.batch_size)
            parts += self._dispatch(frames, where[part], matrices[part])
        return self._pasted(frames, where, matrices, parts)

    def _dispatch(self, frames: list, where: list[tuple[int, Face]], matrices: np.ndarray) -> list[tuple]:
        """Begins up to a batch of faces: [(how many of the group are faces, faces [group, T, T, 3] in 0..255, masks
        [group, S, S])], on the device."""
        room = -(-self.batch_size // self.group) * self.group  # what is left over stays black
        crops = np.zeros((room, self.size, self.size, 3), np.uint8)
        hulls = np.zeros((room, self.size, self.size, 1), np.uint8)
        points = np.zeros((room, 68, 2), np.float32)
        for n, ((i, face), matrix) in enumerate(zip(where, matrices)):
            crops[n] = crop(frames[i], matrix, self.size)
            points[n] = to_unit(apply(matrix, face.landmarks), self.size)
            hulls[n, ..., 0] = rasterise(face_outline(crops[n], apply(matrix, face.landmarks), ENDS), self.size)
        with self._memory_errors():
            return [
                (
                    min(self.group, len(where) - i),
                    *self._apply(self._params, self._frozen, *(x[i : i + self.group] for x in (crops, hulls, points))),
                )
                for i in range(0, len(where), self.group)
            ]

    def _pasted(self, frames: list, where: list, matrices: np.ndarray, parts: list[tuple]) -> Iterator[np.ndarray]:
        made = self._fetched(parts)
        rows = deque(zip(where, matrices))
        for i, frame in enumerate(frames):
            done = frame.copy() if rows and rows[0][0][0] == i else frame
            while rows and rows[0][0][0] == i:
                _, matrix = rows.popleft()
                paste(done, *next(made), matrix, self.seamless)
            yield done

    def _fetched(self, parts: list[tuple]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Face and mask, one after the other."""
        for count, *arrays in parts:
            with self._memory_errors():
                faces, masks = map(np.asarray, arrays)
            yield from zip(faces[:count], masks[:count])

    @contextlib.contextmanager
    def _memory_errors(self) -> Iterator[None]:
        try:
            yield
        except jax.errors.JaxRuntimeError as error:
            if 'RESOURCE_EXHAUSTED' not in str(error):
                raise
            size = self.batch_size
            hint = f'try --batch-size {size // 2}' if size > 1 else 'no smaller batch would help'
            raise InputError(f'the device ran out of memory with --batch-size {size}; {hint}') from None


def check_colour(colour: str) -> None:
    """Raises InputError unless it is one of `colour.COLOURS`."""
    if colour not in COLOURS:
        raise InputError(f'colour {colour!r} is unknown: choose one of {", ".join(COLOURS)}')


def apply_swap(
    run: Run,
    side: str,
    colour: str,
    gains: tuple | None,
    params: dict,
    frozen: dict,
    crops: jax.Array,
    hulls: jax.Array,
    points: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The device's part: uint8 crops [B, S, S, 3], hulls [B, S, S, 1] and landmarks [B, 68, 2] in units of the side to
    faces [B, T, T, 3] in 0..255, as large as the system makes them, and soft masks [B, S, S]."""
    pictures, hulls = crops.astype(jnp.float32) / 255, hulls.astype(jnp.float32) / 255
    faces, masks = run.system.swap(run.cfg, params, frozen, 2 * pictures - 1, points, side)
    faces = (faces + 1) / 2
    small = made = pooled(faces, crops.shape[1])
    if gains is not None:
        made = jnp.clip(amplify(made, gains), 0, 1)
    shown = jnp.minimum(hulls, masks)
    made = match_colour(colour, made, pictures, skin(made, shown), skin(pictures, shown), TONE)
    if small is not faces:  # what colours and gains change is no finer than a crop
        made = jnp.clip(faces + resize(made - small, faces.shape[1]), 0, 1)
    return made * 255, soft_mask(shown)[..., 0]

"""Puts a trained face into frames: crops in, a jitted apply for groups of faces, pastes out."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from dfjax.data.faces.align import align_matrices, crop
from dfjax.data.faces.face import Face
from dfjax.data.faces.mask import face_outline, rasterise
from dfjax.data.faces.warp import apply
from dfjax.data.media.decode import MediaInfo
from dfjax.errors import InputError
from dfjax.inference.follow import SLOTS, fresh_state
from dfjax.inference.frames import FaceJob, Output
from dfjax.inference.merge import STATS, merge
from dfjax.inference.paste import Placed, adapted, enlarged, grainy, lay, placed
from dfjax.inference.run import Run, load_run, with_morph
from dfjax.inference.settings import DEFAULTS, LEARNED, Settings
from dfjax.inference.sharpen import run_gains
from dfjax.inference.views import layer, masked
from dfjax.ops import backend
from dfjax.ops.geometry import to_unit

# How far the mask reaches past the brows' outer ends, share of a brow: without it the frame's own brow shows as a
# second one; with more, hair beside it is painted over.
ENDS = 0.1

LEAST = 8  # faces at hand at once, at least: work for the device while frames are pasted


def check_masks(settings: Settings, cfg: ConfigDict) -> None:
    """Raises InputError where a mask is to be the net's and runs of that config learn none."""
    asked = [mask for mask in LEARNED if mask in settings.masks()]
    if asked and cfg.data.canonical:
        raise InputError(
            f"mask {asked[0]!r}: this run's faces have no outline of their own (config key data.canonical); "
            'choose auto, hull or a mask net'
        )


class Swapper:
    """swapper(frames, faces) -> frames, for a loaded run.

    Faces are followed from frame to frame, so they come in order. Their results depend on what came before, and on
    `batch_size` by the last bit of a sum at most.

    Args:
        run: of a system that can swap.
        settings: how, see `inference.settings`.
        side: whose decoder: 'b', the person put in, or 'a'.
        batch_size: faces at hand at once; None: as many as suit the device.
        gains: of detail bands, see `sharpen.measure_gains`; None leaves the net's picture as it is.
        mask_net: the run of a mask net, for the mask by one.

    Attributes:
        gains: as they were given.
        owner: which of `settings.people` each track is of.
    """

    def __init__(
        self,
        run: Run,
        settings: Settings = DEFAULTS,
        side: str = 'b',
        batch_size: int | None = None,
        gains: Sequence[float] | None = None,
        mask_net: Run | None = None,
    ):
        if batch_size is not None and batch_size < 1:
            raise InputError(f'batch size {batch_size}: give 1 or more')
        self.run, self.settings = run, settings.check()
        check_masks(settings, run.cfg)
        self.owner: dict[int, int] = {}
        self.size, self.face_type = run.cfg.data.size, run.cfg.data.face_type
        group = backend.group_size(self.size**2)
        self.batch_size = batch_size or max(LEAST, group)
        self.group = min(group, 1 << (self.batch_size - 1).bit_length())  # faces that the nets see at once
        self.gains = None if gains is None else tuple(gains)
        masked_by = None if mask_net is None else functools.partial(mask_net.system.mask, mask_net.cfg)
        device = jax.local_devices()[0]  # named, so that the state is there from the first call on: one program serves
        nets = run.params, run.frozen, {} if mask_net is None else mask_net.params
        self._nets = jax.device_put(nets, device)
        self._merge = functools.cache(
            lambda look: jax.jit(functools.partial(merge, run, side, look, self.gains, masked_by))
        )
        self._state = jax.device_put(fresh_state(self.size, STATS), device)
        self._followed: dict[tuple, tuple[int, int, np.ndarray]] = {}  # slot, last frame and place, oldest first

    def __call__(self, frames: list[np.ndarray], faces: list[list[Face]]) -> list[np.ndarray]:
        """Frames uint8 [H, W, 3] with each of their faces swapped; one without faces is returned itself."""
        return list(self.begin(frames, faces))

    def begin(self, frames: list[np.ndarray], faces: list[list[Face]]) -> Iterator[np.ndarray]:
        """The same: the device is at work when this returns, and faces are pasted as the frames are asked for."""
        return map(self.written, frames, self.begin_parts(frames, faces))

    def begin_parts(self, frames: list[np.ndarray], faces: list[list[Face]]) -> Iterator[list[Placed]]:
        """What is to be laid into each frame, as `begin`."""
        where = [(i, face, self.look(face)) for i, found in enumerate(faces) for face in found]
        where = [(i, face, look) for i, face, look in where if look.mode != 'original']
        made = {}  # by number in `where`: row of a group's results
        if where:
            matrices = align_matrices(np.stack([face.landmarks for _, face, _ in where]), self.face_type, self.size)
            for look in dict.fromkeys(look for *_, look in where):
                numbers = [n for n, (*_, its) in enumerate(where) if its == look]
                for start in range(0, len(numbers), self.group):
                    part = numbers[start : start + self.group]
                    results = self._dispatch(look, frames, [where[n][:2] for n in part], matrices[part])
                    made |= {n: functools.partial(results, row) for row, n in enumerate(part)}
        return self._finished(frames, [(*row, matrices[n], made[n]) for n, row in enumerate(where)])

    def look(self, face: Face) -> Settings:
        """What holds for a face."""
        return _look(self.settings, face.time if self.settings.ranges else 0.0, self.owner.get(face.track))

    def _dispatch(self, look: Settings, frames: list, where: list, matrices: np.ndarray) -> Callable:
        """Begins a group of faces; returns a function of a row that gives its face [T, T, 3] in 0..255 and its mask
        [S, S]."""
        size, x = self.size, self._nothing()
        for n, ((i, face), matrix) in enumerate(zip(where, matrices)):
            inside = apply(matrix, face.landmarks)
            x['crops'][n] = crop(frames[i], matrix, size)
            x['points'][n] = to_unit(inside, size)
            x['hulls'][n, ..., 0] = rasterise(face_outline(x['crops'][n], inside, ENDS), size)
            x['slots'][n], x['fresh'][n], move = self._follow(look, face)
            x['moves'][n] = matrix[:, :2] @ move / size
        with self._memory_errors():
            self._state, faces, masks = self._merge(look)(self._nets, self._state, x)

        @functools.cache
        def fetched() -> tuple[np.ndarray, np.ndarray]:
            with self._memory_errors():
                return np.asarray(faces), np.asarray(masks)

        return lambda row: tuple(array[row] for array in fetched())

    def _nothing(self) -> dict[str, np.ndarray]:
        """A group without faces, to be filled: what is left over stays black."""
        size, room = self.size, self.group
        x = {'crops': np.zeros((room, size, size, 3), np.uint8), 'hulls': np.zeros((room, size, size, 1), np.uint8)}
        x |= {'points': np.zeros((room, 68, 2), np.float32), 'moves': np.zeros((room, 2), np.float32)}
        return x | {'slots': np.full(room, SLOTS, np.int32), 'fresh': np.ones(room, bool)}

    def warm(self, time: float) -> None:
        """Compiles what a face at a time takes: in a thread, while faces are searched for."""
        look = _look(self.settings, time, None)
        if look.mode != 'original':
            jax.block_until_ready(self._merge(look)(self._nets, self._state, self._nothing()))

    def _follow(self, look: Settings, face: Face) -> tuple[int, bool, np.ndarray]:
        """The slot of a face, whether it is new there, and how far [2] it moved since the last frame, in pixels."""
        key, centre = (face.source, face.track, look), face.landmarks.mean(0)
        slot, last, before = self._followed.pop(key, (None, None, centre))
        if slot is None:
            used = {slot for slot, *_ in self._followed.values()}
            slot = next((n for n in range(SLOTS) if n not in used), None)
            if slot is None:
                slot, *_ = self._followed.pop(next(iter(self._followed)))
        goes_on = last == face.frame - 1
        self._followed[key] = slot, face.frame, centre
        return slot, not goes_on, centre - before if goes_on else np.zeros(2)

    def _finished(self, frames: list, rows: list) -> Iterator[list[Placed]]:
        rows = iter([*rows, (len(frames), None, None, None, None)])
        of, face, look, matrix, made = next(rows)
        for i, frame in enumerate(frames):
            parts = []
            while of == i:
                laid, mask = made()
                part = placed(frame.shape, laid, mask, enlarged(matrix, look.scale, self.size))
                if part is not None:
                    part = adapted(frame, part) if look.mode == 'seamless' else part
                    seed = (face.frame, face.track % 2**31)
                    parts.append(grainy(frame, part, look.degrade, seed) if look.degrade else part)
                of, face, look, matrix, made = next(rows)
            yield parts

    def written(self, frame: np.ndarray, parts: list[Placed]) -> np.ndarray:
        """What is written of a frame."""
        if self.settings.codec == 'png16':
            return layer(frame.shape, parts)
        done = frame.copy() if parts else frame
        for part in parts:
            lay(done, part)
        panes = [frame] if self.settings.compare else []
        panes += [masked(frame, parts)] if self.settings.mask_view else []
        return np.concatenate([*panes, done], 1) if panes else done

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


class Together:
    """Swappers of several people over the same frames; all see these as they were, whoever crosses whom.

    Args:
        swappers: of one `settings`.
        owner: which of them swaps each track.
    """

    def __init__(self, swappers: Sequence[Swapper], owner: Mapping[int, int]):
        self.swappers, self.owner = swappers, owner
        self.run, self.settings = swappers[0].run, swappers[0].settings
        self.batch_size = min(swapper.batch_size for swapper in swappers)

    def begin(self, frames: list[np.ndarray], faces: list[list[Face]]) -> Iterator[np.ndarray]:
        """As `Swapper.begin`."""
        own = lambda n: [[face for face in found if self.owner[face.track] == n] for found in faces]
        made = [swapper.begin_parts(frames, own(n)) for n, swapper in enumerate(self.swappers)]
        write = self.swappers[0].written
        return (write(frame, list(itertools.chain(*parts))) for frame, *parts in zip(frames, *made))

    def look(self, face: Face) -> Settings:
        """What holds for a face."""
        return self.swappers[self.owner[face.track]].look(face)


def open_swapper(
    run: Run | Path | str, settings: Settings, side: str, morph: float | None, batch_size: int | None
) -> Swapper:
    """The Swapper of a run, or of a run's folder, by settings: with the mask net and the gains that they ask for.

    Raises:
        InputError: as `load_run`, `with_morph` and Swapper.
    """
    whole = load_run(run, can='swap') if isinstance(run, str | Path) else run
    model = whole if morph is None else with_morph(whole, morph)
    mask_net = load_run(settings.mask_net, can='mask') if settings.mask_net else None
    gains = run_gains(whole, side) if settings.detail else None
    return Swapper(model, settings, side, batch_size, gains, mask_net)


@functools.lru_cache(64)
def _look(settings: Settings, time: float, person: int | None) -> Settings:
    return settings.look(time, person)


class SwapJob(FaceJob):
    """The job of a Swapper; with views beside the result its frames are as much wider."""

    def __init__(self, description: str, system: str, swapper: Swapper | Together, faces, root: Path | None = None):
        super().__init__(description, system, swapper.begin, faces, swapper.batch_size, root)
        self._panes = 1 + swapper.settings.compare + swapper.settings.mask_view
        self._look = swapper.look

    def changes(self, face: Face) -> bool:
        """Whether its settings have it swapped."""
        return self._look(face).mode != 'original'

    def output(self, info: MediaInfo) -> Output:
        """As wide as all panes."""
        return Output(size=(self._panes * info.width, info.height)) if self._panes > 1 else Output()

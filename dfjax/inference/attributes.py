"""Attribute vectors: the direction in which an attribute moves a code, from a labelled set in one pass.

    vectors = compute(latents, *open_labelled(run.cfg))             v = mean code with it - mean code without
    save(run, vectors); vectors = load(run)
    shift = vectors.shift({'smile': 1.5, 'glasses': -1})            psi(phi(x) + shift) is the edit

The classes of each attribute are made equal by leaving out pictures of the larger one at random (DeepFakeLab); an
attribute that too few pictures have, or have not, is left out.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from ml_collections import ConfigDict

from dfjax.data.kinds import WHOLE, Labelled, open_streams
from dfjax.data.media.output import atomic_path
from dfjax.data.names import Joined, Rendered, Stored, parse
from dfjax.data.sets.open import open_dataset
from dfjax.data.sets.rendered import FACE_TYPE
from dfjax.errors import InputError, ReadError
from dfjax.foreign import floats, read_npz
from dfjax.inference.latents import Latents
from dfjax.inference.run import Run

FILE = 'vectors.npz'  # beside a run's config; what a person reads of it is vectors.json
CHUNK = 64  # pictures read at once
FEWEST = 2  # pictures of a class, at least: one for the vector, another to measure its AUC
TOO_FEW = f'fewer than {FEWEST} pictures have it, or have it not'


@dataclass(frozen=True, eq=False)
class Vectors:
    """The attribute vectors of a run.

    Attributes:
        names: of the K attributes.
        vectors: float32 [K, L].
        auc: [K] how well the attribute is told from codes by its vector, measured on the half of the pictures that the
            vector was not made from: 0.5 is not at all, 1 is always.
        counts: [K] pictures of each class that were used.
        source: the labelled set.
        few: attributes of the set that are left out, for too few pictures have them or have them not.
    """

    names: tuple[str, ...]
    vectors: np.ndarray
    auc: np.ndarray
    counts: np.ndarray
    source: str
    few: tuple[str, ...] = ()

    def correlation(self) -> np.ndarray:
        """[K, K] cosines between the vectors."""
        unit = self.vectors / np.maximum(np.linalg.norm(self.vectors, axis=1, keepdims=True), 1e-12)
        return unit @ unit.T

    def index(self, name: str) -> int:
        """Where an attribute stands.

        Raises:
            InputError: if there is no such attribute, or it is left out.
        """
        if name in self.few:
            raise InputError(f'attribute {name!r} is left out: in {self.source} {TOO_FEW}')
        if name not in self.names:
            raise InputError(f'attribute {name!r} is unknown; there are: {", ".join(self.names)}')
        return self.names.index(name)

    def orthogonal(self, against: Sequence[str]) -> 'Vectors':
        """The vectors without their part in the directions of `against`, so that an edit leaves those alone.

        The vectors of `against` stay as they are.

        Raises:
            InputError: as `index`.
        """
        rows = [self.index(name) for name in against]
        basis = np.linalg.qr(self.vectors[rows].T)[0]  # [L, len(against)]
        freed = self.vectors - (self.vectors @ basis) @ basis.T
        freed[rows] = self.vectors[rows]
        return dataclasses.replace(self, vectors=freed)

    def shift(self, amounts: Mapping[str, float]) -> np.ndarray:
        """The sum of t v over the attributes named: [L]. 1 is as far as from those without to those with it.

        Raises:
            InputError: as `index`.
        """
        return sum((t * self.vectors[self.index(name)] for name, t in amounts.items()), np.zeros_like(self.vectors[0]))

    def table(self) -> dict:
        """What a person wants to know of each: {name: {'auc', 'pictures' of each class, 'correlation' with others}}."""
        cosines = self.correlation()
        return {
            name: {
                'auc': round(float(self.auc[k]), 4),
                'pictures': int(self.counts[k]),
                'correlation': {other: round(float(cosines[k, j]), 3) for j, other in enumerate(self.names) if j != k},
            }
            for k, name in enumerate(self.names)
        }


def open_labelled(cfg: ConfigDict, source: str | None = None, wanted: Sequence[str] = ()) -> tuple:
    """The labelled pictures of a run, or of another source, and the attributes that they tell.

    Args:
        cfg: of the run, for the size and cut of the pictures, and for the source if none is given.
        source: as `data.source`.
        wanted: attributes that there have to be.

    Returns:
        (`kinds.Labelled`, the names of its labels, those of attributes with fewer than FEWEST pictures of a class).

    Raises:
        InputError: if there is no attribute, or one that is wanted is not there or has too few pictures of a class; as
            `open_streams`.
    """
    data = picture_section(cfg, source or cfg.data.source)
    sources = open_streams('labelled', data)[WHOLE].sources
    there = dict.fromkeys(label for part in sources for label in part.labels)
    classes = {label: np.concatenate([_seen(part, label) for part in sources]) for label in there}
    rarer = {label: min(seen.sum(), (~seen).sum()) for label, seen in classes.items()}
    if strange := [name for name in wanted if name not in there]:
        names = ', '.join(there) or 'none'
        raise InputError(f'{data.source}: attribute {strange[0]!r} is unknown; there are: {names}')
    if rare := [name for name in wanted if rarer[name] < FEWEST]:
        raise InputError(f'{data.source}: attribute {rare[0]!r} cannot be told: {TOO_FEW}')
    names = tuple(name for name in there if rarer[name] >= FEWEST)
    if not names:
        raise InputError(f'{data.source}: no label that some pictures have and others have not; give --data')
    return Labelled(sources, names), names, tuple(name for name in there if rarer[name] < FEWEST)


def _seen(source, label: str) -> np.ndarray:
    return np.asarray(source.labels.get(label, []), bool)


def picture_section(cfg: ConfigDict, source: str, labels: Sequence[str] = ()) -> ConfigDict:
    """The section `data` of a config that reads pictures of any source as those of a run are: of its size and cut."""
    data = dict(source=source, labels=tuple(labels), size=cfg.data.size, crop=cfg.data.get('crop', 0))
    return ConfigDict(data | dict(face_type=face_type_of(cfg), resident_bytes=0))


def compute(
    latents: Latents, labelled: Labelled, names: Sequence[str], few: Sequence[str] = (), seed: int = 0, progress=None
) -> Vectors:
    """The vectors of a labelled set, read once.

    Args:
        labelled, names, few: of `open_labelled`.
        seed: of what is left out to make classes equal.
        progress: called with the pictures done and their number.
    """
    codes, count = [], len(labelled)
    with ThreadPoolExecutor() as pool:
        for start in range(0, count, CHUNK):
            rows = list(pool.map(labelled.__getitem__, range(start, min(start + CHUNK, count))))
            codes.append(latents.encode(np.stack([row['image'] for row in rows])))
            if progress:
                progress(min(start + CHUNK, count), count)
    codes, rng = np.concatenate(codes), np.random.default_rng(seed)
    found, auc, counts = [], [], []
    for k in range(len(names)):
        having, without = balanced(labelled.table[:, k] > 0.5, labelled.known[:, k] > 0.5, rng)
        found.append(codes[having].mean(0) - codes[without].mean(0))
        auc.append(separability(codes[having], codes[without]))
        counts.append(len(having))
    found = np.stack(found).astype(np.float32)
    return Vectors(tuple(names), found, np.array(auc), np.array(counts), labelled.name, tuple(few))


def balanced(label: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices of equally many known examples with and without a label: bool [N], bool [N]."""
    having, without = (rng.permutation(np.flatnonzero(known & (label == value))) for value in (True, False))
    count = min(len(having), len(without))
    return having[:count], without[:count]


def separability(having: np.ndarray, without: np.ndarray) -> float:
    """The area under the ROC curve of codes [N, L] along the difference of means of the other half of them."""
    areas = []
    for half in (0, 1):
        vector = having[half::2].mean(0) - without[half::2].mean(0)
        areas.append(auc(having[1 - half :: 2] @ vector, without[1 - half :: 2] @ vector))
    return float(np.mean(areas))


def auc(high: np.ndarray, low: np.ndarray) -> float:
    """The share of pairs, one value from each, in which that of `high` is greater; ties count half."""
    ranks = np.searchsorted(np.sort(low), high, side='left') + np.searchsorted(np.sort(low), high, side='right')
    return float(ranks.mean() / (2 * len(low)))


def save(run: Run, vectors: Vectors) -> None:
    """Keeps the vectors with the run, and what a person wants to know of them in vectors.json."""
    arrays = {k: getattr(vectors, k) for k in ('vectors', 'auc', 'counts')}
    told = {k: np.array(getattr(vectors, k), str) for k in ('names', 'few', 'source')} | {'step': np.array(run.step)}
    with atomic_path(run.path / FILE, force=True) as part, open(part, 'wb') as file:
        np.savez(file, **arrays, **told)
    with atomic_path(run.path / 'vectors.json', force=True) as part:
        part.write_text(json.dumps({'source': vectors.source, 'step': run.step, 'vectors': vectors.table()}, indent=1))


def load(run: Run) -> Vectors | None:
    """The vectors kept with the run; None if there are none, of another step, or damaged."""
    try:
        arrays = read_npz(run.path / FILE)
        if int(arrays['step']) != run.step:
            return None
        names, few = (tuple(arrays[k].tolist()) if k in arrays else () for k in ('names', 'few'))  # older ones: no few
        vectors = floats(arrays['vectors'], len(names), None).astype(np.float32)
        auc, counts = floats(arrays['auc'], len(names)), floats(arrays['counts'], len(names)).astype(int)
        return Vectors(names, vectors, auc, counts, str(arrays['source']), few)
    except (ReadError, ValueError, KeyError, TypeError):
        return None


def face_type_of(cfg: ConfigDict) -> str | None:
    """How the faces are aligned that a run has learnt from; None if its pictures are whole ones."""
    name = parse(cfg.data.source) if cfg.data.source else None
    name = name.parts[0] if isinstance(name, Joined) else name
    if isinstance(name, Rendered):
        return cfg.data.get('face_type', FACE_TYPE)
    if isinstance(name, Stored) and name.folder.is_dir() and name.kind() in ('faces', 'tfds faces'):
        return open_dataset(name, cfg.data.size).face_type
    return None

"""Pictures that a run has not learnt from, and how far its samples are from them."""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from dfjax.data.kinds import WHOLE, open_streams
from dfjax.data.names import parse
from dfjax.errors import InputError
from dfjax.evaluation.frechet import descriptors, frechet
from dfjax.inference.attributes import face_type_of, picture_section
from dfjax.inference.run import Run

APART = 1_000_000  # what is added to the seed of rendered training pictures


def held_out_name(cfg: ConfigDict, count: int, salt: int = 0) -> str:
    """The name of `count` rendered pictures like those of a run, of other seeds.

    Raises:
        InputError: if the run has not learnt from rendered people.
    """
    name = parse(cfg.data.source) if cfg.data.source else None  # an imported run has none
    if name is None or name.seed is None:
        raise InputError(f'{name or ""}: what the run has not learnt from is not known; give --data NAME'.lstrip(': '))
    return str(name.with_seed(name.seed + APART * (salt + 1), count))


def load_pictures(cfg: ConfigDict, name: str, labels: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """'image' uint8 [N, S, S, 3], 'label' and 'known' [N, K] of a set, cut as the run's pictures are.

    Raises:
        InputError: as `open_streams`; faces of another type than the run's.
    """
    return open_streams('labelled', picture_section(cfg, name, labels))[WHOLE].arrays()


def frechet_figures(run: Run, samples: np.ndarray, data: str | None = None) -> dict[str, float]:
    """The Frechet distance of samples uint8 [N, S, S, 3] from as many real pictures, and that of two real sets.

    Args:
        data: a set of real pictures, split in two; by default rendered people of two other seeds.

    Returns:
        {'frechet', 'frechet_floor'}.

    Raises:
        InputError: as `held_out_name`; fewer than four pictures in `data`.
    """
    if data:
        images = load_pictures(run.cfg, data)['image']
        if len(images) < 4:
            raise InputError(f'{data}: {len(images)} pictures; the distance of two sets needs more')
        images = images[np.random.default_rng(0).permutation(len(images))[: 2 * len(samples)]]
        real = images[::2], images[1::2]
        samples = samples[: len(real[0])]  # the distance falls with their number
    else:
        names = [held_out_name(run.cfg, len(samples), salt) for salt in (1, 2)]
        real = [load_pictures(run.cfg, name)['image'] for name in names]
    how = face_type_of(run.cfg) or 'whole_face'
    made, one, other = (descriptors(pictures, how) for pictures in (samples, *real))
    return {'frechet': round(frechet(made, one), 5), 'frechet_floor': round(frechet(other, one), 5)}

"""The references of a run in its folder: a picture each, and a sheet of all; see `dfjax.ops.references`.

W/references/b_03.jpg       a picture of person b; who deletes it throws that reference out, in training and in use
W/references.jpg            all of them, a row a person
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.data.media.image import encode_image
from dfjax.errors import InputError
from dfjax.systems.state import State
from dfjax.training.processes import together
from dfjax.training.workdir import folder_of, last_step

FOLDER = 'references'
SHEET_SIDE = 160  # pixels of a picture in the sheet, about


def begin_with(checkpoints: Any, state: State, position: dict) -> None:
    """Shows the references of a run that has no checkpoint, and saves it: it can be used before its first step.

    Args:
        checkpoints: a `checkpoint.Checkpoints`.
        position: of the data.
    """
    if 'references' not in state.aux or last_step(checkpoints.workdir) is not None:
        return
    with together():
        if jax.process_index() == 0:
            show_references(checkpoints.workdir, state)
    checkpoints.save(0, state, None, position)


def show_references(workdir: str | Path, state: State) -> None:
    """Writes the pictures of a run's references; one process does."""
    workdir, references = folder_of(workdir), jax.tree.map(lambda x: x.addressable_data(0), state.aux['references'])
    (workdir / FOLDER).mkdir(parents=True, exist_ok=True)
    rows, columns = [], max(int(person['used'].sum()) for person in references.values())
    for name, person in references.items():
        pictures = np.asarray(person.get('large', person['pictures']))
        for n in _used(person):
            path = workdir / FOLDER / f'{name}_{n:02d}.jpg'
            path.write_bytes(encode_image(path, pictures[n]).tobytes())
        every = math.ceil(pictures.shape[1] / SHEET_SIDE)
        row = [pictures[n][::every, ::every] for n in _used(person)]
        row += [np.zeros_like(row[0])] * (columns - len(row))
        rows.append(np.concatenate(row, 1))
    sheet = workdir / f'{FOLDER}.jpg'
    sheet.write_bytes(encode_image(sheet, np.concatenate(rows)).tobytes())


def without_deleted(workdir: str | Path, state: State, place: Callable[[np.ndarray], jax.Array] = jnp.asarray) -> State:
    """The state of a run without the references whose pictures somebody has deleted; one without any as it is.

    Args:
        place: puts an array where the state is.

    Raises:
        InputError: if none of a person is left.
    """
    folder, kept = folder_of(workdir) / FOLDER, {}
    if 'references' not in state.aux or not folder.is_dir():
        return state
    there = {path.name for path in folder.iterdir()}
    for name, person in state.aux['references'].items():
        used = np.zeros(person['used'].shape, np.float32)
        used[[n for n in _used(person) if f'{name}_{n:02d}.jpg' in there]] = 1
        if not used.any():
            raise InputError(f'{folder}: no picture of {name} is left; bring one back, or delete the whole folder')
        kept[name] = person | {'used': place(used)}
    return state.replace(aux=state.aux | {'references': kept})


def _used(person: dict) -> list[int]:
    return np.flatnonzero(np.asarray(jax.device_get(person['used'])) > 0).tolist()

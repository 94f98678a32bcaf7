"""The golden files of the originals' nets: inputs, outputs and weights, in our layout. It is not a test."""

import functools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / 'shared' / 'golden'
NO_PICTURES = ('jacobian', 'jacobian_large', 'deformation', 'grid')  # arrays of four axes that have no channels


@functools.cache
def manifest(name: str) -> dict:
    """What a golden file says of itself."""
    if not FOLDER.is_dir():
        pytest.skip(f'no golden files at {FOLDER}')
    return json.loads((FOLDER / f'{name}.json').read_text())


def recipe():
    """The module that makes the weights."""
    manifest('stargan_generator')
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    import recipe

    return recipe


@functools.cache
def weights(name: str, salt: str | None = None) -> dict[str, np.ndarray]:
    """The state dict of a golden file, found to be the one that it was made with."""
    made = recipe().make_state_dict(manifest(name), salt)
    if salt is None:
        assert abs(recipe().fingerprint(made)['sum_abs'] / manifest(name)['weights_check']['sum_abs'] - 1) < 1e-9
    return made


@functools.cache
def arrays(name: str) -> dict[str, np.ndarray]:
    """The inputs and outputs, pictures as NHWC."""
    manifest(name)
    with np.load(FOLDER / f'{name}.npz') as file:
        return {key: value if key.endswith(NO_PICTURES) else nhwc(value) for key, value in file.items()}


def nhwc(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def check(name: str, output: str, value) -> None:
    """Within the file's own tolerance of what the original gave."""
    truth, limits = arrays(name)[f'out.{output}'], manifest(name)['outputs'][output]
    assert np.shape(value) == truth.shape
    np.testing.assert_allclose(value, truth, atol=limits['suggested_atol'], rtol=limits.get('suggested_rtol', 0))

"""The three notebooks, run in order on small rendered videos; how they are stored."""

import ast
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient

from dfjax.data.faces.faceset import load_faceset
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.image import read_image
from dfjax.data.media.video import probe

pytestmark = pytest.mark.whole

FOLDER = Path(__file__).parents[1] / 'notebooks'
NAMES = ('1_preprocess', '2_train', '3_generate')
FRAMES = 12


def load(name: str):
    return nbformat.read(FOLDER / f'{name}.ipynb', as_version=4)


def settings(notebook):
    """The one cell of settings, and the names that it assigns."""
    (cell,) = [cell for cell in notebook.cells if 'parameters' in cell.metadata.get('tags', [])]
    return cell, {node.targets[0].id for node in ast.parse(cell.source).body}


def execute(name: str, folder: Path, **values):
    """Runs a notebook in `folder` with other settings, which must be its own."""
    notebook = load(name)
    cell, known = settings(notebook)
    assert set(values) <= known
    cell.source += ''.join(f'\n{key} = {value!r}' for key, value in values.items())
    NotebookClient(notebook, timeout=300, resources={'metadata': {'path': str(folder)}}).execute()
    return notebook


def outputs(notebook) -> list:
    return [output for cell in notebook.cells if cell.cell_type == 'code' for output in cell.outputs]


def shown(notebook, kind: str) -> int:
    return sum(kind in output.get('data', {}) for output in outputs(notebook))


@pytest.fixture(scope='module')
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp('notebooks')
    frames = {'a': FRAMES, 'b': FRAMES + 2}
    tiny = [
        {'DEMO_FRAMES': frames, 'DEMO_SIZE': 160, 'SIZE': 64},
        {'VARIANT': 'smoke', 'STEPS': 6, 'OVERRIDES': {'preview_every': 3}},
        {'EVERY': 6, 'SHOWN': 3},
    ]
    done = [execute(name, folder, WORK='job', **values) for name, values in zip(NAMES, tiny)]
    return SimpleNamespace(work=folder / 'job', notebooks=dict(zip(NAMES, done)))


def test_preprocess_makes_and_shows_two_face_sets(ran):
    for side, frames in (('a', FRAMES), ('b', FRAMES + 2)):
        faces = load_faceset(ran.work / f'faces_{side}').rows
        assert frames - 2 <= len(faces) <= frames  # of a rendered person, nearly every frame has a face
        assert read_image(faces[0].path).shape == (64, 64, 3)
    assert shown(ran.notebooks['1_preprocess'], 'image/jpeg') == 2


def test_train_keeps_a_checkpoint_and_shows_previews(ran):
    assert [path.stem for path in sorted((ran.work / 'run' / 'previews').glob('*.jpg'))] == [
        '00000000',
        '00000003',
        '00000006',
    ]
    assert shown(ran.notebooks['2_train'], 'image/jpeg') == 2
    assert 'step       6  loss' in ''.join(output.get('text', '') for output in outputs(ran.notebooks['2_train']))


def test_generate_writes_shows_and_measures_the_video(ran):
    assert probe(ran.work / 'swap.mp4').frames == FRAMES
    assert read_credentials(ran.work / 'swap.mp4')['ai_generated']
    assert read_image(ran.work / 'comparison.jpg').shape == (2 * 160, 3 * 160, 3)
    done = ran.notebooks['3_generate']
    assert shown(done, 'image/jpeg') == 1
    html = [output.data['text/html'] for output in outputs(done) if 'text/html' in output.get('data', {})]
    assert any('<video' in text and 'data:video/mp4;base64' in text for text in html)
    told = ''.join(output.data['text/plain'] for output in outputs(done) if 'data' in output)
    assert all(f"'{key}'" in told for key in ('psnr', 'ssim', 'transfer', 'expression', 'detail', 'intact'))


@pytest.mark.parametrize('name', NAMES)
def test_stored_without_outputs(name):
    notebook = load(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == 'code']
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_same_folder_and_consent_in_all():
    works = []
    for name in NAMES:
        notebook = load(name)
        assert 'ask **both** people' in notebook.cells[0].source
        cell, _ = settings(notebook)
        works += [ast.literal_eval(n.value) for n in ast.parse(cell.source).body if n.targets[0].id == 'WORK']
    assert works == ['dfjax-work'] * len(NAMES)
